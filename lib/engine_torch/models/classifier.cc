#include "engine_torch/models/classifier.h"

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

}  // namespace trainyard
