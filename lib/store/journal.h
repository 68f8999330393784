// The metric journal of a rank: append-only segment files that survive kill -9 of their writer without a lost point.
//
// One write(2) a point costs 0.5 us, too slow for 2 million points a second, so a segment is memory that is also a
// file: its blocks are allocated first (fallocate, so that a full disk is an error here and never SIGBUS), frames are
// stored through a shared mapping, and the word `committed` is stored last. The page cache keeps that when the process
// dies; Flush() makes it safe against a power cut. Where mapping is not safe (network and copy-on-write file systems,
// no fallocate) the same format is written with one write(2) a call, `committed` staying 0; a short write is cut back
// to the frame start and reported.
//
// Segment file journal/rank<R>.<attempt>.<n>.tyj, integers little-endian:
//   1. header, 4096 bytes: "TYJ1", u32 version (1), i32 rank, i32 attempt, i32 n, u32 reserved, i64 writer pid,
//      i64 created (Unix ms), 40 bytes boot id, zero-padded; at 128 u64 committed: end of the last whole frame (0 = not
//      used: the file's end); at 192 u32 sealed: 1 = no more frames will come; at 256 u32 armed: a reader wants to be
//      woken; at 320 u32 bell: rewritten with write(2) by the writer when it finds `armed`, so that inotify tells.
//      Everything else is zero.
//   2. frames, each at a multiple of 8: u32 magic "tyjf"; u32 CRC-32 of all that follows but the padding; u32 payload
//      length (24 bits) | kind << 24; payload; zeros up to a multiple of 8.
// Kinds: 1 name {u32 id, UTF-8 name}, before its first point in each segment; 2 points {u32 name id, i64 time_ms,
//   n x {i64 step, f64 value}}; 3 progress {u32 0, i64 time_ms, JSON}; 4 record {u32 name id, i64 time_ms, i64 step,
//   u32 kind of metric, JSON}: a logged value that is no number; others are skipped.
// A reader that finds a bad frame looks for the next magic with a right CRC and counts the bytes it skipped.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/metric.h"
#include "util/fs.h"

namespace trainyard {

struct SegmentId {
  int32_t rank = 0;
  int32_t attempt = 0;
  int32_t number = 0;
  auto operator<=>(const SegmentId &) const = default;  // NOLINT(modernize-use-nullptr): a false alarm
};

std::string SegmentFileName(const SegmentId &id);
std::optional<SegmentId> ParseSegmentFileName(std::string_view name);
// Segments in a journal directory, sorted; empty when the directory is absent.
std::vector<SegmentId> ListSegments(const std::string &directory);
// fdatasync of every segment (the runner does this once a second).
void SyncJournals(const std::string &directory);

struct JournalOptions {
  uint64_t segment_bytes = uint64_t{32} << 20;
  enum class Mode { kAuto, kMapped, kWrite } mode = Mode::kAuto;
};

// Thread-safe. One per process and rank (more are fine: each has its own segments). In a forked child calls are
// refused.
class JournalWriter {
 public:
  // `directory` must exist. Files are made at the first append.
  JournalWriter(std::string directory, int32_t rank, int32_t attempt, const JournalOptions &options = {});
  JournalWriter(const JournalWriter &) = delete;
  JournalWriter &operator=(const JournalWriter &) = delete;
  ~JournalWriter();  // seals

  static constexpr size_t kMaxName = 255;
  static constexpr size_t kMaxRecord = size_t{1} << 20;  // bytes of a record or of progress

  // Step unset = the next of this name: one more than the last step given or counted, from 0. time_ms 0 = now. When the
  // call returns the point is safe from the death of this process. Error kNoSpace: the point was not written,
  // everything before is, and a later call may succeed.
  void Append(std::string_view name, double value, std::optional<int64_t> step = std::nullopt, int64_t time_ms = 0);
  // Empty `steps` = the next ones. Whole batches (of up to 65536 points) are written or none.
  void AppendBatch(std::string_view name, std::span<const double> values, std::span<const int64_t> steps = {},
                   int64_t time_ms = 0);
  void Progress(std::string_view json, int64_t time_ms = 0);
  // A value of any kind but kScalar: JSON of at most kMaxRecord bytes, which the caller has checked. A name holds
  // values of one family (MetricFamily); another one is Error kInvalidArgument, as far as this writer knows.
  void Record(MetricKind kind, std::string_view name, std::string_view json, std::optional<int64_t> step = std::nullopt,
              int64_t time_ms = 0);
  // On disk: returns when a power cut would lose nothing written before.
  void Flush();
  // No more appends; marks the segment as complete.
  void Close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// What a reader gets.
struct JournalRecord {
  enum class Kind { kPoints, kProgress, kRecord } kind = Kind::kPoints;
  std::string_view name;                    // points and records; valid as long as the reader
  std::string_view text;                    // progress and records; valid until the next Next
  MetricKind metric = MetricKind::kScalar;  // records
  int64_t time_ms = 0;
  std::span<const MetricPoint> points;  // records: one, for its step; valid until the next Next
  uint64_t offset = 0;                  // of the frame
  int64_t ordinal = 0;                  // of the first point (or of the progress) among all of the segment
};

// Reads one segment from its start or from a known place, while it is being written. Not thread-safe.
class JournalReader {
 public:
  // Error kNotFound when the file is absent, kCorrupt when it is no journal, kVersion when it is a newer one.
  explicit JournalReader(const std::string &path);
  ~JournalReader();
  JournalReader(const JournalReader &) = delete;
  JournalReader &operator=(const JournalReader &) = delete;

  // Goes to a frame given by an earlier record: its offset and ordinal. Names defined before it are read again.
  void Seek(uint64_t offset, int64_t ordinal);
  // False = nothing more at the moment.
  bool Next(JournalRecord *record);
  // The writer said that no more will come.
  bool Sealed() const;
  // Sealed, and everything was read.
  bool Finished();
  // With `final` set, what follows is certain to be no frame in the making: a torn tail is counted as skipped.
  void set_final(bool final);
  // Asks the writer for a wake-up at its next append; false when that cannot be (read-only, or a writer that write(2)s,
  // which inotify sees anyway). Look again with Next after it, then sleep.
  bool Arm();

  uint64_t offset() const;  // of the next frame
  int64_t ordinal() const;  // of the next point
  uint64_t skipped_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainyard
