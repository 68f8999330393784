#include "trainyard/event.h"

#include "capi/handles.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require_handle;
using trainyard::capi::require_out;

static_assert(int32_t{kEventState} == int32_t{TY_EVENT_STATE} && int32_t{kEventLog} == int32_t{TY_EVENT_LOG} &&
              int32_t{kEventMetric} == int32_t{TY_EVENT_METRIC} &&
              int32_t{kEventProgress} == int32_t{TY_EVENT_PROGRESS} && int32_t{kEventAll} == int32_t{TY_EVENT_ALL});

namespace {

void CheckTimeout(int64_t timeout_ms) {
  if (timeout_ms < TY_WAIT_FOREVER) {
    throw Error::InvalidArgument("timeout_ms must be 0 or more, or TY_WAIT_FOREVER, got " + std::to_string(timeout_ms));
  }
}

// Makes the stream's event point into `current`.
void FillEvent(ty_event_stream *stream) {
  const Event &current = stream->current;
  ty_event &event = stream->event;
  event.struct_size = sizeof event;
  event.kind = static_cast<int32_t>(current.kind);
  event.time_ms = current.time_ms;
  event.rank = current.rank;
  event.state = static_cast<ty_run_state>(current.state);
  event.text = current.text.c_str();
  event.text_size = current.text.size();
  event.name = current.name.c_str();
  event.step = current.step;
  event.value = current.value;
  event.metric_kind = static_cast<ty_metric_kind>(current.metric_kind);
  event.continued = current.continued ? 1 : 0;
}

}  // namespace

extern "C" {

ty_status ty_run_events(const ty_run *run, const char *from_cursor, int32_t mask, ty_event_stream **out_stream,
                        ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_stream, "out_stream");
    require_handle(run, "run");
    if (mask <= 0 || (mask & ~TY_EVENT_ALL) != 0) {
      throw Error::InvalidArgument("mask must be one or more of TY_EVENT_... joined with '|', got " +
                                   std::to_string(mask));
    }
    auto stream = std::make_unique<ty_event_stream>();
    stream->stream = run->driver->Events(run->id, capi::OptionalString(from_cursor), static_cast<uint32_t>(mask));
    *out_stream = stream.release();
  });
}

ty_status ty_event_stream_next(ty_event_stream *stream, int64_t timeout_ms, const ty_event **out_event,
                               ty_error **err) noexcept {
  return guard(err, [&]() -> ty_status {
    require_out(out_event, "out_event");
    require_handle(stream, "stream");
    CheckTimeout(timeout_ms);
    auto event = stream->stream->Next(timeout_ms);
    if (!event) return stream->stream->ended() ? TY_END : TY_OK;
    stream->current = std::move(*event);
    if (stream->current.kind == kEventState) stream->current.text = RunStateName(stream->current.state);
    FillEvent(stream);
    *out_event = &stream->event;
    return TY_OK;
  });
}

ty_status ty_event_stream_fd(ty_event_stream *stream, int32_t *out_fd, ty_error **err) noexcept {
  return guard(err, [&] {
    capi::require(out_fd, "out_fd");
    *out_fd = -1;
    require_handle(stream, "stream");
    *out_fd = stream->stream->fd();
  });
}

ty_status ty_event_stream_cursor(const ty_event_stream *stream, char **out_cursor, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_cursor, "out_cursor");
    require_handle(stream, "stream");
    *out_cursor = capi::CopyString(stream->stream->cursor());
  });
}

ty_status ty_event_stream_set_wake(ty_event_stream *stream, ty_wake_callback callback, void *user_data,
                                   ty_destroy destroy, ty_error **err) noexcept {
  return guard(err, [&] {
    const std::shared_ptr<void> owned = capi::OwnUserData(user_data, destroy);
    require_handle(stream, "stream");
    std::function<void()> wake;
    if (callback != nullptr) wake = [callback, owned] { callback(owned.get()); };
    stream->stream->SetWake(std::move(wake));
  });
}

void ty_event_stream_free(ty_event_stream *stream) noexcept {
  std::unique_ptr<ty_event_stream>{stream};
}

}  // extern "C"
