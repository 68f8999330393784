"""Notebooks' views of a run."""


class RunDetails:
    """Shows nothing but one line: a script has nobody who looks at it."""

    def __init__(self, run_instance):
        self._run = run_instance

    def show(self, render_lib=None, widget_settings=None):
        print("azureml.widgets: run %s is %s" % (self._run.id, self._run.get_status()))

    def get_widget_data(self, widget_settings=None):
        return {"run_id": self._run.id, "status": self._run.get_status()}


__all__ = ["RunDetails"]
