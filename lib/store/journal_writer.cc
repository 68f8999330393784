#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <mutex>
#include <unordered_map>

#include "store/journal.h"
#include "store/journal_format.h"
#include "util/boot.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/hash.h"
#include "util/text.h"

namespace trainyard {
namespace {

using journal::Store;

constexpr uint64_t kLargestFrame = uint64_t{2} << 20;  // 65536 points, or 1 MiB of JSON; and its name
constexpr uint64_t kNameFrame = journal::FrameSize(4 + JournalWriter::kMaxName);
constexpr uint64_t kPage = 4096;
constexpr int32_t kPointFamily = MetricFamily(MetricKind::kScalar);
constexpr uint64_t kFirstAllocation = uint64_t{256} << 10;

// Where a page fault in an allocated block cannot fail for want of space.
bool MappingIsSafe(const std::string &directory) {
  const FileSystemKind kind = GetFileSystemKind(directory);
  return !kind.network && (kind.name == "ext4" || kind.name == "xfs" || kind.name == "tmpfs" || kind.name == "overlay");
}

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

struct Name {
  uint32_t id = 0;
  uint32_t segment = 0;  // generation of the segment it was last defined in; 0 = none
  int64_t next_step = 0;
  int32_t family = 0;  // of its values; 0 = none yet
};

}  // namespace

struct JournalWriter::State {
  std::mutex mutex;
  std::string directory;
  SegmentId id;
  JournalOptions options;
  pid_t owner = getpid();
  bool mapped = false;
  bool closed = false;

  std::unordered_map<std::string, Name, StringHash, std::equal_to<>> names;
  Name *last_name = nullptr;  // most appends repeat the name of the one before
  std::string_view last_text;

  // The segment being written; generation 0 = none yet.
  uint32_t generation = 0;
  UniqueFd fd;
  std::string path;
  uint64_t end = 0;        // of the last whole frame
  uint64_t allocated = 0;  // bytes that can be stored through the mapping
  uint8_t *map = nullptr;
  uint64_t map_size = 0;
  std::string scratch;

  ~State() {
    Unmap();
    if (alive != nullptr) munmap(const_cast<uint8_t *>(alive), kPage);
  }

  void Unmap() {
    if (map != nullptr) munmap(map, map_size);
    map = nullptr;
  }

  // A page that the kernel clears in forked children: asking it costs nothing, asking for the process id a quarter of
  // an append. Null where there is no such page.
  volatile uint8_t *alive = nullptr;

  State() {
    void *page = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return;
    if (madvise(page, kPage, MADV_WIPEONFORK) != 0) {
      munmap(page, kPage);
      return;
    }
    alive = static_cast<uint8_t *>(page);
    *alive = 1;
  }
  State(const State &) = delete;
  State &operator=(const State &) = delete;

  bool Forked() const { return alive != nullptr ? *alive == 0 : getpid() != owner; }

  // Before the lock, which may have been held by a thread that is not in this process.
  void CheckFork() const {
    if (!Forked()) return;
    throw Error(Status::kForked,
                "this process was forked from the one that opened the metric journal: open it again here");
  }

  std::unique_lock<std::mutex> Enter() {
    CheckFork();
    std::unique_lock lock(mutex);
    if (closed) throw Error::InvalidState("the run has ended: metrics can be logged only while it runs");
    return lock;
  }

  void OpenSegment();
  void WriteHeader();
  bool Grow(uint64_t needed);
  void Seal();
  // Begins a frame with room for `payload` bytes (in a new segment when the old one is full); End makes it count.
  uint8_t *Begin(uint64_t payload);
  void End(uint32_t kind, uint64_t payload);
  void WriteFrame(uint64_t size);
  Name *Lookup(std::string_view name, int32_t family);
  void Define(Name *name, std::string_view text);
  // Begin for a value of `name`, which is defined in this segment afterwards.
  uint8_t *BeginOf(Name *name, std::string_view text, uint64_t payload);
  void Points(std::string_view name, const double *values, const int64_t *steps, size_t count, int64_t time_ms);
  void Record(MetricKind kind, std::string_view name, std::string_view json, const int64_t *step, int64_t time_ms);
  void CheckFileLimit(uint64_t size) const;
};

// A file above RLIMIT_FSIZE is a signal that ends the process; here it is an error.
void JournalWriter::State::CheckFileLimit(uint64_t size) const {
  rlimit limit{};
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && size > limit.rlim_cur) {
    throw Error::FromErrno(EFBIG, "write", path);
  }
}

