#include "store/event_cursor.h"

#include <charconv>

#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

std::string SegmentText(const SegmentId &id) {
  return std::to_string(id.rank) + "." + std::to_string(id.attempt) + "." + std::to_string(id.number);
}

[[noreturn]] void Fail() {
  throw Error::InvalidArgument("the event cursor is not one that this library made");
}

int64_t Number(std::string_view text, int64_t minimum, int64_t maximum) {
  const auto value = ParseInt64(text);
  if (!value || *value < minimum || *value > maximum) Fail();
  return *value;
}

SegmentId Segment(std::string_view text) {
  const auto parts = Split(text, '.');
  if (parts.size() != 3) Fail();
  return {static_cast<int32_t>(Number(parts[0], -1, INT32_MAX)), static_cast<int32_t>(Number(parts[1], -1, INT32_MAX)),
          static_cast<int32_t>(Number(parts[2], 0, INT32_MAX))};
}

}  // namespace

bool EventCursor::IsDone(const SegmentId &id) const {
  const auto below = done_below.find({id.rank, id.attempt});
  return (below != done_below.end() && id.number < below->second) || done.contains(id);
}

void EventCursor::MarkDone(const SegmentId &id) {
  open.erase(id);
  done.insert(id);
  // What is done from the start on is one number.
  int32_t &below = done_below[{id.rank, id.attempt}];
  while (done.erase({id.rank, id.attempt, below}) > 0) ++below;
  if (below == 0) done_below.erase({id.rank, id.attempt});
}

std::string EventCursor::ToText() const {
  std::string text = "1;" + run_id + ";s" + std::to_string(state);
  for (const auto &[rank, offset] : logs) text += ";l" + std::to_string(rank) + ":" + std::to_string(offset);
  for (const auto &[id, place] : open) {
    text += ";j" + SegmentText(id) + ":" + std::to_string(place.frame_offset) + ":" +
            std::to_string(place.frame_ordinal) + ":" + std::to_string(place.ordinal);
  }
  for (const SegmentId &id : done) text += ";d" + SegmentText(id);
  for (const auto &[key, below] : done_below) text += ";w" + SegmentText({key.first, key.second, below});
  return text;
}

EventCursor EventCursor::FromText(std::string_view text, std::string_view run_id) {
  EventCursor cursor;
  cursor.run_id = run_id;
  if (text.empty()) return cursor;
  const auto parts = Split(text, ';');
  if (parts.size() < 3 || parts[0] != "1") Fail();
  if (parts[1] != run_id) {
    throw Error::InvalidArgument("the event cursor is of run '" + std::string(parts[1].substr(0, 80)) + "', not of '" +
                                 std::string(run_id) + "'");
  }
  for (size_t i = 2; i < parts.size(); ++i) {
    if (parts[i].empty()) Fail();
    const auto fields = Split(parts[i].substr(1), ':');
    if (fields.empty()) Fail();
    switch (parts[i][0]) {
      case 's':
        cursor.state = Number(fields[0], 0, INT64_MAX);
        break;
      case 'l':
        if (fields.size() != 2) Fail();
        cursor.logs[static_cast<int32_t>(Number(fields[0], 0, INT32_MAX))] =
            static_cast<uint64_t>(Number(fields[1], 0, INT64_MAX));
        break;
      case 'j':
        if (fields.size() != 4) Fail();
        cursor.open[Segment(fields[0])] = {static_cast<uint64_t>(Number(fields[1], 0, INT64_MAX)),
                                           Number(fields[2], 0, INT64_MAX), Number(fields[3], 0, INT64_MAX)};
        break;
      case 'd':
        cursor.done.insert(Segment(fields[0]));
        break;
      case 'w': {
        const SegmentId id = Segment(fields[0]);
        cursor.done_below[{id.rank, id.attempt}] = id.number;
        break;
      }
      default:
        Fail();
    }
  }
  return cursor;
}

}  // namespace trainyard
