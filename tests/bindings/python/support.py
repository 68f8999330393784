"""What the tests of the Python packages share: jobs through the C API, each test with a workspace and slots of its own.

Variables set by CMakeLists.txt: TRAINYARD_TEST_LIBRARY (libtrainyard.so), TRAINYARD_TEST_PACKAGES (the packages as the build installs
them), TRAINYARD_TEST_SOURCE (the checkout).
"""

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

LIBRARY = os.environ["TRAINYARD_TEST_LIBRARY"]
PACKAGES = os.environ["TRAINYARD_TEST_PACKAGES"]
SOURCE = os.environ["TRAINYARD_TEST_SOURCE"]
COMPATIBILITY = os.path.join(PACKAGES, "azureml_compat")
SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scripts")

sys.dont_write_bytecode = True
sys.path.insert(0, PACKAGES)
os.environ["TRAINYARD_LIBRARY"] = LIBRARY

import trainyard  # noqa: E402
from trainyard import _capi  # noqa: E402

# What a host needs, beside what the package declares.
_JOBS = """
ty_status ty_job_from_json(const char *json, ty_job **out_job, ty_error **err);
ty_status ty_job_set_secret(ty_job *job, const char *name, const char *value, ty_error **err);
void ty_job_free(ty_job *job);
ty_status ty_data_register(const ty_workspace *workspace, const char *name, const char *source, const char *metadata_json,
                           int64_t *out_version, ty_error **err);
ty_status ty_run_submit(ty_workspace *workspace, const char *experiment, const ty_job *job, ty_run **out_run, ty_error **err);
"""


def outside(**changes):
    """The environment of this process, but outside of any run. None takes a variable away."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TRAINYARD_", "AZUREML_", "PYTHON"))}
    environment.update(PYTHONDONTWRITEBYTECODE="1", **{name: value for name, value in changes.items() if value is not None})
    return environment


def python(script, *arguments, path=(), executable=sys.executable, **variables):
    """Runs a script or -c text outside of a run; the finished process, with text output."""
    command = [executable] + (["-c", script] if "\n" in script or " " in script else [script]) + list(arguments)
    variables.setdefault("PYTHONPATH", os.pathsep.join(path or (PACKAGES, COMPATIBILITY)))
    variables.setdefault("TRAINYARD_LIBRARY", LIBRARY)
    return subprocess.run(command, env=outside(**variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                          timeout=120)


class RunTest(unittest.TestCase):
    """Submits scripts as jobs to a workspace in a temporary directory."""

    maxDiff = None

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="trainyard-python-")
        self.addCleanup(shutil.rmtree, self.directory)
        os.environ["XDG_RUNTIME_DIR"] = self.directory
        os.environ["TRAINYARD_LOCAL_SLOTS"] = "8"
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        self.workspace = trainyard.Workspace(os.path.join(self.directory, "workspace"))
        self.library = self.workspace._library
        self.library.declare(_JOBS)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def submit(self, *command, source=None, variables=(), secrets=(), processes=1, experiment="python", inputs=None, description=None):
        description = dict(description or {"kind": "command", "command": list(command)}, schema_version=1, variables=dict(variables))
        if inputs:
            description["inputs"] = inputs
        if source is not None:
            description["source_directory"] = source
        if processes > 1:
            description["distribution"] = {"type": "pytorch", "process_count": processes}
        job = self.library.make("ty_job_from_json", "ty_job_free", json.dumps(description))
        for name, value in dict(secrets).items():
            self.library.call("ty_job_set_secret", job, name, value)
        run = trainyard.Run(self.library.make("ty_run_submit", "ty_run_free", self.workspace._handle, experiment, job), self.workspace)
        self.addCleanup(self._end, run)
        return run

    def _end(self, run):
        if run.state not in ("Completed", "Failed", "Canceled"):
            run.cancel()
            run.wait()

    def script(self, name, *arguments, executable=sys.executable, state="Completed", **job):
        """Runs one of scripts/ to its end."""
        return self.text([executable, name] + list(arguments), source=SCRIPTS, state=state, **job)

    def code(self, text, state="Completed", **job):
        """Runs Python code to its end."""
        return self.text([sys.executable, "-c", text], state=state, **job)

    def text(self, command, state, **job):
        run = self.submit(*command, **job)
        self.assertEqual(run.wait(120), state, self.log(run))
        return run

    def log(self, run):
        """What all ranks printed, one after the other."""
        return "".join(self.content(run, name) for name in run.files("user_logs/"))

    def content(self, run, name):
        target = self.path("downloaded")
        run.download_file(name, target)
        with open(target, errors="replace") as file:
            return file.read()


def interpreters(version):
    """Other Pythons of this machine, such as pyenv has them."""
    places = [shutil.which("python" + version)] + glob.glob(os.path.expanduser("~/.pyenv/versions/%s.*/bin/python" % version))
    for place in places:
        if place and subprocess.run([place, "-c", "import ctypes"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            return place
    return None


def main():
    unittest.main(verbosity=2)
