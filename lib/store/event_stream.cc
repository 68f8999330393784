#include "store/event_stream.h"

#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <map>

#include "store/event_cursor.h"
#include "store/segment_stream.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/inside.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr size_t kMaxLine = 65536;
constexpr size_t kLogRead = 4 * kMaxLine;

}  // namespace

struct EventReader::State {
  std::shared_ptr<Store> store;
  std::string run_id;
  uint32_t mask = 0;
  RunLayout layout{""};

  EventCursor cursor;      // of what was delivered
  int64_t state_read = 0;  // sequence of the last state change taken
  std::optional<Event> last_state;
  int64_t last_state_sequence = 0;
  int32_t rank_count = 1;
  bool final = false;
  bool ended = false;

  // What was read and not yet delivered, each with how it moves the cursor.
  enum class Source { kState, kLog, kSegment };
  struct Pending {
    Event event;
    Source source = Source::kState;
    int64_t position = 0;  // state: sequence; log: offset
    SegmentId segment;
    EventCursor::Place place;
  };
  std::deque<Pending> queue;
  std::map<int32_t, uint64_t> log_read;
  std::map<SegmentId, std::unique_ptr<SegmentStream>> streams;
  int64_t last_folded_row = 0;
  std::map<SegmentId, int64_t> folded;

  void ReadStates();
  void ReadLogs();
  bool ReadLogOf(int32_t rank);
  void ReadSegments();
  void FindSegments();
  void Refill();
  void Deliver(const Pending &pending);
};

void EventReader::State::ReadStates() {
  store->database().Read([&](Connection &db) {
    int64_t seq = 0;
    {
      auto run = db.Prepare("SELECT seq, rank_count FROM runs WHERE id = ?");
      run.Bind(run_id);
      if (!run.Step()) throw Error::NotFound("there is no run '" + run_id + "' in the workspace", {{"run_id", run_id}});
      seq = run.Int(0);
      rank_count = static_cast<int32_t>(run.Int(1));
    }
    auto rows = db.Prepare("SELECT seq, state, time_ms FROM run_states WHERE run_seq = ? AND seq > ? ORDER BY seq");
    rows.Bind(seq).Bind(state_read);
    while (rows.Step()) {
      Pending pending;
      pending.event.kind = kEventState;
      pending.event.state = static_cast<RunState>(rows.Int(1));
      pending.event.time_ms = rows.Int(2);
      pending.position = state_read = rows.Int(0);
      if (IsFinal(pending.event.state)) {
        final = true;
        last_state = pending.event;
        last_state_sequence = pending.position;
      } else if ((mask & kEventState) != 0) {
        queue.push_back(std::move(pending));
      }
    }
  });
}

// One read of one log; true when it gave events.
bool EventReader::State::ReadLogOf(int32_t rank) {
  const std::string path = layout.StdLog(rank, rank_count);
  const UniqueFd fd = OpenRegularFile(path);
  if (!fd.valid()) return false;
  uint64_t &offset = log_read[rank];
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) throw Error::FromErrno(errno, "stat", path);
  // Its rank has emptied it (`: > /dev/stdout`, a rotation by copy and truncation): what comes now is new.
  if (static_cast<uint64_t>(info.st_size) < offset) offset = 0;
  std::string data(kLogRead, '\0');
  data.resize(ReadAt(fd.get(), data.data(), data.size(), offset, path));
  const int64_t time_ms = int64_t{info.st_mtim.tv_sec} * 1000 + info.st_mtim.tv_nsec / 1000000;
  if (data.empty()) return false;
  const bool at_end = data.size() < kLogRead;
  std::string_view left = data;
  const size_t before = queue.size();
  while (!left.empty()) {
    const size_t newline = left.substr(0, kMaxLine + 1).find('\n');
    std::string_view line;
    size_t taken = 0;
    bool continued = false;
    if (newline != std::string_view::npos) {
      line = left.substr(0, newline);
      taken = newline + 1;
    } else if (left.size() > kMaxLine) {
      line = TruncateUtf8(left, kMaxLine);
      taken = line.size();
      continued = true;
    } else if (final && at_end) {
      line = left;  // will never be finished
      taken = left.size();
    } else {
      break;
    }
    if (!continued && line.ends_with('\r')) line.remove_suffix(1);
    offset += taken;
    left.remove_prefix(taken);
    Pending pending;
    pending.event.kind = kEventLog;
    pending.event.rank = rank;
    pending.event.time_ms = time_ms;
    pending.event.text = SanitizeUtf8(line);
    pending.event.continued = continued;
    pending.source = Source::kLog;
    pending.position = static_cast<int64_t>(offset);
    queue.push_back(std::move(pending));
  }
  return queue.size() > before;
}

void EventReader::State::ReadLogs() {
  for (int32_t rank = 0; rank < std::max(1, rank_count); ++rank) ReadLogOf(rank);
}

