// The table of native models. Thread rule: constant data; MakeModel draws from LibTorch's default generator, seed that
// before (torch::manual_seed) for the same weights each time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine_torch/models/classifier.h"

namespace trainyard {

enum class HeadKind { kLinear, kConvolution };

struct Architecture {
  const char *name;
  std::shared_ptr<ImageClassifier> (*make)(int64_t num_classes);
  const char *head;  // path of the layer that is replaced for another number of classes
  HeadKind head_kind;
};

std::span<const Architecture> Architectures();

// Throws kNotFound, naming the nearest known name.
const Architecture &FindArchitecture(const std::string &name);

// A model with torchvision's initial weights, on the CPU, in training mode. Throws kNotFound (unknown name) or
// kInvalidArgument (num_classes below 1).
std::shared_ptr<ImageClassifier> MakeModel(const std::string &name, int64_t num_classes);

}  // namespace trainyard
