"""The C API through ctypes alone: python_smoke.py <libtrainyard.so>. Prints "ok" when everything is as the headers say."""

import ctypes
import sys
import tempfile
from ctypes import POINTER, byref, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

TY_OK, TY_END, TY_ERR_NOT_FOUND = 0, -1, 2
COMPLETED, FAILED, WAIT_FOREVER, EVENT_LOG = 7, 8, -1, 2

ty = ctypes.CDLL(sys.argv[1])


class Event(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("kind", c_int32), ("time_ms", c_int64), ("rank", c_int32), ("state", c_int32),
        ("text", c_char_p), ("text_size", c_uint64), ("name", c_char_p), ("step", c_int64), ("value", c_double),
    ]


def declare(name, *arguments, result=c_int32):
    function = getattr(ty, name)
    function.argtypes = arguments
    function.restype = result
    return function


HANDLE, OUT = c_void_p, POINTER(c_void_p)
version = declare("ty_version", result=c_char_p)
status_name = declare("ty_status_name", c_int32, result=c_char_p)
error_message = declare("ty_error_message", HANDLE, result=c_char_p)
error_status = declare("ty_error_status", HANDLE)
error_detail = declare("ty_error_detail", HANDLE, c_char_p, result=c_char_p)
workspace_open = declare("ty_workspace_open", c_char_p, OUT, OUT)
job_new_command = declare("ty_job_new_command", c_char_p, POINTER(c_char_p), c_size_t, OUT, OUT)
run_submit = declare("ty_run_submit", HANDLE, c_char_p, HANDLE, OUT, OUT)
run_get = declare("ty_run_get", HANDLE, c_char_p, OUT, OUT)
run_wait = declare("ty_run_wait", HANDLE, c_int64, POINTER(c_int32), OUT)
run_failure = declare("ty_run_failure", HANDLE, OUT, OUT)
run_events = declare("ty_run_events", HANDLE, c_char_p, c_int32, OUT, OUT)
stream_next = declare("ty_event_stream_next", HANDLE, c_int64, POINTER(POINTER(Event)), OUT)
metric_value = declare("ty_run_get_metric_value", HANDLE, c_char_p, POINTER(c_double), OUT)
metric = declare("ty_run_get_metric", HANDLE, c_char_p, c_char_p, OUT, OUT)
series_size = declare("ty_metric_series_size", HANDLE, result=c_size_t)
series_values = declare("ty_metric_series_values", HANDLE, result=POINTER(c_double))
free = {
    name: declare(f"ty_{name}_free", HANDLE, result=None)
    for name in ("error", "workspace", "job", "run", "event_stream", "metric_series")
}


def check(function, *arguments):
    """Calls a function that takes `err`; raises its message."""
    error = c_void_p()
    status = function(*arguments, byref(error))
    if status != TY_OK:
        message = error_message(error).decode()
        free["error"](error)
        raise RuntimeError(f"{status_name(status).decode()}: {message}")


def make(function, *arguments):
    out = c_void_p()
    check(function, *arguments, byref(out))
    return out


def submit(workspace, *command):
    words = (c_char_p * len(command))(*[word.encode() for word in command])
    job = make(job_new_command, None, words, len(command))
    run = make(run_submit, workspace, b"ffi", job)
    free["job"](job)
    state = c_int32()
    check(run_wait, run, WAIT_FOREVER, byref(state))
    return run, state.value


def lines(run):
    stream, event, found = make(run_events, run, None, EVENT_LOG), POINTER(Event)(), []
    error = c_void_p()
    while (status := stream_next(stream, WAIT_FOREVER, byref(event), byref(error))) == TY_OK:
        assert event.contents.struct_size >= ctypes.sizeof(Event)
        found.append(ctypes.string_at(event.contents.text, event.contents.text_size).decode())
    assert status == TY_END, status
    free["event_stream"](stream)
    return found


def smoke(directory):
    workspace = make(workspace_open, directory.encode())
    run, state = submit(workspace, "sh", "-c", "echo hello from $0; sleep 0.1", "python")
    assert state == COMPLETED, state
    assert lines(run) == ["hello from python"]

    value = c_double()
    check(metric_value, run, b"system/memory_bytes", byref(value))
    series = make(metric, run, b"system/memory_bytes", None)
    assert series_values(series)[series_size(series) - 1] == value.value > 0
    free["metric_series"](series)

    error, none = c_void_p(), c_void_p()
    assert run_get(workspace, b"no-such-run", byref(none), byref(error)) == TY_ERR_NOT_FOUND
    assert not none and error_status(error) == TY_ERR_NOT_FOUND
    assert b"no-such-run" in error_message(error) and error_detail(error, b"run_id") == b"no-such-run"
    free["error"](error)

    failing, state = submit(workspace, "sh", "-c", "echo broken >&2; exit 3")
    assert state == FAILED, state
    failure = make(run_failure, failing)
    assert error_detail(failure, b"exit_code") == b"3" and b"broken" in error_detail(failure, b"stderr")

    free["workspace"](workspace)  # in any order
    for name, handle in (("error", failure), ("run", failing), ("run", run)):
        free[name](handle)


with tempfile.TemporaryDirectory() as temporary:
    smoke(temporary + "/workspace")
print("ok", version().decode())
