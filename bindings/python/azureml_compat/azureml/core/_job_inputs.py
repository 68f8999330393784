"""The inputs of jobs: what a run's record says of them, and where they are for this process."""

import collections
import os
import re

import trainyard

# How a job's input is told to its ranks: the variable named as the input, or one of these before the name.
_PREFIXES = ("AZURE_ML_INPUT_", "AZUREML_DATAREFERENCE_", "")

# The source of an input that is a data asset, as the record of a submitted job has it: with its version.
_ASSET = re.compile(r"(?:azureml:)?([A-Za-z0-9._-]+):([0-9]+)")

# `path` is None when nothing is there for this process; `asset` and `version` are None for what is no data asset.
JobInput = collections.namedtuple("JobInput", "name source mechanism path asset version")


def input_path(name):
    """Where the input `name` of the job is; None when there is none."""
    for prefix in _PREFIXES:
        path = os.environ.get(prefix + name)
        if path and os.path.exists(path):
            return path
    return None


def told_names():
    """The names of all inputs that the variables of this process tell, sorted. The bare names are not among them: any variable could be."""
    return sorted({variable[len(prefix):] for variable, path in os.environ.items() for prefix in _PREFIXES[:-1]
                   if variable.startswith(prefix) and os.path.exists(path)})


def inputs_of_record(record, path_of):
    """The inputs that the record of a run has, by name. `path_of` answers where one is, or None."""
    found = []
    for name, entry in sorted(((record.get("job") or {}).get("inputs") or {}).items()):
        asset = _ASSET.fullmatch(entry["source"])
        mechanism = "Download" if entry["mode"] == "download" else "Mount"
        found.append(JobInput(name, entry["source"], mechanism, path_of(name) or entry.get("location"), asset and asset.group(1),
                              asset and int(asset.group(2))))
    return found


def current_inputs():
    """The inputs of the run that this process is part of. Where its record cannot be read, they are what the variables tell."""
    try:
        recorded = inputs_of_record(trainyard.Run.get_context(allow_offline=False).record(), input_path)
    except trainyard.Error:  # outside of a run, or in a forked process
        recorded = []
    known = {item.name for item in recorded}
    return recorded + [JobInput(name, None, None, input_path(name), None, None) for name in told_names() if name not in known]


def find_input(wanted, version=None):
    """The input that `wanted` means: its name, that of its data asset ("name", "name:2", "azureml:name:2"), or its path. With `version`
    only one of that version, or one whose version is not known; without it the latest. None when there is none."""
    inputs = [item for item in current_inputs() if item.path and (version is None or item.version in (None, version))]
    asset, place = _ASSET.fullmatch(wanted), os.path.realpath(wanted)
    for matches in (
            lambda item: item.name == wanted,
            lambda item: item.asset is not None and item.asset == wanted,
            lambda item: asset is not None and (item.asset, item.version) == (asset.group(1), int(asset.group(2))),
            lambda item: os.path.realpath(item.path) == place,
    ):
        found = [item for item in inputs if matches(item)]
        if found:
            return max(found, key=lambda item: item.version or 0)
    return None


def names_there_are():
    """For messages: "asset (azureml:beeasset:1), other"."""
    described = [item.name if item.asset is None else "%s (azureml:%s:%d)" % (item.name, item.asset, item.version)
                 for item in current_inputs()]
    return ", ".join(described) or "none"
