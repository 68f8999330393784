// ConvNeXt as torchvision has it. Thread rule: see classifier.h.
#pragma once

#include <memory>

#include "engine_torch/models/classifier.h"

namespace trainyard {

std::shared_ptr<ImageClassifier> MakeConvNextTiny(int64_t num_classes);

}  // namespace trainyard
