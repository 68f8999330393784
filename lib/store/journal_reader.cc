#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "core/metric_value.h"
#include "store/journal.h"
#include "store/journal_format.h"
#include "util/error.h"
#include "util/hash.h"
#include "util/text.h"

namespace trainyard {

using journal::Load;

std::string SegmentFileName(const SegmentId &id) {
  return "rank" + std::to_string(id.rank) + "." + std::to_string(id.attempt) + "." + std::to_string(id.number) + ".tyj";
}

std::optional<SegmentId> ParseSegmentFileName(std::string_view name) {
  if (!name.starts_with("rank") || !name.ends_with(".tyj")) return std::nullopt;
  const auto parts = Split(name.substr(4, name.size() - 8), '.');
  if (parts.size() != 3) return std::nullopt;
  std::array<int32_t, 3> numbers{};
  for (size_t i = 0; i < 3; ++i) {
    const auto value = ParseInt64(parts[i]);
    if (!value || *value < -1 || *value > INT32_MAX) return std::nullopt;
    numbers[i] = static_cast<int32_t>(*value);
  }
  return SegmentId{numbers[0], numbers[1], numbers[2]};
}

std::vector<SegmentId> ListSegments(const std::string &directory) {
  std::vector<SegmentId> segments;
  try {
    for (const DirEntry &entry : ListDir(directory)) {
      if (const auto id = ParseSegmentFileName(entry.name)) segments.push_back(*id);
    }
  } catch (const Error &error) {
    if (error.status() != Status::kNotFound) throw;
  }
  std::sort(segments.begin(), segments.end());
  return segments;
}

void SyncJournals(const std::string &directory) {
  for (const SegmentId &id : ListSegments(directory)) {
    try {
      const UniqueFd fd = OpenFile(directory + "/" + SegmentFileName(id), O_RDONLY | O_NONBLOCK);
      if (fdatasync(fd.get()) != 0) throw Error::FromErrno(errno, "sync", directory + "/" + SegmentFileName(id));
    } catch (const Error &error) {
      if (error.status() != Status::kNotFound) throw;  // folded meanwhile
    }
  }
}

struct JournalReader::State {
  std::string path;
  UniqueFd fd;
  bool writable = false;
  bool final = false;
  uint64_t at = journal::kHeaderSize;  // next frame
  int64_t ordinal = 0;
  uint64_t skipped = 0;
  uint64_t limit = 0;      // bytes that may be read; looked up again when reached
  bool committed = false;  // `limit` is the writer's word: a bad frame below it is damage, not a frame in the making

  // The file's bytes [start, start + data.size()).
  std::string buffer;
  uint64_t start = 0;
  std::map<uint32_t, std::string> names;
  std::vector<MetricPoint> points;
  std::string text;

  void Refresh();
  const uint8_t *Bytes(uint64_t offset, uint64_t size);
  bool Frame(uint64_t offset, uint32_t *word, const uint8_t **payload);
  bool Resync();
  const std::string &NameOf(uint32_t id);
  bool Take(uint32_t word, const uint8_t *payload, JournalRecord *record);
  bool TakeRecord(const uint8_t *payload, uint64_t length, JournalRecord *record);
};

void JournalReader::State::Refresh() {
  std::array<uint8_t, 8> word{};
  if (ReadAt(fd.get(), word.data(), word.size(), journal::kCommittedOffset, path) != word.size()) return;
  journal::Fence();
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) throw Error::FromErrno(errno, "stat", path);
  const auto size = static_cast<uint64_t>(info.st_size);
  const auto written = Load<uint64_t>(word.data());
  committed = written != 0;
  const uint64_t fresh = committed ? std::min(written, size) : size;
  if (fresh != limit || !committed) buffer.clear();  // its end may have been read while it was being written
  limit = fresh;
}

// `size` bytes at `offset`, or null when they are beyond the limit.
const uint8_t *JournalReader::State::Bytes(uint64_t offset, uint64_t size) {
  if (offset > limit || size > limit - offset) return nullptr;
  if (buffer.empty() || offset < start || offset + size > start + buffer.size()) {
    const uint64_t want = std::min(limit - offset, std::max<uint64_t>(size, uint64_t{1} << 20));
    buffer.resize(want);
    buffer.resize(ReadAt(fd.get(), buffer.data(), want, offset, path));
    start = offset;
    if (buffer.size() < size) return nullptr;
  }
  return reinterpret_cast<const uint8_t *>(buffer.data()) + (offset - start);
}

