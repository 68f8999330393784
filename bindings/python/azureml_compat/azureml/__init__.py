"""The interface of the Azure ML SDK v1 that training scripts use, on top of trainyard.

PYTHONPATH stands before site-packages, so this package is found before the real one. Whether that is there is looked up first: if
any other place of sys.path holds azureml.core, this package takes itself out of sys.path and the real one is imported in its place.
"""

import importlib.machinery
import importlib.util
import os
import pkgutil
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_ENTRY = os.path.dirname(_HERE)


def _is_ours(entry):
    return os.path.realpath(entry or os.getcwd()) == os.path.realpath(_ENTRY)


def _real():
    """The spec of another azureml that has azureml.core; None when there is none."""
    others = [entry for entry in sys.path if not _is_ours(entry)]
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if find is None:
            continue
        if finder is importlib.machinery.PathFinder:
            spec = find("azureml", others)
        else:  # of editable installations and the like
            spec = find("azureml", None)
        if spec is None or spec.submodule_search_locations is None:
            continue
        places = [place for place in spec.submodule_search_locations if os.path.realpath(place) != os.path.realpath(_HERE)]
        # Its parts may lie in several places (user and system site-packages).
        places += [os.path.join(entry, "azureml") for entry in others]
        if any(os.path.isfile(os.path.join(place, "core", "__init__.py")) for place in places):
            return spec
    return None


def _step_aside(spec):
    sys.path[:] = [entry for entry in sys.path if not _is_ours(entry)]
    module = importlib.util.module_from_spec(spec)
    # The import system answers what stands here when this module is done.
    sys.modules[__name__] = module
    if spec.loader is not None and hasattr(spec.loader, "exec_module"):
        spec.loader.exec_module(module)


_spec = _real()
if _spec is not None:
    _step_aside(_spec)
else:
    # azureml.mlflow and others of that name space may be installed without azureml.core.
    __path__ = pkgutil.extend_path(__path__, __name__)
