"""Nothing is sent anywhere here; scripts may still say whether it should be."""


def set_diagnostics_collection(send_diagnostics=True, verbosity=None):
    pass


__all__ = ["set_diagnostics_collection"]
