// The journal reader on any bytes: it ends, stays within the file, and counts what it could not read.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "fuzz.h"
#include "store/journal.h"
#include "store/journal_format.h"
#include "util/error.h"
#include "util/hash.h"

namespace {

using namespace trainyard;

std::string Frame(uint32_t kind, const std::string &payload) {
  std::string frame(journal::FrameSize(payload.size()), '\0');
  auto *bytes = reinterpret_cast<uint8_t *>(frame.data());
  journal::Store(bytes, journal::kFrameMagic);
  journal::Store(bytes + 8, static_cast<uint32_t>(payload.size()) | kind << 24);
  memcpy(bytes + 12, payload.data(), payload.size());
  journal::Store(bytes + 4, Crc32(bytes + 8, 4 + payload.size()));
  return frame;
}

std::string Points(uint32_t id, size_t count) {
  std::string payload(12 + 16 * count, '\1');
  journal::Store(payload.data(), id);
  return payload;
}

std::string Record(uint32_t id, uint32_t metric, const std::string &json) {
  std::string payload(journal::kRecordHead, '\1');
  journal::Store(payload.data(), id);
  journal::Store(payload.data() + 20, metric);
  return payload + json;
}

// One file in memory, written anew for each input.
int File() {
  static const int fd = memfd_create("journal", MFD_CLOEXEC);
  return fd;
}

}  // namespace

extern "C" void TrainyardFuzzSetUp(fuzz::Corpus *corpus) {
  // An input is the frames alone: 4096 bytes of header would only dilute it. Its first byte says which header it gets.
  const std::string name = Frame(journal::kKindName, std::string("\0\0\0\0loss", 8));
  const std::string body = name + Frame(journal::kKindPoints, Points(0, 1)) +
                           Frame(journal::kKindPoints, Points(0, 3)) +
                           Frame(journal::kKindProgress, std::string(12, '\0') + "{}") +
                           Frame(journal::kKindRecord, Record(0, 4, R"({"a":1})")) +
                           Frame(journal::kKindRecord, Record(7, 2, "\"text\"")) + Frame(9, "unknown");
  for (char mode = 0; mode < 4; ++mode) {
    corpus->seeds.push_back(mode + body);
    corpus->seeds.push_back(mode + body.substr(0, body.size() - 5));
  }
  corpus->dictionary = {"tyjf",
                        name,
                        Frame(journal::kKindPoints, Points(1, 2)),
                        Frame(journal::kKindName, std::string("\0\0\0\1", 4)),
                        Frame(journal::kKindRecord, Record(0, 99, "{}")),
                        Frame(journal::kKindRecord, "short")};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  std::string file(journal::kHeaderSize, '\0');
  journal::Store(file.data(), journal::kFileMagic);
  journal::Store(file.data() + 4, journal::kVersion);
  const uint8_t mode = data[0];
  if ((mode & 1) != 0)
    journal::Store(file.data() + journal::kCommittedOffset, uint64_t{journal::kHeaderSize + size - 1});
  if ((mode & 4) != 0) journal::Store(file.data() + journal::kCommittedOffset, uint64_t{mode} << 56);
  if ((mode & 2) != 0) journal::Store(file.data() + journal::kSealedOffset, uint32_t{1});
  file.append(reinterpret_cast<const char *>(data) + 1, size - 1);
  if (ftruncate(File(), 0) != 0 || pwrite(File(), file.data(), file.size(), 0) != static_cast<ssize_t>(file.size()))
    abort();
  try {
    JournalReader reader("/proc/self/fd/" + std::to_string(File()));
    JournalRecord record;
    int64_t points = 0;
    uint64_t offset = 0;
    while (reader.Next(&record)) {
      if (record.kind == JournalRecord::Kind::kRecord && record.points.size() != 1) abort();
      if (record.offset < journal::kHeaderSize || record.offset >= file.size() || record.ordinal != points) abort();
      points += record.kind == JournalRecord::Kind::kProgress ? 1 : static_cast<int64_t>(record.points.size());
      offset = record.offset;
    }
    reader.set_final(true);
    while (reader.Next(&record)) {
      points += record.kind == JournalRecord::Kind::kProgress ? 1 : static_cast<int64_t>(record.points.size());
    }
    if (reader.ordinal() != points || reader.skipped_bytes() > file.size()) abort();
    if (offset != 0) {
      reader.Seek(offset, 0);
      if (!reader.Next(&record)) abort();
    }
  } catch (const Error &) {
  }
  return 0;
}
