// MobileNet V2 and V3 as torchvision has them. Thread rule: see classifier.h.
#pragma once

#include <memory>

#include "engine_torch/models/classifier.h"

namespace trainyard {

std::shared_ptr<ImageClassifier> MakeMobileNetV2(int64_t num_classes);
std::shared_ptr<ImageClassifier> MakeMobileNetV3Small(int64_t num_classes);
std::shared_ptr<ImageClassifier> MakeMobileNetV3Large(int64_t num_classes);

}  // namespace trainyard
