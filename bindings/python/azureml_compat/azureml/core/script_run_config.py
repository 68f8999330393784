"""Jobs are described by the program that submits."""

from azureml.core._local import host_only

ScriptRunConfig = host_only("ScriptRunConfig", "the program that submits describes the job (ty_job_new_script, ty_job_new_command)")

__all__ = ["ScriptRunConfig"]
