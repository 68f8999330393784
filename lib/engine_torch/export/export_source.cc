#include "engine_torch/export/export_source.h"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/passes/constant_propagation.h>

#include "util/error.h"

namespace trainyard {
namespace {

void AddNative(const std::shared_ptr<ImageClassifier> &model, ExportSource *source) {
  for (const auto &parameter : model->named_parameters())
    source->state.emplace_back(parameter.key(), parameter.value());
  for (const auto &buffer : model->named_buffers()) source->state.emplace_back(buffer.key(), buffer.value());
  source->forward = [model](const at::Tensor &images) { return c10::IValue(model->forward(images)); };
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

// Throws kUnsupported unless forward() takes one tensor.
void CheckForward(const torch::jit::Module &module, const std::string &path) {
  if (!module.find_method("forward")) {
    throw Error(Status::kUnsupported, "'" + path + "' has no method 'forward': export a module that can be called",
                {{"path", path}});
  }
  const auto &arguments = module.get_method("forward").function().getSchema().arguments();
  size_t needed = 0;
  for (const auto &argument : arguments) needed += argument.default_value() ? 0 : 1;
  --needed;  // self
  if (arguments.size() > 1 && needed <= 1) return;
  throw Error(Status::kUnsupported,
              "'" + path + "' takes " + std::to_string(needed) +
                  " inputs, and models of one are exported: wrap it in a module that takes one tensor",
              {{"path", path}});
}

void AddScript(const torch::jit::Module &script, const std::string &path, ExportSource *source) {
  CheckForward(script, path);
  FoldConstants(script);
  for (const auto &parameter : script.named_parameters()) source->state.emplace_back(parameter.name, parameter.value);
  for (const auto &buffer : script.named_buffers()) source->state.emplace_back(buffer.name, buffer.value);
  const auto module = std::make_shared<torch::jit::Module>(script);  // forward() is not const
  source->forward = [module](const at::Tensor &images) { return module->forward({images}); };
}

}  // namespace

ExportSource OpenExportSource(const std::string &path) {
  ExportSource source;
  source.model = OpenModel(path);
  if (source.is_script()) {
    AddScript(*source.model.script, source.model.weights, &source);
  } else {
    AddNative(source.model.native, &source);
  }
  return source;
}

}  // namespace trainyard
