"""A path of a datastore, without the way that it is delivered."""

from azureml.data.data_reference import DataReference


class DataPath:

    def __init__(self, datastore=None, path_on_datastore=None, name=None):
        self.datastore = datastore
        self.path_on_datastore = path_on_datastore
        self.name = name

    def create_data_reference(self, data_reference_name=None, datapath_compute_binding=None):
        binding = datapath_compute_binding or DataPathComputeBinding()
        return DataReference(self.datastore, data_reference_name or self.name, self.path_on_datastore, binding.mode,
                             binding.path_on_compute, binding.overwrite)


class DataPathComputeBinding:
    """How a DataPath is delivered."""

    def __init__(self, mode="mount", path_on_compute=None, overwrite=False):
        self.mode = mode
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite


__all__ = ["DataPath", "DataPathComputeBinding"]
