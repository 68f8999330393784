#include "store/segment_stream.h"

#include <algorithm>
#include <limits>

#include "store/journal_format.h"
#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

Event MetricEvent(const SegmentId &id, std::string_view name, const MetricPoint &point) {
  Event event;
  event.kind = kEventMetric;
  event.rank = id.rank;
  event.name = name;
  event.time_ms = point.time_ms;
  event.step = point.step;
  event.value = point.value;
  return event;
}

Event RecordEvent(const SegmentId &id, std::string_view name, MetricKind kind, const MetricPoint &point,
                  std::string_view text) {
  Event event = MetricEvent(id, name, point);
  event.metric_kind = kind;
  event.value = std::numeric_limits<double>::quiet_NaN();
  event.text = SanitizeUtf8(text);
  return event;
}

Event ProgressEvent(const SegmentId &id, int64_t time_ms, std::string_view text) {
  Event event;
  event.kind = kEventProgress;
  event.rank = id.rank;
  event.time_ms = time_ms;
  event.text = text;
  return event;
}

class LiveStream : public SegmentStream {
 public:
  LiveStream(const std::string &path, const SegmentId &id, const EventCursor::Place &from) : id_(id), reader_(path) {
    if (from.frame_offset > journal::kHeaderSize) reader_.Seek(from.frame_offset, from.frame_ordinal);
    next_ = from.ordinal;
  }

  bool Read(std::deque<SegmentEvent> *out) override {
    constexpr size_t kEnough = 4096;
    const size_t before = out->size();
    JournalRecord record;
    while (out->size() - before < kEnough && reader_.Next(&record)) {
      EventCursor::Place after{record.offset, record.ordinal, record.ordinal};
      if (record.kind != JournalRecord::Kind::kPoints) {
        if (record.ordinal < next_) continue;
        after.ordinal = next_ = record.ordinal + 1;
        const bool progress = record.kind == JournalRecord::Kind::kProgress;
        out->push_back({progress ? ProgressEvent(id_, record.time_ms, record.text)
                                 : RecordEvent(id_, record.name, record.metric, record.points.front(), record.text),
                        after});
        continue;
      }
      for (const MetricPoint &point : record.points) {
        if (after.ordinal++ < next_) continue;
        next_ = after.ordinal;
        out->push_back({MetricEvent(id_, record.name, point), after});
      }
    }
    return out->size() > before;
  }

  bool Finished() override { return final_ || reader_.Finished(); }
  void SetFinal() override {
    reader_.set_final(true);
    final_ = true;
  }
  bool Arm() override { return reader_.Arm(); }

 private:
  SegmentId id_;
  JournalReader reader_;
  int64_t next_ = 0;  // ordinal
  bool final_ = false;
};

// Merges the chunks of all names by ordinal: one decoded chunk of each name at a time.
class FoldedStream : public SegmentStream {
 public:
  FoldedStream(MetricStore *store, int64_t segment_row, const SegmentId &id, const EventCursor::Place &from)
      : store_(store), id_(id), place_(from), refs_(store->SegmentChunks(segment_row, from.ordinal)) {}

  bool Read(std::deque<SegmentEvent> *out) override {
    constexpr size_t kEnough = 4096;
    const size_t before = out->size();
    while (out->size() - before < kEnough) {
      Open *first = nullptr;
      for (Open &open : open_) {
        if (first == nullptr || open.Ordinal() < first->Ordinal()) first = &open;
      }
      // A chunk whose first ordinal is not above the next one takes part in the merge.
      if (next_ref_ < refs_.size() && (first == nullptr || refs_[next_ref_].first_ordinal < first->Ordinal())) {
        Open open{store_->LoadChunk(refs_[next_ref_++].id), 0};
        while (open.at < open.chunk.ordinals.size() && open.Ordinal() < place_.ordinal) ++open.at;
        if (open.at < open.chunk.ordinals.size()) open_.push_back(std::move(open));
        continue;
      }
      if (first == nullptr) break;
      place_.ordinal = first->Ordinal() + 1;
      out->push_back({first->Event(id_), place_});
      if (++first->at == first->chunk.ordinals.size()) open_.erase(open_.begin() + (first - open_.data()));
    }
    return out->size() > before;
  }

  bool Finished() override { return open_.empty() && next_ref_ == refs_.size(); }

 private:
  struct Open {
    MetricChunk chunk;
    size_t at = 0;
    int64_t Ordinal() const { return chunk.ordinals[at]; }
    trainyard::Event Event(const SegmentId &id) const {
      const MetricPoint &point = chunk.points[at];
      if (chunk.kind == MetricChunk::Kind::kPoints) return MetricEvent(id, chunk.name, point);
      if (chunk.kind == MetricChunk::Kind::kProgress) return ProgressEvent(id, point.time_ms, chunk.texts[at]);
      return RecordEvent(id, chunk.name, chunk.metric, point, chunk.texts[at]);
    }
  };

  MetricStore *store_;
  SegmentId id_;
  EventCursor::Place place_;
  std::vector<MetricStore::ChunkRef> refs_;
  size_t next_ref_ = 0;
  std::vector<Open> open_;
};

}  // namespace

std::unique_ptr<SegmentStream> SegmentStream::Live(const std::string &path, const SegmentId &id,
                                                   const EventCursor::Place &from) {
  try {
    return std::make_unique<LiveStream>(path, id, from);
  } catch (const Error &error) {
    if (error.status() == Status::kNotFound) return nullptr;
    throw;
  }
}

std::unique_ptr<SegmentStream> SegmentStream::Folded(MetricStore *store, int64_t segment_row, const SegmentId &id,
                                                     const EventCursor::Place &from) {
  return std::make_unique<FoldedStream>(store, segment_row, id, from);
}

}  // namespace trainyard
