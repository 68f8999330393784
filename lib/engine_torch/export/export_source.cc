#include "engine_torch/export/export_source.h"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/serialization/import.h>

#include "engine_torch/models/load.h"
#include "engine_torch/weights/torch_file.h"
#include "util/error.h"
#include "util/fs.h"

namespace trainyard {
namespace {

ExportSource SourceOf(const std::shared_ptr<ImageClassifier> &model) {
  model->eval();
  ExportSource source;
  source.architecture = model->name();
  for (const auto &parameter : model->named_parameters()) {
    parameter.value().set_requires_grad(false);
    source.state.emplace_back(parameter.key(), parameter.value());
  }
  for (const auto &buffer : model->named_buffers()) source.state.emplace_back(buffer.key(), buffer.value());
  source.forward = [model](const at::Tensor &images) { return c10::IValue(model->forward(images)); };
  return source;
}

// torch.tensor([...]) in a program writes its numbers past the tracer: such tensors become constants before.
void FoldConstants(const torch::jit::Module &module) {
  for (const torch::jit::Module &part : module.modules()) {
    for (const torch::jit::Method &method : part.get_methods()) {
      auto *function = torch::jit::tryToGraphFunction(method.function());
      if (function != nullptr) {
        std::shared_ptr<torch::jit::Graph> graph = function->graph();
        torch::jit::ConstantPropagation(graph);
      }
    }
  }
}

ExportSource OpenScript(const std::string &path) {
  auto module = std::make_shared<torch::jit::Module>(torch::jit::load(path, c10::kCPU));
  module->eval();
  FoldConstants(*module);
  ExportSource source;
  source.is_script = true;
  for (const auto &parameter : module->named_parameters()) {
    parameter.value.set_requires_grad(false);
    source.state.emplace_back(parameter.name, parameter.value);
  }
  for (const auto &buffer : module->named_buffers()) source.state.emplace_back(buffer.name, buffer.value);
  if (!module->find_method("forward")) {
    throw Error(Status::kUnsupported, "'" + path + "' has no method 'forward': export a module that can be called",
                {{"path", path}});
  }
  const size_t inputs = module->get_method("forward").function().getSchema().arguments().size() - 1;
  const size_t needed = [&] {
    size_t count = 0;
    for (const auto &argument : module->get_method("forward").function().getSchema().arguments())
      count += argument.default_value() ? 0 : 1;
    return count - 1;
  }();
  if (inputs < 1 || needed > 1) {
    throw Error(Status::kUnsupported,
                "'" + path + "' takes " + std::to_string(needed) +
                    " inputs, and models of one are exported: wrap it in a module that takes one tensor",
                {{"path", path}});
  }
  source.forward = [module](const at::Tensor &images) { return module->forward({images}); };
  return source;
}

}  // namespace

ExportSource OpenExportSource(const std::string &path) {
  const bool described = PathExists(JoinPath(IsDirectory(path) ? path : ParentPath(path), kModelFile));
  const std::string name = BaseName(path);
  if (IsDirectory(path) || !PathExists(path) || name == kModelFile || (name == kWeightsFile && described)) {
    const ModelDescription description = ReadModelDescription(path);
    ExportSource source = SourceOf(ReadModel(path, description));
    source.description = description;
    return source;
  }
  return IsTorchScript(path) ? OpenScript(path) : SourceOf(ModelOf(OpenWeights(path)));
}

}  // namespace trainyard
