# Child runs of a script, as samples make them for a sweep in one process.
import sys

from azureml.core import Run

run = Run.get_context()

for alpha in (0.1, 0.2):
    with run.child_run(name="alpha %s" % alpha) as child:
        child.log("alpha", alpha)
        child.log("score", 1 - alpha)
        child.tag("alpha", alpha)

first, second = run.create_children(tag_key="fold", tag_values=["a", "b"])
first.log("fold", 1)
grandchild = first.child_run()
grandchild.log("deep", 2)
grandchild.complete()
first.complete()
assert first.get_status() == "Completed" and second.get_status() == "Running"
second.fail("this one did not work", error_code="no luck")
assert second.get_status() == "Failed"
assert [child.id for child in run.get_children(tags={"fold": "a"})] == [first.id]
assert len(list(run.get_children())) == 4 and len(list(run.get_children(recursive=True))) == 5
assert grandchild.parent == first and first.parent == run and run.parent is None
assert [child.id for child in run.get_children(status="Failed")] == [second.id]

best = max((child for child in run.get_children() if "score" in child.get_metrics()), key=lambda child: child.get_metrics()["score"])
run.log("best score", best.get_metrics()["score"])
assert best.get_tags() == {"alpha": "0.1"}
everything = run.get_metrics(recursive=True)
assert everything[run.id] == {"best score": 0.9} and everything[grandchild.id] == {"deep": 2.0}, everything

left = run.child_run("left open")
left.log("x", 1)
if "--raise" in sys.argv:
    raise ValueError("broken")
