"""Data that a script reads: the inputs of its job, by name, and local files."""

import glob
import os
import shutil

from azureml.core._job_inputs import JobInput, find_input, input_path, names_there_are, told_names
from azureml.core._local import elsewhere
from azureml.exceptions import UserErrorException


class Data(str):
    """A path that is also a data set: scripts use what input_datasets gives as either. Of an input that is a data asset, `name`,
    `version` and `id` ("name:version") are those of the asset; of another input `name` and `id` are its name. `source` is what the job was given."""

    name = None
    id = None
    version = None
    source = None

    @classmethod
    def at(cls, path, name=None):
        data = cls(path)
        data.name = data.id = name
        return data

    @classmethod
    def of_input(cls, item):
        """Of a JobInput. One that is nowhere, such as a URL that another run downloaded, is at its source."""
        data = cls.at(item.path or item.source, item.asset or item.name)
        data.version = item.version
        data.source = item.source
        if item.asset is not None:
            data.id = "%s:%d" % (item.asset, item.version)
        return data

    def as_mount(self, path_on_compute=None):
        return self

    as_download = as_mount
    as_hdfs = as_mount

    def as_named_input(self, name):
        named = Data.at(str(self), name)
        named.id, named.version, named.source = self.id or name, self.version, self.source
        return named

    def mount(self, mount_point=None):
        return _Mounted(self)

    def files(self):
        """All files, sorted."""
        if not os.path.isdir(self):
            return sorted(glob.glob(self, recursive=True)) or [str(self)]
        return sorted(os.path.join(directory, file) for directory, _, files in os.walk(self) for file in files)

    def to_path(self):
        """Paths relative to the data set, each with a leading slash."""
        root = self if os.path.isdir(self) else os.path.dirname(self)
        return ["/" + os.path.relpath(file, root).replace(os.sep, "/") for file in self.files()]

    def download(self, target_path=None, overwrite=False, **_):
        """Copies the files; answers where they are."""
        target_path = target_path or os.path.join("data", self.name or os.path.basename(self.rstrip("/")))
        copied = []
        for file, relative in zip(self.files(), self.to_path()):
            target = os.path.join(target_path, relative[1:])
            if os.path.exists(target) and not overwrite:
                raise UserErrorException("'%s' is there already: give overwrite=True" % target)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(file, target)
            copied.append(target)
        return copied

    def to_pandas_dataframe(self, **_):
        """All its files as one data frame: .csv, .tsv, .parquet, .json (a list) and .jsonl."""
        import pandas  # of the script's environment

        readers = {
            ".parquet": pandas.read_parquet,
            ".json": pandas.read_json,
            ".jsonl": lambda path: pandas.read_json(path, lines=True),
            ".tsv": lambda path: pandas.read_csv(path, sep="\t"),
        }
        frames = [readers.get(os.path.splitext(file)[1].lower(), pandas.read_csv)(file) for file in self.files()]
        return frames[0] if len(frames) == 1 else pandas.concat(frames, ignore_index=True)

    def register(self, *_, **__):
        raise elsewhere("Dataset.register", "data assets are registered by the program that submits (ty_data_register)")


class _Mounted:
    """What mount() gives: the data is there already."""

    def __init__(self, data):
        self.mount_point = str(data)

    def start(self):
        pass

    stop = start

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


class Inputs:
    """The inputs of the job by name. A dict as far as that is possible: names are known when they are asked for."""

    def __getitem__(self, name):
        if name not in self:
            raise KeyError("the job has no input '%s' (its inputs: %s): the program that submits gives it one of that name" %
                           (name, names_there_are()))
        return Data.of_input(_named(name))

    def get(self, name, default=None):
        return self[name] if name in self else default

    def __contains__(self, name):
        return input_path(name) is not None

    def keys(self):
        return told_names()

    def __iter__(self):
        return iter(self.keys())

    def __len__(self):
        return len(self.keys())

    def items(self):
        return [(name, self[name]) for name in self.keys()]

    def values(self):
        return [self[name] for name in self.keys()]


def _local(path):
    """Local files by path or pattern. Several paths, or those of a datastore, only as far as they are one local place."""
    if isinstance(path, (list, tuple)) and len(path) == 1:
        path = path[0]
    if isinstance(path, tuple) or not isinstance(path, (str, os.PathLike, list)):
        raise elsewhere("a data set on a datastore", "give the data to the job as an input, and read run.input_datasets['name']")
    if isinstance(path, list):
        raise elsewhere("a data set of several paths", "give one directory or pattern")
    return Data.at(os.fspath(path))


class FileDatasetFactory:

    @staticmethod
    def from_files(path, **_):
        return _local(path)


class TabularDatasetFactory:

    @staticmethod
    def from_delimited_files(path, separator=",", header=True, **_):
        return _Delimited.of(path, separator)

    @staticmethod
    def from_parquet_files(path, **_):
        return _local(path)

    from_json_lines_files = from_parquet_files


class _Delimited(Data):
    """Text files with columns; the path may be a URL, which pandas reads."""

    separator = ","

    @classmethod
    def of(cls, path, separator):
        if isinstance(path, (list, tuple)) and len(path) == 1:
            path = path[0]
        data = cls(path if isinstance(path, str) and "://" in path else _local(path))
        data.separator = separator
        return data

    def files(self):
        return [str(self)] if "://" in self else super().files()

    def to_pandas_dataframe(self, **_):
        import pandas  # of the script's environment

        frames = [pandas.read_csv(file, sep=self.separator) for file in self.files()]
        return frames[0] if len(frames) == 1 else pandas.concat(frames, ignore_index=True)


class Dataset:
    """Data that the job has as an input, found by the name of the input, that of its data asset, or its path."""

    File = FileDatasetFactory
    Tabular = TabularDatasetFactory

    class Scenario:
        """What a model used a data set for."""

        TRAINING = "training"
        VALIDATION = "validation"
        INFERENCING = "inferencing"

    @staticmethod
    def get_by_name(workspace, name, version="latest"):
        number = None if version in (None, "latest") else int(version)
        item = find_input(name, number)
        if item is None and number is None:
            item = _named(name)
        if item is None:
            raise UserErrorException("there is no data '%s'%s here: give it to the job as an input. The inputs there are: %s" %
                                     (name, "" if number is None else " of version %d" % number, names_there_are()))
        return Data.of_input(item)

    @staticmethod
    def get_by_id(workspace, id, **_):
        """`id` is that of a data set, or what the script was given in its place: the path of an input."""
        return Dataset.get_by_name(workspace, id)

    @staticmethod
    def get_all(workspace):
        return Inputs()


def _named(name):
    """The input of this name, or the path in the variable of this name; None when there is neither."""
    path = input_path(name)
    if path is None:
        return None
    item = find_input(name)
    return item if item is not None and item.name == name else JobInput(name, None, None, path, None, None)


__all__ = ["Dataset"]
