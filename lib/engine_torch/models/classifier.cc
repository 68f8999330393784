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

bool ImageClassifier::IsHeadModule(std::string_view module) const {
  const size_t dot = head_.rfind('.');
  if (dot == std::string::npos) return module == head_;
  const std::string_view container = std::string_view(head_).substr(0, dot);
  return module == container || (module.size() > dot && module.starts_with(container) && module[dot] == '.');
}

void FreezeBackbone(ImageClassifier *model) {
  for (auto &parameter : model->named_parameters()) {
    parameter.value().set_requires_grad(model->IsHead(parameter.key()));
  }
}

bool DrawsInTraining(const torch::nn::Module &layer) {
  if (const auto *dropout = layer.as<torch::nn::Dropout>()) return dropout->options.p() > 0;
  if (const auto *depth = layer.as<StochasticDepth>()) return depth->probability() > 0;
  return false;
}

bool HasPureBackbone(const ImageClassifier &model) {
  for (const auto &buffer : model.named_buffers()) {
    if (!model.IsHead(buffer.key())) return false;
  }
  for (const auto &item : model.named_modules()) {
    if (!model.IsHeadModule(item.key()) && DrawsInTraining(*item.value())) return false;
  }
  return true;
}

}  // namespace trainyard