// A whole frame with the right CRC at `offset`?
bool JournalReader::State::Frame(uint64_t offset, uint32_t *word, const uint8_t **payload) {
  const uint8_t *head = Bytes(offset, journal::kFrameHeaderSize);
  if (head == nullptr || Load<uint32_t>(head) != journal::kFrameMagic) return false;
  *word = Load<uint32_t>(head + 8);
  const auto crc = Load<uint32_t>(head + 4);
  const uint64_t length = *word & journal::kMaxPayload;
  const uint8_t *whole = Bytes(offset, journal::FrameSize(length));
  if (whole == nullptr) return false;
  *payload = whole + journal::kFrameHeaderSize;
  return Crc32(whole + 8, 4 + length) == crc;
}

// After a bad frame: the next good one, or false with `at` unchanged when it may still be in the making.
bool JournalReader::State::Resync() {
  uint32_t word = 0;
  const uint8_t *payload = nullptr;
  for (uint64_t offset = at + 8; offset + journal::kFrameHeaderSize <= limit; offset += 8) {
    const uint8_t *head = Bytes(offset, 4);
    if (head == nullptr) break;
    if (Load<uint32_t>(head) != journal::kFrameMagic || !Frame(offset, &word, &payload)) continue;
    skipped += offset - at;
    at = offset;
    return true;
  }
  if (committed || final) {
    skipped += limit - at;
    at = limit;
  }
  return false;
}

const std::string &JournalReader::State::NameOf(uint32_t id) {
  auto name = names.find(id);
  // Where the definition was damaged, the numbers are still worth keeping.
  if (name == names.end()) name = names.emplace(id, "unnamed_" + std::to_string(id)).first;
  return name->second;
}

bool JournalReader::State::TakeRecord(const uint8_t *payload, uint64_t length, JournalRecord *record) {
  if (length < journal::kRecordHead) return false;
  const auto metric = MetricKindFromNumber(Load<uint32_t>(payload + 20));
  if (!metric || *metric == MetricKind::kScalar) return false;  // of a later release
  text.assign(reinterpret_cast<const char *>(payload) + journal::kRecordHead, length - journal::kRecordHead);
  points.assign(1, {Load<int64_t>(payload + 12), record->time_ms, std::numeric_limits<double>::quiet_NaN()});
  record->kind = JournalRecord::Kind::kRecord;
  record->metric = *metric;
  record->name = NameOf(Load<uint32_t>(payload));
  record->text = text;
  record->points = points;
  ++ordinal;
  return true;
}

bool JournalReader::State::Take(uint32_t word, const uint8_t *payload, JournalRecord *record) {
  const uint32_t kind = word >> 24;
  const uint64_t length = word & journal::kMaxPayload;
  const uint64_t offset = at;
  at += journal::FrameSize(length);
  if (kind == journal::kKindName && length >= 5) {
    names[Load<uint32_t>(payload)] =
        SanitizeUtf8(std::string_view(reinterpret_cast<const char *>(payload) + 4, length - 4));
    return false;
  }
  if (length < 12) return false;
  record->offset = offset;
  record->ordinal = ordinal;
  record->time_ms = Load<int64_t>(payload + 4);
  if (kind == journal::kKindProgress) {
    text.assign(reinterpret_cast<const char *>(payload) + 12, length - 12);
    record->kind = JournalRecord::Kind::kProgress;
    record->text = text;
    record->points = {};
    ++ordinal;
    return true;
  }
  if (kind == journal::kKindRecord) return TakeRecord(payload, length, record);
  if (kind != journal::kKindPoints || (length - 12) % 16 != 0 || length == 12) return false;
  const std::string &name = NameOf(Load<uint32_t>(payload));
  points.resize((length - 12) / 16);
  for (size_t i = 0; i < points.size(); ++i) {
    points[i] = {Load<int64_t>(payload + 12 + 16 * i), record->time_ms, Load<double>(payload + 20 + 16 * i)};
  }
  record->kind = JournalRecord::Kind::kPoints;
  record->metric = MetricKind::kScalar;
  record->name = name;
  record->points = points;
  ordinal += static_cast<int64_t>(points.size());
  return true;
}

