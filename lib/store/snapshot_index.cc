#include "store/snapshot_index.h"

#include <cstring>

#include "util/error.h"
#include "util/fs.h"
#include "util/hash.h"
#include "util/log.h"

namespace trainyard {
namespace {

constexpr std::string_view kMagic = "tysnap1\n";
constexpr size_t kHashSize = 64;
constexpr size_t kGenerationSize = 16;

struct Header {
  uint64_t count = 0;
  char generation[kGenerationSize] = {};
  char snapshot_id[kHashSize] = {};
  char list_digest[kHashSize] = {};
};

struct Record {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t modified_ns = 0, changed_ns = 0;
  char sha256[kHashSize] = {};  // zeros: none
  uint16_t path_size = 0;
  uint8_t secret = 0;
  uint8_t reserved[5] = {};
};

template <size_t N>
void Put(char (&field)[N], const std::string &text) {
  memcpy(field, text.data(), std::min(N, text.size()));
}

template <size_t N>
std::string Get(const char (&field)[N]) {
  return {field, strnlen(field, N)};
}

template <typename T>
void Append(std::string *out, const T &value) {
  out->append(reinterpret_cast<const char *>(&value), sizeof value);
}

template <typename T>
bool Take(std::string_view *in, T *value) {
  if (in->size() < sizeof *value) return false;
  memcpy(value, in->data(), sizeof *value);
  in->remove_prefix(sizeof *value);
  return true;
}

bool Parse(std::string_view data, SnapshotIndex *index) {
  uint32_t crc = 0;
  if (!data.starts_with(kMagic)) return false;
  data.remove_prefix(kMagic.size());
  if (!Take(&data, &crc) || Crc32(data.data(), data.size()) != crc) return false;
  Header header;
  if (!Take(&data, &header) || header.count > data.size() / sizeof(Record)) return false;
  index->generation = Get(header.generation);
  index->snapshot_id = Get(header.snapshot_id);
  index->list_digest = Get(header.list_digest);
  index->files.resize(header.count);
  for (IndexedFile &file : index->files) {
    Record record;
    if (!Take(&data, &record) || data.size() < record.path_size) return false;
    file.path = data.substr(0, record.path_size);
    data.remove_prefix(record.path_size);
    file.stamp = {record.device, record.inode, record.size, record.modified_ns, record.changed_ns};
    file.sha256 = Get(record.sha256);
    file.secret = static_cast<SecretKind>(record.secret);
  }
  return data.empty() && IsSha256Hex(index->snapshot_id);
}

}  // namespace

std::string SnapshotIndex::Path(const std::string &workspace, const std::string &directory) {
  return workspace + "/cache/snapshots/" + Sha256Hex(directory).substr(0, 32);
}

SnapshotIndex SnapshotIndex::Load(const std::string &path) {
  SnapshotIndex index;
  try {
    const auto data = ReadFileIfExists(path);
    if (data && Parse(*data, &index)) return index;
  } catch (const Error &error) {
    Log(LogLevel::kWarning, std::string("what is known of a source directory is not used: ") + error.what());
  }
  return {};
}

void SnapshotIndex::Save(const std::string &path) const {
  std::string body;
  body.reserve(sizeof(Header) + files.size() * (sizeof(Record) + 64));
  Header header;
  header.count = files.size();
  Put(header.generation, generation);
  Put(header.snapshot_id, snapshot_id);
  Put(header.list_digest, list_digest);
  Append(&body, header);
  for (const IndexedFile &file : files) {
    Record record;
    record.device = file.stamp.device;
    record.inode = file.stamp.inode;
    record.size = file.stamp.size;
    record.modified_ns = file.stamp.modified_ns;
    record.changed_ns = file.stamp.changed_ns;
    Put(record.sha256, file.sha256);
    record.path_size = static_cast<uint16_t>(file.path.size());
    record.secret = static_cast<uint8_t>(file.secret);
    Append(&body, record);
    body += file.path;
  }
  std::string data(kMagic);
  Append(&data, Crc32(body.data(), body.size()));
  try {
    MakeDirs(ParentPath(path));
    WriteFileAtomic(path, data + body, 0600, /*sync=*/false);
  } catch (const Error &error) {
    // It only saves time.
    Log(LogLevel::kWarning, std::string("what is known of a source directory is not kept: ") + error.what());
  }
}

}  // namespace trainyard
