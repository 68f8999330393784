"""A run for scripts that are started by hand, or whose library cannot be loaded: it prints what it would have kept."""

import collections
import os
import uuid

from trainyard import _values
from trainyard._base import RunBase

# Of each metric, so that a long script does not fill the memory.
_MOST_VALUES = 10000


class OfflineRun(RunBase):
    """Prints; remembers tags, properties and the last values of metrics as long as the object lives."""

    def __init__(self, run_id=None, parent=None):
        self.id = run_id or "OfflineRun_%s" % uuid.uuid4()
        self.parent = parent
        self.tags = {}
        self.properties = {}
        self.state = "Running"
        self._metrics = {}
        self._children = []

    def log(self, name, value, step=None):
        _values.scalar(value)  # refuses what a run refuses
        self._attempt("scalar", name, _values.single(value))

    def _log_record(self, kind, name, record):
        self._attempt(kind.replace("_", " "), name, record)

    def _log_image_file(self, name, path):
        self._attempt("image", name, path)

    def _attempt(self, kind, name, value):
        self._metrics.setdefault(name, collections.deque(maxlen=_MOST_VALUES)).append(value)
        print("Attempted to log %s metric %s:\n%s" % (kind, name, value))

    def flush(self):
        pass

    def metrics(self, name=None):
        found = {key: values[0] if len(values) == 1 else list(values) for key, values in self._metrics.items()}
        return found if name is None else {key: value for key, value in found.items() if key == name}

    def set_tags(self, tags):
        for key, value in tags.items():
            if value is None:
                self.remove_tag(key)
            else:
                self.set_tag(key, value)

    def set_properties(self, properties):
        for key, value in properties.items():
            self.set_property(key, value)

    def download_logs(self, directory):
        return []

    def set_tag(self, key, value=""):
        self.tags[str(key)] = str(value)

    def remove_tag(self, key):
        self.tags.pop(str(key), None)

    def set_property(self, key, value):
        self.properties[str(key)] = str(value)

    def files(self, prefix=None):
        return []

    def upload_file(self, name, path):
        print("Attempted to track file %s at %s" % (name, os.fspath(path)))

    def download_file(self, name, destination):
        raise FileNotFoundError("run %s is offline: it has no file '%s'" % (self.id, name))

    def download_files(self, prefix, directory):
        pass

    def register_model(self, name, path=None, **metadata):
        print("Attempted to register model %s from %s" % (name, path or "outputs"))

    def start_child(self, name=None, run_id=None, tags=None):
        child = OfflineRun(run_id, parent=self)
        self._children.append(child)
        return child

    def children(self, recursive=False):
        found = list(self._children)
        for child in self._children if recursive else ():
            found += child.children(True)
        return found

    def complete(self):
        self.state = "Completed"

    def fail(self, message=None, code=None):
        self.state = "Failed"

    def cancel(self):
        self.state = "Canceled"

    def __repr__(self):
        return "OfflineRun(%r)" % self.id
