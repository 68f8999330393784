// MetricStore::Fold: journal segments into chunks.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include "store/metric_store.h"
#include "util/error.h"
#include "util/log.h"

namespace trainyard {
namespace {

// The chunks of one segment, as they fill.
class Builder {
 public:
  void Add(const JournalRecord &record) {
    if (record.kind != JournalRecord::Kind::kPoints) {
      AddText(record);
      return;
    }
    MetricChunk *chunk = &Open({MetricChunk::Kind::kPoints, MetricKind::kScalar, record.name});
    for (size_t i = 0; i < record.points.size(); ++i) {
      chunk->points.push_back(record.points[i]);
      chunk->ordinals.push_back(record.ordinal + static_cast<int64_t>(i));
      if (chunk->points.size() >= MetricChunk::kPoints) Finish(chunk);
    }
    points_ += static_cast<int64_t>(record.points.size());
  }

  void FinishAll() {
    for (auto &[key, chunk] : open_) Finish(&chunk);
  }

  struct Packed {
    MetricChunk::Kind kind = MetricChunk::Kind::kPoints;
    MetricKind metric = MetricKind::kScalar;
    std::string name;
    int64_t first_ordinal = 0, last_ordinal = 0, min_step = 0, max_step = 0, first_time = 0, last_time = 0, count = 0;
    double min_value = 0, max_value = 0;
    MetricPoint last;
    std::string data;
  };
  const std::vector<Packed> &packed() const { return packed_; }
  int64_t points() const { return points_; }

 private:
  // What goes into one chunk: one name, and one kind of metric.
  using Key = std::tuple<MetricChunk::Kind, MetricKind, std::string>;
  using KeyView = std::tuple<MetricChunk::Kind, MetricKind, std::string_view>;

  MetricChunk &Open(const KeyView &key) {
    auto found = open_.find(key);
    if (found == open_.end()) {
      found = open_.emplace(Key(key), MetricChunk()).first;
      MetricChunk &chunk = found->second;
      std::tie(chunk.kind, chunk.metric, chunk.name) = key;
    }
    return found->second;
  }

  void AddText(const JournalRecord &record) {
    const bool progress = record.kind == JournalRecord::Kind::kProgress;
    MetricChunk &chunk = Open(progress ? KeyView(MetricChunk::Kind::kProgress, MetricKind::kScalar, "")
                                       : KeyView(MetricChunk::Kind::kRecords, record.metric, record.name));
    chunk.points.push_back(progress ? MetricPoint{0, record.time_ms, 0} : record.points.front());
    chunk.ordinals.push_back(record.ordinal);
    chunk.texts.emplace_back(record.text);
    size_t &bytes = text_bytes_[&chunk];
    bytes += record.text.size();
    if (!progress) ++points_;
    if (bytes > size_t{1} << 20 || chunk.points.size() >= MetricChunk::kPoints) Finish(&chunk);
  }

  void Finish(MetricChunk *chunk) {
    if (chunk->points.empty()) return;
    Packed packed;
    packed.kind = chunk->kind;
    packed.metric = chunk->metric;
    packed.name = chunk->name;
    packed.first_ordinal = chunk->ordinals.front();
    packed.last_ordinal = chunk->ordinals.back();
    packed.first_time = chunk->points.front().time_ms;
    packed.last_time = chunk->points.back().time_ms;
    packed.count = static_cast<int64_t>(chunk->points.size());
    packed.last = chunk->points.back();
    packed.min_step = std::numeric_limits<int64_t>::max();
    packed.max_step = std::numeric_limits<int64_t>::min();
    packed.min_value = packed.max_value = std::nan("");
    for (const MetricPoint &point : chunk->points) {
      packed.min_step = std::min(packed.min_step, point.step);
      packed.max_step = std::max(packed.max_step, point.step);
      // fmin and fmax give the other one when one is NaN.
      packed.min_value = std::fmin(packed.min_value, point.value);
      packed.max_value = std::fmax(packed.max_value, point.value);
    }
    packed.data = chunk->Pack();
    packed_.push_back(std::move(packed));
    chunk->points.clear();
    chunk->ordinals.clear();
    chunk->texts.clear();
    text_bytes_.erase(chunk);
  }

