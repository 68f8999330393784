"""Where runs and models are kept."""

import ctypes
import json
import os

from trainyard import _capi
from trainyard.model import Model


class Workspace:
    """Opened by its directory, which is made when it does not exist."""

    def __init__(self, location):
        self._library = _capi.load()
        self._handle = self._library.make("ty_workspace_open", "ty_workspace_free", os.fspath(location))

    @property
    def location(self):
        return self._library.borrowed("ty_workspace_location", self._handle)

    @property
    def name(self):
        return os.path.basename(self.location)

    def run(self, run_id):
        """Attaches to a run by id. Raises NotFoundError."""
        from trainyard.run import Run  # runs know their workspace

        return Run(self._library.make("ty_run_get", "ty_run_free", self._handle, run_id))

    def start_run(self, experiment, **options):
        """A run that this process executes itself: log to it, then complete or fail it. Options are those of ty_run_start: run_id, display_name,
        parent, source_directory, tags, properties."""
        from trainyard.run import Run

        return Run.start(self, experiment, options)

    def run_ids(self, **filters):
        """Ids of runs without a parent, newest first. Filters are those of ty_workspace_list_runs: experiment, states, tag, property, parent,
        include_children, ..."""
        for page in self._pages("ty_workspace_list_runs", filters):
            for index in range(self._library.function("ty_string_list_size")(page)):
                yield self._library.borrowed("ty_string_list_get", page, index)

    def _pages(self, function, filters):
        filter_json, token = json.dumps(filters), None
        while True:
            page, following = ctypes.c_void_p(), ctypes.c_void_p()
            self._library.call(function, self._handle, filter_json, 1000, token, ctypes.byref(page), ctypes.byref(following))
            try:
                yield page
            finally:
                self._library.function("ty_string_list_free")(page)
            token = self._library.take_text(following)
            if token is None:
                return

    def experiments(self):
        return self._library.texts("ty_workspace_list_experiments", self._handle)

    def models(self):
        """The names of all registered models."""
        return self._library.texts("ty_workspace_list_models", self._handle)

    def model_versions(self, name):
        """The versions of a model, ascending; empty when there is no such model."""
        return [int(version) for version in self._library.texts("ty_model_list_versions", self._handle, name)]

    def model(self, name, version=None):
        return Model.get(self, name, version)

    def register_model(self, name, path, **metadata):
        return Model.register(self, name, path, **metadata)

    def __repr__(self):
        return "Workspace(%r)" % self.location
