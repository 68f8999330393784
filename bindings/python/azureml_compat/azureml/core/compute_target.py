"""The older place of azureml.core.compute."""

from azureml.core.compute import AmlCompute, ComputeTarget
from azureml.exceptions import ComputeTargetException


__all__ = ["AmlCompute", "ComputeTarget", "ComputeTargetException"]
