"""What scripts import from azureml.core."""

from trainyard import __version__ as _version

from azureml.core.compute import ComputeTarget
from azureml.core.dataset import Dataset
from azureml.core.datastore import Datastore
from azureml.core.environment import Environment
from azureml.core.experiment import Experiment
from azureml.core.keyvault import Keyvault
from azureml.core.model import Model
from azureml.core.resource_configuration import ResourceConfiguration
from azureml.core.run import Run, get_run
from azureml.core.runconfig import RunConfiguration
from azureml.core.script_run_config import ScriptRunConfig
from azureml.core.workspace import Workspace

# Of trainyard; there is no release of the SDK that this package is.
VERSION = __version__ = _version + "+trainyard"

__all__ = [
    "ComputeTarget", "Dataset", "Datastore", "Environment", "Experiment", "Keyvault", "Model", "ResourceConfiguration", "Run",
    "RunConfiguration", "ScriptRunConfig", "VERSION", "Workspace", "get_run"
]
