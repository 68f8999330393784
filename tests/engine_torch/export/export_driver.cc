// For the parity scripts of this folder, and the benchmark. Exit status 1 and "error <status> <message>" on failure.
//   export_driver architectures                          their names
//   export_driver operators                              the names of those that can be exported
//   export_driver make <architecture> <side> <classes> <out directory>   a model as a training job writes it, with
//                                                        weights and statistics that no initialisation gives
//   export_driver make_layers <layers> <shape> <task> <out directory>   the same of a network for arrays: model.layers,
//                                                        a sample's shape ("4,5") and task 0 to 2
//   export_driver batch <file>                           exports: lines of model, options, output, tab-separated; one
//                                                        line each: "ok <seconds> <operators that were translated>" or
//                                                        "error <status> <message>"
//   export_driver logits <model> <inputs> <out>          what our own model says, both .safetensors
//   export_driver image <model> <image file> <out>       the pixels of the image pipeline, and what our own model says
//                                                        to what the pipeline gives it
#include <ATen/core/ivalue.h>
#include <torch/utils.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "engine_torch/export/export_onnx.h"
#include "engine_torch/export/operators.h"
#include "engine_torch/image/transforms.h"
#include "engine_torch/models/load.h"
#include "engine_torch/models/registry.h"
#include "engine_torch/models/sequential.h"
#include "engine_torch/tensor_output.h"
#include "engine_torch/weights/safetensors.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

namespace {

using namespace trainyard;

using testing::TensorOutput;

void Make(const std::string &name, int side, int classes, const std::string &directory) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(7);
  const std::shared_ptr<ImageClassifier> model = MakeModel(name, classes);
  for (const auto &buffer : model->named_buffers()) {
    torch::Tensor tensor = buffer.value();
    if (buffer.key().ends_with("running_mean")) tensor.uniform_(-0.1, 0.1);
    if (buffer.key().ends_with("running_var")) tensor.uniform_(0.5, 1.5);
  }
  for (const auto &parameter : model->named_parameters()) {
    torch::Tensor tensor = parameter.value();
    if (parameter.key().ends_with("bias")) tensor.uniform_(-0.1, 0.1);
  }
  ModelDescription description;
  description.architecture = name;
  description.resize = side + 8;
  description.crop = side;
  description.mean = {0.485f, 0.456f, 0.406f};
  description.std = {0.229f, 0.224f, 0.225f};
  for (int i = 0; i < classes; ++i) description.classes.push_back("class \"" + std::to_string(i) + "\" é");
  MakeDirs(directory);
  WriteModel(directory, description, *model);
}

void MakeLayers(const std::string &layers, const std::string &shape, int task, const std::string &directory) {
  torch::manual_seed(7);
  ModelDescription description;
  description.task = static_cast<Task>(task);
  description.architecture = "sequential";
  description.layers = layers;
  int64_t inputs = 1;
  for (const std::string_view size : Split(shape, ',')) {
    description.sample_shape.push_back(*ParseInt64(size));
    inputs *= description.sample_shape.back();
  }
  const std::shared_ptr<ImageClassifier> model = MakeSequential(inputs, layers);
  for (int64_t i = 0; i < model->num_classes(); ++i) description.classes.push_back(std::to_string(i));
  MakeDirs(directory);
  WriteModel(directory, description, *model);
}

void Batch(const char *path) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string_view> parts = Split(line, '\t');
    const auto start = std::chrono::steady_clock::now();
    try {
      const std::set<std::string> operators = ExportOnnx(OpenExportSource(std::string(parts.at(0))),
                                                         OnnxOptions::Parse(parts.at(1)), std::string(parts.at(2)));
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      std::printf("ok %.6f", seconds.count());
      for (const std::string &name : operators) std::printf(" %s", name.c_str());
      std::printf("\n");
    } catch (const Error &error) {
      std::printf("error %d %s\n", static_cast<int>(error.status()), error.what());
    } catch (const std::exception &error) {
      std::printf("error 15 %s\n", std::string(error.what()).substr(0, std::string(error.what()).find('\n')).c_str());
    }
    std::fflush(stdout);
  }
}

void Logits(const char *model, const char *inputs, const char *out) {
  const torch::NoGradGuard no_grad;
  const ExportSource source = OpenExportSource(model);
  const TensorFile file = OpenWeights(inputs);
  TensorOutput output;
  for (const NamedTensor &tensor : file.tensors) {
    const torch::Tensor images = torch::from_blob(const_cast<std::byte *>(tensor.data.data()), tensor.shape).clone();
    output.Add(tensor.name, source.forward(images).toTensor());
  }
  output.Write(out);
}

void Image(const char *model, const char *path, const char *out) {
  const torch::NoGradGuard no_grad;
  const ExportSource source = OpenExportSource(model);
  image::TransformConfig config;
  config.resize = source.model.description.resize;
  config.crop = source.model.description.crop;
  config.mean = source.model.description.mean;
  config.std = source.model.description.std;
  image::Transformer transformer(config);
  const torch::Tensor floats = torch::empty({1, 3, config.crop, config.crop});
  transformer.LoadEval(path, floats.mutable_data_ptr<float>());
  const torch::Tensor pixels = torch::empty({1, config.crop, config.crop, 3}, torch::kUInt8);
  std::memcpy(pixels.data_ptr(), transformer.EvalPixels(image::DecodeImageFile(path)), pixels.nbytes());
  TensorOutput output;
  output.Add("pixels", pixels);
  output.Add("logits", source.forward(floats).toTensor());
  output.Write(out);
}

}  // namespace

int main(int argc, char **argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  try {
    if (command == "architectures") {
      for (const Architecture &architecture : Architectures()) std::printf("%s\n", architecture.name);
    } else if (command == "operators") {
      for (const onnx::Operator &row : onnx::Operators()) std::printf("%s\n", std::string(row.name).c_str());
    } else if (command == "make" && argc == 6) {
      Make(argv[2], std::stoi(argv[3]), std::stoi(argv[4]), argv[5]);
    } else if (command == "make_layers" && argc == 6) {
      MakeLayers(argv[2], argv[3], std::stoi(argv[4]), argv[5]);
    } else if (command == "batch" && argc == 3) {
      Batch(argv[2]);
    } else if (command == "logits" && argc == 5) {
      Logits(argv[2], argv[3], argv[4]);
    } else if (command == "image" && argc == 5) {
      Image(argv[2], argv[3], argv[4]);
    } else {
      return 2;
    }
  } catch (const Error &error) {
    std::printf("error %d %s\n", static_cast<int>(error.status()), error.what());
    return 1;
  }
  return 0;
}
