"""A path of a datastore. The content of datastores is not reached from inside a run: what such a path stands for is an input of the job."""

import os
import re

from azureml.core._job_inputs import input_path


class DataReference:
    """As text it is the variable of the job's input of the same name; `local_path` is where that is."""

    def __init__(self, datastore, data_reference_name=None, path_on_datastore=None, mode="mount", path_on_compute=None, overwrite=False):
        if mode not in ("mount", "download", "upload"):
            raise ValueError("the mode of a DataReference is 'mount', 'download' or 'upload', got '%s'" % mode)
        self.datastore = datastore
        self.path_on_datastore = None if path_on_datastore is None else os.fspath(path_on_datastore)
        self.data_reference_name = data_reference_name or _variable_part(self.path_on_datastore or datastore.name)
        self.mode = mode
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite

    def path(self, path=None, data_reference_name=None):
        """The reference to `path` below this one."""
        parts = [part for part in (self.path_on_datastore, path) if part]
        return DataReference(self.datastore, data_reference_name, "/".join(parts) or None, self.mode, self.path_on_compute, self.overwrite)

    def as_mount(self):
        return self._with("mount", None, False)

    def as_download(self, path_on_compute=None, overwrite=False):
        return self._with("download", path_on_compute, overwrite)

    def as_upload(self, path_on_compute=None, overwrite=False):
        return self._with("upload", path_on_compute, overwrite)

    def _with(self, mode, path_on_compute, overwrite):
        return DataReference(self.datastore, self.data_reference_name, self.path_on_datastore, mode, path_on_compute, overwrite)

    @property
    def local_path(self):
        """Where the input of the job that has this name is; None without one."""
        return input_path(self.data_reference_name)

    def __str__(self):
        return "$AZUREML_DATAREFERENCE_" + self.data_reference_name

    def __repr__(self):
        return "DataReference(%r, %r, %r, mode=%r)" % (self.datastore, self.data_reference_name, self.path_on_datastore, self.mode)


def _variable_part(text):
    return re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_") or "data"


__all__ = ["DataReference"]
