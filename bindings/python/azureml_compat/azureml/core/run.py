"""Runs, as scripts use them: Run.get_context() and what it gives."""

import json
import os
import sys
import tempfile
import time

import trainyard
from azureml.core._job_inputs import input_path, inputs_of_record
from azureml.core._local import elsewhere
from azureml.core.dataset import Data, Inputs
from azureml.core.experiment import Experiment
from azureml.core.workspace import Workspace
from azureml.exceptions import RunEnvironmentException, ServiceException, UserErrorException

# Where files of a run may be. Names that start otherwise are files of outputs/.
_TREES = ("outputs", "logs", "images", "user_logs", "system_logs", "azureml-logs")


def _file_name(name):
    """The name of a run's file for what scripts write: "./outputs/a", "outputs/a", or "a", which is outputs/a."""
    parts = [part for part in str(name).replace(os.sep, "/").split("/") if part not in ("", ".")]
    if not parts or parts[0] not in _TREES:
        parts.insert(0, "outputs")
    return "/".join(parts)


def _tag_value(value):
    return "" if value is None else str(value)


class _RunCalls:
    """The calls that a run and an offline run have in common, over the runs of trainyard."""

    _run = None
    _place = staticmethod(_file_name)
    name = property(lambda self: self.id)
    id = property(lambda self: self._run.id)
    tags = property(lambda self: dict(self._run.tags))
    properties = property(lambda self: dict(self._run.properties))
    status = property(lambda self: self.get_status())

    # ---- metrics

    def log(self, name, value, description="", step=None):
        if value is None:
            # The SDK let it pass, and a script that logs all its parameters should not fail for one that is not set.
            print("azureml: metric '%s' is not logged: its value is None" % name, file=sys.stderr)
            return
        self._run.log(name, value, step)

    def log_list(self, name, value, description=""):
        self._run.log_list(name, value)

    def log_row(self, name, description=None, **kwargs):
        self._run.log_row(name, **kwargs)

    def log_table(self, name, value, description=""):
        self._run.log_table(name, value)

    def log_image(self, name, path=None, plot=None, description=""):
        # Scripts give a plot as the second argument, too.
        if plot is None and hasattr(path, "savefig"):
            path, plot = None, path
        self._run.log_image(name, path, plot)

    def log_confusion_matrix(self, name, value, description=""):
        self._run.log_confusion_matrix(name, value)

    def log_accuracy_table(self, name, value, description=""):
        self._run.log_accuracy_table(name, value)

    def log_predictions(self, name, value, description=""):
        self._run.log_predictions(name, value)

    def log_residuals(self, name, value, description=""):
        self._run.log_residuals(name, value)

    def flush(self, timeout_seconds=300):
        self._run.flush()

    # ---- tags and properties

    def tag(self, key, value=None):
        self._run.set_tag(key, _tag_value(value))

    def set_tags(self, tags):
        self._run.set_tags({key: _tag_value(value) for key, value in tags.items()})

    def remove_tags(self, tags):
        removed = {key: value for key, value in self.tags.items() if key in ([tags] if isinstance(tags, str) else tags)}
        for key in removed:
            self._run.remove_tag(key)
        return removed

    def get_tags(self):
        return self.tags

    def add_properties(self, properties):
        self._run.set_properties({key: _tag_value(value) for key, value in properties.items()})

    def get_properties(self):
        return self.properties

    # ---- files

    def upload_file(self, name, path_or_stream, datastore_name=None):
        """A path, or anything with read()."""
        if not hasattr(path_or_stream, "read"):
            self._run.upload_file(self._place(name), path_or_stream)
            return
        with tempfile.TemporaryDirectory(prefix="trainyard-upload") as directory:
            path = os.path.join(directory, "content")
            with open(path, "wb") as file:
                part = path_or_stream.read(1 << 20)
                while part:
                    file.write(part.encode() if isinstance(part, str) else part)
                    part = path_or_stream.read(1 << 20)
            self._run.upload_file(self._place(name), path)

    def upload_files(self, names, paths, datastore_name=None):
        if len(names) != len(paths):
            raise UserErrorException("upload_files takes as many names as paths")
        for name, path in zip(names, paths):
            self.upload_file(name, path)

    def upload_folder(self, name, path, datastore_name=None):
        self._run.upload_folder(self._place(name), path)

    def get_file_names(self):
        return self._run.files()

    def download_file(self, name, output_file_path=None, **_):
        name = _file_name(name)
        target = output_file_path or os.path.basename(name)
        self._run.download_file(name, target)

    def download_files(self, prefix=None, output_directory=None, output_paths=None, append_prefix=True, **_):
        """All files whose names start with `prefix`, under their names; with append_prefix False without the prefix."""
        prefix = _file_name(prefix).rstrip("/") if prefix else ""
        names = [name for name in self._run.files() if name.startswith(prefix)]
        for index, name in enumerate(names):
            shown = name if append_prefix else name[len(prefix):].lstrip("/") or os.path.basename(name)
            target = output_paths[index] if output_paths else os.path.join(output_directory or ".", shown)
            os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
            self._run.download_file(name, target)

    def get_all_logs(self, destination=None):
        """Downloads the logs; answers their paths."""
        return self._run.download_logs(destination or os.path.join(tempfile.mkdtemp(prefix="trainyard-logs"), self.id))

    # ---- children

    def create_children(self, count=None, tag_key=None, tag_values=None):
        """`count` children, or one for each of `tag_values` with the tag `tag_key`."""
        if (count is None) == (tag_values is None) or (tag_key is None) != (tag_values is None):
            raise UserErrorException("create_children takes either count, or tag_key with tag_values")
        children = [self.child_run() for _ in range(len(tag_values) if count is None else count)]
        for child, value in zip(children, tag_values or ()):
            child.tag(tag_key, value)
        return children

    # ---- how it ends

    def complete(self, _set_status=True):
        self._run.complete()

    def fail(self, error_details=None, error_code=None, _set_status=True):
        message = error_details if error_details is None or isinstance(error_details, str) else str(error_details)
        self._run.fail(message, error_code)

    def cancel(self):
        self._run.cancel()

    def get_status(self):
        return self._run.state

    def start(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        return self._run.__exit__(kind, error, trace)

    def get_secret(self, name):
        from azureml.core.keyvault import Keyvault

        return Keyvault().get_secret(name)

    def get_secrets(self, secrets):
        from azureml.core.keyvault import Keyvault

        return Keyvault().get_secrets(secrets)

    @property
    def input_datasets(self):
        return Inputs()

    def __eq__(self, other):
        return isinstance(other, _RunCalls) and self.id == other.id

    def __hash__(self):
        return hash(self.id)


class Run(_RunCalls):
    """A run of the workspace: the one this script is part of (get_context), or any by id."""

    def __init__(self, experiment, run_id, outputs=None, _run=None, **_):
        self._run = _run or _find(experiment.workspace, run_id)
        self._experiment = experiment

    @classmethod
    def get_context(cls, allow_offline=True, used_for_context_manager=False, **_):
        """The run that this process is part of; outside of one an _OfflineRun, or with allow_offline=False RunEnvironmentException."""
        try:
            run = trainyard.Run.get_context(allow_offline)
        except trainyard.Error as error:
            raise RunEnvironmentException(str(error)) from error
        return _OfflineRun(_run=run) if isinstance(run, trainyard.OfflineRun) else cls(None, None, _run=run)

    # Its name in the first releases.
    get_submitted_run = get_context

    @staticmethod
    def get(workspace, run_id):
        return get_run(None, run_id, workspace=workspace)

    @staticmethod
    def list(experiment, type=None, tags=None, properties=None, status=None, include_children=False, _rehydrate_runs=True):
        return experiment.get_runs(type=type, tags=tags, properties=properties, status=status, include_children=include_children)

    # ---- what it is

    @property
    def experiment(self):
        if self._experiment is None:
            self._experiment = Experiment(Workspace(_location=self._run.workspace.location), self._run.experiment_name)
        return self._experiment

    @property
    def number(self):
        """Its place among the runs of its experiment, by the time they were made."""
        ids = list(self._run.workspace.run_ids(experiment=self._run.experiment_name, include_children=True))
        return len(ids) - ids.index(self.id)

    @property
    def display_name(self):
        return self._run.record()["display_name"]

    @property
    def type(self):
        return "azureml.scriptrun"

    @property
    def parent(self):
        parent = self._run.parent
        return None if parent is None else Run(self.experiment, parent.id, _run=parent)

    def get_details(self):
        record = self._run.record()
        job = record.get("job") or {}
        command = job.get("command")
        return {
            "runId": self.id,
            "target": record["compute"],
            "status": record["state"],
            "startTimeUtc": _utc(record["started_ms"]),
            "endTimeUtc": _utc(record["ended_ms"]),
            "services": {},
            "properties": record["properties"],
            "tags": record["tags"],
            "inputDatasets": [_input_dataset(item) for item in inputs_of_record(record, self._input_path)],
            "outputDatasets": [],
            "runDefinition": {
                "script": job.get("script"),
                "command": command if isinstance(command, str) else " ".join(command or ()),
                "arguments": _arguments(job),
                "target": record["compute"],
                "nodeCount": int(os.environ.get("AZUREML_NODE_COUNT", 1)),
                "environmentVariables": job.get("variables", {}),
            },
            "logFiles": {name: name for name in self._run.files() if name.startswith(("logs/", "user_logs/", "system_logs/"))},
            "error": {"error": record["error"]} if record["error"] else None,
            "warnings": [],
        }

    def _input_path(self, name):
        """The variables of this process tell only where the inputs of its own run are."""
        return input_path(name) if self.id == os.environ.get("TRAINYARD_RUN_ID") else None

    def get_details_with_logs(self):
        details = self.get_details()
        with tempfile.TemporaryDirectory(prefix="trainyard-logs") as directory:
            for index, name in enumerate(details["logFiles"]):
                path = os.path.join(directory, str(index))
                self._run.download_file(name, path)
                with open(path, errors="replace") as file:
                    details["logFiles"][name] = file.read()
        return details

    def get_metrics(self, name=None, recursive=False, run_type=None, populate=False):
        """{name: value, or list of values when it was logged more than once}; with `recursive` {run id: ...} of its children, too."""
        if recursive:
            found = {self.id: self.get_metrics(name)}
            found.update((child.id, child.get_metrics(name)) for child in self.get_children(recursive=True))
            return found
        return self._run.metrics(name)

    # ---- children

    def child_run(self, name=None, run_id=None, outputs=None):
        return Run(self.experiment, None, _run=self._run.start_child(name, run_id))

    def get_children(self, recursive=False, tags=None, properties=None, type=None, status=None, _rehydrate_runs=True):
        """Newest first."""
        children = self._run.children(recursive, **_filters(tags, properties, status))
        return iter([Run(self.experiment, None, _run=child) for child in children])

    def submit_child(self, *_, **__):
        raise elsewhere("Run.submit_child", "children that are jobs of their own are submitted by ty_run_submit with a parent; for a child "
                        "that this script itself executes use child_run()")

    # ---- models

    def register_model(self, model_name, model_path=None, tags=None, properties=None, model_framework=None, model_framework_version=None,
                       description=None, datasets=None, sample_input_dataset=None, sample_output_dataset=None,
                       resource_configuration=None, **_):
        from azureml.core.model import Model, dataset_entries, model_properties

        path = None if model_path is None else _file_name(model_path)
        everything = model_properties(properties, resource_configuration)
        model = self._run.register_model(model_name, path, tags=tags, properties=everything, framework=model_framework,
                                         framework_version=model_framework_version, description=description,
                                         datasets=dataset_entries(datasets))
        return Model(self.experiment.workspace, _model=model)

    # ---- the rest

    def wait_for_completion(self, show_output=False, wait_post_processing=False, raise_on_error=True):
        state = self._run.wait()
        details = self.get_details()
        if state == "Failed" and raise_on_error:
            from azureml.exceptions import ActivityFailedException

            raise ActivityFailedException(json.dumps(details["error"], indent=4))
        return details

    def get_portal_url(self):
        return "file://%s/runs/%s" % (self._run.workspace.location, self.id)

    def get_environment(self):
        raise elsewhere("Run.get_environment", "the environment of this script is the interpreter that runs it")

    def restore_snapshot(self, snapshot_id=None, path=None):
        target = path or os.path.join(".", "snapshot_" + self.id)
        self._run.restore_snapshot(target)
        return target

    def __repr__(self):
        return "Run(Experiment: %s,\nId: %s,\nType: %s,\nStatus: %s)" % (self._run.experiment_name, self.id, self.type, self.get_status())


class _OfflineRun(_RunCalls):
    """Outside of a run: prints what would be logged. It has no experiment and no workspace."""

    _place = staticmethod(str)  # shown as the script calls it

    def __init__(self, parent_run_id=None, run_id=None, _run=None, **_):
        self._run = _run or trainyard.OfflineRun(run_id)
        self.number = 0
        self.type = "OfflineRun"
        self._parent_run_id = parent_run_id

    @property
    def parent(self):
        return None if self._run.parent is None else _OfflineRun(_run=self._run.parent)

    def get_details(self):
        return {"runId": self.id, "target": "local", "status": self.get_status(), "properties": self.properties, "logFiles": {}}

    def get_metrics(self, name=None, recursive=False, run_type=None, populate=False):
        return self._run.metrics(name)

    def child_run(self, name=None, run_id=None, outputs=None):
        return _OfflineRun(_run=self._run.start_child(name, run_id))

    def get_children(self, recursive=False, **_):
        return iter([_OfflineRun(_run=child) for child in self._run.children(recursive)])

    def register_model(self, model_name, model_path=None, **_):
        self._run.register_model(model_name, model_path)

    def get_portal_url(self):
        return ""

    def __repr__(self):
        return "_OfflineRun(Id: %s)" % self.id


def get_run(experiment, run_id, rehydrate=True, clean_up=True, workspace=None):
    """A run by id."""
    workspace = workspace or (experiment.workspace if experiment is not None else Workspace())
    run = _find(workspace, run_id)
    return Run(experiment or Experiment(workspace, run.experiment_name), run_id, _run=run)


def _find(workspace, run_id):
    try:
        return workspace._workspace.run(run_id)
    except trainyard.NotFoundError as error:
        raise ServiceException("RunNotFound: %s" % error) from error


def select_runs(experiment, tags=None, properties=None, status=None, include_children=False):
    """Runs of an experiment, newest first, one after the other as they are asked for."""
    opened = experiment.workspace._workspace
    filters = _filters(tags, properties, status)
    for run_id in opened.run_ids(experiment=experiment.name, include_children=include_children, **filters):
        yield Run(experiment, run_id, _run=opened.run(run_id))


def _arguments(job):
    """What the script gets: its parameters, then the job's arguments."""
    words = []
    for parameter in job.get("script_parameters", ()):
        words += [parameter["name"], parameter["value"]] if parameter["value"] else [parameter["name"]]
    return words + job.get("arguments", [])


def _input_dataset(item):
    """A JobInput as get_details has it: the SDK's keys, and what names the data."""
    data = Data.of_input(item)
    return {
        "dataset": data,
        "consumptionDetails": {
            "type": "RunInput",
            "inputName": item.name,
            "mechanism": item.mechanism
        },
        "name": data.name,
        "version": data.version,
        "source": data.source,
        "mechanism": item.mechanism,
    }


def _filters(tags, properties, status):
    """As ty_workspace_list_runs takes them: one key, or keys with the values they must have."""
    filters = {}
    for key, wanted in (("tag", tags), ("property", properties)):
        if isinstance(wanted, dict):
            wanted = {str(name): None if value is None else str(value) for name, value in wanted.items()}
        if wanted:
            filters[key] = wanted
    if status is not None:
        filters["states"] = [status]
    return filters


def _utc(milliseconds):
    if milliseconds is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000)) + ".%03dZ" % (milliseconds % 1000)


__all__ = ["Run", "get_run"]