  struct Less {
    using is_transparent = void;
    bool operator()(const KeyView &a, const KeyView &b) const { return a < b; }
  };
  std::map<Key, MetricChunk, Less> open_;
  std::map<const MetricChunk *, size_t> text_bytes_;  // of open chunks
  std::vector<Packed> packed_;
  int64_t points_ = 0;
};

int64_t NameId(Connection &db, int64_t run_seq, const std::string &name) {
  db.Prepare("INSERT INTO metric_names (run_seq, name) VALUES (?, ?) ON CONFLICT DO NOTHING")
      .Bind(run_seq)
      .Bind(name)
      .Run();
  auto query = db.Prepare("SELECT id FROM metric_names WHERE run_seq = ? AND name = ?");
  query.Bind(run_seq).Bind(name);
  query.Step();
  return query.Int(0);
}

// False = somebody else folded this segment.
bool WriteSegment(Connection &db, std::string_view run_id, const SegmentId &id, uint64_t skipped,
                  const Builder &builder) {
  int64_t run_seq = 0;
  {
    auto query = db.Prepare("SELECT seq FROM runs WHERE id = ?");
    query.Bind(run_id);
    if (!query.Step()) throw Error::NotFound("there is no run '" + std::string(run_id) + "' in the workspace");
    run_seq = query.Int(0);
  }
  db.Prepare(
        "INSERT INTO metric_segments (run_seq, rank, attempt, number, skipped_bytes) VALUES (?, ?, ?, ?, ?) ON "
        "CONFLICT DO NOTHING")
      .Bind(run_seq)
      .Bind(int64_t{id.rank})
      .Bind(int64_t{id.attempt})
      .Bind(int64_t{id.number})
      .Bind(static_cast<int64_t>(skipped))
      .Run();
  if (db.Changes() == 0) return false;
  const int64_t segment = db.LastInsertId();
  std::map<std::string, int64_t> names;
  for (const Builder::Packed &chunk : builder.packed()) {
    const bool named = chunk.kind != MetricChunk::Kind::kProgress;
    if (named && !names.contains(chunk.name)) names[chunk.name] = NameId(db, run_seq, chunk.name);
    auto insert = db.Prepare(
        "INSERT INTO metric_chunks (kind, metric_kind, name_id, segment_id, rank, first_ordinal, last_ordinal, "
        "min_step, max_step, "
        "first_time, last_time, count, min_value, max_value, last_step, last_value, data) "
        "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    insert.Bind(static_cast<int64_t>(chunk.kind)).Bind(static_cast<int64_t>(chunk.metric));
    if (named) {
      insert.Bind(names[chunk.name]);
    } else {
      insert.BindNull();
    }
    insert.Bind(segment)
        .Bind(int64_t{id.rank})
        .Bind(chunk.first_ordinal)
        .Bind(chunk.last_ordinal)
        .Bind(chunk.min_step)
        .Bind(chunk.max_step)
        .Bind(chunk.first_time)
        .Bind(chunk.last_time)
        .Bind(chunk.count)
        .Bind(chunk.min_value)
        .Bind(chunk.max_value)
        .Bind(chunk.last.step)
        .Bind(chunk.last.value)
        .BindBlob(chunk.data)
        .Run();
  }
  return true;
}

}  // namespace

FoldResult MetricStore::Fold(std::string_view run_id, bool all) {
  FoldResult result;
  const std::string directory = database_->layout().Run(run_id).Journal();
  const std::vector<SegmentId> segments = ListSegments(directory);
  std::set<SegmentId> folded;
  if (!segments.empty()) {
    for (const FoldedSegment &segment : FoldedSegments(run_id)) folded.insert(segment.id);
  }
  for (size_t i = 0; i < segments.size(); ++i) {
    const SegmentId &id = segments[i];
    const bool newest =
        i + 1 == segments.size() || segments[i + 1].rank != id.rank || segments[i + 1].attempt != id.attempt;
    if (newest && !all) continue;
    const std::string path = directory + "/" + SegmentFileName(id);
    try {
      if (!folded.contains(id)) {
        JournalReader reader(path);
        if (!all && !reader.Sealed()) continue;
        reader.set_final(true);
        Builder builder;
        JournalRecord record;
        while (reader.Next(&record)) builder.Add(record);
        builder.FinishAll();
        const bool done = database_->Write(
            [&](Connection &db) { return WriteSegment(db, run_id, id, reader.skipped_bytes(), builder); });
        if (done) {
          ++result.segments;
          result.points += builder.points();
          result.skipped_bytes += static_cast<int64_t>(reader.skipped_bytes());
        }
      }
      RemoveFile(path);
    } catch (const Error &error) {
      if (error.status() == Status::kNotFound && !PathExists(path)) continue;  // another process folded it
      if (error.status() != Status::kCorrupt) throw;
      // Kept for a person to look at; the run's other metrics must not wait for it.
      Log(LogLevel::kError, error.what());
      RenamePath(path, path + ".damaged");
    }
  }
  return result;
}

}  // namespace trainyard
