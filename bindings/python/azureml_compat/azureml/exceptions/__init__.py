"""The exceptions that scripts catch."""

import trainyard

# What the library raises is one, too: scripts that catch the SDK's errors catch its own.
AzureMLException = trainyard.Error


class _SdkException(AzureMLException):

    def __init__(self, exception_message="", inner_exception=None, **_):
        super().__init__(exception_message)
        self.inner_exception = inner_exception


class UserErrorException(_SdkException):
    """The call cannot work as it was made."""


class RunEnvironmentException(_SdkException):
    """This process is not part of a run."""


class ServiceException(_SdkException):
    """The library refused a call."""


class SnapshotException(_SdkException):
    pass


class ProjectSystemException(_SdkException):
    pass


class ExperimentExecutionException(_SdkException):
    pass


class ActivityFailedException(_SdkException):
    pass


class TrainingException(_SdkException):
    pass


class ComputeTargetException(_SdkException):
    pass


class DatasetExecutionError(_SdkException):
    pass


class ModelNotFoundException(_SdkException):
    pass


class WebserviceException(_SdkException):

    def __init__(self, exception_message="", status_code=None, **kwargs):
        super().__init__(exception_message, **kwargs)
        self.status_code = status_code
