// For weights_parity.py and torch_writer_parity.py. On failure "error <status> <message>", exit status 1.
//   weights_driver <in> <out.safetensors>   reads any weight file, writes its tensors contiguous and prints what else
//   it
//                                           found, one "key value" line each
//   weights_driver <in> <out.pth>           the same with the tensors as they are, for torch.load
//   weights_driver values <out.pth>         plain values and tensors in dicts and lists
//   weights_driver large <out.pth>          a storage of more than 4 GB, in a file with a hole
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "engine_torch/weights/safetensors.h"
#include "engine_torch/weights/torch_writer.h"
#include "util/fs.h"

namespace {

using trainyard::NamedTensor;
using trainyard::TorchDict;
using trainyard::TorchList;
using trainyard::TorchValue;

void Convert(const char *in, const std::string &out) {
  const trainyard::TensorFile file = trainyard::OpenWeights(in);
  if (out.ends_with(".pth")) {
    WriteTorchFile(out, StateDictOf(file.tensors));
  } else {
    std::vector<std::vector<std::byte>> kept;
    std::vector<NamedTensor> tensors = file.tensors;
    for (NamedTensor &tensor : tensors) {
      kept.push_back(ContiguousBytes(tensor));
      tensor.data = kept.back();
      tensor.strides.clear();
    }
    trainyard::WriteSafetensors(out, tensors, file.metadata);
  }
  std::printf("format %s\nmodel_class %s\nstate_dict_key %s\n", file.format.c_str(), file.model_class.c_str(),
              file.state_dict_key.c_str());
  for (const std::string &key : file.other_keys) std::printf("other_key %s\n", key.c_str());
  std::printf("names");
  for (const NamedTensor &tensor : file.tensors) std::printf(" %s", tensor.name.c_str());
  std::printf("\n");
}

NamedTensor Floats(const char *name, std::span<const float> values) {
  return {name, trainyard::DType::kFloat32, {static_cast<int64_t>(values.size())}, {}, std::as_bytes(values)};
}

void WriteValues(const std::string &out) {
  const std::array<float, 3> numbers = {1, 2, 3};
  const NamedTensor whole = Floats("whole", numbers);
  const NamedTensor tail = Floats("tail", std::span(numbers).subspan(1));
  TorchList list = {TorchValue(), true, false, 0.1, "text", "\xc3\xa9\xf0\x9f\x98\x80", TorchList(), TorchDict()};
  for (const int64_t number : {int64_t{0}, int64_t{255}, int64_t{256}, int64_t{65536}, int64_t{-1}, int64_t{1} << 40,
                               std::numeric_limits<int64_t>::min()}) {
    list.emplace_back(number);
  }
  TorchDict state;
  state.Set(int64_t{0}, &tail);
  TorchDict model;
  model.ordered = true;
  model.Set("whole", &whole);
  TorchDict dict;
  dict.Set("list", std::move(list));
  dict.Set("model", std::move(model));
  dict.Set("state", std::move(state));
  WriteTorchFile(out, std::move(dict));
}

void WriteLarge(const std::string &out) {
  constexpr size_t kLarge = (size_t{4} << 30) + 1000;
  const void *zeros = mmap(nullptr, kLarge, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  const std::array<float, 3> numbers = {1, 2, 3};
  const NamedTensor before = Floats("before", numbers);
  const NamedTensor after = Floats("after", std::span(numbers).first(2));
  const NamedTensor last = Floats("last", std::span(numbers).last(0));
  NamedTensor large;
  large.name = "large";
  large.dtype = trainyard::DType::kUInt8;
  large.shape = {static_cast<int64_t>(kLarge)};
  large.data = {static_cast<const std::byte *>(zeros), kLarge};
  const trainyard::UniqueFd file = trainyard::OpenFile(out, O_WRONLY | O_CREAT | O_TRUNC);
  const std::vector<NamedTensor> tensors = {before, large, after, last};
  WriteTorchArchive(StateDictOf(tensors), out, [&](const void *data, size_t size) {
    if (size < kLarge) {
      trainyard::WriteAll(file.get(), data, size, out);
    } else {
      lseek(file.get(), static_cast<off_t>(size), SEEK_CUR);
    }
  });
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  try {
    if (std::strcmp(argv[1], "values") == 0) {
      WriteValues(argv[2]);
    } else if (std::strcmp(argv[1], "large") == 0) {
      WriteLarge(argv[2]);
    } else {
      Convert(argv[1], argv[2]);
    }
  } catch (const trainyard::Error &error) {
    std::printf("error %d %s\n", static_cast<int>(error.status()), error.what());
    return 1;
  }
  return 0;
}
