"""libtrainyard.so through ctypes: finding it, its prototypes, errors as exceptions.

PROTOTYPES holds C declarations as they stand in include/trainyard (a test compares them with the headers), so a new function is one line.
Nothing is loaded when this module is imported; load() does it at the first use. Python 3.7 and newer, standard library only.
"""

import ctypes
import glob
import os
import re
import threading
import weakref

LIBRARY_VARIABLE = "TRAINYARD_LIBRARY"

OK, END = 0, -1

PROTOTYPES = """
const char *ty_version(void);
const char *ty_status_name(ty_status status);
void ty_string_free(char *string);
size_t ty_string_list_size(const ty_string_list *list);
const char *ty_string_list_get(const ty_string_list *list, size_t index);
void ty_string_list_free(ty_string_list *list);
ty_status ty_error_status(const ty_error *error);
const char *ty_error_message(const ty_error *error);
const char *ty_error_detail(const ty_error *error, const char *key);
void ty_error_free(ty_error *error);

ty_status ty_workspace_open(const char *location, ty_workspace **out_workspace, ty_error **err);
void ty_workspace_free(ty_workspace *workspace);
const char *ty_workspace_location(const ty_workspace *workspace);
ty_status ty_workspace_list_runs(const ty_workspace *workspace, const char *filter_json, int32_t page_size, const char *page_token,
                                 ty_string_list **out_ids, char **out_next, ty_error **err);
ty_status ty_workspace_list_runs_json(const ty_workspace *workspace, const char *filter_json, int32_t page_size, const char *page_token,
                                      char **out_json, char **out_next, ty_error **err);
ty_status ty_workspace_list_experiments(const ty_workspace *workspace, ty_string_list **out_names, ty_error **err);
ty_status ty_workspace_list_models(const ty_workspace *workspace, ty_string_list **out_names, ty_error **err);

ty_status ty_run_get(ty_workspace *workspace, const char *run_id, ty_run **out_run, ty_error **err);
ty_status ty_run_current(ty_run **out_run, ty_error **err);
void ty_run_free(ty_run *run);
const char *ty_run_id(const ty_run *run);
const char *ty_run_experiment(const ty_run *run);
const char *ty_run_state_name(ty_run_state state);
int32_t ty_run_state_is_final(ty_run_state state);
ty_status ty_run_get_state(const ty_run *run, ty_run_state *out_state, ty_error **err);
ty_status ty_run_wait(const ty_run *run, int64_t timeout_ms, ty_run_state *out_state, ty_error **err);
ty_status ty_run_wait_for_completion(const ty_run *run, int32_t output_fd, ty_run_state *out_state, ty_error **err);
ty_status ty_run_cancel(const ty_run *run, ty_error **err);
ty_status ty_run_to_json(const ty_run *run, char **out_json, ty_error **err);
ty_status ty_run_log_metric(const ty_run *run, const char *name, double value, int64_t step, ty_error **err);
ty_status ty_run_log_metrics(const ty_run *run, const char *name, const double *values, const int64_t *steps, size_t count, ty_error **err);
ty_status ty_run_log_text(const ty_run *run, const char *name, const char *text, int64_t step, ty_error **err);
ty_status ty_run_log_list(const ty_run *run, const char *name, const char *json, int64_t step, ty_error **err);
ty_status ty_run_log_row(const ty_run *run, const char *name, const char *json, int64_t step, ty_error **err);
ty_status ty_run_log_table(const ty_run *run, const char *name, const char *json, int64_t step, ty_error **err);
ty_status ty_run_log_image(const ty_run *run, const char *name, const char *path, const char *caption, int64_t step, ty_error **err);
ty_status ty_run_log_confusion_matrix(const ty_run *run, const char *name, const char *json, int64_t step, ty_error **err);
ty_status ty_run_log_accuracy_table(const ty_run *run, const char *name, const char *json, int64_t step, ty_error **err);
ty_status ty_run_log_predictions(const ty_run *run, const char *name, const char *json, int64_t step, ty_error **err);
ty_status ty_run_log_residuals(const ty_run *run, const char *name, const char *json, int64_t step, ty_error **err);
ty_status ty_run_log_progress(const ty_run *run, const char *json, ty_error **err);
ty_status ty_run_flush(const ty_run *run, ty_error **err);
ty_status ty_run_list_metrics(const ty_run *run, ty_string_list **out_names, ty_error **err);
ty_status ty_run_list_metrics_json(const ty_run *run, char **out_json, ty_error **err);
ty_status ty_run_get_metrics_json(const ty_run *run, const char *query_json, char **out_json, ty_error **err);
ty_status ty_run_get_metric(const ty_run *run, const char *name, const char *query_json, ty_metric_series **out_series, ty_error **err);
size_t ty_metric_series_size(const ty_metric_series *series);
const int64_t *ty_metric_series_steps(const ty_metric_series *series);
const int64_t *ty_metric_series_times(const ty_metric_series *series);
const double *ty_metric_series_values(const ty_metric_series *series);
const int32_t *ty_metric_series_ranks(const ty_metric_series *series);
void ty_metric_series_free(ty_metric_series *series);
ty_status ty_run_set_tag(const ty_run *run, const char *key, const char *value, ty_error **err);
ty_status ty_run_set_tags(const ty_run *run, const char *json, ty_error **err);
ty_status ty_run_list_tags(const ty_run *run, char **out_json, ty_error **err);
ty_status ty_run_set_property(const ty_run *run, const char *key, const char *value, ty_error **err);
ty_status ty_run_set_properties(const ty_run *run, const char *json, ty_error **err);
ty_status ty_run_list_properties(const ty_run *run, char **out_json, ty_error **err);
ty_status ty_run_list_files(const ty_run *run, const char *prefix, ty_string_list **out_names, ty_error **err);
ty_status ty_run_download_file(const ty_run *run, const char *name, const char *destination, ty_error **err);
ty_status ty_run_download_files(const ty_run *run, const char *prefix, const char *directory, ty_error **err);
ty_status ty_run_upload_file(const ty_run *run, const char *name, const char *path, ty_error **err);
ty_status ty_run_upload_folder(const ty_run *run, const char *name, const char *path, ty_error **err);
ty_status ty_run_get_all_logs(const ty_run *run, const char *destination, ty_string_list **out_paths, ty_error **err);
ty_status ty_run_register_model(const ty_run *run, const char *model_name, const char *path, const char *metadata_json,
                                ty_model **out_model, ty_error **err);
ty_status ty_run_restore_snapshot(const ty_run *run, const char *directory, ty_error **err);
ty_status ty_run_start(ty_workspace *workspace, const char *experiment, const char *options_json, ty_run **out_run, ty_error **err);
ty_status ty_run_complete(const ty_run *run, ty_error **err);
ty_status ty_run_fail(const ty_run *run, const char *code, const char *message, ty_error **err);
ty_status ty_run_start_child(const ty_run *parent, const char *options_json, ty_run **out_run, ty_error **err);
ty_status ty_run_list_children(const ty_run *run, int32_t recursive, const char *filter_json, ty_string_list **out_ids, ty_error **err);

ty_status ty_model_get(ty_workspace *workspace, const char *name, int64_t version, ty_model **out_model, ty_error **err);
ty_status ty_model_register(ty_workspace *workspace, const char *name, const char *path, const char *metadata_json, ty_model **out_model,
                            ty_error **err);
ty_status ty_model_list_versions(const ty_workspace *workspace, const char *name, ty_string_list **out_versions, ty_error **err);
ty_status ty_model_to_json(const ty_model *model, char **out_json, ty_error **err);
ty_status ty_model_set_tag(const ty_model *model, const char *key, const char *value, ty_error **err);
ty_status ty_model_download(const ty_model *model, const char *directory, ty_error **err);
ty_status ty_model_delete(const ty_model *model, ty_error **err);
void ty_model_free(ty_model *model);
"""


