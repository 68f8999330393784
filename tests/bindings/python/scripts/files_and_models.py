# Files in and out of a run, and models of the workspace.
import io
import os

from azureml.core import Dataset, Model, Run, Workspace
from azureml.core.model import Model as SameModel
from azureml.exceptions import AzureMLException, WebserviceException

run = Run.get_context(allow_offline=False)
workspace = run.experiment.workspace
assert isinstance(workspace, Workspace) and Workspace.from_config().name == workspace.name
assert SameModel is Model and Dataset is not None
assert run.experiment.name == os.environ["AZUREML_ARM_PROJECT_NAME"]
assert workspace.name == os.environ["AZUREML_ARM_WORKSPACE_NAME"]

# A name outside of outputs/ and logs/ is kept below outputs/.
os.makedirs("scratch/deep", exist_ok=True)
for name in ("scratch/a.txt", "scratch/deep/b.txt"):
    with open(name, "w") as file:
        file.write(name)
run.upload_file("a.txt", "scratch/a.txt")
run.upload_file(name="outputs/from_stream.txt", path_or_stream=io.BytesIO(b"stream"))
run.upload_folder("model", "scratch")
names = run.get_file_names()
for name in ("outputs/a.txt", "outputs/from_stream.txt", "outputs/model/a.txt", "outputs/model/deep/b.txt"):
    assert name in names, names

run.download_file("a.txt", output_file_path="got.txt")
assert open("got.txt").read() == "scratch/a.txt"
run.download_files(prefix="outputs/model", output_directory="got")
assert open("got/outputs/model/deep/b.txt").read() == "scratch/deep/b.txt"
run.download_files(prefix="model", output_directory="bare", append_prefix=False)
assert open("bare/deep/b.txt").read() == "scratch/deep/b.txt"
print("a line for the log", flush=True)
logs = run.get_all_logs(destination="logs_got")
assert any(path.endswith("std_log.txt") for path in logs), logs

# Models: of the run, of a path, found again.
try:
    Model(workspace, "folder")
    raise SystemExit("there should be no model yet")
except WebserviceException as error:
    assert "ModelNotFound" in str(error), error
first = run.register_model("folder", model_path="model/", tags={"stage": "test", "n": 1}, properties={"p": "q"})
assert (first.name, first.version, first.id) == ("folder", 1, "folder:1")
second = Model.register(workspace=workspace, model_path="scratch/a.txt", model_name="folder", tags={"stage": "live"},
                        description="one file", model_framework=Model.Framework.PYTORCH, model_framework_version="2.0")
assert second.version == 2 and second.description == "one file" and second.model_framework == "PyTorch"
assert Model(workspace, "folder").version == 2
assert Model(workspace, id="folder:1").version == 1
assert Model(workspace, "folder", tags=[["stage", "test"]]).version == 1
assert [model.version for model in Model.list(workspace, "folder")] == [2, 1]
assert workspace.models["folder"].version == 2

path = Model.get_model_path("folder")
assert path == os.path.join("azureml-models", "folder", "2", "a.txt"), path
assert open(path).read() == "scratch/a.txt"
folder = Model.get_model_path("folder", version=1, _workspace=workspace)
assert open(os.path.join(folder, "deep", "b.txt")).read() == "scratch/deep/b.txt"
target = Model(workspace, name="folder").download(target_dir="downloaded", exist_ok=True)
assert open(target).read() == "scratch/a.txt"

try:
    run.upload_file("a.txt", "scratch/deep/b.txt")
    raise SystemExit("a file was replaced")
except AzureMLException as error:
    assert "a.txt" in error.message

# The run, as others see it.
run.tag("worth another look")
run.set_tags({"a": 1, "b": None})
run.remove_tags(["b"])
assert run.get_tags() == {"worth another look": "", "a": "1"}, run.get_tags()
assert run.get_status() == "Running" and run.number == 1 and run.parent is None
details = run.get_details()
assert details["runId"] == run.id and details["status"] == "Running" and details["endTimeUtc"] is None
assert "user_logs/std_log.txt" in details["logFiles"]
again = Run(run.experiment, run_id=run.id)
assert again == run and [each.id for each in run.experiment.get_runs(tags="a")] == [run.id]
assert run.get_secret("my-secret") == "hush" == workspace.get_default_keyvault().get_secret("my-secret")
assert run.get_secret("none") is None
