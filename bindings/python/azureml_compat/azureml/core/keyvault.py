"""Secrets of a run are variables of its environment (ty_job_set_secret)."""

import os

from azureml.core._local import elsewhere


class Keyvault:

    def __init__(self, workspace=None):
        self.workspace = workspace

    def get_secret(self, name):
        """The variable of that name, or of that name with '_' for '-'; None when there is none."""
        for variable in (name, name.replace("-", "_"), name.upper().replace("-", "_")):
            if variable in os.environ:
                return os.environ[variable]
        return None

    def get_secrets(self, secrets):
        return {name: self.get_secret(name) for name in secrets}

    def set_secret(self, name, value):
        raise elsewhere("Keyvault.set_secret", "the program that submits gives secrets to a job with ty_job_set_secret")
