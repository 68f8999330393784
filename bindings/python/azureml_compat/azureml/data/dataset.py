"""The module that has Dataset in some releases."""

from azureml.core.dataset import Dataset

__all__ = ["Dataset"]
