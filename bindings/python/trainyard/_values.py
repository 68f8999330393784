"""What scripts log, as plain Python values: numbers of NumPy and PyTorch, arrays, data frames. None of those packages is imported here;
their objects are known by what they can do."""

import json
import math
import os

# JSON of the library: numbers that doubles cannot hold, and those that JSON cannot, are strings.
_LARGEST_EXACT = 1 << 53


def scalar(value):
    """A float for anything that is one number, else a text. None is neither."""
    if value is None:
        raise TypeError("None is no value of a metric: log a number or a text, or do not log")
    if type(value) is int and -_LARGEST_EXACT <= value <= _LARGEST_EXACT:
        return float(value)
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    held = single(value)
    try:
        return float(held)
    except OverflowError:
        return math.inf if held > 0 else -math.inf
    except (TypeError, ValueError):
        return str(held)


def single(value):
    """What a NumPy scalar, or an array or tensor of one element, holds."""
    item = getattr(value, "item", None)
    if not callable(item):
        return value
    try:
        return item()
    except (TypeError, ValueError, RuntimeError):  # more than one element
        return value


def plain(value):
    """Only dicts with text keys, lists, texts, numbers, booleans and None."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value) if -_LARGEST_EXACT <= value <= _LARGEST_EXACT else str(int(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _name_of(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset, range)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "columns") and callable(getattr(value, "to_dict", None)):  # a data frame
        return plain(value.to_dict("list"))
    if callable(getattr(value, "tolist", None)):  # arrays, tensors, NumPy's numbers, series
        return plain(value.tolist())
    number = scalar(value)
    return plain(number) if isinstance(number, float) else number


def _name_of(value):
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def cell(value):
    """One value of a list, row or table: what is not single becomes its JSON."""
    value = plain(value)
    return json.dumps(value) if isinstance(value, (dict, list)) else value


def cells(values):
    """The values of a list."""
    values = plain(values) if callable(getattr(values, "tolist", None)) else plain(list(values))
    return [cell(value) for value in (values if isinstance(values, list) else [values])]


def columns(value):
    """{column: [values]} of a dict whose values may be single ones, as tables are logged."""
    table = plain(value)
    if not isinstance(table, dict):
        raise TypeError("a table is a dict of columns, got %s" % type(value).__name__)
    return {name: cells(column if isinstance(column, list) else [column]) for name, column in table.items()}


def with_schema(kind, value):
    """A result of classification or regression as {"schema_type", "schema_version", "data"}. Scripts give it as a dict or JSON text, with
    or without that frame; a confusion matrix also as a matrix alone."""
    if isinstance(value, (str, bytes)):
        value = json.loads(value)
    value = plain(value)
    if isinstance(value, list) and kind == "confusion_matrix":
        value = {"class_labels": [str(index) for index in range(len(value))], "matrix": value}
    if not isinstance(value, dict):
        raise TypeError("a %s is a dict or its JSON text, got %s" % (kind.replace("_", " "), type(value).__name__))
    frame = {"schema_type": value.pop("schema_type", kind), "schema_version": str(value.pop("schema_version", "v1"))}
    frame["data"] = value["data"] if isinstance(value.get("data"), dict) else value
    return frame


# One call of the library takes so many entries of a list and rows of a table; several calls append.
_MOST_ENTRIES = 250


def parts(kind, record):
    """The record in as many as the library wants of it."""
    if kind == "list":
        return [record[start:start + _MOST_ENTRIES] for start in range(0, len(record), _MOST_ENTRIES)] or [record]
    if kind == "table":
        rows = max([len(column) for column in record.values()], default=0)
        return [{name: column[start:start + _MOST_ENTRIES] for name, column in record.items()}
                for start in range(0, rows, _MOST_ENTRIES)] or [record]
    return [record]


def as_floats(value):
    """A number, or the numbers in a list."""
    if isinstance(value, list):
        return [as_floats(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def numbers_by_name(value):
    """Read back: the library tells infinities and NaN by name."""
    if isinstance(value, str):
        return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(value, value)
    if isinstance(value, list):
        return [numbers_by_name(item) for item in value]
    if isinstance(value, dict):
        return {key: numbers_by_name(item) for key, item in value.items()}
    return value


def to_json(value):
    return json.dumps(plain(value), allow_nan=False)
