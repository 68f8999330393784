// Points and progress of one journal segment in the order they were written, from wherever they are: the journal file,
// or the chunks it was folded into. Used by event_stream.cc only. Not thread-safe.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "core/event.h"
#include "store/event_cursor.h"
#include "store/metric_store.h"

namespace trainyard {

struct SegmentEvent {
  Event event;
  EventCursor::Place after;  // where to go on once this was delivered
};

class SegmentStream {
 public:
  // From the file; nullptr when it is not there (any more).
  static std::unique_ptr<SegmentStream> Live(const std::string &path, const SegmentId &id,
                                             const EventCursor::Place &from);
  // From the chunks of a folded segment.
  static std::unique_ptr<SegmentStream> Folded(MetricStore *store, int64_t segment_row, const SegmentId &id,
                                               const EventCursor::Place &from);
  virtual ~SegmentStream() = default;

  // Appends some more events; false = nothing now.
  virtual bool Read(std::deque<SegmentEvent> *out) = 0;
  // Everything that will ever be in it was read.
  virtual bool Finished() = 0;
  virtual void SetFinal() {}
  virtual bool Arm() { return false; }
};

}  // namespace trainyard
