"""Scripts in the manner of those published for Azure ML, unmodified, as jobs: every metric, tag, file and model is where it should be."""

import math
import os
import subprocess
import sys
import venv

import support


class ScriptTest(support.RunTest):

    def values(self, run):
        """What the script logged, without what the supervisor measured."""
        return {name: run.metric(name) for name in run.metric_names() if not name.startswith("system/")}

    def test_a_dummy_training(self):
        run = self.script("dummy_train.py", "--epochs", "4", "--learning-rate", "0.5")
        metrics = run.metrics()
        self.assertEqual(metrics["learning rate"], 0.5)
        self.assertEqual(metrics["optimizer"], "sgd")
        self.assertEqual(metrics["loss"], [0.5, 0.25, 0.125, 0.0625])
        self.assertEqual(self.content(run, "outputs/model.txt"), "0.0625")
        self.assertIn("epoch 3 loss 0.0625", self.log(run))

    def test_a_training_with_epochs_and_a_model(self):
        run = self.script("mnist_like.py", "--epochs", "3", "--lr", "0.2", "--seed", "7")
        values = self.values(run)
        self.assertEqual(sorted(values), ["accuracy", "train_errors"])
        self.assertEqual(len(values["accuracy"]), 3)
        self.assertGreater(values["accuracy"][-1], 0.8)
        self.assertEqual([step for _, step, _, _ in run.metric_points("train_errors")], list(range(0, 600, 50)))
        self.assertEqual(run.tags, {"seed": "7"})
        self.assertEqual(run.properties["final_accuracy"], "%.3f" % values["accuracy"][-1])
        self.assertIn("outputs/model.json", run.files())
        model = self.workspace.model("mnist-like")
        self.assertEqual((model.version, model.run_id, model.tags, model.files), (1, run.id, {"kind": "linear"}, ["model.json"]))
        self.assertIn("registered\tmnist-like\tmnist-like:1\t1", self.log(run))

    def test_files_models_and_the_run_itself(self):
        run = self.script("files_and_models.py", secrets={"MY_SECRET": "hush"})
        self.assertEqual(run.tags, {"worth another look": "", "a": "1"})
        self.assertEqual([name for name in run.files("outputs/")],
                         ["outputs/a.txt", "outputs/from_stream.txt", "outputs/model/a.txt", "outputs/model/deep/b.txt"])
        self.assertEqual(self.workspace.model_versions("folder"), [1, 2])
        first, second = self.workspace.model("folder", 1), self.workspace.model("folder", 2)
        self.assertEqual((first.files, first.tags, first.properties, first.run_id), (["a.txt", "deep/b.txt"], {
            "stage": "test",
            "n": "1"
        }, {"p": "q"}, run.id))
        self.assertEqual((second.description, second.framework, second.framework_version), ("one file", "PyTorch", "2.0"))

    def test_a_script_job_with_parameters(self):
        """As ScriptRunConfig and the older estimators start scripts."""
        self.write("source/train.py", """
import argparse
from azureml.core import Run
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--flag", action="store_true")
parser.add_argument("rest", nargs="*")
args = parser.parse_args()
run = Run.get_context()
definition = run.get_details()["runDefinition"]
assert definition["script"] == "train.py" and definition["target"] == "local", definition
assert definition["arguments"] == ["--lr", "0.25", "--flag", "last"], definition
run.log("lr", args.lr)
run.log("flag", args.flag)
run.log("rest", " ".join(args.rest))
""")
        parameters = [{"name": "--lr", "value": "0.25"}, {"name": "--flag", "value": ""}]
        run = self.text([], "Completed", source=self.path("source"), description={
            "kind": "script",
            "script": "train.py",
            "script_parameters": parameters,
            "arguments": ["last"]
        })
        self.assertEqual(run.metrics(), {"lr": 0.25, "flag": 1.0, "rest": "last"})

    def test_every_kind_of_metric(self):
        run = self.script("kinds.py")
        metrics = run.metrics()
        self.assertEqual(metrics["fibonacci"], [1, 1, 2, 3])
        self.assertEqual(metrics["optimizer"], "sgd")
        self.assertNotIn("max_depth", metrics)
        self.assertIn("metric 'max_depth' is not logged: its value is None", self.log(run))
        self.assertNotEqual(metrics["not a number"], metrics["not a number"])
        self.assertEqual(metrics["accuracies"], [0.6, 0.7, 0.87])
        self.assertEqual(metrics["long"], list(range(600)))
        self.assertEqual(metrics["mixed"], ["a", 1, True, "[1, 2]"])
        self.assertEqual(metrics["cosine"], {"angle": [0, 1, 2], "cos": [math.cos(angle) for angle in range(3)]})
        self.assertEqual(metrics["Y over X"], {"x": 1, "y": 0.4})
        self.assertEqual(metrics["squares"], {"x": [1, 2, 3], "y": [1, 4, 9]})
        self.assertEqual(metrics["long table"], {"x": list(range(300)), "y": ["v"] * 300})
        self.assertEqual(self.content(run, metrics["by path"]), "\ufffdPNG file")
        self.assertEqual([self.content(run, name) for name in metrics["by plot"]], ["\ufffdPNG plot png"] * 2)
        confusion = {"class_labels": ["cat", "dog"], "matrix": [[3, 1], [0, 4]]}
        for name, version in (("whole", "1.0.0"), ("bare", "v1"), ("as json", "v1")):
            self.assertEqual(metrics[name], {"schema_type": "confusion_matrix", "schema_version": version, "data": confusion}, name)
        self.assertEqual(metrics["matrix alone"]["data"], {"class_labels": ["0", "1"], "matrix": [[1, 0], [0, 1]]})
        self.assertEqual(metrics["accuracy"]["data"]["probability_thresholds"], [0, 1])
        self.assertEqual(metrics["predictions"]["data"]["bin_counts"], [7, 8])
        self.assertEqual(metrics["residuals"]["schema_type"], "residuals")
        self.assertEqual(len(metrics), 19)

    def test_children(self):
        run = self.script("children.py")
        self.assertEqual(run.metrics(), {"best score": 0.9})
        children = run.children(recursive=True)
        self.assertEqual(len(children), 6)
        found = {child.record()["display_name"]: child for child in children}
        self.assertEqual((found["alpha 0.2"].state, found["alpha 0.2"].metrics()), ("Completed", {"alpha": 0.2, "score": 0.8}))
        failed = next(iter(run.children(states=["Failed"])))
        error = failed.record()["error"]
        self.assertEqual((error["code"], error["message"]), ("no_luck", "this one did not work"))
        # One that nobody ended, when the script ended well.
        self.assertEqual((found["left open"].state, found["left open"].metrics()), ("Completed", {"x": 1.0}))

    def test_children_of_a_script_that_breaks(self):
        run = self.script("children.py", "--raise", state="Failed")
        left = next(child for child in run.children() if child.record()["display_name"] == "left open")
        self.assertEqual(left.state, "Failed")
        self.assertEqual(left.record()["error"]["message"], "ValueError: broken")

    def test_a_script_that_says_it_failed(self):
        run = self.code("from azureml.core import Run\nRun.get_context().fail('diverged\\nearly', error_code='nan loss')", state="Failed")
        error = run.record()["error"]
        self.assertEqual((error["code"], error["message"], error["rank"]), ("nan_loss", "diverged early", 0))

    def test_interactive_runs(self):
        """Outside of a job: runs that a program executes itself, in a workspace that config.json names."""
        self.write("project/.azureml/config.json", '{"trainyard_workspace": "../../workspace"}')
        self.write("project/sub/code.txt", "code")
        done = support.python("""
import os
os.chdir(%r)
from azureml.core import Experiment, Run, Workspace
workspace = Workspace.from_config()
experiment = Experiment(workspace=workspace, name="by-hand")
run = experiment.start_logging(snapshot_directory=".", display_name="first")
assert run.get_status() == "Running" and run.number == 1
run.log("x", 0.5)
run.log_list("y", [1, 2])
with open("made.txt", "w") as file:
    file.write("made")
run.upload_file("made.txt", "made.txt")
run.register_model("by-hand", "made.txt")
run.complete()
run.complete()
try:
    with experiment.start_logging(snapshot_directory=None) as other:
        raise RuntimeError("no")
except RuntimeError:
    pass
assert other.get_status() == "Failed"
assert [each.id for each in experiment.get_runs()] == [other.id, run.id]
assert Run(experiment, run.id).get_metrics() == {"x": 0.5, "y": [1, 2]}
print(run.id)
""" % self.path("project/sub"))
        self.assertEqual(done.returncode, 0, done.stderr)
        run = self.workspace.run(done.stdout.split()[0])
        self.assertEqual((run.state, run.metrics(), run.files("outputs/")), ("Completed", {"x": 0.5, "y": [1, 2]}, ["outputs/made.txt"]))
        self.assertEqual(self.workspace.model("by-hand").run_id, run.id)
        self.library.call("ty_run_restore_snapshot", run._handle, self.path("restored"))
        self.assertEqual(sorted(os.listdir(self.path("restored"))), ["code.txt"])

    def test_inputs_by_name(self):
        self.write("data/a.csv", "x,y\n1,2\n3,4\n")
        self.write("data/sub/b.csv", "x,y\n5,6\n")
        for mode in ("link", "download"):
            run = self.script("inputs.py", inputs={"training_data": {"source": self.path("data"), "mode": mode}})
            self.assertEqual(run.record()["job"]["inputs"]["training_data"]["location"], self.path("data"))
        self.script("inputs.py", variables={"training_data": self.path("data")})

    def test_data_assets_and_what_models_were_made_from(self):
        for content in ("first", "second"):
            self.library.call("ty_data_register", self.workspace._handle, "beeasset",
                              os.path.dirname(self.write("bees/%s/%s.txt" % (content, content), content)), None, None)
        self.write("plain/a.txt", "a")
        run = self.text([sys.executable, "datasets.py", "${{inputs.asset}}"], "Completed", source=support.SCRIPTS,
                        inputs={
                            "asset": {"source": "azureml:beeasset:2", "mode": "link"},
                            "older": {"source": "azureml:beeasset:1", "mode": "link"},
                            "plain": {"source": self.path("plain"), "mode": "download"}
                        })
        training, validation = self.workspace.model("bees", 1).datasets
        self.assertEqual({key: training[key] for key in ("scenario", "name", "id", "version", "source")}, {
            "scenario": "training",
            "name": "beeasset",
            "id": "beeasset:2",
            "version": 2,
            "source": "azureml:beeasset:2"
        })
        self.assertEqual((validation["scenario"], validation["name"]), ("validation", "plain"))
        resources = '{"cpu": 1, "memoryInGB": 0.5, "gpu": 0}'
        self.assertEqual(self.workspace.model("bees", 1).properties, {"p": "q", "resource_configuration": resources})
        inferencing, notes = self.workspace.model("bees", 2).datasets
        self.assertEqual((inferencing["scenario"], inferencing["id"]), ("inferencing", "beeasset:2"))
        self.assertEqual(notes, {"scenario": "notes", "name": "a description", "path": "a description"})
        # Another program that reads the run is told the same.
        seen = support.python("""
from azureml.core import Run, Workspace
entry = Run.get(Workspace(), %r).get_details()["inputDatasets"][0]
print(entry["dataset"], entry["dataset"].id)
""" % run.id, TRAINYARD_WORKSPACE=self.path("workspace"))
        self.assertEqual(seen.stdout.split(), [self.path("bees/second"), "beeasset:2"], seen.stderr)

    def test_references_telemetry_and_widgets(self):
        self.write("data/a.txt", "a")
        run = self.code("""
import os
from azureml.core import Dataset, Run
from azureml.data.data_reference import DataReference
from azureml.data.datapath import DataPath, DataPathComputeBinding
from azureml.data.dataset import Dataset as Same
from azureml.telemetry import set_diagnostics_collection
from azureml.widgets import RunDetails
assert Same is Dataset
run = Run.get_context()
set_diagnostics_collection(send_diagnostics=True)
RunDetails(run).show()
store = run.experiment.workspace.get_default_datastore()
reference = store.path("x/y").as_mount()
assert (str(reference), reference.mode, reference.local_path) == ("$AZUREML_DATAREFERENCE_x_y", "mount", None), repr(reference)
assert (store.path("x").path("y").path_on_datastore, store.as_upload().mode) == ("x/y", "upload")
named = DataReference(store, data_reference_name="training", path_on_datastore="x").as_download(path_on_compute="here")
assert (named.mode, named.path_on_compute, os.path.expandvars(str(named))) == ("download", "here", named.local_path)
assert os.path.isfile(os.path.join(named.local_path, "a.txt"))
made = DataPath(store, "x", "training").create_data_reference(datapath_compute_binding=DataPathComputeBinding(mode="upload"))
assert (str(made), made.mode) == (str(named), "upload")
try:
    Dataset.File.from_files(reference)
    raise SystemExit("its files are not reached from here")
except NotImplementedError as error:
    assert "input" in str(error), error
""", inputs={"training": {"source": self.path("data"), "mode": "link"}})
        self.assertEqual(self.log(run), "azureml.widgets: run %s is Running\n" % run.id)

    def test_several_ranks(self):
        run = self.code("""
import os
from azureml.core.run import Run
run = Run.get_context()
run.log("rank", int(os.environ["RANK"]))
if int(os.environ["RANK"]) == 0:
    run.tag("main", "yes")
run.complete()
""", processes=2)
        self.assertEqual([(rank, value) for rank, _, _, value in run.metric_points("rank")], [(0, 0.0), (1, 1.0)])
        self.assertEqual(run.tags, {"main": "yes"})

    def test_what_makes_no_sense_here_says_what_does(self):
        run = self.code("""
from azureml.core import ComputeTarget, Dataset, Datastore, Environment, Experiment, Run, ScriptRunConfig, Workspace
from azureml.core.compute import AmlCompute
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.runconfig import MpiConfiguration, RunConfiguration
from azureml.core.authentication import InteractiveLoginAuthentication
from azureml.data import OutputFileDatasetConfig
run = Run.get_context()
workspace = Workspace("sub", "group", "name", auth=InteractiveLoginAuthentication())
for call, words in (
    (lambda: ScriptRunConfig(source_directory="."), "ty_job_new_script"),
    (lambda: ComputeTarget(workspace=workspace, name="gpu"), "ty_compute_create"),
    (lambda: ComputeTarget.create(workspace, "gpu", None), "ComputeTarget.create"),
    (lambda: AmlCompute.provisioning_configuration(vm_size="x"), "ty_compute_create"),
    (lambda: Environment("e"), "ty_environment_new"),
    (lambda: Environment.get(workspace, "e"), "Environment.get"),
    (lambda: CondaDependencies(), "conda"),
    (lambda: MpiConfiguration(), "ty_job_set_distribution"),
    (lambda: RunConfiguration(), "ty_job_new_script"),
    (lambda: OutputFileDatasetConfig(), "outputs"),
    (lambda: Experiment(workspace, "e").submit(None), "ty_run_submit"),
    (lambda: run.submit_child(None), "child_run"),
    (lambda: Workspace.create("w"), "ty_workspace_open"),
    (lambda: workspace.get_default_datastore().upload("."), "outputs"),
    (lambda: Datastore.get(workspace, "d").download("."), "input"),
    (lambda: workspace.get_mlflow_tracking_uri(), "MLflow"),
):
    try:
        call()
    except NotImplementedError as error:
        assert words in str(error), (words, error)
    else:
        raise SystemExit("no error about " + words)
print("all said")
""")
        self.assertEqual(self.log(run), "all said\n")


