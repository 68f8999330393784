"""Scripts in the manner of those published for Azure ML, unmodified, as jobs: every metric, tag, file and model is where it should be."""

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
run.log("rest", len(args.rest))
""")
        parameters = [{"name": "--lr", "value": "0.25"}, {"name": "--flag", "value": ""}]
        run = self.text([], "Completed", source=self.path("source"), description={
            "kind": "script",
            "script": "train.py",
            "script_parameters": parameters,
            "arguments": ["last"]
        })
        self.assertEqual(self.values(run), {"lr": [0.25], "flag": [1.0], "rest": [1.0]})

    def test_inputs_by_name(self):
        self.write("data/a.csv", "x,y\n1,2\n3,4\n")
        self.write("data/sub/b.csv", "x,y\n5,6\n")
        for variable in ("training_data", "AZUREML_DATAREFERENCE_training_data"):
            self.script("inputs.py", variables={variable: self.path("data")})

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
                self.script("mnist_like.py", executable=executable)
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
