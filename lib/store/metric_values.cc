// MetricStore::Values: everything that was logged under some names.
#include <algorithm>
#include <utility>

#include "store/metric_source.h"
#include "store/metric_store.h"

namespace trainyard {
namespace {

constexpr int32_t kSupervisorRank = -1;

// The values as they come, of each name the last ones.
class Collector {
 public:
  explicit Collector(const MetricValuesQuery &query) : query_(query) {
    filter_.name = query.name;
    filter_.points_only = false;
    filter_.rank = query.rank;
    filter_.first_step = query.first_step;
    filter_.last_step = query.last_step;
  }

  const MetricSourceFilter &filter() const { return filter_; }

  bool Wants(std::string_view name, MetricKind kind) const {
    if (!query_.name.empty() && name != query_.name) return false;
    if (!name.starts_with(query_.prefix)) return false;
    return query_.kinds.empty() || std::find(query_.kinds.begin(), query_.kinds.end(), kind) != query_.kinds.end();
  }

  void Add(std::string_view name, int64_t ordinal, MetricEntry entry) {
    if (filter_.Matches(entry.point)) segment_[std::string(name)].push_back({ordinal, std::move(entry)});
  }

  // The chunks of a segment come one after the other: values of several kinds under one name are put in order here.
  void EndSegment() {
    for (auto &[name, values] : segment_) {
      std::stable_sort(values.begin(), values.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
      std::vector<MetricEntry> &all = names_[name];
      for (auto &[ordinal, entry] : values) all.push_back(std::move(entry));
      // Not at every value: each one is moved a few times at most.
      if (all.size() / 2 >= Limit()) Trim(&all);
    }
    segment_.clear();
  }

  std::map<std::string, std::vector<MetricEntry>> Finish() {
    EndSegment();
    for (auto &[name, all] : names_) Trim(&all);
    return std::move(names_);
  }

 private:
  size_t Limit() const { return static_cast<size_t>(std::max<int64_t>(1, query_.limit)); }
  void Trim(std::vector<MetricEntry> *all) const {
    if (all->size() > Limit()) all->erase(all->begin(), all->end() - static_cast<std::ptrdiff_t>(Limit()));
  }

  const MetricValuesQuery &query_;
  MetricSourceFilter filter_;
  std::map<std::string, std::vector<std::pair<int64_t, MetricEntry>>> segment_;
  std::map<std::string, std::vector<MetricEntry>> names_;
};

void ReadChunk(const MetricChunk &chunk, int32_t rank, Collector *collector) {
  if (!collector->Wants(chunk.name, chunk.metric)) return;
  for (size_t i = 0; i < chunk.points.size(); ++i) {
    collector->Add(chunk.name, chunk.ordinals[i],
                   {rank, chunk.metric, chunk.points[i], chunk.texts.empty() ? "" : chunk.texts[i]});
  }
}

void ReadJournal(JournalReader *reader, int32_t rank, Collector *collector) {
  JournalRecord record;
  while (reader->Next(&record)) {
    if (record.kind == JournalRecord::Kind::kProgress || !collector->Wants(record.name, record.metric)) continue;
    int64_t ordinal = record.ordinal;
    const bool is_record = record.kind == JournalRecord::Kind::kRecord;
    for (const MetricPoint &point : record.points) {
      collector->Add(record.name, ordinal++, {rank, record.metric, point, is_record ? std::string(record.text) : ""});
    }
  }
}

}  // namespace

std::map<std::string, std::vector<MetricEntry>> MetricStore::Values(std::string_view run_id,
                                                                    const MetricValuesQuery &query) {
  Collector collector(query);
  SegmentId segment;
  for (const MetricSource &source : FindMetricSources(database_, run_id, collector.filter())) {
    if (!query.rank && source.segment.rank == kSupervisorRank) continue;
    if (source.segment != segment) collector.EndSegment();
    segment = source.segment;
    if (source.chunk != 0) {
      if (source.name.starts_with(query.prefix)) ReadChunk(LoadChunk(source.chunk), segment.rank, &collector);
    } else {
      ReadJournal(source.reader.get(), segment.rank, &collector);
    }
  }
  return collector.Finish();
}

}  // namespace trainyard
