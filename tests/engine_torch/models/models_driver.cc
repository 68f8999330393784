// For models_parity.py. Exit status 1 and "error <status> <message>" on failure.
//   models_driver init <model> <classes> <seed> <out>               a new model's weights
//   models_driver run <model> <classes> <weights> <images> <out>    eval: logits, features, logits of channels-last
//                                                                   weights and images; then one training-mode forward
//                                                                   and backward after seed 1: logits, gradients, and
//                                                                   the buffers it moved
//   models_driver load <model> <classes> <weights> <out>            what a loaded model's weights are
#include <ATen/Context.h>
#include <torch/nn/functional/loss.h>
#include <torch/utils.h>

#include <cstdio>

#include "engine_torch/models/load.h"
#include "engine_torch/tensor_output.h"

namespace {

using trainyard::ImageClassifier;

std::shared_ptr<ImageClassifier> Load(const char *name, int64_t classes, const char *weights) {
  const std::shared_ptr<ImageClassifier> model = trainyard::MakeModel(name, classes);
  const trainyard::LoadResult loaded =
      LoadWeights(model.get(), trainyard::OpenWeights(weights), {.allow_head_mismatch = true});
  std::printf("head_replaced %d\n", loaded.head_replaced ? 1 : 0);
  return model;
}

void Run(const char *name, int64_t classes, const char *weights, const char *images_path, const char *out) {
  const std::shared_ptr<ImageClassifier> model = Load(name, classes, weights);
  const torch::Tensor images = trainyard::testing::FirstTensorOf(images_path);
  trainyard::testing::TensorOutput output;
  model->eval();
  {
    const torch::NoGradGuard no_grad;
    output.Add("logits", model->forward(images));
    output.Add("features", model->features(images));
    for (torch::Tensor parameter : model->parameters()) {
      if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(torch::MemoryFormat::ChannelsLast));
    }
    output.Add("channels_last", model->forward(images.contiguous(torch::MemoryFormat::ChannelsLast)));
    for (torch::Tensor parameter : model->parameters()) parameter.set_data(parameter.contiguous());
  }
  model->train();
  torch::manual_seed(1);
  const torch::Tensor logits = model->forward(images);
  output.Add("train.logits", logits);
  torch::nn::functional::cross_entropy(logits, torch::zeros({images.size(0)}, torch::kInt64)).backward();
  for (const auto &parameter : model->named_parameters())
    output.Add("grad." + parameter.key(), parameter.value().grad());
  for (const auto &buffer : model->named_buffers()) output.Add("buffer." + buffer.key(), buffer.value());
  output.Write(out);
}

}  // namespace

int main(int argc, char **argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  at::set_num_threads(1);
  try {
    if (command == "init" && argc == 6) {
      torch::manual_seed(static_cast<uint64_t>(std::stoull(argv[4])));
      SaveWeights(*trainyard::MakeModel(argv[2], std::stoll(argv[3])), argv[5], {{"format", "pt"}});
    } else if (command == "run" && argc == 7) {
      Run(argv[2], std::stoll(argv[3]), argv[4], argv[5], argv[6]);
    } else if (command == "load" && argc == 6) {
      SaveWeights(*Load(argv[2], std::stoll(argv[3]), argv[4]), argv[5]);
    } else {
      return 2;
    }
  } catch (const trainyard::Error &error) {
    std::printf("error %d %s\n", static_cast<int>(error.status()), error.what());
    return 1;
  }
  return 0;
}
