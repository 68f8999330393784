# Data assets as the inputs of a job, and models that say what they were made from. The argument is the path of the input `asset`.
import os
import sys

from azureml.core import Dataset, Run
from azureml.core.model import Dataset as SameDataset
from azureml.core.model import Model, ResourceConfiguration
from azureml.core.resource_configuration import ResourceConfiguration as SameConfiguration
from azureml.exceptions import UserErrorException

assert SameDataset is Dataset and SameConfiguration is ResourceConfiguration
run = Run.get_context()
workspace = run.experiment.workspace
path = sys.argv[1]

by_input = run.input_datasets["asset"]
assert by_input == path and os.path.isfile(os.path.join(path, "second.txt"))
assert (by_input.name, by_input.version, by_input.id) == ("beeasset", 2, "beeasset:2")
for dataset in (
        Dataset.get_by_name(workspace, "asset"),
        Dataset.get_by_name(workspace, name="beeasset"),
        Dataset.get_by_name(workspace, "beeasset", version=2),
        Dataset.get_by_id(workspace, id=path),
        Dataset.get_by_id(workspace, id=by_input.id),
        Dataset.get_by_id(workspace, "azureml:beeasset:2"),
):
    assert (dataset, dataset.id, dataset.source) == (path, "beeasset:2", "azureml:beeasset:2"), (dataset, dataset.id, dataset.source)
# The latest of those that the job has, or the one that is asked for.
assert Dataset.get_by_name(workspace, "beeasset", version=1) == os.environ["AZURE_ML_INPUT_older"]
plain = Dataset.get_by_name(workspace, "plain")
assert (plain.name, plain.id, plain.version) == ("plain", "plain", None)
for name, version, said in (("nothing", "latest", "'nothing' here"), ("beeasset", 3, "'beeasset' of version 3 here")):
    try:
        Dataset.get_by_name(workspace, name, version=version)
        raise SystemExit("there is no such data")
    except UserErrorException as error:
        assert said in str(error), error
        assert "asset (azureml:beeasset:2), older (azureml:beeasset:1), plain" in str(error), error

details = run.get_details()["inputDatasets"]
assert [(entry["consumptionDetails"]["inputName"], entry["name"], entry["version"], entry["mechanism"]) for entry in details] == [
    ("asset", "beeasset", 2, "Mount"), ("older", "beeasset", 1, "Mount"), ("plain", "plain", None, "Download")
], details
assert details[0]["dataset"] == path and details[0]["dataset"].id == "beeasset:2" and details[0]["source"] == "azureml:beeasset:2"

os.makedirs("outputs", exist_ok=True)
with open("outputs/model.txt", "w") as file:
    file.write("weights")
model = run.register_model("bees", "outputs/model.txt", properties={"p": "q"},
                           datasets=[(Dataset.Scenario.TRAINING, by_input), (Dataset.Scenario.VALIDATION, plain)],
                           resource_configuration=ResourceConfiguration(cpu=1, memory_in_gb=0.5, gpu=0))
assert sorted(model.datasets) == ["training", "validation"]
assert [dataset.id for dataset in model.datasets["training"]] == ["beeasset:2"]
Model.register(workspace, "outputs/model.txt", "bees", datasets=[("inferencing", by_input), ("notes", "a description")])
