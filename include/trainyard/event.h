/*
 * trainyard/event.h: what happens in a run, as a stream: states, log lines, metrics, progress. Events are read from
 * the workspace's files by position, so a slow reader loses nothing, and any number of readers in any number of
 * processes are independent.
 *
 * Threads: one stream is used by one thread at a time.
 */
#ifndef TRAINYARD_EVENT_H_
#define TRAINYARD_EVENT_H_

#include <trainyard/common.h>
#include <trainyard/error.h>
#include <trainyard/metric.h>
#include <trainyard/run.h>

TY_EXTERN_C_BEGIN

typedef struct ty_event_stream ty_event_stream;

/** Kinds of events; as a mask they are joined with '|'. */
enum { TY_EVENT_STATE = 1, TY_EVENT_LOG = 2, TY_EVENT_METRIC = 4, TY_EVENT_PROGRESS = 8, TY_EVENT_ALL = 15 };

/** One event. Pointers in it are borrowed until the next call on the stream. Later releases may append fields:
 * `struct_size` tells. */
typedef struct ty_event {
  /** Bytes of this struct in the loaded library. */
  uint32_t struct_size;
  /** TY_EVENT_... */
  int32_t kind;
  /** When it happened; for log lines: when it was read. */
  int64_t time_ms;
  /** Log, metric, progress: the rank, or TY_RANK_RUNNER. */
  int32_t rank;
  /** State: TY_RUN_... */
  ty_run_state state;
  /** Log: the line without its end, valid UTF-8. Progress: a JSON object. State: the state's name. Metric: "" for a
   * number, else the value as JSON. */
  const char *text;
  /** Bytes of `text` without its NUL. */
  uint64_t text_size;
  /** Metric: its name; else "". */
  const char *name;
  /** Metric: the step. */
  int64_t step;
  /** Metric: the value; NaN when it is no number. */
  double value;
  /** Metric: what the value is. */
  ty_metric_kind metric_kind;
  /** Log: 1 when the line is longer than 64 KiB and goes on in the next log event of this rank; else 0. */
  int32_t continued;
} ty_event;

/** Wakes the host: events may be there. Runs on a thread of the library; it must only wake the host's own loop and
 * return. */
typedef void (*ty_wake_callback)(void *user_data);

/**
 * Follow a run's events.
 *
 * @param run          the run
 * @param from_cursor  NULL: from the beginning; else a cursor of an earlier stream of this run, from any process
 * @param mask         kinds wanted, TY_EVENT_... joined with '|'
 * @param out_stream   [out] free with ty_event_stream_free
 * @param err          [out, optional]
 * @return TY_OK, TY_ERR_NOT_FOUND, TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_run_events(const ty_run *run, const char *from_cursor, int32_t mask, ty_event_stream **out_stream,
                               ty_error **err) TY_NOEXCEPT;

/**
 * The next event.
 *
 * @param stream      the stream
 * @param timeout_ms  how long to wait for one; 0 only looks; TY_WAIT_FOREVER
 * @param out_event   [out] borrowed until the next call on the stream; NULL when the time was over
 * @param err         [out, optional]
 * @return TY_OK, TY_END (the run is in a final state and everything has been told), TY_ERR_NOT_FOUND (deleted),
 * TY_ERR_IO
 * @since 0.1
 */
TY_API ty_status ty_event_stream_next(ty_event_stream *stream, int64_t timeout_ms, const ty_event **out_event,
                                      ty_error **err) TY_NOEXCEPT;

/**
 * A descriptor for poll, epoll or select: readable while ty_event_stream_next may have something. Level-triggered; only
 * wait on it, never read or close it.
 *
 * @param stream  the stream
 * @param out_fd  [out] the descriptor; belongs to the stream
 * @param err     [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_event_stream_fd(ty_event_stream *stream, int32_t *out_fd, ty_error **err) TY_NOEXCEPT;

/**
 * Where the stream stands: a later stream from this cursor goes on after the last event that was given.
 *
 * @param stream      the stream
 * @param out_cursor  [out] may be kept across processes; free with ty_string_free
 * @param err         [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_event_stream_cursor(const ty_event_stream *stream, char **out_cursor, ty_error **err) TY_NOEXCEPT;

/**
 * Be called when events may be there, instead of polling the descriptor.
 *
 * @param stream     the stream
 * @param callback   NULL for none
 * @param user_data  passed to the callback
 * @param destroy    called with user_data when the callback is replaced or the stream freed, and no longer runs; may be
 * NULL
 * @param err        [out, optional]
 * @return TY_OK
 * @since 0.1
 */
TY_API ty_status ty_event_stream_set_wake(ty_event_stream *stream, ty_wake_callback callback, void *user_data,
                                          ty_destroy destroy, ty_error **err) TY_NOEXCEPT;

/** @param stream  the stream, or NULL @since 0.1 */
TY_API void ty_event_stream_free(ty_event_stream *stream) TY_NOEXCEPT;

TY_EXTERN_C_END

#endif /* TRAINYARD_EVENT_H_ */
