// What a fuzz target may give the driver besides LLVMFuzzerTestOneInput: seeds made in code (so that no binary files
// need keeping) and words of the format. Thread rule: called once, before the first input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace trainyard::fuzz {

struct Corpus {
  std::vector<std::string> seeds;       // valid inputs to mutate
  std::vector<std::string> dictionary;  // byte strings that mean something in the format: magic numbers, keys, opcodes
};

}  // namespace trainyard::fuzz

// Optional in a target: fills the corpus. Files of a seed directory are added to it.
extern "C" void TrainyardFuzzSetUp(trainyard::fuzz::Corpus *corpus);

// The target: one input, never fails unless there is a bug. Returns 0.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
