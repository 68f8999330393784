"""Registered models of the workspace."""

import datetime
import json
import os
import shutil
import tempfile

import trainyard
from azureml.core._local import elsewhere
from azureml.core.dataset import Data, Dataset
from azureml.core.resource_configuration import ResourceConfiguration
from azureml.exceptions import UserErrorException, WebserviceException


class Model:
    """A version of a model: `Model(workspace, "name")` is the latest, `Model(workspace, id="name:3")` the third."""

    class Framework:
        CUSTOM = "Custom"
        MULTI = "Multi"
        ONNX = "Onnx"
        PYTORCH = "PyTorch"
        SCIKITLEARN = "ScikitLearn"
        TENSORFLOW = "TensorFlow"

    def __init__(self, workspace, name=None, id=None, tags=None, properties=None, version=None, run_id=None, model_framework=None,
                 _model=None, **_):
        self.workspace = workspace
        if _model is None:
            if id is not None:
                name, _, number = id.rpartition(":") if ":" in id else (id, "", None)
                version = version or number
            if name is None:
                raise UserErrorException("Model takes a name or an id")
            _model = _find(workspace, name, version, tags=tags, properties=properties, run_id=run_id, framework=model_framework)
        self._model = _model

    name = property(lambda self: self._model.name)
    version = property(lambda self: self._model.version)
    id = property(lambda self: self._model.id)
    tags = property(lambda self: self._model.tags)
    properties = property(lambda self: self._model.properties)
    run_id = property(lambda self: self._model.run_id)
    description = property(lambda self: self._model.description)
    model_framework = property(lambda self: self._model.framework)
    model_framework_version = property(lambda self: self._model.framework_version)
    created_time = property(lambda self: _utc(self._model.created_ms))
    url = property(lambda self: "aml://asset/%s" % self._model.id)
    experiment_name = property(lambda self: self.run.experiment.name if self._model.run_id else None)

    @property
    def datasets(self):
        """{scenario: [data sets]}, as they were given when it was registered."""
        found = {}
        for entry in self._model.datasets:
            if isinstance(entry, dict):
                data = Data.at(entry.get("path") or entry.get("source") or "", entry.get("name"))
                data.id, data.version, data.source = entry.get("id"), entry.get("version"), entry.get("source")
                found.setdefault(entry.get("scenario", ""), []).append(data)
            else:  # of another program
                found.setdefault("", []).append(Data.at(entry, entry))
        return found

    @property
    def run(self):
        return self.workspace.get_run(self._model.run_id) if self._model.run_id else None

    @staticmethod
    def get_model_path(model_name, version=None, _workspace=None):
        """The path of the model's file, or of the directory of its files. Scripts of a deployment find theirs in AZUREML_MODEL_DIR; else it
        is downloaded to azureml-models/<name>/<version> once."""
        deployed = _deployed(model_name, version)
        if deployed:
            return deployed
        from azureml.core.workspace import Workspace

        model = Model(_workspace or Workspace(), model_name, version=version)
        directory = os.path.join("azureml-models", model.name, str(model.version))
        if not os.path.isdir(directory):
            _download_whole(model._model, directory)
        return _content(model._model, directory)

    @staticmethod
    def register(workspace, model_path, model_name, tags=None, properties=None, description=None, datasets=None, model_framework=None,
                 model_framework_version=None, resource_configuration=None, **_):
        """The file or directory `model_path` as the next version."""
        model = trainyard.Model.register(workspace._workspace, model_name, model_path, tags=tags,
                                         properties=model_properties(properties, resource_configuration), description=description,
                                         framework=model_framework, framework_version=model_framework_version,
                                         datasets=dataset_entries(datasets))
        print("Registering model %s" % model_name)
        return Model(workspace, _model=model)

    @staticmethod
    def list(workspace, name=None, tags=None, properties=None, run_id=None, latest=False, **_):
        """Newest version first."""
        names = workspace._workspace.models() if name is None else [name]
        found = []
        for each in names:
            versions = sorted(workspace._workspace.model_versions(each), reverse=True)
            models = (workspace._workspace.model(each, version) for version in versions)
            matching = [Model(workspace, _model=model) for model in models if _matches(model, tags, properties, run_id, None)]
            found += matching[:1] if latest else matching
        return found

    @staticmethod
    def deploy(*_, **__):
        raise elsewhere("Model.deploy", "open the model with ty_predictor_open_model in the program that serves it")

    def download(self, target_dir=".", exist_ok=False, exists_ok=None):
        """Into `target_dir`; answers the path of the file, or of the directory when there are several."""
        target = _content(self._model, target_dir)
        allowed = exist_ok if exists_ok is None else exists_ok
        if not allowed and any(os.path.exists(os.path.join(target_dir, file)) for file in self._model.files):
            raise WebserviceException("'%s' is there already: give another target_dir, or exist_ok=True" % target)
        self._model.download(target_dir)
        return target

    def add_tags(self, tags):
        for key, value in tags.items():
            self._model.set_tag(key, value)

    def remove_tags(self, tags):
        for key in [tags] if isinstance(tags, str) else tags:
            self._model.remove_tag(key)

    def update(self, tags=None, description=None, **_):
        if description is not None and description != self.description:
            raise elsewhere("Model.update(description=...)", "a description is given when the model is registered")
        for key in set(self.tags) - set(tags or self.tags):
            self._model.remove_tag(key)
        self.add_tags(tags or {})

    def delete(self):
        self._model.delete()

    def serialize(self):
        keys = ("id", "name", "version", "tags", "properties", "description", "run_id", "created_time", "url")
        return {key: getattr(self, key) for key in keys}

    def __repr__(self):
        return "Model(workspace=%r, name=%r, id=%r, version=%d, tags=%r, properties=%r)" % (self.workspace, self.name, self.id, self.version,
                                                                                           self.tags, self.properties)


