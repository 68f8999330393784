#include "engine_torch/models/sequential.h"

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <functional>
#include <optional>

#include "engine_torch/models/layers.h"
#include "util/error.h"
#include "util/json.h"
#include "util/text.h"

namespace trainyard {
namespace {

namespace nn = torch::nn;

using Work = std::function<torch::Tensor(const torch::Tensor &)>;

// A layer that was made, with how it is called.
struct Layer {
  std::shared_ptr<nn::Module> module;
  Work work;
};

template <typename Holder>
Layer Wrap(Holder holder) {
  return {holder.ptr(), [module = holder.ptr().get()](const torch::Tensor &x) { return module->forward(x); }};
}

// One type of layer. `width` is what comes in, and becomes what goes out.
struct LayerType {
  const char *name;
  Layer (*make)(const Json &json, int64_t *width);
};

constexpr LayerType kLayerTypes[] = {
    {"linear",
     [](const Json &json, int64_t *width) {
       const int64_t in = *width;
       *width = json.Get("out").AsInt64(1, int64_t{1} << 24);
       return Wrap(nn::Linear(nn::LinearOptions(in, *width).bias(json.GetBool("bias", true))));
     }},
    {"relu", [](const Json &, int64_t *) { return Wrap(nn::ReLU()); }},
    {"leaky_relu",
     [](const Json &json, int64_t *) {
       return Wrap(nn::LeakyReLU(nn::LeakyReLUOptions().negative_slope(json.GetDouble("slope", 0.01))));
     }},
    {"elu",
     [](const Json &json, int64_t *) { return Wrap(nn::ELU(nn::ELUOptions().alpha(json.GetDouble("alpha", 1)))); }},
    {"gelu", [](const Json &, int64_t *) { return Wrap(nn::GELU()); }},
    {"silu", [](const Json &, int64_t *) { return Wrap(nn::SiLU()); }},
    {"tanh", [](const Json &, int64_t *) { return Wrap(nn::Tanh()); }},
    {"sigmoid", [](const Json &, int64_t *) { return Wrap(nn::Sigmoid()); }},
    {"softplus", [](const Json &, int64_t *) { return Wrap(nn::Softplus()); }},
    {"dropout",
     [](const Json &json, int64_t *) { return Wrap(Dropout(nn::DropoutOptions(json.GetDouble("p", 0.5)))); }},
    {"batch_norm", [](const Json &, int64_t *width) { return Wrap(nn::BatchNorm1d(*width)); }},
    {"layer_norm", [](const Json &, int64_t *width) { return Wrap(nn::LayerNorm(nn::LayerNormOptions({*width}))); }},
    {"flatten", [](const Json &, int64_t *) { return Wrap(nn::Flatten()); }},
};

Layer MakeLayer(const Json &json, size_t index, int64_t *width) {
  const std::string where = "layer " + std::to_string(index) + " of model.layers";
  std::vector<std::string> names;
  try {
    const std::string type = json.GetString("type");
    for (const LayerType &known : kLayerTypes) {
      if (type == known.name) return known.make(json, width);
      names.emplace_back(known.name);
    }
    throw Error::InvalidArgument("there is no type '" + type + "'" + DidYouMean(type, names) +
                                 " (known: " + Join(names, ", ") + ")");
  } catch (const Error &error) {
    throw Error::InvalidArgument(where + ": " + error.what(), {{"key", "model.layers"}});
  }
}

class Sequential final : public ImageClassifier {
 public:
  Sequential(std::vector<Layer> layers, int64_t outputs)
      : ImageClassifier("sequential", std::to_string(layers.size() - 1), outputs), layers_(std::move(layers)) {
    for (size_t i = 0; i < layers_.size(); ++i) register_module(std::to_string(i), layers_[i].module);
  }

  torch::Tensor features(const torch::Tensor &inputs) override {
    torch::Tensor x = inputs;
    for (size_t i = 0; i + 1 < layers_.size(); ++i) {
      auto *linear = layers_[i].module->as<nn::Linear>();
      if (linear == nullptr) {
        x = layers_[i].work(x);
        continue;
      }
      const bool relu = layers_[i + 1].module->as<nn::ReLU>() != nullptr;
      x = LinearActivate(linear, x, relu ? Activation::kReLU : Activation::kNone);
      if (relu) ++i;
    }
    return x;
  }
  torch::Tensor head(const torch::Tensor &features) override {
    return LinearActivate(layers_.back().module->as<nn::Linear>(), features, Activation::kNone);
  }

 private:
  void MakeHead(int64_t outputs) override {
    const auto *old = layers_.back().module->as<nn::Linear>();
    nn::Linear made(nn::LinearOptions(old->options.in_features(), outputs).bias(old->options.bias()));
    replace_module(std::to_string(layers_.size() - 1), made);
    layers_.back() = Wrap(made);
  }

  std::vector<Layer> layers_;
};

}  // namespace

std::shared_ptr<ImageClassifier> MakeSequential(int64_t inputs, const std::string &layers) {
  if (inputs < 1) {
    throw Error::InvalidArgument("a model of layers needs model.inputs, the number of values of one sample",
                                 {{"key", "model.inputs"}});
  }
  const Json list = Json::Parse(layers, "model.layers");
  int64_t width = inputs;
  std::vector<Layer> made;
  for (const Json &json : list.Items()) made.push_back(MakeLayer(json, made.size(), &width));
  if (made.empty() || made.back().module->as<nn::Linear>() == nullptr) {
    throw Error::InvalidArgument("the last layer of model.layers must be linear: it is the model's output",
                                 {{"key", "model.layers"}});
  }
  return std::make_shared<Sequential>(std::move(made), width);
}

std::string DescribeMlp(const std::vector<int64_t> &widths, int64_t outputs, const std::string &activation) {
  Json list = Json::Array();
  for (const int64_t width : widths) {
    list.Append(Json::Object().Set("type", "linear").Set("out", width));
    list.Append(Json::Object().Set("type", activation));
  }
  list.Append(Json::Object().Set("type", "linear").Set("out", outputs));
  return list.Dump();
}

}  // namespace trainyard
