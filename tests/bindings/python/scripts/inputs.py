# Data by the names of the job's inputs.
import os

from azureml.core import Dataset, Run

run = Run.get_context()
workspace = run.experiment.workspace

folder = run.input_datasets["training_data"]
assert sorted(os.listdir(folder)) == ["a.csv", "sub"]
data = Dataset.get_by_name(workspace, name="training_data")
assert data.to_path() == ["/a.csv", "/sub/b.csv"]
with data.mount() as mounted:
    assert os.path.isfile(os.path.join(mounted.mount_point, "a.csv"))
copied = data.download(target_path="copy", overwrite=True)
assert [os.path.relpath(path, "copy") for path in copied] == ["a.csv", "sub/b.csv"]
assert data.as_named_input("x").as_download() == folder
try:
    run.input_datasets["nothing"]
    raise SystemExit("there is no such input")
except KeyError as error:
    assert "nothing" in str(error)
assert "training_data" in workspace.datasets and "nothing" not in workspace.datasets
local = Dataset.Tabular.from_delimited_files(path=os.path.join(folder, "a.csv"))
assert local.files() == [os.path.join(folder, "a.csv")]
try:
    import pandas
except ImportError:
    print("no pandas")
else:
    assert list(local.to_pandas_dataframe()["x"]) == [1, 3]
    assert len(data.to_pandas_dataframe()) == 3
