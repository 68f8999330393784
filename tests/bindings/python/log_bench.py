"""Started by tests/bench/python_log.sh: metrics logged per second by a script."""

import support

_SCRIPT = """
import time
from azureml.core import Run
import trainyard
runs = {"trainyard": trainyard.Run.get_context(), "azureml": Run.get_context()}
for name, run in runs.items():
    log, best = run.log, 0.0
    for attempt in range(5):
        start = time.perf_counter()
        for number in range(200000):
            log("loss", 0.5)
        best = max(best, 200000 / (time.perf_counter() - start))
    print("bench python_log_%s %.0f logs/s" % (name, best))
for name, arguments in (("int", (1,)), ("step", (0.5, 7))):
    log = runs["trainyard"].log
    start = time.perf_counter()
    for number in range(200000):
        log("loss", *arguments)
    print("bench python_log_%s %.0f logs/s" % (name, 200000 / (time.perf_counter() - start)))
"""


class Bench(support.RunTest):

    def runTest(self):
        run = self.code(_SCRIPT)
        print(self.log(run), end="")
        assert len(run.metric("loss", limit=10000000)) == 2400000


if __name__ == "__main__":
    raise SystemExit(not support.unittest.TextTestRunner(verbosity=0).run(Bench()).wasSuccessful())
