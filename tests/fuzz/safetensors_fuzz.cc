// The safetensors reader.
#include <memory>

#include "engine_torch/weights/file_builders.h"
#include "engine_torch/weights/safetensors.h"
#include "fuzz/fuzz.h"

extern "C" void TrainyardFuzzSetUp(trainyard::fuzz::Corpus *corpus) {
  using trainyard::testing::Floats;
  using trainyard::testing::Safetensors;
  corpus->seeds = {
      Safetensors("{}", ""),
      Safetensors(
          R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[4,1],"data_offsets":[8,12]}})",
          Floats(3)),
      Safetensors(R"({"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}  )", "ab")};
  corpus->dictionary = {"\"dtype\":", "\"shape\":", "\"data_offsets\":", "__metadata__", "BOOL", "I64", "\\u0000",
                        "1e308",      "-1",         "9007199254740993",  "[0,0]",        "{}"};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const trainyard::Bytes bytes(reinterpret_cast<const std::byte *>(data), size);
  volatile size_t touched = 0;  // the spans must be readable to their last byte
  try {
    const trainyard::TensorFile file = trainyard::ParseSafetensors(bytes, "fuzz", nullptr);
    for (const trainyard::NamedTensor &tensor : file.tensors) {
      if (tensor.data.empty()) continue;
      touched = touched + static_cast<size_t>(tensor.data.front()) + static_cast<size_t>(tensor.data.back());
    }
  } catch (const trainyard::Error &) {
  }
  return 0;
}