class Error(Exception):
    """A call of the library failed. `status` is the C status, `details` what the library knows beside the message."""

    def __init__(self, message, status=0, status_name="", details=None):
        super().__init__(message)
        self.message = message
        self.status = status
        self.status_name = status_name
        self.details = details or {}


class InvalidArgumentError(Error, ValueError):
    """An argument is wrong; the message names it."""


class NotFoundError(Error, LookupError):
    """What was named does not exist."""


class AlreadyExistsError(Error):
    """Something else has this name already, or a property has another value."""


class InvalidStateError(Error):
    """The object does not allow this in its state, such as logging to a run that has ended."""


class LibraryNotFoundError(Error):
    """libtrainyard.so is not there, or cannot be loaded into this interpreter."""


_ERROR_CLASSES = {1: InvalidArgumentError, 2: NotFoundError, 3: AlreadyExistsError, 4: InvalidStateError}
_DETAILS = ("path", "run_id", "key", "code", "rank", "node", "exit_code", "signal", "stderr", "http_status", "service_code")

_SCALARS = {
    "ty_status": ctypes.c_int32,
    "ty_run_state": ctypes.c_int32,
    "int32_t": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
    "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
    "double": ctypes.c_double,
    "void": None,
}


def _ctype(declaration):
    """The ctypes type of `declaration`, a C type with or without a name behind it. Borrowed strings in and out are bytes; every other
    pointer is an address, for which ctypes also takes byref(...) and arrays."""
    stars = declaration.count("*")
    base = declaration.replace("const ", "").split("*")[0].split()[0]
    if stars == 0:
        return _SCALARS[base]
    if stars == 1 and base == "char" and declaration.startswith("const "):
        return ctypes.c_char_p
    return ctypes.c_void_p


