# Everything that can be logged, in the manner of the logging samples.
import json
import math

from azureml.core import Run


class Plot:
    """What matplotlib's figures and matplotlib.pyplot have."""

    def savefig(self, target, format=None, **_):
        with open(target, "wb") as file:
            file.write(b"\x89PNG plot " + (format or "").encode())


run = Run.get_context()

# Numbers and texts.
run.log("fibonacci", 1)
for number in (1, 2, 3):
    run.log(name="fibonacci", value=number)
run.log("optimizer", "sgd", description="which one")
run.log("max_depth", None)
run.log("not a number", math.nan)

# Lists, however long.
run.log_list("accuracies", [0.6, 0.7, 0.87])
run.log_list("long", range(600))
run.log_list(name="mixed", value=["a", 1, True, [1, 2]])

# Tables, row by row and whole.
for angle in range(3):
    run.log_row("cosine", angle=angle, cos=math.cos(angle))
run.log_row(name="Y over X", description="one", x=1, y=0.4)
run.log_table("squares", {"x": [1, 2, 3], "y": [1, 4, 9]})
run.log_table("long table", {"x": list(range(300)), "y": ["v"] * 300})

# Images: a file, a plot, a plot in the place of the file.
with open("image.png", "wb") as file:
    file.write(b"\x89PNG file")
run.log_image("by path", path="image.png")
run.log_image("by plot", plot=Plot())
run.log_image("by plot", Plot())

# Results of classification and regression: whole, without their frame, as JSON.
confusion = {"class_labels": ["cat", "dog"], "matrix": [[3, 1], [0, 4]]}
run.log_confusion_matrix("whole", {"schema_type": "confusion_matrix", "schema_version": "1.0.0", "data": confusion})
run.log_confusion_matrix("bare", confusion)
run.log_confusion_matrix("as json", json.dumps({"schema_type": "confusion_matrix", "data": confusion}))
run.log_confusion_matrix("matrix alone", [[1, 0], [0, 1]])
table = [[[2, 1, 1, 0], [1, 0, 2, 1]], [[1, 0, 2, 1], [2, 1, 1, 0]]]
run.log_accuracy_table("accuracy", {
    "schema_type": "accuracy_table",
    "schema_version": "v1",
    "data": {
        "class_labels": [0, 1],
        "probability_tables": table,
        "probability_thresholds": [0.0, 1.0],
        "percentile_tables": table,
        "percentile_thresholds": [0.0, 1.0]
    }
})
run.log_predictions("predictions", {"bin_edges": [0, 1, 2], "bin_averages": [0.5, 1.5], "bin_errors": [0, 0], "bin_counts": [7, 8]})
run.log_residuals("residuals", {"bin_edges": [0, 1, 2], "bin_counts": [7, 8]})
run.flush()
