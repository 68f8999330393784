"""A run, from inside (Run.get_context) or by id (Workspace.run)."""

import ctypes
import json
import os
import sys
import threading
import weakref

from trainyard import _capi, _values
from trainyard._base import RunBase
from trainyard._executed import ExecutedRuns
from trainyard.model import Model, metadata_json
from trainyard.offline import OfflineRun
from trainyard.workspace import Workspace

_INFINITE = -1
_NEXT_STEP = -1

_current = None
_current_lock = threading.Lock()
_live = weakref.WeakSet()
_executed = ExecutedRuns()


class Run(RunBase):
    """One execution of a job. All calls may come from any thread."""

    def __init__(self, handle, workspace=None, is_current=False):
        self._library = handle.library
        self._workspace = workspace
        self._is_current = is_current
        self._forked = False
        self._names = {}  # metric names as the library takes them
        self._adopt(handle)
        self.id = self._library.borrowed("ty_run_id", handle)
        self.experiment_name = self._library.borrowed("ty_run_experiment", handle)
        _live.add(self)

    def _adopt(self, handle):
        self._own = handle
        self._pointer = handle._as_parameter_

    @classmethod
    def get_context(cls, allow_offline=True):
        """The run that this process is part of, the same object each time; outside of one an OfflineRun, or with `allow_offline` False
        an Error."""
        global _current
        with _current_lock:
            if _current is None or (isinstance(_current, OfflineRun) and not allow_offline):
                _current = cls._find(allow_offline)
            return _current

    @classmethod
    def _find(cls, allow_offline):
        inside = os.environ.get("TRAINYARD_RUN_ID") and os.environ.get("TRAINYARD_WORKSPACE")
        if inside:
            try:
                return cls(_capi.load().make("ty_run_current", "ty_run_free"), is_current=True)
            except _capi.LibraryNotFoundError as error:
                if not allow_offline:
                    raise
                print("trainyard: this is a run, but nothing it logs is kept: %s" % error, file=sys.stderr)
        elif not allow_offline:
            raise _capi.NotFoundError("this process is not part of a run: TRAINYARD_RUN_ID and TRAINYARD_WORKSPACE are not set")
        return OfflineRun()

    @classmethod
    def start(cls, workspace, experiment, options):
        """See Workspace.start_run."""
        given = _values.to_json({key: value for key, value in options.items() if value})
        run = cls(workspace._library.make("ty_run_start", "ty_run_free", workspace._handle, experiment, given), workspace)
        _executed.add(run)
        return run

    # ---- what it is

    @property
    def _handle(self):
        """For calls that reach the workspace's database, which a forked child must not share with its parent."""
        if self._forked:
            raise _capi.InvalidStateError("run %s: a forked process can only log metrics; start it with the method 'spawn' to do more" %
                                          self.id)
        return self._own

    @property
    def workspace(self):
        if self._workspace is None:
            if self._forked:
                return self._handle  # raises
            self._workspace = Workspace(os.environ["TRAINYARD_WORKSPACE"])
        return self._workspace

    @property
    def rank(self):
        return int(os.environ.get("RANK") or 0) if self._is_current else 0

    def record(self):
        """All that is recorded, as ty_run_to_json gives it."""
        return json.loads(self._library.text("ty_run_to_json", self._handle))

    @property
    def state(self):
        """The name of its state: "Running", ..."""
        state = ctypes.c_int32()
        self._library.call("ty_run_get_state", self._handle, ctypes.byref(state))
        return self._library.borrowed("ty_run_state_name", state.value)

    @property
    def parent(self):
        parent = self.record()["parent"]
        return None if parent is None else self.workspace.run(parent)

    def wait(self, timeout=None):
        """Waits until it is final, `timeout` seconds at most; answers the state's name."""
        state = ctypes.c_int32()
        milliseconds = _INFINITE if timeout is None else int(timeout * 1000)
        self._library.call("ty_run_wait", self._handle, milliseconds, ctypes.byref(state))
        return self._library.borrowed("ty_run_state_name", state.value)

    # ---- metrics

    def log(self, name, value, step=None):
        """Appends a number or a text to the metric `name`. `step` None: the next one."""
        if type(value) is not float:
            single = _values.scalar(value)
            if not isinstance(single, float):
                return self._log_text(name, single, step)
            value = single
        encoded = self._names.get(name)
        if encoded is None:
            encoded = self._name(name)
        # One call without an error object: it costs as much as the call itself. When it fails nothing was logged.
        if self._library.log_metric(self._pointer, encoded, value, _NEXT_STEP if step is None else int(step), None) != _capi.OK:
            self._log_number(name, value, step)

    def _log_number(self, name, value, step):
        self._library.call("ty_run_log_metric", self._metrics_handle(), self._name(name), value, _NEXT_STEP if step is None else int(step))

    def _log_text(self, name, value, step):
        self._library.call("ty_run_log_text", self._metrics_handle(), self._name(name), value, _NEXT_STEP if step is None else int(step))

    def _log_record(self, kind, name, record):
        for part in _values.parts(kind, record):
            self._library.call("ty_run_log_" + kind, self._metrics_handle(), self._name(name), _values.to_json(part), _NEXT_STEP)

    def _log_image_file(self, name, path):
        self._library.call("ty_run_log_image", self._metrics_handle(), self._name(name), path, None, _NEXT_STEP)

    def _name(self, name):
        encoded = self._names.get(name)
        if encoded is None:
            encoded = _capi.encode(str(name))
            if len(self._names) < 10000:
                self._names[name] = encoded
        return encoded

    def _metrics_handle(self):
        """A forked child logs through a handle of its own."""
        if self._own is None:
            if not self._is_current:
                return self._handle  # raises
            self._adopt(self._library.make("ty_run_current", "ty_run_free"))
        return self._own

    def log_many(self, name, values, steps=None):
        """Appends many numbers to one metric in one call."""
        values = [_values.scalar(value) for value in values]
        array = (ctypes.c_double * len(values))(*values)
        numbers = None
        if steps is not None:
            numbers = (ctypes.c_int64 * len(values))(*[int(step) for step in steps])
        self._library.call("ty_run_log_metrics", self._metrics_handle(), self._name(name), array, numbers, len(values))

    def log_progress(self, **progress):
        """Reports progress to whoever follows the run's events: epoch, epochs, step, steps, loss, ..."""
        self._library.call("ty_run_log_progress", self._metrics_handle(), _values.to_json(progress))

    def flush(self):
        """Makes what was logged safe against a power cut (against the death of this process it is already)."""
        self._library.call("ty_run_flush", self._metrics_handle())

    def metric_names(self):
        return self._library.texts("ty_run_list_metrics", self._handle)

    def metric(self, name, **query):
        """The values of one metric, all ranks one after the other. Query: rank, first_step, last_step, offset, limit, downsample_to."""
        return [value for _, _, _, value in self.metric_points(name, **query)]

    def metric_points(self, name, **query):
        """[(rank, step, time in Unix ms, value)]"""
        free = self._library.function("ty_metric_series_free")
        series = ctypes.c_void_p()
        self._library.call("ty_run_get_metric", self._handle, name, json.dumps(query), ctypes.byref(series))
        try:
            count = self._library.function("ty_metric_series_size")(series)

            def read(part, ctype):
                address = self._library.function("ty_metric_series_" + part)(series)
                return [] if not address else (ctype * count).from_address(address)[:]

            return list(
                zip(read("ranks", ctypes.c_int32), read("steps", ctypes.c_int64), read("times", ctypes.c_int64),
                    read("values", ctypes.c_double)))
        finally:
            free(series)

    def metrics(self, name=None):
        """{name: value}, every kind, as ty_run_get_metrics_json gives it: a list when several were logged, columns for rows and tables, names
        of files for images. What the supervisor measured is not among them."""
        query = _values.to_json({} if name is None else {"name": name})
        found = _values.numbers_by_name(json.loads(self._library.text("ty_run_get_metrics_json", self._handle, query)))
        kinds = {metric["name"]: metric["kind"] for metric in json.loads(self._library.text("ty_run_list_metrics_json", self._handle))}
        # JSON does not tell 1.0 from 1; what was logged as a number is a float.
        return {key: _values.as_floats(value) if kinds.get(key) == "scalar" else value for key, value in found.items()}

    # ---- tags and properties

    @property
    def tags(self):
        return json.loads(self._library.text("ty_run_list_tags", self._handle))

    def set_tag(self, key, value=""):
        self._library.call("ty_run_set_tag", self._handle, str(key), str(value))

    def remove_tag(self, key):
        self._library.call("ty_run_set_tag", self._handle, str(key), None)

    def set_tags(self, tags):
        """Several, all or none. A value None removes the tag."""
        texts = {str(key): None if value is None else str(value) for key, value in tags.items()}
        self._library.call("ty_run_set_tags", self._handle, _values.to_json(texts))

    @property
    def properties(self):
        return json.loads(self._library.text("ty_run_list_properties", self._handle))

    def set_property(self, key, value):
        """Properties never change: another value than before raises AlreadyExistsError."""
        self._library.call("ty_run_set_property", self._handle, str(key), str(value))

    def set_properties(self, properties):
        """Several, all or none."""
        texts = {str(key): str(value) for key, value in properties.items()}
        self._library.call("ty_run_set_properties", self._handle, _values.to_json(texts))

    # ---- files and models

    def files(self, prefix=None):
        """Names like "outputs/model.pt", sorted; the same while it runs and after."""
        return self._library.texts("ty_run_list_files", self._handle, prefix)

    def upload_file(self, name, path):
        """Copies a file into the run as "outputs/..." or "logs/..."."""
        self._library.call("ty_run_upload_file", self._handle, name, os.fspath(path))

    def upload_folder(self, name, path):
        """Copies all files below a directory into the run as `name`/...; none when one of them is there already."""
        self._library.call("ty_run_upload_folder", self._handle, name.rstrip("/"), os.fspath(path))

    def download_logs(self, directory):
        """Copies all logs, of ranks, supervisor and script; answers where they are."""
        return self._library.texts("ty_run_get_all_logs", self._handle, os.fspath(directory))

    def download_file(self, name, destination):
        self._library.call("ty_run_download_file", self._handle, name, os.fspath(destination))

    def download_files(self, prefix, directory):
        self._library.call("ty_run_download_files", self._handle, prefix, os.fspath(directory))

    def register_model(self, name, path=None, **metadata):
        """Registers "outputs" or a file or folder in it as the next version of a model. Metadata: description, framework, framework_version,
        tags, properties, datasets (what it was made from: texts and dicts)."""
        return Model(self._library.make("ty_run_register_model", "ty_model_free", self._handle, name, path, metadata_json(metadata)))

    # ---- children

    def start_child(self, name=None, run_id=None, tags=None):
        """A child that this process executes itself: log to it, then complete or fail it. One that is left when the interpreter ends is
        completed then, or failed when an exception ends it."""
        options = {"display_name": name, "run_id": run_id, "tags": {str(key): str(value) for key, value in (tags or {}).items()}}
        given = _values.to_json({key: value for key, value in options.items() if value})
        child = Run(self._library.make("ty_run_start_child", "ty_run_free", self._handle, given), self.workspace)
        _executed.add(child)
        return child

    def children(self, recursive=False, **filters):
        """Newest first. Filters are those of ty_workspace_list_runs: states, tag, property, ..."""
        ids = self._library.texts("ty_run_list_children", self._handle, int(recursive), _values.to_json(filters))
        return [self.workspace.run(run_id) for run_id in ids]

    # ---- how it ends

    def complete(self):
        """Ends a run that this process executes. For the run that it is a rank of this only flushes: that run completes when all its ranks
        have ended well."""
        self._library.call("ty_run_complete", self._handle)
        _executed.discard(self)

    def fail(self, message=None, code=None):
        """Ends a run that this process executes as Failed. The run that it is a rank of fails when its ranks have ended, also when they exit
        with 0."""
        line = None if message is None else " ".join(str(message).split()) or None
        self._library.call("ty_run_fail", self._handle, None if code is None else "_".join(str(code).split())[:100], line)
        _executed.discard(self)

    def cancel(self):
        """Asks that all processes of the run end, this one among them."""
        self._library.call("ty_run_cancel", self._handle)

    def __repr__(self):
        return "Run(%r)" % self.id


def _after_fork():
    """In the child: the parent's handles are not ours, nor may they be freed."""
    global _current_lock
    _current_lock = threading.Lock()
    _executed.forget()
    for run in list(_live):
        run._forked = True
        run._own = None
        run._pointer = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
