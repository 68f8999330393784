#include "engine_torch/weights/safetensors.h"

#include <cjson/cJSON.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "util/atomic_file.h"
#include "util/text.h"

namespace trainyard {
namespace {

// The file:
// 1. u64 little-endian: the length of the header, at most 100 MB;
// 2. the header: one JSON object that starts with '{', padded at its end with spaces:
//      "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, offsets counted from part 3;
//      "__metadata__": {"key": "value"}, strings only;
// 3. the tensors, little-endian, row-major, without gap or overlap, to the last byte of the file.
constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxDimensions = 64;
constexpr char kMetadata[] = "__metadata__";

struct DTypeName {
  DType dtype;
  const char *name;
};
constexpr DTypeName kDTypes[] = {
    {DType::kFloat64, "F64"}, {DType::kFloat32, "F32"}, {DType::kFloat16, "F16"}, {DType::kBFloat16, "BF16"},
    {DType::kInt64, "I64"},   {DType::kInt32, "I32"},   {DType::kInt16, "I16"},   {DType::kInt8, "I8"},
    {DType::kUInt64, "U64"},  {DType::kUInt32, "U32"},  {DType::kUInt16, "U16"},  {DType::kUInt8, "U8"},
    {DType::kBool, "BOOL"},
};

const char *SafetensorsName(DType dtype) {
  for (const DTypeName &known : kDTypes) {
    if (known.dtype == dtype) return known.name;
  }
  throw Error::Internal("a tensor's dtype has no safetensors name");
}

struct JsonDelete {
  void operator()(cJSON *json) const { cJSON_Delete(json); }
};
using Json = std::unique_ptr<cJSON, JsonDelete>;

Error Bad(const std::filesystem::path &path, const std::string &what) {
  return Error::Corrupt("'" + path.string() + "' is not a valid safetensors file: " + what + "; export it again",
                        {{"path", path.string()}});
}

Json ParseHeader(std::string_view text, const std::filesystem::path &path) {
  if (text.empty() || text.front() != '{') throw Bad(path, "its header does not start with '{'");
  // cJSON's strings end at a NUL, so such a name would be read as another one.
  if (text.find('\0') != std::string_view::npos || text.find("\\u0000") != std::string_view::npos) {
    throw Bad(path, "its header holds a NUL character");
  }
  const char *end = nullptr;
  Json header(cJSON_ParseWithLengthOpts(text.data(), text.size(), &end, /*require_null_terminated=*/0));
  if (header == nullptr || !cJSON_IsObject(header.get())) throw Bad(path, "its header is not JSON");
  const std::string_view rest = text.substr(static_cast<size_t>(end - text.data()));
  if (rest.find_first_not_of(' ') != std::string_view::npos) throw Bad(path, "text follows its header");
  return header;
}

// A whole number of at most 2^53, or nothing.
std::optional<uint64_t> WholeNumber(const cJSON *json) {
  constexpr double kLargest = 9007199254740992.0;
  if (!cJSON_IsNumber(json) || !(json->valuedouble >= 0) || json->valuedouble > kLargest) return std::nullopt;
  if (std::floor(json->valuedouble) != json->valuedouble) return std::nullopt;
  return static_cast<uint64_t>(json->valuedouble);
}

struct Entry {
  NamedTensor tensor;
  uint64_t begin = 0;
  uint64_t end = 0;
};

DType ReadDType(const cJSON *json, const std::string &where, const std::filesystem::path &path) {
  if (!cJSON_IsString(json)) throw Bad(path, where + " has no dtype");
  const std::string_view text = json->valuestring;
  for (const DTypeName &known : kDTypes) {
    if (text == known.name) return known.dtype;
  }
  throw Error(Status::kUnsupported,
              "'" + path.string() + "': " + where + " has dtype " + Printable(text) +
                  ", which the engine does not read; convert it to F32, F16 or BF16",
              {{"path", path.string()}});
}

// One tensor of the header; checks all but how the tensors lie beside each other.
Entry ReadEntry(const cJSON *json, const std::filesystem::path &path) {
  const std::string where = "tensor '" + Printable(json->string) + "'";
  const cJSON *dtype = nullptr;
  const cJSON *shape = nullptr;
  const cJSON *offsets = nullptr;
  if (!cJSON_IsObject(json)) throw Bad(path, where + " is not a JSON object");
  for (const cJSON *field = json->child; field != nullptr; field = field->next) {
    const std::string_view key = field->string;
    const cJSON **slot = key == "dtype" ? &dtype : key == "shape" ? &shape : key == "data_offsets" ? &offsets : nullptr;
    if (slot == nullptr) throw Bad(path, where + " has the unknown field '" + Printable(key) + "'");
    if (*slot != nullptr) throw Bad(path, where + " has '" + Printable(key) + "' twice");
    *slot = field;
  }
  Entry entry;
  entry.tensor.name = json->string;
  entry.tensor.dtype = ReadDType(dtype, where, path);
  if (!cJSON_IsArray(shape)) throw Bad(path, where + " has no shape");
  uint64_t bytes = SizeOf(entry.tensor.dtype);
  for (const cJSON *item = shape->child; item != nullptr; item = item->next) {
    const std::optional<uint64_t> size = WholeNumber(item);
    if (!size || entry.tensor.shape.size() == kMaxDimensions || !MultiplyAdd(0, bytes, *size, &bytes)) {
      throw Bad(path, where + " has an impossible shape");
    }
    entry.tensor.shape.push_back(static_cast<int64_t>(*size));
  }
  if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2) throw Bad(path, where + " has no data_offsets");
  const std::optional<uint64_t> begin = WholeNumber(offsets->child);
  const std::optional<uint64_t> end = WholeNumber(offsets->child->next);
  if (!begin || !end || *begin > *end) throw Bad(path, where + " has impossible data_offsets");
  if (*end - *begin != bytes) {
    throw Bad(path, where + " needs " + std::to_string(bytes) +
                        " bytes by its shape and dtype but its data_offsets span " + std::to_string(*end - *begin));
  }
  entry.begin = *begin;
  entry.end = *end;
  return entry;
}

std::map<std::string, std::string> ReadMetadata(const cJSON *json, const std::filesystem::path &path) {
  if (!cJSON_IsObject(json)) throw Bad(path, "its __metadata__ is not a JSON object");
  std::map<std::string, std::string> metadata;
  for (const cJSON *item = json->child; item != nullptr; item = item->next) {
    if (!cJSON_IsString(item)) throw Bad(path, "its __metadata__ '" + Printable(item->string) + "' is not a string");
    if (!metadata.emplace(item->string, item->valuestring).second) {
      throw Bad(path, "its __metadata__ holds '" + Printable(item->string) + "' twice");
    }
  }
  return metadata;
}

// Part 3 holds each byte exactly once.
void CheckLayout(std::vector<const Entry *> entries, uint64_t data_bytes, size_t data_start,
                 const std::filesystem::path &path) {
  std::sort(entries.begin(), entries.end(), [](const Entry *a, const Entry *b) {
    return a->begin != b->begin ? a->begin < b->begin : a->end < b->end;
  });
  uint64_t position = 0;
  for (const Entry *entry : entries) {
    if (entry->begin != position) {
      throw Bad(path, "tensor '" + Printable(entry->tensor.name) +
                          (entry->begin < position ? "' overlaps another one" : "' does not follow the one before it"));
    }
    position = entry->end;
  }
  if (position > data_bytes) {
    throw Truncated(path, "its header lists more tensors than the file holds", data_start + position,
                    data_start + data_bytes);
  }
  if (position < data_bytes) {
    throw Bad(path, std::to_string(data_bytes - position) + " bytes follow its last tensor");
  }
}

// --- writing ---

std::string BuildHeader(const std::vector<const NamedTensor *> &tensors,
                        const std::map<std::string, std::string> &metadata, const std::filesystem::path &path) {
  Json header(cJSON_CreateObject());
  if (!metadata.empty()) {
    cJSON *object = cJSON_AddObjectToObject(header.get(), kMetadata);
    for (const auto &[key, value] : metadata) cJSON_AddStringToObject(object, key.c_str(), value.c_str());
  }
  uint64_t position = 0;
  for (const NamedTensor *tensor : tensors) {
    cJSON *object = cJSON_AddObjectToObject(header.get(), tensor->name.c_str());
    cJSON_AddStringToObject(object, "dtype", SafetensorsName(tensor->dtype));
    cJSON *shape = cJSON_AddArrayToObject(object, "shape");
    for (const int64_t size : tensor->shape) {
      cJSON_AddItemToArray(shape, cJSON_CreateNumber(static_cast<double>(size)));
    }
    cJSON *offsets = cJSON_AddArrayToObject(object, "data_offsets");
    cJSON_AddItemToArray(offsets, cJSON_CreateNumber(static_cast<double>(position)));
    position += tensor->data.size();
    cJSON_AddItemToArray(offsets, cJSON_CreateNumber(static_cast<double>(position)));
  }
  const std::unique_ptr<char, void (*)(void *)> text(cJSON_PrintUnformatted(header.get()), cJSON_free);
  if (text == nullptr) throw Error(Status::kOutOfMemory, "out of memory writing a safetensors header");
  std::string result = text.get();
  result.resize((result.size() + 7) / 8 * 8, ' ');  // part 3 starts at a multiple of 8
  if (result.size() > kMaxHeaderBytes) {
    throw Error(Status::kUnsupported, "cannot write '" + path.string() + "': " + std::to_string(tensors.size()) +
                                          " tensors need a header of more than 100 MB, which no reader takes; write a "
                                          "state dict instead");
  }
  return result;
}

// Largest elements first, so that each tensor is aligned to its element size without padding; then by name.
std::vector<const NamedTensor *> InFileOrder(std::span<const NamedTensor> tensors, const std::filesystem::path &path) {
  std::vector<const NamedTensor *> order;
  std::set<std::string> names = {kMetadata};
  for (const NamedTensor &tensor : tensors) {
    const std::string where = "cannot write '" + path.string() + "': tensor '" + Printable(tensor.name) + "' ";
    if (!names.insert(tensor.name).second)
      throw Error::InvalidArgument(where + "is there twice or has a reserved name");
    if (tensor.name.find('\0') != std::string::npos || !IsValidUtf8(tensor.name))
      throw Error::InvalidArgument(where + "has a name that is no UTF-8 text");
    const uint64_t bytes = static_cast<uint64_t>(tensor.ElementCount()) * SizeOf(tensor.dtype);
    if (!tensor.IsContiguous() || tensor.data.size() != bytes)
      throw Error::InvalidArgument(where + "is not contiguous");
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const NamedTensor *a, const NamedTensor *b) {
    const size_t size_a = SizeOf(a->dtype);
    const size_t size_b = SizeOf(b->dtype);
    return size_a != size_b ? size_a > size_b : a->name < b->name;
  });
  return order;
}

}  // namespace

