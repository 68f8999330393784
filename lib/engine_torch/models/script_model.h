// TorchScript modules: programs with their weights, as Python's torch.jit.script and torch.jit.trace make and
// torch.jit.save writes them. To load one as a model is to trust it: its code runs, unlike a weight file's. (As weights
// for a native model it is read by OpenWeights(), which runs nothing.) Thread rule: RunScript may run concurrently on
// one module; the rest one thread at a time.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/api/module.h>

#include <optional>
#include <string>

namespace trainyard {

// The module on the CPU, in evaluation mode; move it with to(device) (constants in its code stay where the operators
// want them, which loading straight to a GPU would not do). Throws kNotFound, kPermission, kCorrupt, kUnsupported (an
// operator that is not in LibTorch).
torch::jit::Module LoadScript(const std::string &path);

// forward(images): [n, classes]. Of a tuple, as models with auxiliary outputs give, the first element. Throws
// c10::Error with the line that says what went wrong, kUnsupported for another output.
at::Tensor RunScript(const torch::jit::Module &module, const at::Tensor &images);

// Why train(true) would not make the module train: batch norm or dropout that were recorded by torch.jit.trace in
// evaluation mode, where the mode is a constant of the code. Nothing for a module that can be trained.
std::optional<std::string> TracedInEvalMode(const torch::jit::Module &module);

// Writes what torch.jit.load reads, synced, in place of `path` or not at all. Throws kIo, kNoSpace, kPermission.
void SaveScript(const torch::jit::Module &module, const std::string &path);

}  // namespace trainyard
