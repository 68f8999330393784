#include "engine_torch/weights/tensor_file.h"

#include <limits>
#include <string_view>

#include "engine_torch/weights/bytes.h"
#include "engine_torch/weights/safetensors.h"
#include "engine_torch/weights/torch_file.h"

namespace trainyard {
namespace {

struct DTypeFacts {
  size_t bytes;
  const char *name;
};

DTypeFacts FactsOf(DType dtype) {
  switch (dtype) {
    case DType::kFloat64:
      return {8, "float64"};
    case DType::kFloat32:
      return {4, "float32"};
    case DType::kFloat16:
      return {2, "float16"};
    case DType::kBFloat16:
      return {2, "bfloat16"};
    case DType::kInt64:
      return {8, "int64"};
    case DType::kInt32:
      return {4, "int32"};
    case DType::kInt16:
      return {2, "int16"};
    case DType::kInt8:
      return {1, "int8"};
    case DType::kUInt64:
      return {8, "uint64"};
    case DType::kUInt32:
      return {4, "uint32"};
    case DType::kUInt16:
      return {2, "uint16"};
    case DType::kUInt8:
      return {1, "uint8"};
    case DType::kBool:
      return {1, "bool"};
  }
  throw Error::Internal("unknown dtype");
}

// Files that are met where weights were expected, each with what to do about it.
struct Lookalike {
  std::string_view start;
  size_t offset;
  const char *message;
};
constexpr Lookalike kLookalikes[] = {
    {"version https://git-lfs", 0, "is a Git LFS pointer, not the weights: run 'git lfs pull' where it came from"},
    {"<!DOCTYPE", 0, "is a web page, not weights: download the file itself, not the page about it"},
    {"<!doctype", 0, "is a web page, not weights: download the file itself, not the page about it"},
    {"<html", 0, "is a web page, not weights: download the file itself, not the page about it"},
    {"<HTML", 0, "is a web page, not weights: download the file itself, not the page about it"},
    {"<?xml", 0, "is an XML document (often a storage service's error), not weights: check the download"},
    {"\x89HDF", 0, "is an HDF5 file (Keras), not PyTorch weights"},
    {"GGUF", 0, "is a GGUF file, not PyTorch weights"},
    {"\x1f\x8b", 0, "is compressed with gzip: unpack it first"},
    {"\xfd\x37zXZ", 0, "is compressed with xz: unpack it first"},
    {"\x28\xb5\x2f\xfd", 0, "is compressed with zstd: unpack it first"},
    {"\x93NUMPY", 0, "is a NumPy array, not PyTorch weights"},
    {"ustar", 257, "is a tar archive: unpack it, or save it again with a PyTorch newer than 0.1.10"},
};

bool LooksLikeSafetensors(Bytes bytes) {
  if (bytes.size() <= 8 || bytes[8] != std::byte{'{'}) return false;
  return LoadLittleEndian<uint64_t>(bytes, 0) <= 100'000'000;
}

}  // namespace

size_t SizeOf(DType dtype) {
  return FactsOf(dtype).bytes;
}

const char *NameOf(DType dtype) {
  return FactsOf(dtype).name;
}

int64_t NamedTensor::ElementCount() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

bool NamedTensor::IsContiguous() const {
  if (strides.empty()) return true;
  int64_t expected = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 0) return true;
    if (shape[i] == 1) continue;  // its stride is never used
    if (strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

bool ReachOf(const NamedTensor &tensor, uint64_t *reach) {
  uint64_t last = 0;
  uint64_t count = 1;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    const auto size = static_cast<uint64_t>(tensor.shape[i]);
    if (!MultiplyAdd(0, count, size, &count)) return false;
    if (tensor.strides.empty() || size == 0) continue;
    if (!MultiplyAdd(last, size - 1, static_cast<uint64_t>(tensor.strides[i]), &last)) return false;
  }
  // A tensor expanded from few elements may claim any size; no weight is a terabyte.
  if (count > (uint64_t{1} << 40) || last == std::numeric_limits<uint64_t>::max()) return false;
  *reach = count == 0 || tensor.strides.empty() ? count : last + 1;
  return true;
}

std::vector<std::byte> ContiguousBytes(const NamedTensor &tensor) {
  if (tensor.IsContiguous()) return {tensor.data.begin(), tensor.data.end()};
  const size_t size = SizeOf(tensor.dtype);
  std::vector<std::byte> result(static_cast<size_t>(tensor.ElementCount()) * size);
  std::vector<int64_t> index(tensor.shape.size(), 0);
  for (size_t done = 0; done < result.size(); done += size) {
    int64_t offset = 0;
    for (size_t i = 0; i < index.size(); ++i) offset += index[i] * tensor.strides[i];
    std::memcpy(result.data() + done, tensor.data.data() + static_cast<size_t>(offset) * size, size);
    for (size_t i = index.size(); i-- > 0 && ++index[i] == tensor.shape[i];) index[i] = 0;
  }
  return result;
}

const NamedTensor *TensorFile::Find(const std::string &name) const {
  for (const NamedTensor &tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

TensorFile OpenWeights(const std::filesystem::path &path) {
  std::shared_ptr<const MappedFile> file = MappedFile::Open(path);
  const Bytes bytes = file->bytes();
  const std::string_view text = AsText(bytes);
  const std::string quoted = "'" + path.string() + "' ";
  if (bytes.empty()) throw Error::Corrupt(quoted + "is empty: copy or download it again", {{"path", path.string()}});
  if (text.starts_with("PK")) return ParseTorchZip(bytes, path, file);
  if (LooksLikeSafetensors(bytes)) return ParseSafetensors(bytes, path, file);
  for (const Lookalike &lookalike : kLookalikes) {
    if (text.size() >= lookalike.offset && text.substr(lookalike.offset).starts_with(lookalike.start)) {
      throw Error(Status::kUnsupported, quoted + lookalike.message, {{"path", path.string()}});
    }
  }
  // The name decides only between kinds of error message: a stub of a file, or a pickle of a protocol without a header.
  const std::string extension = path.extension().string();
  if (extension == ".safetensors") return ParseSafetensors(bytes, path, file);
  const bool named_pickle = extension == ".pth" || extension == ".pt" || extension == ".pkl" || extension == ".pickle";
  if (text.front() == '\x80' || (named_pickle && (text.front() == 'c' || text.front() == '('))) {
    return ParseTorchLegacy(bytes, path, file);
  }
  throw Error(Status::kUnsupported,
              quoted + "is not a weight file: give a .safetensors file or what torch.save or torch.jit.save wrote",
              {{"path", path.string()}});
}

}  // namespace trainyard
