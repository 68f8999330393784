// MetricStore: queries over chunks and live journals.
#include <algorithm>
#include <cmath>
#include <map>

#include "core/metric_value.h"
#include "store/metric_source.h"
#include "store/metric_store.h"
#include "util/error.h"

namespace trainyard {
namespace {

MetricSourceFilter FilterOf(const MetricQuery &query) {
  MetricSourceFilter filter;
  filter.name = query.name;
  filter.rank = query.rank;
  filter.first_step = query.first_step;
  filter.last_step = query.last_step;
  return filter;
}

bool AllMatch(const MetricQuery &query, const MetricSource &source) {
  return source.chunk != 0 && (!query.first_step || source.min_step >= *query.first_step) &&
         (!query.last_step || source.max_step <= *query.last_step);
}

// Calls visit(rank, point) for each matching point of a source, in order.
template <typename Visit>
void ForEach(MetricStore *store, const MetricQuery &query, const MetricSource &source, Visit &&visit) {
  const MetricSourceFilter filter = FilterOf(query);
  if (source.chunk != 0) {
    const MetricChunk chunk = store->LoadChunk(source.chunk);
    for (const MetricPoint &point : chunk.points) {
      if (filter.Matches(point)) visit(source.segment.rank, point);
    }
    return;
  }
  JournalRecord record;
  source.reader->Seek(0, 0);
  while (source.reader->Next(&record)) {
    if (record.kind != JournalRecord::Kind::kPoints || record.name != query.name) continue;
    for (const MetricPoint &point : record.points) {
      if (filter.Matches(point)) visit(source.segment.rank, point);
    }
  }
}

// Keeps the first and the last point and, of each of equally many buckets, the smallest and the largest in their order.
class Downsampler {
 public:
  Downsampler(int64_t total, int64_t wanted) : total_(total) {
    const int64_t buckets = std::max<int64_t>(1, (wanted - 2) / 2);
    width_ = std::max<int64_t>(1, (total - 2 + buckets - 1) / buckets);
  }

  void Add(int32_t rank, const MetricPoint &point) {
    const Kept kept{index_, rank, point};
    if (index_ == 0 || index_ == total_ - 1) {
      if (index_ != 0) Close();
      out_.push_back(kept);
    } else {
      const int64_t bucket = (index_ - 1) / width_;
      if (bucket != bucket_) {
        Close();
        bucket_ = bucket;
      }
      // A NaN counts only where there is nothing else.
      if (!open_) {
        low_ = high_ = kept;
        open_ = true;
      } else {
        if (!(point.value >= low_.point.value) && !std::isnan(point.value)) low_ = kept;
        if (!(point.value <= high_.point.value) && !std::isnan(point.value)) high_ = kept;
      }
    }
    ++index_;
  }

  void Finish(bool with_ranks, MetricSeries *series) {
    Close();
    for (const Kept &kept : out_) {
      series->points.push_back(kept.point);
      if (with_ranks) series->ranks.push_back(kept.rank);
    }
  }

 private:
  struct Kept {
    int64_t index = 0;
    int32_t rank = 0;
    MetricPoint point;
  };

  void Close() {
    if (!open_) return;
    open_ = false;
    const bool ordered = low_.index <= high_.index;
    out_.push_back(ordered ? low_ : high_);
    if (low_.index != high_.index) out_.push_back(ordered ? high_ : low_);
  }

