"""Runs that this process executes, and what becomes of those that nobody has ended when the interpreter ends."""

import atexit
import sys


class ExecutedRuns:
    """A set of runs. The first one makes it listen to how the interpreter ends."""

    def __init__(self):
        self._runs = []
        self._listening = False
        self._error = None

    def add(self, run):
        if not self._listening:
            self._listening = True
            self._excepthook = sys.excepthook
            sys.excepthook = self._note
            atexit.register(self._end)
        self._runs.append(run)

    def discard(self, run):
        self._runs = [other for other in self._runs if other is not run]

    def forget(self):
        """In a forked child: they are the parent's."""
        self._runs = []

    def _note(self, kind, error, trace):
        self._error = "%s: %s" % (kind.__name__, error)
        self._excepthook(kind, error, trace)

    def _end(self):
        # Children before their parents.
        for run in reversed(list(self._runs)):
            try:
                if self._error is None:
                    run.complete()
                else:
                    run.fail(self._error)
            except Exception as error:  # the interpreter ends: nobody else can be told
                print("trainyard: run %s could not be ended: %s" % (run.id, error), file=sys.stderr)
