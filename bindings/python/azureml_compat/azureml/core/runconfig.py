"""How a run is launched is chosen by the program that submits."""

from azureml.core._local import host_only

_INSTEAD = "the program that submits the run says how it is launched (ty_job_set_distribution)"

RunConfiguration = host_only("RunConfiguration", "the program that submits the run describes it (ty_job_new_script)")
MpiConfiguration = host_only("MpiConfiguration", _INSTEAD)
PyTorchConfiguration = host_only("PyTorchConfiguration", _INSTEAD)
DockerConfiguration = host_only("DockerConfiguration", "containers are chosen with the environment (ty_environment_set_base_image)")
DataReferenceConfiguration = host_only("DataReferenceConfiguration", "inputs are given with the job by the program that submits")

__all__ = ["DataReferenceConfiguration", "DockerConfiguration", "MpiConfiguration", "PyTorchConfiguration", "RunConfiguration"]