void JournalWriter::State::OpenSegment() {
  Seal();
  SegmentId next = id;
  // After the highest there is: the lower ones may have been folded and removed, and their numbers are taken for ever.
  for (const SegmentId &other : ListSegments(directory)) {
    if (other.rank == id.rank && other.attempt == id.attempt) next.number = std::max(next.number, other.number + 1);
  }
  UniqueFd fresh;
  for (;; ++next.number) {
    path = directory + "/" + SegmentFileName(next);
    const int opened = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (opened >= 0) {
      fresh.Reset(opened);
      break;
    }
    if (errno != EEXIST && errno != EINTR) throw Error::FromErrno(errno, "create", path);
  }
  fd = std::move(fresh);
  id = next;
  end = 0;
  allocated = 0;
  mapped = options.mode == JournalOptions::Mode::kMapped ||
           (options.mode == JournalOptions::Mode::kAuto && MappingIsSafe(directory));
  try {
    if (mapped && !Grow(journal::kHeaderSize)) mapped = false;
    if (mapped) {
      // Address space only. The last frame may go beyond segment_bytes when that is small.
      map_size = std::max(options.segment_bytes, allocated) + kLargestFrame;
      void *address = mmap(nullptr, map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
      if (address == MAP_FAILED) {
        mapped = false;
      } else {
        map = static_cast<uint8_t *>(address);
      }
    }
    WriteHeader();
  } catch (...) {
    Unmap();
    fd.Reset();
    unlink(path.c_str());
    throw;
  }
  ++generation;
  last_name = nullptr;
}

void JournalWriter::State::WriteHeader() {
  std::string header(journal::kHeaderSize, '\0');
  auto *bytes = reinterpret_cast<uint8_t *>(header.data());
  Store(bytes, journal::kFileMagic);
  Store(bytes + 4, journal::kVersion);
  Store(bytes + 8, id.rank);
  Store(bytes + 12, id.attempt);
  Store(bytes + 16, id.number);
  Store(bytes + 24, int64_t{owner});
  Store(bytes + 32, NowUnixMs());
  const std::string boot = BootId().substr(0, 40);
  memcpy(bytes + 40, boot.data(), boot.size());  // NOLINT(bugprone-not-null-terminated-result): zeros follow
  if (mapped) Store(bytes + journal::kCommittedOffset, uint64_t{journal::kHeaderSize});
  CheckFileLimit(journal::kHeaderSize);
  const ssize_t wrote = pwrite(fd.get(), header.data(), header.size(), 0);
  if (wrote != static_cast<ssize_t>(header.size())) throw Error::FromErrno(wrote < 0 ? errno : ENOSPC, "write", path);
  end = journal::kHeaderSize;
}

// Allocates blocks up to at least `needed`. False = this file system cannot.
bool JournalWriter::State::Grow(uint64_t needed) {
  uint64_t wanted = std::max({needed, kFirstAllocation, allocated * 2});
  wanted = std::min(wanted, std::max(needed, options.segment_bytes));
  CheckFileLimit(wanted);
  for (;;) {
    if (fallocate(fd.get(), 0, 0, static_cast<off_t>(wanted)) == 0) break;
    if (errno == EINTR) continue;
    if (allocated == 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ENODEV)) return false;
    throw Error::FromErrno(errno, "write", path);
  }
  allocated = wanted;
  return true;
}

void JournalWriter::State::Seal() {
  if (generation == 0 || !fd.valid()) return;
  if (mapped) {
    std::atomic_ref(*reinterpret_cast<uint32_t *>(map + journal::kSealedOffset)).store(1, std::memory_order_release);
    Unmap();
    // What was allocated too much goes back; a failure only wastes space.
    if (ftruncate(fd.get(), static_cast<off_t>(end)) != 0) errno = 0;
  }
  // By write, also when mapped: inotify tells readers to look.
  const uint32_t one = 1;
  if (pwrite(fd.get(), &one, sizeof one, journal::kSealedOffset) < 0) errno = 0;
  fd.Reset();
}

