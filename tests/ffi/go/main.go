// The C API through cgo alone, with the installed headers. Prints "ok" when everything is as they say.
package main

/*
#cgo LDFLAGS: -ltrainyard
#include <stdlib.h>
#include <trainyard/trainyard.h>
*/
import "C"

import (
	"fmt"
	"os"
	"strings"
	"unsafe"
)

// check frees the error and panics with its message.
func check(status C.ty_status, err *C.ty_error) {
	if status == C.TY_OK {
		return
	}
	message := C.GoString(C.ty_error_message(err))
	C.ty_error_free(err)
	panic(C.GoString(C.ty_status_name(status)) + ": " + message)
}

func expect(what bool, message string) {
	if !what {
		panic(message)
	}
}

func submit(workspace *C.ty_workspace, command ...string) (*C.ty_run, C.ty_run_state) {
	var err *C.ty_error
	// The array and its strings are C's: cgo forbids Go pointers to Go pointers.
	argv := (*[16]*C.char)(C.calloc(16, C.size_t(unsafe.Sizeof(uintptr(0)))))
	defer C.free(unsafe.Pointer(argv))
	for i, word := range command {
		argv[i] = C.CString(word)
		defer C.free(unsafe.Pointer(argv[i]))
	}
	var job *C.ty_job
	check(C.ty_job_new_command(nil, &argv[0], C.size_t(len(command)), &job, &err), err)
	experiment := C.CString("ffi")
	defer C.free(unsafe.Pointer(experiment))
	var run *C.ty_run
	check(C.ty_run_submit(workspace, experiment, job, &run, &err), err)
	C.ty_job_free(job)
	var state C.ty_run_state
	check(C.ty_run_wait(run, C.TY_WAIT_FOREVER, &state, &err), err)
	return run, state
}

func lines(run *C.ty_run) []string {
	var err *C.ty_error
	var stream *C.ty_event_stream
	check(C.ty_run_events(run, nil, C.TY_EVENT_LOG, &stream, &err), err)
	defer C.ty_event_stream_free(stream)
	var found []string
	for {
		var event *C.ty_event
		status := C.ty_event_stream_next(stream, C.TY_WAIT_FOREVER, &event, &err)
		if status == C.TY_END {
			return found
		}
		check(status, err)
		expect(uintptr(event.struct_size) >= unsafe.Sizeof(*event), "struct_size")
		found = append(found, C.GoStringN(event.text, C.int(event.text_size)))
	}
}

func detail(err *C.ty_error, key string) string {
	name := C.CString(key)
	defer C.free(unsafe.Pointer(name))
	return C.GoString(C.ty_error_detail(err, name))
}

func smoke(directory string) {
	var err *C.ty_error
	path := C.CString(directory)
	defer C.free(unsafe.Pointer(path))
	var workspace *C.ty_workspace
	check(C.ty_workspace_open(path, &workspace, &err), err)

	run, state := submit(workspace, "sh", "-c", "echo hello from $0; sleep 0.1", "go")
	expect(state == C.TY_RUN_COMPLETED, "not completed")
	got := lines(run)
	expect(len(got) == 1 && got[0] == "hello from go", fmt.Sprint(got))

	metric := C.CString("system/memory_bytes")
	defer C.free(unsafe.Pointer(metric))
	var value C.double
	check(C.ty_run_get_metric_value(run, metric, &value, &err), err)
	var series *C.ty_metric_series
	check(C.ty_run_get_metric(run, metric, nil, &series, &err), err)
	values := unsafe.Slice(C.ty_metric_series_values(series), int(C.ty_metric_series_size(series)))
	expect(value > 0 && values[len(values)-1] == value, "metric")
	C.ty_metric_series_free(series)

	name := C.CString("no-such-run")
	defer C.free(unsafe.Pointer(name))
	var none *C.ty_run
	expect(C.ty_run_get(workspace, name, &none, &err) == C.TY_ERR_NOT_FOUND && none == nil, "no error")
	expect(C.ty_error_status(err) == C.TY_ERR_NOT_FOUND, "status")
	expect(strings.Contains(C.GoString(C.ty_error_message(err)), "no-such-run"), "message")
	expect(detail(err, "run_id") == "no-such-run", "detail")
	C.ty_error_free(err)

	failing, state := submit(workspace, "sh", "-c", "echo broken >&2; exit 3")
	expect(state == C.TY_RUN_FAILED, "not failed")
	var failure *C.ty_error
	check(C.ty_run_failure(failing, &failure, &err), err)
	expect(detail(failure, "exit_code") == "3", "exit code")
	expect(strings.Contains(detail(failure, "stderr"), "broken"), "stderr")

	C.ty_workspace_free(workspace) // in any order
	C.ty_error_free(failure)
	C.ty_run_free(failing)
	C.ty_run_free(run)
}

func main() {
	smoke(os.Args[1])
	fmt.Println("ok", C.GoString(C.ty_version()))
}
