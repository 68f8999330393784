// The reader of .npy files.
#include <cstdlib>

#include "engine_torch/weights/file_builders.h"
#include "engine_torch/weights/npy.h"
#include "fuzz/fuzz.h"

extern "C" void TrainyardFuzzSetUp(trainyard::fuzz::Corpus *corpus) {
  using trainyard::testing::Floats;
  using trainyard::testing::Npy;
  using trainyard::testing::NpyOfHeader;
  corpus->seeds = {Npy("<f4", "(2, 3)", Floats(6)), Npy("|u1", "(4,)", "abcd"), Npy("<i8", "()", Floats(2)),
                   NpyOfHeader("{\"shape\":(1,2,),'fortran_order':True,\"descr\":'<f4'}", Floats(2), 2),
                   NpyOfHeader("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", Floats(1), 3)};
  corpus->dictionary = {"'descr'", "'shape'", "'fortran_order'", "True", "False", "<f8", ">f4",
                        "|O",      "|b1",     "<M8[s]",          "(0,)", "()",    "-1",  "9223372036854775807",
                        "\\x27"};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const trainyard::Bytes bytes(reinterpret_cast<const std::byte *>(data), size);
  volatile size_t touched = 0;  // the data must be readable to its last byte
  try {
    const trainyard::NamedTensor tensor = trainyard::ParseNpy(bytes, "fuzz");
    const auto count = static_cast<size_t>(tensor.ElementCount());
    if (tensor.data.size() != count * trainyard::SizeOf(tensor.dtype) || !tensor.strides.empty()) std::abort();
    if (!tensor.data.empty()) {
      touched = touched + static_cast<size_t>(tensor.data.front()) + static_cast<size_t>(tensor.data.back());
    }
  } catch (const trainyard::Error &) {
  }
  return 0;
}