  int64_t total_;
  int64_t width_ = 1;  // points in a bucket
  int64_t index_ = 0, bucket_ = -1;
  bool open_ = false;
  Kept low_, high_;
  std::vector<Kept> out_;
};

int64_t CountMatches(MetricStore *store, const MetricQuery &query, const MetricSource &source) {
  if (AllMatch(query, source)) return source.count;
  int64_t count = 0;
  ForEach(store, query, source, [&](int32_t, const MetricPoint &) { ++count; });
  return count;
}

}  // namespace

MetricSeries MetricStore::Query(std::string_view run_id, const MetricQuery &query) {
  if (query.offset < 0 || query.limit < 0 || query.downsample_to < 0 ||
      (query.downsample_to > 0 && query.downsample_to < 4)) {
    throw Error::InvalidArgument(
        "a metric query needs an offset and a limit of at least 0, and 0 or at least 4 points to downsample to");
  }
  MetricSeries series;
  series.name = query.name;
  const bool with_ranks = !query.rank;
  const std::vector<MetricSource> sources = FindMetricSources(database_, run_id, FilterOf(query));
  if (query.downsample_to > 0) {
    std::vector<int64_t> counts;
    for (const MetricSource &source : sources) series.total += counts.emplace_back(CountMatches(this, query, source));
    if (series.total > query.downsample_to) {
      Downsampler downsampler(series.total, query.downsample_to);
      for (size_t i = 0; i < sources.size(); ++i) {
        // A live segment may have grown since it was counted.
        int64_t left = counts[i];
        ForEach(this, query, sources[i], [&](int32_t rank, const MetricPoint &point) {
          if (left-- > 0) downsampler.Add(rank, point);
        });
      }
      downsampler.Finish(with_ranks, &series);
      return series;
    }
    series.total = 0;
  }
  const int64_t begin = query.downsample_to > 0 ? 0 : query.offset;
  const int64_t end = query.downsample_to > 0 ? query.downsample_to : begin + std::min(query.limit, INT64_MAX - begin);
  for (const MetricSource &source : sources) {
    if (AllMatch(query, source) && (series.total + source.count <= begin || series.total >= end)) {
      series.total += source.count;
      continue;
    }
    ForEach(this, query, source, [&](int32_t rank, const MetricPoint &point) {
      if (series.total >= begin && series.total < end) {
        series.points.push_back(point);
        if (with_ranks) series.ranks.push_back(rank);
      }
      ++series.total;
    });
  }
  return series;
}

std::vector<MetricSummary> MetricStore::ListNames(std::string_view run_id) {
  LiveJournals live = OpenLiveJournals(database_->layout().Run(run_id).Journal());
  std::map<std::string, MetricSummary> summaries;
  const auto merge = [&](const std::string &name, MetricKind kind, int64_t count, double low, double high,
                         const MetricPoint &last) {
    auto [found, fresh] = summaries.try_emplace(name);
    MetricSummary &summary = found->second;
    if (fresh) {
      summary.name = name;
      summary.minimum = summary.maximum = std::nan("");
    }
    if (fresh || last.time_ms >= summary.last.time_ms) {
      summary.last = last;
      summary.kind = kind;
    }
    summary.count += count;
    summary.minimum = std::fmin(summary.minimum, low);
    summary.maximum = std::fmax(summary.maximum, high);
  };
  database_->Read([&](Connection &db) {
    const int64_t run_seq = RunSeqOf(db, run_id);
    DropFolded(db, run_seq, &live);
    auto rows = db.Prepare(
        "SELECT n.name, c.metric_kind, c.count, c.min_value, c.max_value, c.last_step, c.last_time, c.last_value FROM "
        "metric_names n JOIN metric_chunks c ON c.name_id = n.id WHERE n.run_seq = ? ORDER BY n.id, c.rank, "
        "c.segment_id, c.first_ordinal");
    rows.Bind(run_seq);
    while (rows.Step()) {
      const MetricKind kind = MetricKindFromNumber(rows.Int(1)).value_or(MetricKind::kScalar);
      merge(rows.Text(0), kind, rows.Int(2), rows.Double(3), rows.Double(4),
            {rows.Int(5), rows.Int(6), rows.Double(7)});
    }
  });
  for (auto &[id, reader] : live) {
    JournalRecord record;
    while (reader->Next(&record)) {
      if (record.kind == JournalRecord::Kind::kProgress) continue;
      double low = std::nan(""), high = low;
      for (const MetricPoint &point : record.points) {
        low = std::fmin(low, point.value);
        high = std::fmax(high, point.value);
      }
      merge(std::string(record.name), record.metric, static_cast<int64_t>(record.points.size()), low, high,
            record.points.back());
    }
  }
  std::vector<MetricSummary> list;
  for (auto &[name, summary] : summaries) list.push_back(std::move(summary));
  return list;
}

std::vector<MetricStore::FoldedSegment> MetricStore::FoldedSegments(std::string_view run_id, int64_t after) {
  return database_->Read([&](Connection &db) {
    std::vector<FoldedSegment> segments;
    auto rows =
        db.Prepare("SELECT id, rank, attempt, number FROM metric_segments WHERE run_seq = ? AND id > ? ORDER BY id");
    rows.Bind(RunSeqOf(db, run_id)).Bind(after);
    while (rows.Step()) {
      segments.push_back(
          {rows.Int(0),
           {static_cast<int32_t>(rows.Int(1)), static_cast<int32_t>(rows.Int(2)), static_cast<int32_t>(rows.Int(3))}});
    }
    return segments;
  });
}

std::vector<MetricStore::ChunkRef> MetricStore::SegmentChunks(int64_t segment_row, int64_t from) {
  return database_->Read([&](Connection &db) {
    std::vector<ChunkRef> chunks;
    auto rows = db.Prepare(
        "SELECT id, first_ordinal FROM metric_chunks WHERE segment_id = ? AND last_ordinal >= ? ORDER BY "
        "first_ordinal");
    rows.Bind(segment_row).Bind(from);
    while (rows.Step()) chunks.push_back({rows.Int(0), rows.Int(1)});
    return chunks;
  });
}

MetricChunk MetricStore::LoadChunk(int64_t id) {
  return database_->Read([&](Connection &db) {
    auto row = db.Prepare(
        "SELECT c.kind, n.name, c.rank, c.count, c.data, c.metric_kind FROM metric_chunks c LEFT JOIN metric_names n "
        "ON n.id = "
        "c.name_id WHERE c.id = ?");
    row.Bind(id);
    if (!row.Step()) throw Error::NotFound("a chunk of metrics is gone: its run was deleted");
    MetricChunk chunk;
    chunk.kind = static_cast<MetricChunk::Kind>(row.Int(0));
    chunk.metric = MetricKindFromNumber(row.Int(5)).value_or(MetricKind::kScalar);
    chunk.name = row.Text(1);
    chunk.rank = static_cast<int32_t>(row.Int(2));
    chunk.Unpack(row.Blob(4), static_cast<size_t>(row.Int(3)));
    return chunk;
  });
}

}  // namespace trainyard
