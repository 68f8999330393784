"""Compute is chosen by the program that submits."""

from azureml.core._local import host_only
from azureml.exceptions import ComputeTargetException

_INSTEAD = "the program that submits the run chooses its compute (ty_job_set_compute, ty_compute_create)"

ComputeTarget = host_only("ComputeTarget", _INSTEAD)
AmlCompute = host_only("AmlCompute", _INSTEAD)
ComputeInstance = host_only("ComputeInstance", _INSTEAD)

__all__ = ["AmlCompute", "ComputeInstance", "ComputeTarget", "ComputeTargetException"]