def dataset_entries(datasets):
    """[(Dataset.Scenario.TRAINING, data set)] as the record of a model has it: what the model was made from."""
    entries = []
    for scenario, dataset in datasets or ():
        entry = {"scenario": str(scenario), "name": str(getattr(dataset, "name", None) or dataset)}
        for key in ("id", "version", "source"):
            if getattr(dataset, key, None) is not None:
                entry[key] = getattr(dataset, key)
        if isinstance(dataset, (str, os.PathLike)):
            entry["path"] = str(dataset)
        entries.append(entry)
    return entries


def model_properties(properties, resource_configuration):
    """The properties of a model. What it needs to be served is one of them: nothing here looks at it."""
    if resource_configuration is None:
        return properties
    return dict(properties or {}, resource_configuration=json.dumps(resource_configuration.serialize()))


def _find(workspace, name, version, tags, properties, run_id, framework):
    opened = workspace._workspace
    try:
        if version is not None:
            return opened.model(name, int(version))
        if not (tags or properties or run_id or framework):
            return opened.model(name)
        for number in sorted(opened.model_versions(name), reverse=True):
            model = opened.model(name, number)
            if _matches(model, tags, properties, run_id, framework):
                return model
    except trainyard.NotFoundError as error:
        raise WebserviceException("ModelNotFound: %s" % error, status_code=404) from error
    raise WebserviceException("ModelNotFound: no version of '%s' has what was asked for" % name, status_code=404)


def _matches(model, tags, properties, run_id, framework):
    return (_has(model.tags, tags) and _has(model.properties, properties) and run_id in (None, model.run_id) and
            framework in (None, model.framework))


def _has(found, wanted):
    """`wanted`: None, a key, a dict, or a list of keys and [key, value] pairs."""
    if not wanted:
        return True
    if isinstance(wanted, str):
        return wanted in found
    if isinstance(wanted, dict):
        return all(found.get(str(key)) == str(value) for key, value in wanted.items())
    return all(_has(found, each if isinstance(each, str) else {each[0]: each[1]}) for each in wanted)


def _content(model, directory):
    return os.path.join(directory, model.files[0]) if len(model.files) == 1 else directory


def _deployed(name, version):
    root = os.environ.get("AZUREML_MODEL_DIR")
    if not root:
        return None
    # The directory of one model's version, or of all models.
    if os.path.basename(os.path.dirname(root)) == name:
        return root
    directory = os.path.join(root, name)
    if not os.path.isdir(directory):
        return None
    versions = sorted((entry for entry in os.listdir(directory) if entry.isdigit()), key=int)
    return os.path.join(directory, str(version or versions[-1])) if versions else directory


def _download_whole(model, directory):
    """Other ranks that want the same see all of it or nothing."""
    parent = os.path.dirname(directory)
    os.makedirs(parent, exist_ok=True)
    partial = tempfile.mkdtemp(prefix=".download-", dir=parent)
    try:
        model.download(partial)
        os.chmod(partial, 0o755)
        os.rename(partial, directory)
    except OSError:
        if not os.path.isdir(directory):
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _utc(milliseconds):
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.timezone.utc)


# Samples import all three from here.
__all__ = ["Dataset", "Model", "ResourceConfiguration"]
