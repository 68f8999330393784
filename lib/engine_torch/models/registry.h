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
  const char *fingerprint;  // FingerprintOf (load.h) its weights
  int64_t image_size = 0;   // the one side that its images may have; 0: any, down to some size
};

std::span<const Architecture> Architectures();

// Throws kNotFound, naming the nearest known name.
const Architecture &FindArchitecture(const std::string &name);

// A model with torchvision's initial weights, on the CPU, in training mode. Throws kNotFound (unknown name) or
// kInvalidArgument (num_classes below 1).
std::shared_ptr<ImageClassifier> MakeModel(const std::string &name, int64_t num_classes);

// Throws kInvalidArgument, naming transform.crop, when the model takes images of one size and `crop` is another.
void CheckCrop(const Architecture &architecture, int64_t crop);

}  // namespace trainyard
