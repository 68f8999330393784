"""trainyard inside a run: log metrics, tag, keep files, register models.

    import trainyard
    run = trainyard.Run.get_context()     # outside a run: one that prints
    run.log("loss", 0.5)

Standard library only, Python 3.7 and newer. A run's ranks find this package and libtrainyard.so by themselves.
"""

from trainyard._capi import (AlreadyExistsError, Error, InvalidArgumentError, InvalidStateError, LibraryNotFoundError, NotFoundError)
from trainyard.model import Model
from trainyard.offline import OfflineRun
from trainyard.run import Run
from trainyard.workspace import Workspace

__version__ = "0.1.0"
__all__ = [
    "AlreadyExistsError", "Error", "InvalidArgumentError", "InvalidStateError", "LibraryNotFoundError", "Model", "NotFoundError",
    "OfflineRun", "Run", "Workspace"
]
