// ResNet as torchvision has it (Bottleneck with its stride in the 3x3 convolution, "V1.5"). Thread rule: see
// classifier.h.
#pragma once

#include <memory>

#include "engine_torch/models/classifier.h"

namespace trainyard {

std::shared_ptr<ImageClassifier> MakeResNet18(int64_t num_classes);
std::shared_ptr<ImageClassifier> MakeResNet34(int64_t num_classes);
std::shared_ptr<ImageClassifier> MakeResNet50(int64_t num_classes);
std::shared_ptr<ImageClassifier> MakeResNet101(int64_t num_classes);

}  // namespace trainyard
