"""What scripts import from azureml.data."""

from azureml.core._local import host_only
from azureml.core.dataset import Data as FileDataset
from azureml.core.dataset import Data as TabularDataset

OutputFileDatasetConfig = host_only("OutputFileDatasetConfig", "outputs are described by the program that submits; write to ./outputs")

__all__ = ["FileDataset", "OutputFileDatasetConfig", "TabularDataset"]
