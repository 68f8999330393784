"""What runs inside and outside of trainyard share: what may be logged, and how it is brought into form."""

import os
import tempfile

from trainyard import _values


class RunBase:
    """The calls that only bring their arguments into form. Subclasses write (Run) or print (OfflineRun):
    _log_number, _log_text, _log_record, _log_image_file, upload_file, complete, fail."""

    def log(self, name, value, step=None):
        """Appends a number or a text to the metric `name`. `step` None: the next one."""
        value = _values.scalar(value)
        if isinstance(value, float):
            self._log_number(name, value, step)
        else:
            self._log_text(name, value, step)

    def log_list(self, name, values):
        """Appends a list of numbers or texts as one record."""
        self._log_record("list", name, _values.cells(values))

    def log_row(self, name, **columns):
        """Appends one row of a table with these columns."""
        self._log_record("row", name, {column: _values.cell(value) for column, value in columns.items()})

    def log_table(self, name, columns):
        """Appends a whole table: a dict of columns, {"x": [1, 2], "y": [3, 4]}."""
        self._log_record("table", name, _values.columns(columns))

    def log_image(self, name, path=None, plot=None):
        """Appends an image: a file, or anything with savefig (a matplotlib figure, or matplotlib.pyplot itself)."""
        if (path is None) == (plot is None):
            raise ValueError("log_image takes either path or plot, for metric '%s'" % name)
        if plot is None:
            self._log_image_file(name, os.fspath(path))
            return
        with tempfile.TemporaryDirectory(prefix="trainyard-image") as directory:
            path = os.path.join(directory, "image.png")
            plot.savefig(path, format="png")
            self._log_image_file(name, path)

    def log_confusion_matrix(self, name, value):
        """Appends a confusion matrix: a dict or JSON text with class_labels and matrix (or both under "data"), or a matrix alone."""
        self._log_record("confusion_matrix", name, _values.with_schema("confusion_matrix", value))

    def log_accuracy_table(self, name, value):
        """Appends an accuracy table: a dict or JSON text."""
        self._log_record("accuracy_table", name, _values.with_schema("accuracy_table", value))

    def log_predictions(self, name, value):
        """Appends predictions: a dict or JSON text."""
        self._log_record("predictions", name, _values.with_schema("predictions", value))

    def log_residuals(self, name, value):
        """Appends residuals: a dict or JSON text."""
        self._log_record("residuals", name, _values.with_schema("residuals", value))

    def upload_folder(self, name, path):
        """Adds all files below the directory `path` as files `name`/..."""
        if not os.path.isdir(path):
            raise NotADirectoryError("upload_folder: '%s' is no directory" % path)
        for directory, _, files in sorted(os.walk(path)):
            for file in sorted(files):
                source = os.path.join(directory, file)
                relative = os.path.relpath(source, path).replace(os.sep, "/")
                self.upload_file(name.rstrip("/") + "/" + relative, source)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is None or (isinstance(error, SystemExit) and not error.code):
            self.complete()
        else:
            self.fail("%s: %s" % (kind.__name__, error))
        return False
