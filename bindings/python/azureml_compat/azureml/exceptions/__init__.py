"""The exceptions that scripts catch."""


class AzureMLException(Exception):
    """Of everything here."""

    def __init__(self, exception_message="", **kwargs):
        super().__init__(exception_message)
        self.message = exception_message
        self._inner_exception = kwargs.get("inner_exception")

    @property
    def inner_exception(self):
        return self._inner_exception


class UserErrorException(AzureMLException):
    """The call cannot work as it was made."""


class RunEnvironmentException(AzureMLException):
    """This process is not part of a run."""


class ServiceException(AzureMLException):
    """The library refused a call."""


class SnapshotException(AzureMLException):
    pass


class ProjectSystemException(AzureMLException):
    pass


class ExperimentExecutionException(AzureMLException):
    pass


class ActivityFailedException(AzureMLException):
    pass


class TrainingException(AzureMLException):
    pass


class ComputeTargetException(AzureMLException):
    pass


class DatasetExecutionError(AzureMLException):
    pass


class ModelNotFoundException(AzureMLException):
    pass


class WebserviceException(AzureMLException):

    def __init__(self, exception_message="", status_code=None, **kwargs):
        super().__init__(exception_message, **kwargs)
        self.status_code = status_code
