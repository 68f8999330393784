"""Outside of a run: the packages print and leave nothing behind. And: the real azureml package wins where there is one."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import support


class OfflineTest(unittest.TestCase):

    def run_script(self, text, **options):
        done = support.python(text, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def test_scripts_print_what_they_log(self):
        text = self.run_script("""
from azureml.core.run import Run, _OfflineRun
run = Run.get_context()
assert type(run) is _OfflineRun and not isinstance(run, Run)
print(run.id)
run.log("accuracy", 0.5)
run.log("name", "value")
run.log_list("list", [1, 2])
run.upload_file("model.pkl", "outputs/model.pkl")
run.tag("a"); run.add_properties({"b": 1})
assert run.get_tags() == {"a": ""} and run.get_properties() == {"b": "1"}
assert run.get_metrics() == {"accuracy": 0.5, "name": "value", "list": [1, 2]}
assert run.get_file_names() == [] and run.parent is None
with run.child_run() as child:
    child.log("inner", 1)
assert child.parent == run and [each.id for each in run.get_children()] == [child.id] and child.get_status() == "Completed"
for name in ("experiment", "workspace"):
    try:
        getattr(run, name)
        raise SystemExit("offline runs have none")
    except AttributeError:
        pass
run.flush(); run.complete()
assert run.get_status() == "Completed"
""")
        lines = text.splitlines()
        self.assertRegex(lines[0], r"^OfflineRun_[0-9a-f]{8}-[0-9a-f-]{27}$")
        self.assertEqual(lines[1:], [
            "Attempted to log scalar metric accuracy:", "0.5", "Attempted to log scalar metric name:", "value",
            "Attempted to log list metric list:", "[1, 2]", "Attempted to track file model.pkl at outputs/model.pkl",
            "Attempted to log scalar metric inner:", "1"
        ])

    def test_none_is_not_logged(self):
        done = support.python("""
import trainyard
from azureml.core import Run
Run.get_context().log("depth", None)
try:
    trainyard.Run.get_context().log("depth", None)
    raise SystemExit("None was logged")
except TypeError as error:
    print(error)
""")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "None is no value of a metric: log a number or a text, or do not log\n")
        self.assertEqual(done.stderr, "azureml: metric 'depth' is not logged: its value is None\n")

    def test_calls_of_scripts_fit(self):
        """The names and arguments that scripts use, in a run and outside of one."""
        self.run_script("""
import inspect
from azureml.core.model import Model
from azureml.core.run import Run, _OfflineRun
calls = {
    "log": ("name", "value", "description", "step"),
    "log_list": ("name", "value", "description"),
    "log_row": ("name", "description"),
    "log_table": ("name", "value", "description"),
    "log_image": ("name", "path", "plot", "description"),
    "log_confusion_matrix": ("name", "value", "description"),
    "log_accuracy_table": ("name", "value", "description"),
    "log_predictions": ("name", "value", "description"),
    "log_residuals": ("name", "value", "description"),
    "flush": ("timeout_seconds",),
    "tag": ("key", "value"), "set_tags": ("tags",), "remove_tags": ("tags",), "get_tags": (),
    "add_properties": ("properties",), "get_properties": (),
    "upload_file": ("name", "path_or_stream", "datastore_name"),
    "upload_files": ("names", "paths", "datastore_name"),
    "upload_folder": ("name", "path", "datastore_name"),
    "get_file_names": (), "get_all_logs": ("destination",),
    "download_file": ("name", "output_file_path"),
    "download_files": ("prefix", "output_directory", "output_paths", "append_prefix"),
    "child_run": ("name", "run_id", "outputs"), "create_children": ("count", "tag_key", "tag_values"),
    "get_children": ("recursive",),
    "get_metrics": ("name", "recursive", "run_type", "populate"),
    "register_model": ("model_name", "model_path"),
    "get_details": (), "get_status": (), "complete": (), "cancel": (), "fail": ("error_details", "error_code"),
    "get_secret": ("name",), "get_portal_url": (),
}
for kind in (Run, _OfflineRun):
    for name, arguments in calls.items():
        found = list(inspect.signature(getattr(kind, name)).parameters)
        assert found[1:1 + len(arguments)] == list(arguments), (kind, name, found)
    for name in ("id", "parent", "tags", "properties", "input_datasets", "status"):
        assert isinstance(inspect.getattr_static(kind, name), property), name
for name, arguments in (
    ("register", ("workspace", "model_path", "model_name", "tags", "properties", "description", "datasets", "model_framework")),
    ("get_model_path", ("model_name", "version", "_workspace")),
    ("list", ("workspace", "name", "tags", "properties", "run_id", "latest")),
):
    assert tuple(inspect.signature(getattr(Model, name)).parameters)[:len(arguments)] == arguments, name
""")

    def test_a_run_can_be_demanded(self):
        self.run_script("""
from azureml.core import Run, Workspace
from azureml.exceptions import RunEnvironmentException, UserErrorException
try:
    Run.get_context(allow_offline=False)
    raise SystemExit("there is no run")
except RunEnvironmentException as error:
    assert "not part of a run" in str(error), error
try:
    Workspace.from_config()
    raise SystemExit("there is no workspace")
except UserErrorException as error:
    assert "TRAINYARD_WORKSPACE" in str(error), error
