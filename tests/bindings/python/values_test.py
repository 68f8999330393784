"""What scripts log, brought into form."""

import decimal
import fractions
import math
import pathlib
import unittest

import support  # noqa: F401: the path of the packages
from trainyard import _values


class Array:
    """What arrays, tensors and their single elements have."""

    def __init__(self, *values):
        self.values = list(values)

    def item(self):
        if len(self.values) != 1:
            raise ValueError("more than one element")
        return self.values[0]

    def tolist(self):
        return self.values


class Frame:
    """What data frames have."""

    columns = ["x", "y"]

    def to_dict(self, orient):
        assert orient == "list"
        return {"x": Array(1, 2), "y": [math.nan, "b"]}


class ScalarTest(unittest.TestCase):

    def test_numbers_of_any_kind_are_floats(self):
        for value, expected in ((1, 1.0), (True, 1.0), (0.5, 0.5), (decimal.Decimal("0.25"), 0.25), (fractions.Fraction(1, 4), 0.25),
                                (Array(3), 3.0), (10**400, math.inf), (-10**400, -math.inf), (2**60, float(2**60))):
            found = _values.scalar(value)
            self.assertIs(type(found), float, value)
            self.assertEqual(found, expected)

    def test_everything_else_is_text(self):
        for value, expected in (("sgd", "sgd"), ("0.9", "0.9"), (b"raw", "raw"), ([1, 2], "[1, 2]")):
            self.assertEqual(_values.scalar(value), expected)

    def test_none_is_no_value(self):
        with self.assertRaisesRegex(TypeError, "None is no value of a metric"):
            _values.scalar(None)


class PlainTest(unittest.TestCase):

    def test_json_can_hold_it(self):
        self.assertEqual(_values.plain({1: (2, 3.5), "a": {"b": None}}), {"1": [2, 3.5], "a": {"b": None}})
        self.assertEqual(_values.plain([math.nan, math.inf, -math.inf, 2**60]), ["NaN", "Infinity", "-Infinity", str(2**60)])
        self.assertEqual(_values.plain(Array(1, Array(2, True))), [1, [2, True]])
        self.assertEqual(_values.plain(Frame()), {"x": [1, 2], "y": ["NaN", "b"]})
        self.assertEqual(_values.plain([pathlib.Path("a/b"), b"raw", range(2)]), ["a/b", "raw", [0, 1]])
        self.assertEqual(_values.to_json({"a": math.nan}), '{"a": "NaN"}')

    def test_and_back(self):
        found = _values.as_floats([1, 2.5, "text", True])
        self.assertEqual([type(value) for value in found], [float, float, str, bool])
        self.assertIs(type(_values.as_floats(3)), float)
        self.assertEqual(_values.numbers_by_name({"a": ["Infinity", "-Infinity", "x", 1]}), {"a": [math.inf, -math.inf, "x", 1]})
        self.assertTrue(math.isnan(_values.numbers_by_name("NaN")))


class RecordTest(unittest.TestCase):

    def test_cells_are_single_values(self):
        self.assertEqual(_values.cells(Array(1, "a", Array(2, 3), {"b": 4}, None)), [1, "a", "[2, 3]", '{"b": 4}', None])

    def test_tables(self):
        self.assertEqual(_values.columns({"x": [1, 2], "y": 3}), {"x": [1, 2], "y": [3]})
        self.assertEqual(_values.columns(Frame()), {"x": [1, 2], "y": ["NaN", "b"]})
        with self.assertRaisesRegex(TypeError, "dict of columns, got list"):
            _values.columns([1])

    def test_long_ones_come_in_parts(self):
        self.assertEqual([len(part) for part in _values.parts("list", list(range(501)))], [250, 250, 1])
        self.assertEqual(_values.parts("list", []), [[]])
        table = {"x": list(range(300)), "y": list(range(300))}
        first, second = _values.parts("table", table)
        self.assertEqual({name: first[name] + second[name] for name in table}, table)
        self.assertEqual(_values.parts("row", {"x": 1}), [{"x": 1}])

    def test_results_get_their_frame(self):
        data = {"class_labels": ["a", "b"], "matrix": [[1, 2], [3, 4]]}
        framed = {"schema_type": "confusion_matrix", "schema_version": "v1", "data": data}
        for given in (data, framed, {"data": data}, support.json.dumps(framed), dict(framed)):
            self.assertEqual(_values.with_schema("confusion_matrix", given), framed)
        self.assertEqual(_values.with_schema("confusion_matrix", Array([1, 0], [0, 1]))["data"]["class_labels"], ["0", "1"])
        self.assertEqual(_values.with_schema("residuals", dict(framed, schema_version=1))["schema_type"], "confusion_matrix")
        with self.assertRaisesRegex(TypeError, "an? residuals is a dict or its JSON text, got int"):
            _values.with_schema("residuals", 3)


if __name__ == "__main__":
    support.main()
