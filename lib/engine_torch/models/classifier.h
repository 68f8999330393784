// What every native image model of the engine is: a backbone that yields features, and a head that turns them into one
// logit per class. Parameter and buffer names, order and initialisation are torchvision's. Thread rule: a
// torch::nn::Module; one thread at a time, or forward() from many threads in eval mode without gradients.
#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace trainyard {

class ImageClassifier : public torch::nn::Module {
 public:
  // `head` is the path of the head's one layer with parameters: "fc", "classifier.1".
  ImageClassifier(std::string name, std::string head, int64_t num_classes)
      : torch::nn::Module(std::move(name)), head_(std::move(head)), num_classes_(num_classes) {}

  // images: [N, 3, H, W] float, normalised. Returns logits [N, num_classes].
  torch::Tensor forward(const torch::Tensor &images) { return head(features(images)); }
  // What a frozen backbone yields: [N, channels], or [N, 512, h, w] for SqueezeNet (13 x 13 at 224 x 224). Everything
  // before the head's container, if the head has one ("classifier" of "classifier.6").
  virtual torch::Tensor features(const torch::Tensor &images) = 0;
  // From features() to logits.
  virtual torch::Tensor head(const torch::Tensor &features) = 0;

  // A new head for another number of classes, with PyTorch's default initialisation: what a user of torchvision gets
  // from `model.fc = nn.Linear(...)`.
  void ResetHead(int64_t num_classes);

  int64_t num_classes() const { return num_classes_; }
  const std::string &head_path() const { return head_; }
  // Whether a module belongs to the head: its layer, or what stands beside it in the same container (dropout).
  bool IsHeadModule(std::string_view module) const;
  // Whether a parameter or buffer belongs to the head, by its name.
  bool IsHead(std::string_view parameter) const;

 private:
  virtual void MakeHead(int64_t num_classes) = 0;

  std::string head_;
  int64_t num_classes_;
};

// Only the head's parameters keep requires_grad.
void FreezeBackbone(ImageClassifier *model);

// Whether the layer draws random numbers in training mode.
bool DrawsInTraining(const torch::nn::Module &layer);

// Whether an image's features in training mode depend on that image alone: no batch norm, no dropout, no stochastic
// depth before the head.
bool HasPureBackbone(const ImageClassifier &model);

}  // namespace trainyard
