// Metrics of runs: journals folded into chunks, and queries over both. Thread-safe.
//
// A chunk is one row of `metric_chunks`: up to 4096 consecutive points of one name in one journal segment. Its columns
// are packed one after the other into `data`, each of `count` entries:
//   1. steps     zigzag varints: the first, then differences
//   2. times     the same
//   3. ordinals  varints: position of the point among all points and progress records of its segment, so that event
//                streams replay the exact order when the segment is gone: the first, then differences
//   4. values    IEEE 754 doubles, little-endian
// Progress reports are chunks of kind 1: times, ordinals, then {varint length, text} each. Records (values that are no
// numbers) are chunks of kind 2, all of one `metric_kind`: steps, times, ordinals, then {varint length, text} each.
// A segment's chunks and its row in `metric_segments` are committed together, then its file goes: a crash in between
// leaves a file that the next fold only removes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/metric.h"
#include "store/database.h"
#include "store/journal.h"
#include "store/metric_chunk.h"

namespace trainyard {

struct FoldResult {
  int64_t segments = 0;
  int64_t points = 0;
  int64_t skipped_bytes = 0;  // damaged
};

class MetricStore {
 public:
  explicit MetricStore(Database *database) : database_(database) {}

  // Folds the segments that their writer has sealed (`all` false: while the run runs) or every one (`all` true: no
  // writer lives any more). Segments that end in the middle of a frame are folded up to there.
  FoldResult Fold(std::string_view run_id, bool all);

  MetricSeries Query(std::string_view run_id, const MetricQuery &query);
  std::vector<MetricSummary> ListNames(std::string_view run_id);
  // Values of every kind by name, each name's in order of rank and logging (query.recursive and details are the
  // caller's).
  std::map<std::string, std::vector<MetricEntry>> Values(std::string_view run_id, const MetricValuesQuery &query);

  // For event streams: the segments folded after row `after`, in that order.
  struct FoldedSegment {
    int64_t row = 0;
    SegmentId id;
  };
  std::vector<FoldedSegment> FoldedSegments(std::string_view run_id, int64_t after = 0);
  // The chunks of a folded segment with an ordinal >= `from`, by first ordinal; and one chunk.
  struct ChunkRef {
    int64_t id = 0;
    int64_t first_ordinal = 0;
  };
  std::vector<ChunkRef> SegmentChunks(int64_t segment_row, int64_t from);
  MetricChunk LoadChunk(int64_t id);

 private:
  Database *database_;
};

}  // namespace trainyard