uint8_t *JournalWriter::State::Begin(uint64_t payload) {
  const uint64_t size = journal::FrameSize(payload);
  // A frame larger than a segment still fits in a fresh one, after the definition of its name.
  const uint64_t limit = std::max(options.segment_bytes, journal::kHeaderSize + kNameFrame + size);
  if (generation == 0 || !fd.valid() || end + size > limit) {
    OpenSegment();
  }
  if (!mapped) {
    scratch.assign(size, '\0');
    return reinterpret_cast<uint8_t *>(scratch.data()) + journal::kFrameHeaderSize;
  }
  if (end + size > allocated) Grow(end + size);
  return map + end + journal::kFrameHeaderSize;
}

void JournalWriter::State::End(uint32_t kind, uint64_t payload) {
  uint8_t *frame = mapped ? map + end : reinterpret_cast<uint8_t *>(scratch.data());
  const uint64_t size = journal::FrameSize(payload);
  Store(frame, journal::kFrameMagic);
  Store(frame + 8, static_cast<uint32_t>(payload | kind << 24));
  Store(frame + 4, Crc32(frame + 8, 4 + payload));
  if (!mapped) {
    WriteFrame(size);
    end += size;
    return;
  }
  memset(frame + journal::kFrameHeaderSize + payload, 0, size - journal::kFrameHeaderSize - payload);
  end += size;
  // Sequentially consistent with the look at `armed`: either the reader sees this frame or we see that it sleeps.
  std::atomic_ref(*reinterpret_cast<uint64_t *>(map + journal::kCommittedOffset)).store(end, std::memory_order_seq_cst);
  std::atomic_ref armed(*reinterpret_cast<uint32_t *>(map + journal::kArmedOffset));
  if (armed.load(std::memory_order_seq_cst) != 0) {
    armed.store(0, std::memory_order_seq_cst);
    const uint32_t ring = generation;
    if (pwrite(fd.get(), &ring, sizeof ring, journal::kBellOffset) < 0) errno = 0;  // readers look now and then anyway
  }
}

void JournalWriter::State::WriteFrame(uint64_t size) {
  CheckFileLimit(end + size);
  ssize_t wrote = 0;
  do {
    wrote = pwrite(fd.get(), scratch.data(), size, static_cast<off_t>(end));
  } while (wrote < 0 && errno == EINTR);
  if (wrote == static_cast<ssize_t>(size)) return;
  const int reason = wrote < 0 ? errno : ENOSPC;
  if (ftruncate(fd.get(), static_cast<off_t>(end)) != 0) errno = 0;
  throw Error::FromErrno(reason, "write", path);
}

Name *JournalWriter::State::Lookup(std::string_view name, int32_t family) {
  if (last_name != nullptr && last_text == name && last_name->family == family) return last_name;
  auto found = names.find(name);
  if (found == names.end()) {
    if (name.empty() || name.size() > kMaxName || !IsValidUtf8(name) || name.find('\0') != std::string_view::npos) {
      throw Error::InvalidArgument("a metric's name must be 1 to 255 bytes of UTF-8, got '" +
                                   SanitizeUtf8(name.substr(0, 80)) + "'");
    }
    if (names.size() >= size_t{1} << 20)
      throw Error::InvalidArgument("a run cannot have more than 1048576 metric names");
    found = names.emplace(std::string(name), Name{static_cast<uint32_t>(names.size()), 0, 0, family}).first;
  }
  if (found->second.family != family) {
    throw Error::InvalidArgument("metric '" + std::string(name) +
                                 "' has values of another kind already: numbers, texts and lists go together, rows "
                                 "and tables go together, the others alone; choose another name");
  }
  last_text = found->first;
  return last_name = &found->second;
}

void JournalWriter::State::Define(Name *name, std::string_view text) {
  uint8_t *payload = Begin(4 + text.size());
  Store(payload, name->id);
  memcpy(payload + 4, text.data(), text.size());
  End(journal::kKindName, 4 + text.size());
  name->segment = generation;
}

uint8_t *JournalWriter::State::BeginOf(Name *name, std::string_view text, uint64_t size) {
  uint8_t *payload = Begin(size);
  while (name->segment != generation) {
    Define(name, text);
    payload = Begin(size);  // may open the next segment
  }
  return payload;
}