def prototypes(text=PROTOTYPES):
    """{name: (result type, [argument types], declaration)} of C declarations."""
    found = {}
    for declaration in " ".join(text.split()).split(";"):
        match = re.match(r" *(.*?)(ty_\w+)\((.*)\)$", declaration)
        if match is None:
            continue
        arguments = [] if match.group(3) == "void" else match.group(3).split(", ")
        found[match.group(2)] = (_ctype(match.group(1)), [_ctype(argument) for argument in arguments], declaration.strip())
    return found


def candidates():
    """Where the library may be: what TRAINYARD_LIBRARY names and nothing else; or beside the package; or where <prefix>/lib is when the
    package lies in <prefix>/libexec/trainyard/python."""
    named = os.environ.get(LIBRARY_VARIABLE)
    if named:
        return [named]
    package = os.path.dirname(os.path.abspath(__file__))
    prefix = os.path.abspath(os.path.join(package, "..", "..", "..", ".."))
    patterns = [os.path.join(package, "libtrainyard.so*"), os.path.join(prefix, "lib", "libtrainyard.so*"),
                os.path.join(prefix, "lib", "*", "libtrainyard.so*")]
    found = []
    for pattern in patterns:
        # The shortest name is the one that links point from.
        found += sorted(glob.glob(pattern), key=lambda path: (len(path), path))
    return found


