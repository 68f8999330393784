#include "engine_torch/models/classifier.h"

#include <torch/nn/modules/dropout.h>

#include "engine_torch/models/layers.h"

namespace trainyard {

void ImageClassifier::ResetHead(int64_t num_classes) {
  MakeHead(num_classes);
  num_classes_ = num_classes;
}

bool ImageClassifier::IsHead(std::string_view parameter) const {
  return parameter.size() > head_.size() && parameter.starts_with(head_) && parameter[head_.size()] == '.';
}

void FreezeBackbone(ImageClassifier *model) {
  for (auto &parameter : model->named_parameters()) {
    parameter.value().set_requires_grad(model->IsHead(parameter.key()));
  }
}

bool HasPureBackbone(const ImageClassifier &model) {
  for (const auto &buffer : model.named_buffers()) {
    if (!model.IsHead(buffer.key())) return false;
  }
  // The container of the head's layer belongs to the head.
  const std::string container = model.head_path().substr(0, model.head_path().rfind('.'));
  for (const auto &item : model.named_modules()) {
    if (item.key().starts_with(container + ".") || item.key() == container) continue;
    if (const auto *dropout = item.value()->as<torch::nn::Dropout>(); dropout != nullptr && dropout->options.p() > 0)
      return false;
    if (const auto *depth = item.value()->as<StochasticDepth>(); depth != nullptr && depth->probability() > 0)
      return false;
  }
  return true;
}

}  // namespace trainyard
