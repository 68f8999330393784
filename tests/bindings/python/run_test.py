"""trainyard.Run inside real runs: what it logs, tags, keeps and registers is what the C API gives."""

import json
import os
import sys

import support


class RunTest(support.RunTest):

    def test_a_script_logs_numbers_that_the_host_reads(self):
        run = self.code("""
import trainyard
run = trainyard.Run.get_context()
assert run is trainyard.Run.get_context()
print(run.id, run.experiment_name, run.rank, run.state, run.parent)
for number in range(1000):
    run.log("loss", 1 / (number + 1))
run.log("chosen", 7, step=70)
run.log("chosen", True, step=71)
run.log("large", 10 ** 400)
run.log("nan", float("nan"))
run.log_many("many", range(5), steps=[9, 8, 7, 6, 5])
run.log_progress(epoch=1, epochs=2, loss=float("inf"))
run.flush()
assert run.metric("chosen") == [7.0, 1.0]
assert run.metric_names()[:2] == ["chosen", "large"], run.metric_names()
""")
        self.assertEqual(self.log(run), "%s python 0 Running None\n" % run.id)
        points = run.metric_points("loss")
        self.assertEqual([value for _, _, _, value in points], [1 / (number + 1) for number in range(1000)])
        self.assertEqual([step for _, step, _, _ in points], list(range(1000)))
        self.assertEqual({rank for rank, _, _, _ in points}, {0})
        self.assertTrue(all(time > 1600000000000 for _, _, time, _ in points))
        self.assertEqual([(step, value) for _, step, _, value in run.metric_points("chosen")], [(70, 7.0), (71, 1.0)])
        self.assertEqual(run.metric("large"), [float("inf")])
        self.assertNotEqual(*run.metric("nan") * 2)
        self.assertEqual([(step, value) for _, step, _, value in run.metric_points("many")], [(9, 0.0), (8, 1.0), (7, 2.0), (6, 3.0),
                                                                                             (5, 4.0)])
        self.assertEqual(run.metric("loss", offset=998), [1 / 999, 1 / 1000])

    def test_every_rank_logs_as_itself(self):
        run = self.code("import trainyard; run = trainyard.Run.get_context(); run.log('rank', run.rank)", processes=3)
        self.assertEqual([(rank, value) for rank, _, _, value in run.metric_points("rank")], [(0, 0.0), (1, 1.0), (2, 2.0)])

    def test_every_rank_knows_its_name_and_log(self):
        run = self.code("import os; print(os.environ['AZUREML_PROCESS_NAME'], open(os.environ['AZUREML_DRIVERLOG_PATH']).read() == '')",
                        processes=2)
        self.assertEqual(self.log(run), "rank_0 True\nrank_1 True\n")
        run = self.code("import os; print(os.environ['AZUREML_PROCESS_NAME'])")
        self.assertEqual(self.log(run), "main\n")

    def test_tags_properties_files_and_models(self):
        run = self.code("""
import os, trainyard
run = trainyard.Run.get_context()
run.set_tag("colour", "red"); run.set_tag("colour", "blue"); run.set_tag("gone"); run.remove_tag("gone")
run.set_property("made by", "a test"); run.set_property("made by", "a test")
try:
    run.set_property("made by", "another")
    raise SystemExit("a property changed")
except trainyard.AlreadyExistsError as error:
    assert "made by" in str(error)
open("outputs/weights", "w").write("1 2 3")
run.upload_file("outputs/weights", "outputs/weights")  # in its place already
open("else", "w").write("other")
try:
    run.upload_file("outputs/weights", "else")
    raise SystemExit("a file was replaced")
except trainyard.AlreadyExistsError:
    pass
os.makedirs("tree/deep"); open("tree/1", "w").close(); open("tree/deep/2", "w").close()
run.upload_folder("logs/tree", "tree")
model = run.register_model("net", "outputs/weights")
print(model, model.files, model.run_id == run.id)
""")
        self.assertEqual(self.log(run), "Model(name='net', version=1) ['weights'] True\n")
        self.assertEqual(run.tags, {"colour": "blue"})
        self.assertEqual(run.properties["made by"], "a test")
        self.assertEqual([name for name in run.files() if not name.startswith("system_logs/")],
                         ["logs/tree/1", "logs/tree/deep/2", "outputs/weights", "user_logs/std_log.txt"])
        self.assertEqual(self.content(run, "outputs/weights"), "1 2 3")
        model = self.workspace.model("net")
        self.assertEqual((model.version, model.run_id), (1, run.id))
        model.set_tag("stage", "test")
        self.assertEqual(self.workspace.model("net", 1).tags, {"stage": "test"})
        with open(model.download(self.path("model"))) as file:
            self.assertEqual(file.read(), "1 2 3")

    def test_threads_and_forked_processes_log(self):
        run = self.script("processes.py", "500")
        for name in ("thread0", "thread1", "thread2", "thread3", "forked"):
            self.assertEqual(run.metric(name), [float(number) for number in range(500)], name)
        self.assertEqual(run.tags, {"from": "the parent"})

    def test_a_host_may_not_log_to_a_run_that_has_ended(self):
        run = self.code("pass")
        with self.assertRaisesRegex(support.trainyard.InvalidStateError, "has ended"):
            run.log("late", 1.0)

    def test_a_context_manager_completes_or_fails(self):
        self.code("import trainyard\nwith trainyard.Run.get_context() as run: run.log('x', 1)")
        self.code("import sys, trainyard\nwith trainyard.Run.get_context(): sys.exit()")
        run = self.code("import trainyard\nwith trainyard.Run.get_context() as run: raise ValueError('broken')", state="Failed")
        self.assertIn("ValueError: broken", json.dumps(run.record()["error"]))

    def test_a_run_cancels_itself(self):
        run = self.code("import time, trainyard\ntrainyard.Run.get_context().cancel()\ntime.sleep(60)", state="Canceled")
        self.assertEqual(run.state, "Canceled")

    def test_a_library_that_cannot_be_loaded_is_said_once(self):
        damaged = self.write("damaged.so", "not a library")
        run = self.code("""
import os
os.environ["TRAINYARD_LIBRARY"] = %r
import trainyard
for number in range(2):
    trainyard.Run.get_context().log("x", number)
try:
    trainyard.Run.get_context(allow_offline=False)
    raise SystemExit("there is no run")
except trainyard.LibraryNotFoundError:
    pass
""" % damaged)
        log = self.log(run)
        self.assertEqual(log.count("trainyard: this is a run, but nothing it logs is kept"), 1, log)
        self.assertIn(damaged, log)
        self.assertEqual(log.count("Attempted to log scalar metric x:\n"), 2, log)
        self.assertNotIn("x", run.metric_names())


