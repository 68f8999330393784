# Logs from the process itself, from threads, and from a process that it forks.
import os
import sys
import threading

from azureml.core import Run

run = Run.get_context()
assert Run.get_context() == run
count = int(sys.argv[1])
run.log("rank", int(os.environ["RANK"]))


def work(name):
    for number in range(count):
        Run.get_context().log(name, number)


threads = [threading.Thread(target=work, args=("thread%d" % number,)) for number in range(4)]
for thread in threads:
    thread.start()
child = os.fork()
if child == 0:
    status = 1
    try:
        for number in range(count):
            run.log("forked", number)
        run.flush()
        try:
            run.tag("from", "the child")
        except Exception as error:
            status = 0 if "spawn" in str(error) else 2
    finally:
        os._exit(status)
assert os.waitpid(child, 0)[1] == 0
for thread in threads:
    thread.join()
run.tag("from", "the parent")
