"""A local workspace asks for no credentials: objects of these classes may be made and passed on, and are not looked at."""


class AbstractAuthentication:

    def __init__(self, *_, **__):
        pass


class InteractiveLoginAuthentication(AbstractAuthentication):
    pass


class ServicePrincipalAuthentication(AbstractAuthentication):
    pass


class MsiAuthentication(AbstractAuthentication):
    pass


class AzureCliAuthentication(AbstractAuthentication):
    pass


__all__ = [
    "AbstractAuthentication", "AzureCliAuthentication", "InteractiveLoginAuthentication", "MsiAuthentication",
    "ServicePrincipalAuthentication"
]
