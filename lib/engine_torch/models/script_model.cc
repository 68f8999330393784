#include "engine_torch/models/script_model.h"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/serialization/export.h>
#include <torch/csrc/jit/serialization/import.h>

#include <exception>
#include <string_view>

#include "engine_torch/weights/torch_file.h"
#include "util/atomic_file.h"
#include "util/error.h"

namespace trainyard {
namespace {

// The operators that behave differently in training, and the argument that says so.
struct ModeFlag {
  std::string_view operation;
  const char *argument;
  bool dropout;  // else a batch norm
};
constexpr ModeFlag kModeFlags[] = {
    {"aten::batch_norm", "training", false},
    {"aten::_batch_norm_impl_index", "training", false},
    {"aten::native_batch_norm", "training", false},
    {"aten::cudnn_batch_norm", "training", false},
    {"aten::dropout", "train", true},
    {"aten::dropout_", "train", true},
    {"aten::native_dropout", "train", true},
    {"aten::feature_dropout", "train", true},
    {"aten::feature_dropout_", "train", true},
    {"aten::alpha_dropout", "train", true},
    {"aten::feature_alpha_dropout", "train", true},
};

struct FixedLayers {
  int64_t norms = 0;
  int64_t dropouts = 0;
};

void CountFixed(const torch::jit::Block *block, FixedLayers *fixed) {
  for (const torch::jit::Node *node : block->nodes()) {
    for (const torch::jit::Block *inner : node->blocks()) CountFixed(inner, fixed);
    const std::string_view operation = node->kind().toQualString();
    for (const ModeFlag &flag : kModeFlags) {
      if (operation != flag.operation) continue;
      const auto value = torch::jit::toIValue(node->namedInput(flag.argument));
      if (!value || !value->isBool() || value->toBool()) continue;
      ++(flag.dropout ? fixed->dropouts : fixed->norms);
    }
  }
}

// The interpreter reports an operator's error below a traceback; the last line that names an error says what it is.
std::string ErrorLine(std::string_view text) {
  const size_t error = text.rfind("Error: ");
  if (error == std::string_view::npos) return std::string(text.substr(0, text.find('\n')));
  const size_t start = text.rfind('\n', error);
  text.remove_prefix(start == std::string_view::npos ? 0 : start + 1);
  return std::string(text.substr(0, text.find('\n')));
}

}  // namespace

torch::jit::Module LoadScript(const std::string &path) {
  if (!IsTorchScript(path)) {
    throw Error(Status::kUnsupported, "'" + path + "' is not a TorchScript archive, as torch.jit.save writes it",
                {{"path", path}});
  }
  try {
    torch::jit::Module module = torch::jit::load(path, c10::Device(c10::kCPU));
    module.eval();
    return module;
  } catch (const c10::OutOfMemoryError &) {
    throw;
  } catch (const std::exception &error) {
    const std::string_view text = error.what();
    const bool unknown = text.find("Unknown builtin op") != std::string_view::npos ||
                         text.find("Couldn't find an operator") != std::string_view::npos ||
                         text.find("Unknown type name") != std::string_view::npos ||
                         text.find("supported file format version") != std::string_view::npos;
    const std::string line(text.substr(0, text.find_first_of("\n")));
    throw Error(unknown ? Status::kUnsupported : Status::kCorrupt,
                "'" + path + "' cannot be loaded as TorchScript: " + line +
                    (unknown ? "; it needs an operator or a format that LibTorch alone does not have"
                             : "; copy it again, or save it anew with torch.jit.save"),
                {{"path", path}});
  }
}

at::Tensor RunScript(const torch::jit::Module &module, const at::Tensor &images) {
  torch::jit::Module handle = module;  // forward() is not const, and changes nothing
  c10::IValue output;
  try {
    output = handle.forward({images});
  } catch (const c10::Error &) {
    throw;
  } catch (const std::runtime_error &error) {
    TORCH_CHECK(false, ErrorLine(error.what()));
  }
  if (output.isTuple() && !output.toTupleRef().elements().empty()) {
    const c10::IValue first = output.toTupleRef().elements()[0];
    output = first;
  }
  if (!output.isTensor() || output.toTensor().dim() != 2 || output.toTensor().size(0) != images.size(0)) {
    throw Error(Status::kUnsupported,
                "the TorchScript module gives " +
                    (output.isTensor() ? "a tensor of " + std::to_string(output.toTensor().dim()) + " dimensions"
                                       : std::string("a ") + output.tagKind()) +
                    ": an image classifier must give one logit per class, [n, classes]");
  }
  return output.toTensor();
}

std::optional<std::string> TracedInEvalMode(const torch::jit::Module &module) {
  const std::optional<torch::jit::Method> forward = module.find_method("forward");
  if (!forward) return std::nullopt;
  // A copy: inlining brings the code of all the modules below into one graph.
  const std::shared_ptr<torch::jit::Graph> graph = forward->graph()->copy();
  torch::jit::Inline(*graph);
  FixedLayers fixed;
  CountFixed(graph->block(), &fixed);
  if (fixed.norms == 0 && fixed.dropouts == 0) return std::nullopt;
  const auto count = [](int64_t number, const std::string &what) {
    return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
  };
  std::string what;
  if (fixed.norms > 0) what = count(fixed.norms, "batch norm");
  if (fixed.dropouts > 0) what += (what.empty() ? "" : " and ") + count(fixed.dropouts, "dropout");
  return "the TorchScript module was traced in evaluation mode: " + what +
         " in its code would not train; make it with torch.jit.script(model), or trace it after model.train()";
}

void SaveScript(const torch::jit::Module &module, const std::string &path) {
  AtomicFile file(path);
  // LibTorch's archive writer ends the process when its callback fails, so that it is told of no failure.
  std::exception_ptr failure;
  torch::jit::ExportModule(module, [&](const void *data, size_t size) {
    try {
      if (failure == nullptr) file.Write(data, size);
    } catch (...) {
      failure = std::current_exception();
    }
    return size;
  });
  if (failure != nullptr) std::rethrow_exception(failure);
  file.Commit();
}

}  // namespace trainyard