""")

    def test_published_scripts_run_offline(self):
        with tempfile.TemporaryDirectory() as directory:
            for script in ("dummy_train.py", "kinds.py"):
                done = subprocess.run([sys.executable, os.path.join(support.SCRIPTS, script)], cwd=directory, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, universal_newlines=True, timeout=120,
                                      env=support.outside(PYTHONPATH=support.PACKAGES + ":" + support.COMPATIBILITY))
                self.assertEqual(done.returncode, 0, done.stdout)
                self.assertIn("Attempted to log", done.stdout)

    def test_data_sets_read_files_by_their_kind(self):
        with tempfile.TemporaryDirectory() as directory:
            for name in ("b.tsv", "a.csv", "c.parquet", "d.jsonl", "e.json"):
                open(os.path.join(directory, name), "w").close()
            with open(os.path.join(directory, "pandas.py"), "w") as file:
                file.write("""
import os
def _reader(kind):
    return lambda path, **options: [kind, os.path.basename(path), options]
read_csv, read_parquet, read_json = _reader("csv"), _reader("parquet"), _reader("json")
def concat(frames, ignore_index):
    assert ignore_index
    return frames
""")
            text = self.run_script("""
from azureml.core import Dataset
from azureml.data.dataset_factory import TabularDatasetFactory
for frame in Dataset.File.from_files(%r).to_pandas_dataframe(): print(*frame)
print(*Dataset.Tabular.from_delimited_files(%r, separator=";").to_pandas_dataframe())
print(*TabularDatasetFactory.from_delimited_files("https://host/data.csv").to_pandas_dataframe())
""" % (directory + "/*.[cptj]*[vtln]", directory + "/a.csv"), path=[directory, support.PACKAGES, support.COMPATIBILITY])
        self.assertEqual(text.splitlines(), [
            "csv a.csv {}", "csv b.tsv {'sep': '\\t'}", "parquet c.parquet {}", "json d.jsonl {'lines': True}", "json e.json {}",
            "csv a.csv {'sep': ';'}", "csv data.csv {'sep': ','}"
        ])

    def test_the_library_is_not_needed(self):
        self.run_script("import trainyard; trainyard.Run.get_context().log('x', 1)", TRAINYARD_LIBRARY="/nowhere/libtrainyard.so")


class RealPackageTest(unittest.TestCase):
    """Stand-ins for the SDK in a site-packages directory of their own."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="trainyard-azureml-")
        self.addCleanup(shutil.rmtree, self.directory)

    def package(self, site, *parts, marker="real", namespace=True):
        """Makes <site>/azureml/<part>/__init__.py for each part."""
        root = os.path.join(self.directory, site, "azureml")
        for part in parts:
            os.makedirs(os.path.join(root, part))
            with open(os.path.join(root, part, "__init__.py"), "w") as file:
                file.write("marker = %r\n" % marker)
        if namespace:
            with open(os.path.join(root, "__init__.py"), "w") as file:
                file.write("__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n")
        return os.path.join(self.directory, site)

    def answer(self, text, *sites):
        """Prints of a script whose sites come after PYTHONPATH, as site-packages do."""
        setup = "import sys\nsys.path += %r\n" % (list(sites), )
        done = support.python(setup + text)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def test_without_another_this_one_is_used(self):
        self.assertEqual(self.answer("import azureml.core\nprint(azureml.core.VERSION)"), "0.1.0+trainyard")

    def test_the_real_one_wins(self):
        site = self.package("site", "core")
        self.assertEqual(self.answer("import azureml.core\nprint(azureml.core.marker, azureml.core.__file__)", site),
                         "real " + os.path.join(site, "azureml", "core", "__init__.py"))
        self.assertEqual(self.answer("from azureml import core\nprint(core.marker)", site), "real")
        # Nothing of this one is mixed in.
        self.assertEqual(self.answer("""
import azureml.core
try:
    import azureml.exceptions
except ImportError:
    print("apart")
""", site), "apart")

    def test_the_real_one_wins_wherever_its_parts_are(self):
        mlflow, core = self.package("user", "mlflow"), self.package("system", "core")
        self.assertEqual(self.answer("import azureml.core, azureml.mlflow\nprint(azureml.core.marker, azureml.mlflow.marker)", mlflow, core),
                         "real real")
        core = self.package("bare", "core", namespace=False)
        self.assertEqual(self.answer("import azureml.core\nprint(azureml.core.marker)", core), "real")

    def test_other_parts_of_the_name_space_stay_reachable(self):
        for namespace in (True, False):
            site = self.package("site%d" % namespace, "mlflow", namespace=namespace)
            self.assertEqual(self.answer("import azureml.core, azureml.mlflow\nprint(azureml.core.VERSION, azureml.mlflow.marker)", site),
                             "0.1.0+trainyard real")

    def test_a_package_of_the_users_pythonpath_wins(self):
        site = self.package("mine", "core", marker="mine")
        done = support.python("import azureml.core\nprint(azureml.core.marker)", path=[site, support.PACKAGES, support.COMPATIBILITY])
        self.assertEqual(done.stdout.strip(), "mine", done.stderr)

    def test_a_subprocess_decides_for_itself(self):
        site = self.package("site", "core")
        text = """
import azureml.core, subprocess, sys
print(azureml.core.marker, flush=True)
subprocess.run([sys.executable, "-c", "import azureml.core; print(azureml.core.VERSION)"], check=True)
"""
        self.assertEqual(self.answer(text, site), "real\n0.1.0+trainyard")


if __name__ == "__main__":
    support.main()