TensorFile ParseSafetensors(Bytes bytes, const std::filesystem::path &path, std::shared_ptr<const void> owner) {
  if (bytes.size() < kLengthBytes) throw Truncated(path, "a safetensors header", kLengthBytes, bytes.size());
  const auto header_bytes = LoadLittleEndian<uint64_t>(bytes, 0);
  if (header_bytes > kMaxHeaderBytes) throw Bad(path, "its header would be larger than 100 MB");
  if (header_bytes > bytes.size() - kLengthBytes) {
    throw Truncated(path, "a safetensors header", kLengthBytes + header_bytes, bytes.size());
  }
  const size_t data_start = kLengthBytes + static_cast<size_t>(header_bytes);
  const Json header = ParseHeader(AsText(bytes.subspan(kLengthBytes, static_cast<size_t>(header_bytes))), path);

  TensorFile file;
  file.path = path;
  file.format = "safetensors";
  file.owner = std::move(owner);
  std::vector<Entry> entries;
  std::set<std::string> names;
  for (const cJSON *item = header->child; item != nullptr; item = item->next) {
    if (!names.insert(item->string).second) throw Bad(path, "'" + Printable(item->string) + "' is there twice");
    if (std::string_view(item->string) == kMetadata) {
      file.metadata = ReadMetadata(item, path);
    } else {
      entries.push_back(ReadEntry(item, path));
    }
  }
  std::vector<const Entry *> order;
  for (const Entry &entry : entries) order.push_back(&entry);
  const Bytes data = bytes.subspan(data_start);
  CheckLayout(std::move(order), data.size(), data_start, path);
  for (Entry &entry : entries) {
    entry.tensor.data = data.subspan(static_cast<size_t>(entry.begin), static_cast<size_t>(entry.end - entry.begin));
    file.tensors.push_back(std::move(entry.tensor));
  }
  return file;
}

void WriteSafetensors(const std::filesystem::path &path, std::span<const NamedTensor> tensors,
                      const std::map<std::string, std::string> &metadata) {
  const std::vector<const NamedTensor *> order = InFileOrder(tensors, path);
  const std::string header = BuildHeader(order, metadata, path);
  AtomicFile file(path);
  const uint64_t length = header.size();
  file.Write(&length, sizeof length);
  file.Write(header.data(), header.size());
  for (const NamedTensor *tensor : order) file.Write(tensor->data.data(), tensor->data.size());
  file.Commit();
}

}  // namespace trainyard
