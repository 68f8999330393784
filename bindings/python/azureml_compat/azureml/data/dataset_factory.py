"""Makers of data sets."""

from azureml.core.dataset import FileDatasetFactory, TabularDatasetFactory

__all__ = ["FileDatasetFactory", "TabularDatasetFactory"]
