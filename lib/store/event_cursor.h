// The position of an event stream as text, used by event_stream.cc only. Values.
//
// "1;<run id>;s<state sequence>;l<rank>:<offset>;j<rank>.<attempt>.<n>:<frame offset>:<frame ordinal>:<ordinal>;
//  d<rank>.<attempt>.<n>;w<rank>.<attempt>.<k>"
// l: bytes of a log that were delivered. j: a segment that is being read: the frame to start from and the next ordinal.
// d: a segment that was delivered whole; w: all segments of that rank and attempt below k were.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "store/journal.h"

namespace trainyard {

struct EventCursor {
  struct Place {
    uint64_t frame_offset = 0;
    int64_t frame_ordinal = 0;
    int64_t ordinal = 0;
  };

  std::string run_id;
  int64_t state = 0;
  std::map<int32_t, uint64_t> logs;
  std::map<SegmentId, Place> open;
  std::set<SegmentId> done;
  std::map<std::pair<int32_t, int32_t>, int32_t> done_below;

  bool IsDone(const SegmentId &id) const;
  void MarkDone(const SegmentId &id);

  std::string ToText() const;
  // Throws Error::InvalidArgument.
  static EventCursor FromText(std::string_view text, std::string_view run_id);
};

}  // namespace trainyard