JournalReader::JournalReader(const std::string &path) : state_(std::make_unique<State>()) {
  state_->path = path;
  // For writing too where allowed: Arm sets a word in the header.
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  state_->writable = fd >= 0;
  state_->fd = fd >= 0 ? UniqueFd(fd) : OpenFile(path, O_RDONLY | O_NONBLOCK);
  std::array<uint8_t, 8> head{};
  const size_t got = ReadAt(state_->fd.get(), head.data(), head.size(), 0, path);
  // Allocated but not yet started, or its writer died there: nothing to read so far.
  if (got == 0 || std::all_of(head.begin(), head.end(), [](uint8_t byte) { return byte == 0; })) return;
  if (got < head.size() || Load<uint32_t>(head.data()) != journal::kFileMagic) {
    throw Error::Corrupt("'" + path + "' is not a metric journal", {{"path", path}});
  }
  const auto version = Load<uint32_t>(head.data() + 4);
  if (version != journal::kVersion) {
    throw Error(Status::kVersion,
                "'" + path + "' has journal format " + std::to_string(version) + ", this library reads " +
                    std::to_string(journal::kVersion) + ": use a newer trainyard",
                {{"path", path}});
  }
}

JournalReader::~JournalReader() = default;

void JournalReader::Seek(uint64_t offset, int64_t ordinal) {
  // Only names are needed of what lies before; frames are read, not parsed twice.
  JournalRecord record;
  State &state = *state_;
  state.at = journal::kHeaderSize;
  state.ordinal = 0;
  state.Refresh();
  uint32_t word = 0;
  const uint8_t *payload = nullptr;
  while (state.at < offset) {
    if (state.Frame(state.at, &word, &payload)) {
      if (word >> 24 == journal::kKindName) {
        state.Take(word, payload, &record);
      } else {
        state.at += journal::FrameSize(word & journal::kMaxPayload);
      }
    } else if (!state.Resync()) {
      break;
    }
  }
  state.skipped = 0;
  state.at = offset;
  state.ordinal = ordinal;
}

bool JournalReader::Next(JournalRecord *record) {
  State &state = *state_;
  bool refreshed = false;
  for (;;) {
    uint32_t word = 0;
    const uint8_t *payload = nullptr;
    if (state.Frame(state.at, &word, &payload)) {
      if (state.Take(word, payload, record)) return true;
      continue;
    }
    // At the end as known, or in front of something bad: look again how far the writer is before deciding.
    if (!refreshed) {
      refreshed = true;
      state.Refresh();
      continue;
    }
    if (state.at >= state.limit || !state.Resync()) return false;
  }
}

bool JournalReader::Sealed() const {
  std::array<uint8_t, 4> word{};
  return ReadAt(state_->fd.get(), word.data(), word.size(), journal::kSealedOffset, state_->path) == word.size() &&
         Load<uint32_t>(word.data()) != 0;
}

bool JournalReader::Finished() {
  if (!Sealed()) return false;
  journal::Fence();
  state_->final = true;  // a torn tail will not get better
  state_->Refresh();
  return state_->at >= state_->limit;
}

void JournalReader::set_final(bool final) {
  state_->final = final;
}

bool JournalReader::Arm() {
  State &state = *state_;
  std::array<uint8_t, 4> word{};
  if (!state.writable || !state.committed) return false;
  if (ReadAt(state.fd.get(), word.data(), word.size(), journal::kArmedOffset, state.path) != word.size()) return false;
  if (Load<uint32_t>(word.data()) != 0) return true;  // no second write: it would wake the readers themselves
  const uint32_t one = 1;
  const bool done = pwrite(state.fd.get(), &one, sizeof one, journal::kArmedOffset) == sizeof one;
  journal::Fence();
  return done;
}

uint64_t JournalReader::offset() const {
  return state_->at;
}
int64_t JournalReader::ordinal() const {
  return state_->ordinal;
}
uint64_t JournalReader::skipped_bytes() const {
  return state_->skipped;
}

}  // namespace trainyard
