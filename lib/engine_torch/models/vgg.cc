#include "engine_torch/models/vgg.h"

#include <torch/nn/modules/pooling.h>

#include <span>

#include "engine_torch/models/pooled_classifier.h"

namespace trainyard {
namespace {

namespace nn = torch::nn;

constexpr int64_t kPooling = 0;
constexpr int64_t kWidths16[] = {64,       64,  kPooling, 128, 128,      kPooling, 256, 256, 256,
                                 kPooling, 512, 512,      512, kPooling, 512,      512, 512, kPooling};
constexpr int64_t kGrid = 7;
constexpr int64_t kHidden = 4096;

// A convolution with batch norm of each width; kPooling halves the sides.
Chain Features(std::span<const int64_t> widths) {
  Chain features;
  int64_t in = 3;
  for (const int64_t width : widths) {
    if (width == kPooling) {
      features->push_back(nn::MaxPool2d(nn::MaxPool2dOptions(2).stride(2)));
      continue;
    }
    features->push_back(Convolution(nn::Conv2dOptions(in, width, 3).padding(1)));
    features->push_back(BatchNorm2d(width));
    features->push_back(ActivationLayer(Activation::kReLU));
    in = width;
  }
  return features;
}

// Three layers, not the last one alone: dropout stands between them.
Chain Classifier(int64_t in, int64_t num_classes) {
  Chain classifier;
  for (const int64_t width : {in, kHidden}) {
    classifier->push_back(nn::Linear(width, kHidden));
    classifier->push_back(ActivationLayer(Activation::kReLU));
    classifier->push_back(Dropout(0.5));
  }
  classifier->push_back(nn::Linear(kHidden, num_classes));
  return classifier;
}

}  // namespace

std::shared_ptr<ImageClassifier> MakeVgg16Bn(int64_t num_classes) {
  const Chain features = Features(kWidths16);
  const Chain classifier = Classifier(512 * kGrid * kGrid, num_classes);
  auto model = std::make_shared<PooledClassifier>("vgg16_bn", features, classifier, kGrid);
  Initialise(*model, LinearStart::kNormal);
  return model;
}

}  // namespace trainyard