class EnvironmentTest(support.RunTest):

    def test_the_runner_names_library_and_packages(self):
        run = self.code("""
import os, sys
import trainyard
print(os.environ["TRAINYARD_LIBRARY"])
print(os.path.realpath(trainyard.__file__))
print(os.environ["PYTHONPATH"])
""", variables={"PYTHONPATH": "/of/the/user"})
        library, package, path = self.log(run).splitlines()
        self.assertEqual(os.path.realpath(library), os.path.realpath(support.LIBRARY))
        self.assertEqual(package, os.path.realpath(os.path.join(support.PACKAGES, "trainyard", "__init__.py")))
        self.assertEqual(path, ":".join(["/of/the/user", support.PACKAGES, support.COMPATIBILITY]))

    def test_a_run_submitted_by_a_run_gets_the_packages_once(self):
        inner = self.path("inner.txt")
        script = """
import os, sys
sys.path.insert(0, %r)
os.environ.update(TRAINYARD_TEST_LIBRARY=%r, TRAINYARD_TEST_PACKAGES=%r, TRAINYARD_TEST_SOURCE=%r)
import support
class Inner(support.RunTest):
    def runTest(self):
        run = self.code("import os; print(os.environ['PYTHONPATH']); print(os.environ['TRAINYARD_RUN_ID'])")
        open(%r, "w").write(self.log(run) + run.id)
support.unittest.TextTestRunner().run(Inner())
""" % (os.path.dirname(os.path.abspath(support.__file__)), support.LIBRARY, support.PACKAGES, support.SOURCE, inner)
        self.code(script)
        with open(inner) as file:
            path, in_run, submitted = file.read().splitlines()
        self.assertEqual(path.split(":").count(support.PACKAGES), 1)
        self.assertEqual(in_run, submitted)


if __name__ == "__main__":
    support.main()
