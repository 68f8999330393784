// Vision Transformers as torchvision has them. Thread rule: see classifier.h.
#pragma once

#include <cstdint>
#include <memory>

#include "engine_torch/models/classifier.h"

namespace trainyard {

// The positions that it has learned belong to images of this side.
constexpr int64_t kVitImageSize = 224;

// features() throws kUnsupported for images of another size.
std::shared_ptr<ImageClassifier> MakeVitB16(int64_t num_classes);

}  // namespace trainyard
