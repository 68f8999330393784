"""Registered, versioned sets of files."""

import json
import os

from trainyard._values import to_json


def metadata_json(metadata):
    """As the library takes it: without what is not given; tags and properties are texts."""
    given = {}
    for key, value in metadata.items():
        if isinstance(value, dict):
            value = {str(name): "" if text is None else str(text) for name, text in value.items()}
        if value:
            given[key] = value
    return to_json(given)


class Model:
    """A version of a model. Made by Workspace.model, Workspace.register_model and Run.register_model."""

    def __init__(self, handle):
        self._handle = handle
        self._library = handle.library
        self.refresh()

    @classmethod
    def get(cls, workspace, name, version=None):
        """`version` None: the latest. Raises NotFoundError."""
        library = workspace._library
        return cls(library.make("ty_model_get", "ty_model_free", workspace._handle, name, int(version or 0)))

    @classmethod
    def register(cls, workspace, name, path, **metadata):
        """A file or directory as the next version. Metadata: description, framework, framework_version, tags, properties, datasets
        (what it was made from: texts and dicts)."""
        return cls(workspace._library.make("ty_model_register", "ty_model_free", workspace._handle, name, os.fspath(path),
                                           metadata_json(metadata)))

    def refresh(self):
        """Reads the record again: tags may have changed."""
        self.record = json.loads(self._library.text("ty_model_to_json", self._handle))

    name = property(lambda self: self.record["name"])
    version = property(lambda self: int(self.record["version"]))
    id = property(lambda self: "%s:%d" % (self.name, self.version))
    run_id = property(lambda self: self.record["run"])
    description = property(lambda self: self.record["description"])
    framework = property(lambda self: self.record["framework"])
    framework_version = property(lambda self: self.record["framework_version"])
    tags = property(lambda self: dict(self.record["tags"]))
    properties = property(lambda self: dict(self.record["properties"]))
    created_ms = property(lambda self: self.record["created_ms"])
    datasets = property(lambda self: list(self.record["datasets"]))
    files = property(lambda self: [file["path"] for file in self.record["files"]])

    def set_tag(self, key, value=""):
        self._library.call("ty_model_set_tag", self._handle, str(key), str(value))
        self.refresh()

    def remove_tag(self, key):
        self._library.call("ty_model_set_tag", self._handle, str(key), None)
        self.refresh()

    def download(self, directory):
        """Copies the files; answers the path of the file when there is one alone, else of the directory."""
        self._library.call("ty_model_download", self._handle, os.fspath(directory))
        return os.path.join(directory, self.files[0]) if len(self.files) == 1 else os.fspath(directory)

    def delete(self):
        self._library.call("ty_model_delete", self._handle)

    def __repr__(self):
        return "Model(name=%r, version=%d)" % (self.name, self.version)

