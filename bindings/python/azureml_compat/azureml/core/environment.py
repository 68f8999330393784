"""Environments are chosen by the program that submits."""

from azureml.core._local import host_only

Environment = host_only("Environment", "the program that submits the run chooses its environment (ty_job_set_environment, ty_environment_new)")
CondaDependencies = host_only("CondaDependencies", "give the program that submits a conda file or packages (ty_environment_add_conda_package)")

__all__ = ["CondaDependencies", "Environment"]
