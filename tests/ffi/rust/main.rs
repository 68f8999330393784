//! The C API through `extern "C"` alone, without any crate. Prints "ok" when everything is as the headers say.

use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_int, c_void};
use std::ptr::{null, null_mut};

const OK: i32 = 0;
const END: i32 = -1;
const NOT_FOUND: i32 = 2;
const COMPLETED: i32 = 7;
const FAILED: i32 = 8;
const WAIT_FOREVER: i64 = -1;
const EVENT_LOG: i32 = 2;

/// Any opaque handle.
type Handle = *mut c_void;

#[repr(C)]
struct Event {
    struct_size: u32,
    kind: i32,
    time_ms: i64,
    rank: i32,
    state: i32,
    text: *const c_char,
    text_size: u64,
    name: *const c_char,
    step: i64,
    value: f64,
}

#[link(name = "trainyard")]
extern "C" {
    fn ty_version() -> *const c_char;
    fn ty_status_name(status: i32) -> *const c_char;
    fn ty_error_status(error: Handle) -> i32;
    fn ty_error_message(error: Handle) -> *const c_char;
    fn ty_error_detail(error: Handle, key: *const c_char) -> *const c_char;
    fn ty_error_free(error: Handle);
    fn ty_workspace_open(location: *const c_char, out: *mut Handle, err: *mut Handle) -> i32;
    fn ty_workspace_free(workspace: Handle);
    fn ty_job_new_command(source: *const c_char, argv: *const *const c_char, argc: usize, out: *mut Handle, err: *mut Handle) -> i32;
    fn ty_job_free(job: Handle);
    fn ty_run_submit(workspace: Handle, experiment: *const c_char, job: Handle, out: *mut Handle, err: *mut Handle) -> i32;
    fn ty_run_get(workspace: Handle, id: *const c_char, out: *mut Handle, err: *mut Handle) -> i32;
    fn ty_run_wait(run: Handle, timeout_ms: i64, out_state: *mut i32, err: *mut Handle) -> i32;
    fn ty_run_failure(run: Handle, out: *mut Handle, err: *mut Handle) -> i32;
    fn ty_run_free(run: Handle);
    fn ty_run_get_metric_value(run: Handle, name: *const c_char, out: *mut f64, err: *mut Handle) -> i32;
    fn ty_run_get_metric(run: Handle, name: *const c_char, query: *const c_char, out: *mut Handle, err: *mut Handle) -> i32;
    fn ty_metric_series_size(series: Handle) -> usize;
    fn ty_metric_series_values(series: Handle) -> *const f64;
    fn ty_metric_series_free(series: Handle);
    fn ty_run_events(run: Handle, cursor: *const c_char, mask: i32, out: *mut Handle, err: *mut Handle) -> i32;
    fn ty_event_stream_next(stream: Handle, timeout_ms: i64, out: *mut *const Event, err: *mut Handle) -> i32;
    fn ty_event_stream_free(stream: Handle);
}

/// A borrowed string of the library.
fn text(pointer: *const c_char) -> String {
    assert!(!pointer.is_null());
    unsafe { CStr::from_ptr(pointer) }.to_str().expect("UTF-8").to_owned()
}

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// Calls a function that takes `err`; panics with its message.
fn check(call: impl FnOnce(*mut Handle) -> c_int) {
    let mut error: Handle = null_mut();
    let status = call(&mut error);
    if status != OK {
        unsafe { panic!("{}: {}", text(ty_status_name(status)), text(ty_error_message(error))) }
    }
    assert!(error.is_null());
}

fn make(call: impl FnOnce(*mut Handle, *mut Handle) -> c_int) -> Handle {
    let mut out: Handle = null_mut();
    check(|err| call(&mut out, err));
    out
}

unsafe fn submit(workspace: Handle, command: &[&str]) -> (Handle, i32) {
    let words: Vec<CString> = command.iter().map(|word| c(word)).collect();
    let argv: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
    let job = make(|out, err| ty_job_new_command(null(), argv.as_ptr(), argv.len(), out, err));
    let run = make(|out, err| ty_run_submit(workspace, c("ffi").as_ptr(), job, out, err));
    ty_job_free(job);
    let mut state = 0;
    check(|err| ty_run_wait(run, WAIT_FOREVER, &mut state, err));
    (run, state)
}

unsafe fn lines(run: Handle) -> Vec<String> {
    let stream = make(|out, err| ty_run_events(run, null(), EVENT_LOG, out, err));
    let mut found = Vec::new();
    let mut event: *const Event = null();
    let mut error: Handle = null_mut();
    let mut status = ty_event_stream_next(stream, WAIT_FOREVER, &mut event, &mut error);
    while status == OK {
        assert!((*event).struct_size as usize >= std::mem::size_of::<Event>());
        let bytes = std::slice::from_raw_parts((*event).text as *const u8, (*event).text_size as usize);
        found.push(String::from_utf8(bytes.to_vec()).expect("UTF-8"));
        status = ty_event_stream_next(stream, WAIT_FOREVER, &mut event, &mut error);
    }
    assert_eq!(status, END);
    ty_event_stream_free(stream);
    found
}

unsafe fn smoke(directory: &str) {
    let workspace = make(|out, err| ty_workspace_open(c(directory).as_ptr(), out, err));
    let (run, state) = submit(workspace, &["sh", "-c", "echo hello from $0; sleep 0.1", "rust"]);
    assert_eq!(state, COMPLETED);
    assert_eq!(lines(run), ["hello from rust"]);

    let name = c("system/memory_bytes");
    let mut value = 0.0;
    check(|err| ty_run_get_metric_value(run, name.as_ptr(), &mut value, err));
    let series = make(|out, err| ty_run_get_metric(run, name.as_ptr(), null(), out, err));
    let values = std::slice::from_raw_parts(ty_metric_series_values(series), ty_metric_series_size(series));
    assert!(value > 0.0 && *values.last().unwrap() == value);
    ty_metric_series_free(series);

    let (mut none, mut error): (Handle, Handle) = (null_mut(), null_mut());
    assert_eq!(ty_run_get(workspace, c("no-such-run").as_ptr(), &mut none, &mut error), NOT_FOUND);
    assert!(none.is_null());
    assert_eq!(ty_error_status(error), NOT_FOUND);
    assert!(text(ty_error_message(error)).contains("no-such-run"));
    assert_eq!(text(ty_error_detail(error, c("run_id").as_ptr())), "no-such-run");
    ty_error_free(error);

    let (failing, state) = submit(workspace, &["sh", "-c", "echo broken >&2; exit 3"]);
    assert_eq!(state, FAILED);
    let failure = make(|out, err| ty_run_failure(failing, out, err));
    assert_eq!(text(ty_error_detail(failure, c("exit_code").as_ptr())), "3");
    assert!(text(ty_error_detail(failure, c("stderr").as_ptr())).contains("broken"));

    ty_workspace_free(workspace); // in any order
    ty_error_free(failure);
    ty_run_free(failing);
    ty_run_free(run);
}

fn main() {
    let directory = std::env::args().nth(1).expect("a directory for the workspace");
    unsafe {
        smoke(&directory);
        println!("ok {}", text(ty_version()));
    }
}
