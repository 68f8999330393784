// SqueezeNet 1.1 as torchvision has it. Thread rule: see classifier.h.
#pragma once

#include <memory>

#include "engine_torch/models/classifier.h"

namespace trainyard {

std::shared_ptr<ImageClassifier> MakeSqueezeNet10(int64_t num_classes);
std::shared_ptr<ImageClassifier> MakeSqueezeNet11(int64_t num_classes);

}  // namespace trainyard
