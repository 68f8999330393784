// For loaded_model_parity.py. On failure "error <status> <message>", exit status 1.
//   loaded_model_driver run <model> <images> <out>       "logits" and "probabilities" of float images, all .safetensors
//   loaded_model_driver export <model> <format> <out>
//   loaded_model_driver traced <model>                   why a TorchScript module cannot be trained
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <cstdio>

#include "engine_torch/export/export_weights.h"
#include "engine_torch/models/script_model.h"
#include "engine_torch/predict/loaded_model.h"
#include "engine_torch/predict/predictor.h"
#include "engine_torch/tensor_output.h"
#include "util/error.h"

namespace {

void Run(const char *model, const char *images_path, const char *out) {
  const c10::InferenceMode guard;
  const at::Tensor images = trainyard::testing::FirstTensorOf(images_path);
  std::vector<int64_t> shape = images.sizes().vec();
  const at::Tensor logits = trainyard::LoadedModel(model, c10::kCPU).Logits(images).contiguous();
  const trainyard::Predictor predictor(model, "cpu");
  const at::Tensor probabilities = at::empty_like(logits);
  DLTensor input = {};
  input.data = images.data_ptr();
  input.device = {kDLCPU, 0};
  input.ndim = 4;
  input.dtype = {kDLFloat, 32, 1};
  input.shape = shape.data();
  predictor.Tensor(input, probabilities.mutable_data_ptr<float>(), static_cast<size_t>(probabilities.numel()));
  trainyard::testing::TensorOutput output;
  output.Add("logits", logits);
  output.Add("probabilities", probabilities);
  output.Write(out);
  std::printf("classes");
  for (const std::string &name : predictor.classes()) std::printf(" %s", name.c_str());
  std::printf("\n");
}

}  // namespace

int main(int argc, char **argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  at::set_num_threads(1);
  try {
    if (command == "run" && argc == 5) {
      Run(argv[2], argv[3], argv[4]);
    } else if (command == "export" && argc == 5) {
      trainyard::ExportWeights(argv[2], argv[3], argv[4]);
    } else if (command == "traced" && argc == 3) {
      std::printf("%s\n",
                  trainyard::TracedInEvalMode(trainyard::LoadScript(argv[2])).value_or("can be trained").c_str());
    } else {
      return 2;
    }
  } catch (const trainyard::Error &error) {
    std::printf("error %d %s\n", static_cast<int>(error.status()), error.what());
    return 1;
  }
  return 0;
}
