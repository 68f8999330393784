"""The workspace that the run is in: a local directory."""

import json
import os

import trainyard
from azureml.core._local import elsewhere
from azureml.exceptions import UserErrorException

_open = {}  # location -> trainyard.Workspace


def _at(location):
    if location not in _open:
        _open[location] = trainyard.Workspace(location)
    return _open[location]


class Workspace:
    """Wherever its name comes from, it is the one of the run; outside of a run, the one that TRAINYARD_WORKSPACE names."""

    def __init__(self, subscription_id=None, resource_group=None, workspace_name=None, auth=None, _location=None, **_):
        location = _location or os.environ.get("TRAINYARD_WORKSPACE")
        if not location:
            raise UserErrorException("there is no workspace here: set TRAINYARD_WORKSPACE to the directory of a trainyard workspace, or run "
                                     "the script as a job")
        self._workspace = _at(location)
        self.name = self._workspace.name
        self.subscription_id = os.environ.get("AZUREML_ARM_SUBSCRIPTION", "local")
        self.resource_group = os.environ.get("AZUREML_ARM_RESOURCEGROUP", "local")
        self.location = "local"
        self.sku = "local"
        self.tags = {}

    @classmethod
    def from_config(cls, path=None, auth=None, **_):
        """The run's workspace, or the one that config.json names by its key trainyard_workspace: looked for as `path`, or in the current
        directory, .azureml and aml_config and those of each directory above."""
        if os.environ.get("TRAINYARD_WORKSPACE"):
            return cls()
        config = _find_config(path)
        with open(config) as file:
            location = json.load(file).get("trainyard_workspace")
        if location is None:
            raise UserErrorException("'%s' names no local workspace (key trainyard_workspace); run the script as a job, or set "
                                     "TRAINYARD_WORKSPACE" % config)
        return cls(_location=os.path.join(os.path.dirname(os.path.abspath(config)), location))

    @classmethod
    def get(cls, name=None, auth=None, subscription_id=None, resource_group=None, **_):
        return cls(subscription_id, resource_group, name, auth)

    @classmethod
    def create(cls, *_, **__):
        raise elsewhere("Workspace.create", "ty_workspace_open makes a local workspace when it does not exist")

    @property
    def experiments(self):
        from azureml.core.experiment import Experiment

        return {name: Experiment(self, name) for name in self._workspace.experiments()}

    @property
    def models(self):
        """The latest version of each model, by name."""
        from azureml.core.model import Model

        return {name: Model(self, name) for name in self._workspace.models()}

    @property
    def datasets(self):
        from azureml.core.dataset import Inputs

        return Inputs()

    @property
    def datastores(self):
        datastore = self.get_default_datastore()
        return {datastore.name: datastore}

    @property
    def compute_targets(self):
        return {}

    @property
    def environments(self):
        return {}

    def get_default_datastore(self):
        from azureml.core.datastore import Datastore

        return Datastore(self)

    def get_default_keyvault(self):
        from azureml.core.keyvault import Keyvault

        return Keyvault(self)

    def get_details(self):
        return {"id": self._workspace.location, "name": self.name, "location": self.location}

    def get_run(self, run_id):
        from azureml.core.run import get_run

        return get_run(None, run_id, workspace=self)

    def get_mlflow_tracking_uri(self, with_auth=False):
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            raise elsewhere("Workspace.get_mlflow_tracking_uri", "no MLflow endpoint is served here; log with run.log")
        return uri

    def write_config(self, path=None, file_name="config.json"):
        directory = os.path.join(path or ".", ".azureml")
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, file_name), "w") as file:
            json.dump({
                "subscription_id": self.subscription_id,
                "resource_group": self.resource_group,
                "workspace_name": self.name,
                "trainyard_workspace": self._workspace.location
            }, file)

    def __repr__(self):
        return "Workspace(name=%r, location=%r)" % (self.name, self._workspace.location)


def _find_config(path):
    if path and os.path.isfile(path):
        return path
    directory = os.path.abspath(path or ".")
    while True:
        for place in ("config.json", ".azureml/config.json", "aml_config/config.json"):
            if os.path.isfile(os.path.join(directory, place)):
                return os.path.join(directory, place)
        above = os.path.dirname(directory)
        if above == directory:
            raise UserErrorException("there is no config.json in '%s' or above: run the script as a job, or set TRAINYARD_WORKSPACE to the "
                                     "directory of a trainyard workspace" % os.path.abspath(path or "."))
        directory = above


__all__ = ["Workspace"]
