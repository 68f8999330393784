"""Datastores."""

from azureml.core._local import elsewhere

_INSTEAD = "give the data to the job as an input; the script gets its path as an argument or variable"


class Datastore:
    """The default datastore of a workspace, by name only: its content is not reached from inside a run."""

    def __init__(self, workspace, name=None):
        self.workspace = workspace
        self.name = name or "workspaceblobstore"

    @classmethod
    def get(cls, workspace, datastore_name):
        return cls(workspace, datastore_name)

    @classmethod
    def get_default(cls, workspace):
        return cls(workspace)

    def path(self, path=None, data_reference_name=None):
        from azureml.data.data_reference import DataReference

        return DataReference(self, data_reference_name, path)

    def as_mount(self):
        return self.path().as_mount()

    def as_download(self, path_on_compute=None):
        return self.path().as_download(path_on_compute)

    def as_upload(self, path_on_compute=None):
        return self.path().as_upload(path_on_compute)

    def upload(self, *_, **__):
        raise elsewhere("Datastore.upload", "write to ./outputs, or use run.upload_file")

    upload_files = upload

    def download(self, *_, **__):
        raise elsewhere("Datastore.download", _INSTEAD)

    def __repr__(self):
        return "Datastore(name=%r)" % self.name


__all__ = ["Datastore"]
