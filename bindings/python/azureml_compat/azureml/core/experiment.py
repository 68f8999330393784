"""A named group of runs."""

from azureml.core._local import elsewhere


class Experiment:

    def __init__(self, workspace, name, **_):
        self.workspace = workspace
        self.name = name
        self.id = name

    def get_runs(self, type=None, tags=None, properties=None, status=None, include_children=False):
        """Newest first. `tags` and `properties`: one key, or a dict of which each must be there."""
        from azureml.core.run import select_runs

        return select_runs(self, tags, properties, status, include_children)

    def start_logging(self, *_, display_name=None, snapshot_directory=".", **__):
        """A run that this process executes itself; as a context manager it ends with the block."""
        from azureml.core.run import Run

        opened = self.workspace._workspace.start_run(self.name, display_name=display_name, source_directory=snapshot_directory)
        return Run(self, None, _run=opened)

    @staticmethod
    def list(workspace, experiment_name=None, **_):
        found = workspace.experiments.values()
        return [experiment for experiment in found if experiment_name in (None, experiment.name)]

    def submit(self, *_, **__):
        raise elsewhere("Experiment.submit", "runs are submitted by ty_run_submit, or made as children with run.child_run()")

    def __repr__(self):
        return "Experiment(name=%r)" % self.name


__all__ = ["Experiment"]
