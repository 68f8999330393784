"""Environments are chosen by the program that submits."""

from azureml.core.environment import CondaDependencies

__all__ = ["CondaDependencies"]
