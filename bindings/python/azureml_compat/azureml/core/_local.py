"""What this package cannot do from inside a run, said in one way."""


class NotAvailableInARun(NotImplementedError):
    """The call belongs to the program that submits runs; the message names what does it there."""


def elsewhere(what, instead):
    """The exception for a call that only makes sense with Azure, or in the program that submits."""
    return NotAvailableInARun("%s is not available to scripts that run under trainyard: %s" % (what, instead))


def host_only(name, instead):
    """A class of the SDK that can be imported, but not used here."""

    def refuse(self, *_, **__):
        raise elsewhere(name, instead)

    def refuse_class(cls, attribute):
        raise elsewhere("%s.%s" % (name, attribute), instead)

    kind = type(name + "Type", (type,), {"__getattr__": refuse_class})
    return kind(name, (), {"__init__": refuse, "__doc__": "Not available inside a run: %s" % instead})