// Opens what is new. The directory first: a segment that is neither there nor in the database then has not begun.
void EventReader::State::FindSegments() {
  const std::string directory = layout.Journal();
  std::vector<SegmentId> found = ListSegments(directory);
  for (const MetricStore::FoldedSegment &segment : store->metrics().FoldedSegments(run_id, last_folded_row)) {
    last_folded_row = segment.row;
    folded[segment.id] = segment.row;
    found.push_back(segment.id);
  }
  for (const auto &[id, place] : cursor.open) found.push_back(id);
  for (const SegmentId &id : found) {
    if (cursor.IsDone(id) || streams.contains(id)) continue;
    const auto place = cursor.open.find(id);
    const EventCursor::Place from = place != cursor.open.end() ? place->second : EventCursor::Place();
    const auto row = folded.find(id);
    try {
      auto stream = row != folded.end() ? SegmentStream::Folded(&store->metrics(), row->second, id, from)
                                        : SegmentStream::Live(directory + "/" + SegmentFileName(id), id, from);
      if (stream) streams[id] = std::move(stream);  // else folded just now: next time
    } catch (const Error &error) {
      if (error.status() != Status::kCorrupt) throw;
      cursor.MarkDone(id);  // told in the log when it is folded
    }
  }
}

void EventReader::State::ReadSegments() {
  std::deque<SegmentEvent> events;
  std::vector<SegmentId> finished;
  for (auto &[id, stream] : streams) {
    events.clear();
    if (final) stream->SetFinal();
    if (!stream->Read(&events)) {
      if (stream->Finished()) finished.push_back(id);
      continue;
    }
    for (SegmentEvent &event : events) {
      Pending pending;
      pending.event = std::move(event.event);
      pending.source = Source::kSegment;
      pending.segment = id;
      pending.place = event.after;
      queue.push_back(std::move(pending));
    }
  }
  // Only when all of it was delivered: the queue was empty when this began.
  for (const SegmentId &id : finished) {
    streams.erase(id);
    cursor.MarkDone(id);
  }
}

void EventReader::State::Refill() {
  // The state first: what a rank wrote before its run became final is then found below.
  ReadStates();
  if (ended) return;
  if ((mask & kEventLog) != 0) ReadLogs();
  if ((mask & (kEventMetric | kEventProgress)) != 0) {
    FindSegments();
    ReadSegments();
    if (queue.empty()) {
      // About to say "nothing now": the writers are asked to ring, and what they wrote before they knew is read.
      bool armed = false;
      for (auto &[id, stream] : streams) armed = stream->Arm() || armed;
      if (armed) ReadSegments();
    }
  }
  if (final && queue.empty() && streams.empty()) {
    if ((mask & kEventState) != 0 && last_state) {
      Pending pending;
      pending.event = *last_state;
      pending.position = last_state_sequence;
      queue.push_back(std::move(pending));
      last_state.reset();
    } else {
      ended = true;
    }
  }
}

void EventReader::State::Deliver(const Pending &pending) {
  switch (pending.source) {
    case Source::kState:
      cursor.state = pending.position;
      if (IsFinal(pending.event.state)) ended = true;
      break;
    case Source::kLog:
      cursor.logs[pending.event.rank] = static_cast<uint64_t>(pending.position);
      break;
    case Source::kSegment:
      cursor.open[pending.segment] = pending.place;
      break;
  }
}

EventReader::EventReader(std::shared_ptr<Store> store, std::string run_id, std::string_view cursor, uint32_t mask)
    : state_(std::make_unique<State>()) {
  state_->cursor = EventCursor::FromText(cursor, run_id);
  state_->store = std::move(store);
  state_->mask = mask & kEventAll;
  state_->layout = state_->store->RunPaths(run_id);
  state_->run_id = std::move(run_id);
  state_->log_read = state_->cursor.logs;
  state_->state_read = state_->cursor.state;
  const std::vector<StateChange> history = state_->store->runs().History(state_->run_id);
  // A final state that was delivered does not come again, but the end does.
  for (const StateChange &change : history) {
    if (IsFinal(change.state) && change.sequence <= state_->cursor.state) state_->final = true;
  }
}

EventReader::~EventReader() = default;

std::optional<Event> EventReader::Next() {
  State &state = *state_;
  for (;;) {
    if (state.queue.empty()) {
      if (state.ended) return std::nullopt;
      // Twice: finding that a segment is finished gives no event but may make the end known.
      const size_t streams_before = state.streams.size();
      const bool was_final = state.final;
      state.Refill();
      if (state.queue.empty() && !state.ended && (state.streams.size() < streams_before || state.final != was_final)) {
        state.Refill();
      }
      if (state.queue.empty()) return std::nullopt;
    }
    const State::Pending pending = std::move(state.queue.front());
    state.queue.pop_front();
    state.Deliver(pending);
    if ((pending.event.kind & state.mask) != 0) return pending.event;
  }
}

bool EventReader::ended() const {
  return state_->ended;
}

std::string EventReader::cursor() const {
  return state_->cursor.ToText();
}

}  // namespace trainyard
