// What most convolutional networks are: "features", averaged over the image, and "classifier", whose last layer is the
// head. Thread rule: see classifier.h.
#pragma once

#include <string>

#include "engine_torch/models/classifier.h"
#include "engine_torch/models/layers.h"

namespace trainyard {

class PooledClassifier : public ImageClassifier {
 public:
  // `classifier` ends with a linear layer and has no batch norm. The features are averaged over each cell of a grid of
  // `grid` x `grid`.
  PooledClassifier(std::string name, const Chain &features, const Chain &classifier, int64_t grid = 1);

  torch::Tensor features(const torch::Tensor &images) override;
  torch::Tensor head(const torch::Tensor &features) override;

 private:
  void MakeHead(int64_t num_classes) override;

  Chain features_ = nullptr;
  Chain classifier_ = nullptr;
  int64_t grid_;
};

}  // namespace trainyard
