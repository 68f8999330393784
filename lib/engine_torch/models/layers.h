// Layers that several architectures are made of, with torchvision's names and its order of drawing initial weights.
// Thread rule: as torch::nn::Module.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <utility>

#include "engine_torch/kernels/batch_norm.h"

namespace trainyard {

// A torch::nn::Sequential that may stand within another: its forward() is no template. A batch norm and the activation
// right behind it are one step (NormActivate).
class ChainImpl : public torch::nn::SequentialImpl {
 public:
  using SequentialImpl::SequentialImpl;
  torch::Tensor forward(const torch::Tensor &input);
};
TORCH_MODULE(Chain);

// torch::nn::Conv2d, with the engine's own kernel where FastKernels allow it.
class ConvolutionImpl : public torch::nn::Conv2dImpl {
 public:
  using Conv2dImpl::Conv2dImpl;
  torch::Tensor forward(const torch::Tensor &input);
};
TORCH_MODULE(Convolution);

// torch::nn::Dropout, with the engine's own random numbers where FastKernels allow it.
class DropoutImpl : public torch::nn::DropoutImpl {
 public:
  using torch::nn::DropoutImpl::DropoutImpl;
  torch::Tensor forward(const torch::Tensor &input);
};
TORCH_MODULE(Dropout);

// PyTorch's, whose statistics of a batch may come from somewhere else while it trains: from all ranks.
class BatchNorm2dImpl : public torch::nn::BatchNorm2dImpl {
 public:
  using Normaliser = std::function<torch::Tensor(const torch::Tensor &input, const BatchNorm2dImpl &layer)>;

  using torch::nn::BatchNorm2dImpl::BatchNorm2dImpl;
  torch::Tensor forward(const torch::Tensor &input) {
    return is_shared() && is_training() ? normaliser_(input, *this) : torch::nn::BatchNorm2dImpl::forward(input);
  }
  // Normalises, and keeps the running statistics, in training mode from now on.
  void NormaliseBy(Normaliser normaliser) { normaliser_ = std::move(normaliser); }
  bool is_shared() const { return normaliser_ != nullptr; }

 private:
  Normaliser normaliser_;
};
TORCH_MODULE(BatchNorm2d);

// Works in place.
torch::Tensor Activate(Activation activation, torch::Tensor input);

// An activation with a place of its own in a Chain, as torchvision's have. Works in place.
class ActivationLayer : public torch::nn::Module {
 public:
  explicit ActivationLayer(Activation activation) : activation_(activation) {}
  Activation activation() const { return activation_; }
  torch::Tensor forward(torch::Tensor input) { return Activate(activation_, std::move(input)); }

 private:
  Activation activation_;
};

// activation(norm(input) + residual); `residual` may be undefined. With the engine's own kernel while training where
// FastKernels allow it.
torch::Tensor NormActivate(BatchNorm2dImpl *norm, const torch::Tensor &input, Activation activation,
                           const torch::Tensor &residual = {});

// activation(linear(input)); ReLU and none with the engine's own kernel while training where FastKernels allow it.
torch::Tensor LinearActivate(torch::nn::LinearImpl *linear, const torch::Tensor &input, Activation activation);

struct ConvolutionShape {
  int64_t in = 0, out = 0;
  int64_t kernel = 3;
  int64_t stride = 1;
  int64_t groups = 1;
};

// What the batch norms of an architecture have in common.
struct NormOptions {
  double eps = 1e-5;
  double momentum = 0.1;
};

// torchvision's Conv2dNormActivation: "0" a convolution without bias that keeps the size (but for the stride), "1" its
// batch norm, "2" the activation, if there is one.
Chain ConvolutionNormActivation(const ConvolutionShape &shape, Activation activation, NormOptions norm = {});

// Scales channels by what a small network, "fc1" and "fc2", says of their means.
class SqueezeExcitation : public torch::nn::Module {
 public:
  enum class Gate { kSigmoid, kHardSigmoid };

  // `activation` is the one between the two layers.
  SqueezeExcitation(int64_t channels, int64_t squeezed, Activation activation, Gate gate);
  torch::Tensor forward(const torch::Tensor &input);

 private:
  torch::nn::Conv2d fc1_ = nullptr, fc2_ = nullptr;
  Activation activation_;
  Gate gate_;
};

// While training, zeroes the residual of an image with `probability` and scales the others', so that the mean stays.
class StochasticDepth : public torch::nn::Module {
 public:
  explicit StochasticDepth(double probability) : probability_(probability) {}
  torch::Tensor forward(const torch::Tensor &residual);
  double probability() const { return probability_; }

 private:
  double probability_;
};

// How the linear layers of an architecture start: as PyTorch makes them, normal(0, 0.01), or uniform within
// 1 / sqrt(outputs); the last two with zero biases.
enum class LinearStart { kDefault, kNormal, kUniform };

// Draws every convolution of `model` by Kaiming's normal initialisation over its outputs, with zero biases, and its
// linear layers; in the order of the modules, as torchvision does. Batch norms start at 1 and 0 already.
void Initialise(const torch::nn::Module &model, LinearStart linear);

// Python's torch.nn.init.trunc_normal_: a normal distribution around 0 that ends at -2 and 2.
void TruncatedNormal(torch::Tensor tensor, double std);

}  // namespace trainyard