class Library:
    """The loaded library, and the ways in which its functions answer."""

    def __init__(self, path):
        self.path = path
        self._cdll = ctypes.CDLL(path)
        self._functions = {}
        self.declare(PROTOTYPES)
        # A log call takes less time than handing the interpreter to another thread and back would.
        self.log_metric = ctypes.PyDLL(path).ty_run_log_metric
        self.log_metric.restype = self.function("ty_run_log_metric").restype
        self.log_metric.argtypes = self.function("ty_run_log_metric").argtypes

    def declare(self, text):
        """Makes the functions of these C declarations known."""
        for name, (result, arguments, _) in prototypes(text).items():
            function = getattr(self._cdll, name, None)
            if function is None:
                continue  # an older library: whoever calls it is told
            function.restype = result
            function.argtypes = arguments
            self._functions[name] = function

    def function(self, name):
        try:
            return self._functions[name]
        except KeyError:
            raise LibraryNotFoundError("'%s' has no %s: it is of another version than this Python package" % (self.path, name)) from None

    def has(self, name):
        return name in self._functions

    def call(self, name, *arguments):
        """Calls a function that ends in `ty_error **err`; raises Error."""
        error = ctypes.c_void_p()
        status = self.function(name)(*[encode(argument) for argument in arguments], ctypes.byref(error))
        if status != OK:
            raise self.take_error(status, error)

    def take_error(self, status, error):
        """The exception for a status and the error that came with it, which is freed."""
        message = decode(self.function("ty_error_message")(error)) if error else "status %d" % status
        details = {}
        for key in _DETAILS if error else ():
            value = self.function("ty_error_detail")(error, key.encode())
            if value is not None:
                details[key] = decode(value)
        self.function("ty_error_free")(error)
        name = decode(self.function("ty_status_name")(status))
        return _ERROR_CLASSES.get(status, Error)(message, status, name, details)

    def make(self, name, free, *arguments):
        """A Handle from a function that ends in `T **out, ty_error **err`."""
        out = ctypes.c_void_p()
        self.call(name, *(arguments + (ctypes.byref(out),)))
        return Handle(self, out.value, free)

    def text(self, name, *arguments):
        """The string of a function that ends in `char **out, ty_error **err`; None for NULL."""
        out = ctypes.c_void_p()
        self.call(name, *(arguments + (ctypes.byref(out),)))
        return self.take_text(out)

    def take_text(self, pointer):
        if not pointer:
            return None
        try:
            return decode(ctypes.string_at(pointer.value))
        finally:
            self.function("ty_string_free")(pointer)

    def texts(self, name, *arguments):
        """The strings of a function that ends in `ty_string_list **out, ty_error **err`."""
        out = ctypes.c_void_p()
        self.call(name, *(arguments + (ctypes.byref(out),)))
        try:
            count = self.function("ty_string_list_size")(out)
            return [decode(self.function("ty_string_list_get")(out, index)) for index in range(count)]
        finally:
            self.function("ty_string_list_free")(out)

    def borrowed(self, name, *arguments):
        """The string of a function that returns `const char *`."""
        value = self.function(name)(*[encode(argument) for argument in arguments])
        return None if value is None else decode(value)


class Handle:
    """Owns one C handle. Freed with the object, or when the interpreter ends; never in a forked child, where it is not ours."""

    def __init__(self, library, value, free):
        self.library = library
        self._as_parameter_ = ctypes.c_void_p(value)
        self._finalizer = weakref.finalize(self, _free, library.function(free), value, os.getpid())

    def free(self):
        self._finalizer()


def _free(function, value, owner):
    if os.getpid() == owner:
        function(value)


def encode(argument):
    if isinstance(argument, str):
        argument = argument.encode("utf-8", "surrogateescape")
    elif isinstance(argument, os.PathLike):
        argument = os.fsencode(argument)
    if isinstance(argument, bytes) and b"\0" in argument:
        raise ValueError("a text for the library may not hold NUL: %r" % argument)
    return argument


def decode(value):
    return value.decode("utf-8", "surrogateescape")


_library = None
_reason = None
_lock = threading.Lock()


def load():
    """The library, loaded once. Raises LibraryNotFoundError that lists what was tried."""
    global _library, _reason
    if _library is not None:
        return _library
    with _lock:
        if _library is None and _reason is None:
            _library, _reason = _try_all()
        if _library is None:
            raise LibraryNotFoundError(_reason)
        return _library


def _try_all():
    tried = []
    for path in candidates():
        try:
            return Library(path), None
        except (OSError, LibraryNotFoundError) as error:  # of another architecture or C library; not the library at all
            tried.append("%s (%s)" % (path, error))
    if not tried:
        return None, "libtrainyard.so was not found: name it in %s" % LIBRARY_VARIABLE
    return None, "libtrainyard.so cannot be loaded; tried %s" % ", ".join(tried)
