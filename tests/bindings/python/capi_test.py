"""The declarations of the package are those of the headers, every file is Python 3.7, and errors are what the library says."""

import ast
import ctypes
import glob
import os
import re
import unittest

import support
from trainyard import _capi


def sources():
    for package in ("trainyard", "azureml_compat"):
        yield from glob.glob(os.path.join(support.SOURCE, "bindings", "python", package, "**", "*.py"), recursive=True)


def declarations():
    """{name: declaration} of the public headers, spaces made one."""
    found = {}
    for header in glob.glob(os.path.join(support.SOURCE, "include", "trainyard", "*.h")):
        with open(header) as file:
            text = re.sub(r"/\*.*?\*/", " ", file.read(), flags=re.DOTALL)
        for match in re.finditer(r"TY_API\s+([^;]*?)\s+TY_NOEXCEPT;", text):
            declaration = " ".join(match.group(1).split())
            found[re.search(r"(ty_\w+)\(", declaration).group(1)] = declaration
    return found


class PrototypeTest(unittest.TestCase):

    def test_declarations_are_those_of_the_headers(self):
        public = declarations()
        self.assertGreater(len(public), 100)
        for name, (_, _, declaration) in _capi.prototypes().items():
            self.assertEqual(declaration, public.get(name), name)

    def test_every_declared_function_is_exported(self):
        with open(os.path.join(support.SOURCE, "tests", "abi", "symbols.txt")) as file:
            exported = set(file.read().split())
        declared = set(_capi.prototypes())
        self.assertEqual(declared - exported, set())
        library = _capi.load()
        self.assertEqual([name for name in declared if not library.has(name)], [])
        self.assertEqual(library.path, support.LIBRARY)

    def test_types(self):
        types = _capi.prototypes()
        self.assertEqual(types["ty_run_log_metric"][:2],
                         (ctypes.c_int32, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_double, ctypes.c_int64, ctypes.c_void_p]))
        self.assertEqual(types["ty_version"][:2], (ctypes.c_char_p, []))
        self.assertEqual(types["ty_string_free"][:2], (None, [ctypes.c_void_p]))
        self.assertEqual(types["ty_metric_series_values"][0], ctypes.c_void_p)

    def test_a_function_that_the_library_lacks_is_named(self):
        library = _capi.Library(support.LIBRARY)
        library.declare("void ty_of_the_future(int32_t number);")
        with self.assertRaisesRegex(_capi.LibraryNotFoundError, "ty_of_the_future.*another version"):
            library.function("ty_of_the_future")


class SyntaxTest(unittest.TestCase):

    def test_python_3_7_reads_every_file(self):
        files = list(sources())
        self.assertGreater(len(files), 20)
        for path in files:
            with open(path) as file:
                ast.parse(file.read(), path, feature_version=(3, 7))

    def test_only_the_standard_library_is_imported(self):
        allowed = {
            "__future__", "ast", "atexit", "azureml", "collections", "ctypes", "datetime", "glob", "importlib", "json", "math", "os", "pandas",
            "pkgutil", "re", "shutil", "sys", "tempfile", "threading", "time", "trainyard", "uuid", "weakref"
        }
        for path in sources():
            with open(path) as file:
                tree = ast.parse(file.read())
            top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
            for node in ast.walk(tree):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else \
                    [node.module] if isinstance(node, ast.ImportFrom) else []
                for name in names:
                    self.assertIn(name.split(".")[0], allowed, path)
                    # Of the script's environment: never needed to import the package.
                    self.assertFalse(name == "pandas" and node in top, path)


class ErrorTest(support.RunTest):

    def test_an_error_says_what_the_library_says(self):
        with self.assertRaises(support.trainyard.NotFoundError) as raised:
            self.workspace.run("no-such-run")
        error = raised.exception
        self.assertEqual((error.status, error.status_name), (2, "TY_ERR_NOT_FOUND"))
        self.assertIn("no-such-run", str(error))
        self.assertEqual(error.details, {"run_id": "no-such-run"})
        self.assertIsInstance(error, LookupError)
        with self.assertRaises(support.trainyard.InvalidArgumentError) as raised:
            self.workspace.model("name", -1)
        self.assertIsInstance(raised.exception, ValueError)

    def test_nul_is_refused(self):
        with self.assertRaisesRegex(ValueError, "NUL"):
            self.workspace.run("a\0b")

    def test_lists_pages_and_texts(self):
        self.assertEqual(self.workspace.models(), [])
        self.assertEqual(list(self.workspace.run_ids()), [])
        self.assertEqual(self.workspace.location, self.path("workspace"))
        with self.assertRaisesRegex(support.trainyard.Error, "colour"):
            list(self.workspace.run_ids(colour="red"))


if __name__ == "__main__":
    support.main()
