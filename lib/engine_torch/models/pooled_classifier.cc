#include "engine_torch/models/pooled_classifier.h"

namespace trainyard {
namespace {

namespace nn = torch::nn;

const nn::LinearOptions &LastLayer(const Chain &classifier) {
  return classifier->ptr(classifier->size() - 1)->as<nn::Linear>()->options;
}

}  // namespace

PooledClassifier::PooledClassifier(std::string name, const Chain &features, const Chain &classifier, int64_t grid)
    : ImageClassifier(std::move(name), "classifier." + std::to_string(classifier->size() - 1),
                      LastLayer(classifier).out_features()),
      grid_(grid) {
  features_ = register_module("features", features);
  classifier_ = register_module("classifier", classifier);
}

torch::Tensor PooledClassifier::features(const torch::Tensor &images) {
  return torch::adaptive_avg_pool2d(features_->forward(images), {grid_, grid_}).flatten(1);
}

torch::Tensor PooledClassifier::head(const torch::Tensor &features) {
  return classifier_->forward(features);
}

void PooledClassifier::MakeHead(int64_t num_classes) {
  const int64_t in = LastLayer(classifier_).in_features();
  Chain classifier;
  for (auto layer = classifier_->begin(); layer + 1 != classifier_->end(); ++layer) classifier->push_back(*layer);
  classifier->push_back(nn::Linear(in, num_classes));
  classifier_ = replace_module("classifier", classifier);
}

}  // namespace trainyard
