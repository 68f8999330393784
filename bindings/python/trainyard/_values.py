"""What scripts log, as plain Python values: numbers of NumPy and PyTorch, arrays, data frames. None of those packages is imported here;
their objects are known by what they can do."""

import json
import math
import os

# JSON of the library: numbers that doubles cannot hold, and those that JSON cannot, are strings.
_LARGEST_EXACT = 1 << 53


def scalar(value):
    """A float for anything that is one number, else a text."""
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


def columns(value):
    """{column: [values]} of a dict whose values may be single ones, as tables are logged."""
    table = plain(value)
    if not isinstance(table, dict):
        raise TypeError("a table is a dict of columns, got %s" % type(value).__name__)
    return {name: column if isinstance(column, list) else [column] for name, column in table.items()}


def record(value):
    """A dict, from a dict or its JSON text (what log_confusion_matrix and its kind take)."""
    if isinstance(value, (str, bytes)):
        value = json.loads(value)
    return plain(value)


def matrix(value):
    """A confusion matrix as {"class_labels", "matrix"} within whatever it came in."""
    if isinstance(value, (str, bytes)):
        value = json.loads(value)
    value = plain(value)
    if isinstance(value, list):
        return {"class_labels": [str(index) for index in range(len(value))], "matrix": value}
    return value


def to_json(value):
    return json.dumps(plain(value), allow_nan=False)
