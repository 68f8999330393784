// Whatever torch.save or torch.jit.save is said to have written: zip, legacy and bare pickles.
#include <memory>

#include "engine_torch/weights/file_builders.h"
#include "engine_torch/weights/torch_file.h"
#include "fuzz/fuzz.h"

namespace {

using trainyard::testing::Pickle;

std::string StateDict() {
  Pickle pickle;
  return trainyard::testing::AddStateDict(&pickle, "module.").Stop();
}

std::string WholeModule() {
  Pickle pickle;
  pickle.Add("}(").Text("epoch").Int(1).Text("model").Global("__main__", "Net").Add(")\x81}(");
  pickle.Text("_parameters").EmptyOrderedDict().Add("(").Text("w");
  pickle.Global("torch._utils", "_rebuild_parameter").Add("(").Tensor("FloatStorage", "0", 8, 0, {2, 3}, {3, 1});
  pickle.Add("\x88").EmptyOrderedDict().Add("tRu").Text("_buffers").Add("}").Text("_modules").Add("}ubu");
  return pickle.Stop();
}

}  // namespace

extern "C" void TrainyardFuzzSetUp(trainyard::fuzz::Corpus *corpus) {
  for (const std::string &pickle : {StateDict(), WholeModule()}) {
    corpus->seeds.push_back(trainyard::testing::TorchZip(pickle));
    corpus->seeds.push_back(trainyard::testing::TorchLegacy(pickle));
    corpus->seeds.push_back(pickle);
  }
  corpus->seeds.push_back(trainyard::testing::ScriptZip(trainyard::testing::ScriptModule()));
  corpus->dictionary = {"PK\x01\x02",
                        "PK\x03\x04",
                        "PK\x05\x06",
                        "PK\x06\x06",
                        "PK\x06\x07",
                        "data.pkl",
                        "byteorder",
                        "storage",
                        "_modules",
                        "_parameters",
                        "_buffers",
                        "module.",
                        "cos\nsystem\n",
                        "\x8a\x0a",
                        "\x94",
                        "\x93",
                        "h\x01",
                        "q\x01",
                        "ctorch\nFloatStorage\n",
                        "_rebuild_tensor_v3",
                        "_rebuild_from_type_v2",
                        "torch._tensor",
                        "constants.pkl",
                        "c__torch__.a\nB\n",
                        "torch.jit._pickle"};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const trainyard::Bytes bytes(reinterpret_cast<const std::byte *>(data), size);
  volatile size_t touched = 0;  // the spans must be readable to their last byte
  try {
    const bool zip = size >= 2 && data[0] == 'P' && data[1] == 'K';
    const trainyard::TensorFile file =
        zip ? trainyard::ParseTorchZip(bytes, "fuzz", nullptr) : trainyard::ParseTorchLegacy(bytes, "fuzz", nullptr);
    for (const trainyard::NamedTensor &tensor : file.tensors) {
      if (tensor.data.empty()) continue;
      touched = touched + static_cast<size_t>(tensor.data.front()) + static_cast<size_t>(tensor.data.back());
    }
  } catch (const trainyard::Error &) {
  }
  return 0;
}