void JournalWriter::State::Points(std::string_view text, const double *values, const int64_t *steps, size_t count,
                                  int64_t time_ms) {
  Name *name = Lookup(text, kPointFamily);
  const uint64_t size = 12 + 16 * count;
  uint8_t *payload = BeginOf(name, text, size);
  Store(payload, name->id);
  Store(payload + 4, time_ms);
  int64_t step = name->next_step;
  for (size_t i = 0; i < count; ++i) {
    if (steps != nullptr) step = steps[i];
    Store(payload + 12 + 16 * i, step);
    Store(payload + 20 + 16 * i, values[i]);
    step = static_cast<int64_t>(static_cast<uint64_t>(step) + 1);
  }
  End(journal::kKindPoints, size);
  name->next_step = step;
  last_name = name;
}

void JournalWriter::State::Record(MetricKind kind, std::string_view text, std::string_view json, const int64_t *step,
                                  int64_t time_ms) {
  Name *name = Lookup(text, MetricFamily(kind));
  const uint64_t size = journal::kRecordHead + json.size();
  uint8_t *payload = BeginOf(name, text, size);
  const int64_t at = step != nullptr ? *step : name->next_step;
  Store(payload, name->id);
  Store(payload + 4, time_ms);
  Store(payload + 12, at);
  Store(payload + 20, static_cast<uint32_t>(kind));
  memcpy(payload + journal::kRecordHead, json.data(), json.size());
  End(journal::kKindRecord, size);
  name->next_step = static_cast<int64_t>(static_cast<uint64_t>(at) + 1);
}

JournalWriter::JournalWriter(std::string directory, int32_t rank, int32_t attempt, const JournalOptions &options)
    : state_(std::make_unique<State>()) {
  state_->directory = std::move(directory);
  state_->id = {rank, attempt, 0};
  state_->options = options;
}

JournalWriter::~JournalWriter() {
  // A forked child must not seal the parent's segment; its copy of the mapping goes with State.
  if (!state_->Forked()) Close();
}

void JournalWriter::Append(std::string_view name, double value, std::optional<int64_t> step, int64_t time_ms) {
  const auto lock = state_->Enter();
  state_->Points(name, &value, step ? &*step : nullptr, 1, time_ms != 0 ? time_ms : NowUnixMs());
}

void JournalWriter::AppendBatch(std::string_view name, std::span<const double> values, std::span<const int64_t> steps,
                                int64_t time_ms) {
  if (!steps.empty() && steps.size() != values.size()) {
    throw Error::InvalidArgument("a batch of metric values needs as many steps as values, or none");
  }
  constexpr size_t kMost = 65536;
  const auto lock = state_->Enter();
  if (time_ms == 0) time_ms = NowUnixMs();
  for (size_t i = 0; i < values.size(); i += kMost) {
    const size_t count = std::min(kMost, values.size() - i);
    state_->Points(name, values.data() + i, steps.empty() ? nullptr : steps.data() + i, count, time_ms);
  }
}

void JournalWriter::Record(MetricKind kind, std::string_view name, std::string_view json, std::optional<int64_t> step,
                           int64_t time_ms) {
  if (kind == MetricKind::kScalar) throw Error::Internal("a number is no record");
  if (json.size() > kMaxRecord) throw Error::InvalidArgument("the value of a metric must be at most 1 MiB of JSON");
  const auto lock = state_->Enter();
  state_->Record(kind, name, json, step ? &*step : nullptr, time_ms != 0 ? time_ms : NowUnixMs());
}

void JournalWriter::Progress(std::string_view json, int64_t time_ms) {
  if (json.size() > kMaxRecord) throw Error::InvalidArgument("a progress record must be at most 1 MiB");
  const auto lock = state_->Enter();
  uint8_t *payload = state_->Begin(12 + json.size());
  Store(payload, uint32_t{0});
  Store(payload + 4, time_ms != 0 ? time_ms : NowUnixMs());
  memcpy(payload + 12, json.data(), json.size());
  state_->End(journal::kKindProgress, 12 + json.size());
}

void JournalWriter::Flush() {
  state_->CheckFork();
  const std::lock_guard lock(state_->mutex);
  if (!state_->fd.valid()) return;  // nothing written yet, or closed: whoever reads the segments sees to them
  // Covers what was stored through the mapping: its pages are the file's pages.
  if (fdatasync(state_->fd.get()) != 0) throw Error::FromErrno(errno, "sync", state_->path);
}

void JournalWriter::Close() {
  std::lock_guard lock(state_->mutex);
  if (state_->closed) return;
  state_->closed = true;
  state_->Seal();
}

}  // namespace trainyard