class RealPackageTest(support.RunTest):

    def test_the_package_of_the_ranks_environment_wins(self):
        """In a virtual environment of its own, first without the SDK, then with a stand-in for it."""
        environment = self.path("environment")
        venv.create(environment, with_pip=False)
        executable = os.path.join(environment, "bin", "python")
        script = "import azureml.core; print(azureml.core.VERSION)"
        self.assertEqual(self.log(self.text([executable, "-c", script], state="Completed")), "0.1.0+trainyard\n")
        site = subprocess.check_output([executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], universal_newlines=True)
        core = os.path.join(site.strip(), "azureml", "core")
        os.makedirs(core)
        with open(os.path.join(core, "__init__.py"), "w") as file:
            file.write("VERSION = '1.2.3'\n")
        with open(os.path.join(os.path.dirname(core), "__init__.py"), "w") as file:
            file.write("__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n")
        self.assertEqual(self.log(self.text([executable, "-c", script], state="Completed")), "1.2.3\n")


class OldPythonTest(support.RunTest):
    """The interpreters that old environments have, where this machine has them."""

    def test_scripts_run_under_old_and_new_interpreters(self):
        tried = []
        for version in ("3.7", "3.8", "3.13"):
            executable = support.interpreters(version)
            if executable is None:
                continue
            tried.append(version)
            with self.subTest(version):
                run = self.script("dummy_train.py", executable=executable)
                self.assertEqual(len(run.metric("loss")), 3)
                for script in ("mnist_like.py", "kinds.py", "children.py"):
                    self.script(script, executable=executable)
        if not tried:
            self.skipTest("no other Python than %s is here" % sys.version.split()[0])


class NumPyTest(support.RunTest):

    def test_numbers_and_arrays_of_numpy(self):
        try:
            import numpy  # noqa: F401
        except ImportError:
            self.skipTest("numpy is not installed (package python3-numpy)")
        run = self.code("""
import numpy as np
from azureml.core import Run
run = Run.get_context()
run.log("f64", np.float64(0.5))
run.log("f32", np.float32(0.25))
run.log("i64", np.int64(3), step=np.int64(9))
run.log("array0", np.array(4.0))
run.log("array1", np.array([5.0]))
run.log("bool", np.bool_(True))
""")
        for name, value in (("f64", 0.5), ("f32", 0.25), ("i64", 3.0), ("array0", 4.0), ("array1", 5.0), ("bool", 1.0)):
            self.assertEqual(run.metric(name), [value], name)
        self.assertEqual(run.metric_points("i64")[0][1], 9)


if __name__ == "__main__":
    support.main()
