#include "engine_torch/train/precision.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>

#include <cstdlib>
#include <string>

#include "util/error.h"

namespace trainyard {
namespace {

constexpr const char *kWorkspaceVariable = "CUBLAS_WORKSPACE_CONFIG";

void CheckWorkspace() {
  const char *set = std::getenv(kWorkspaceVariable);
  const std::string value = set == nullptr ? "" : set;
  if (value == ":4096:8" || value == ":16:8") return;
  throw Error::InvalidState(
      std::string("setting 'train.deterministic' on a GPU needs ") + kWorkspaceVariable +
          "=:4096:8 in the environment of the process before it starts (a job: ty_job_set_variable), and it is " +
          (value.empty() ? "not set" : "'" + value + "'"),
      {{"key", "train.deterministic"}});
}

[[noreturn]] void RefuseShared(const char *key, const char *instead) {
  throw Error::InvalidState(
      std::string("setting '") + key +
          "' changes LibTorch for the whole process, and this process loaded LibTorch itself: " + instead,
      {{"key", key}});
}

}  // namespace

std::string_view NameOf(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return "fp32";
    case Precision::kTf32:
      return "tf32";
    case Precision::kBf16:
      return "bf16";
    case Precision::kFp16:
      break;
  }
  return "fp16";
}

Autocast::Autocast(Precision precision, c10::DeviceType device)
    : device_(device),
      enabled_before_(at::autocast::is_autocast_enabled(device)),
      cache_before_(at::autocast::is_autocast_cache_enabled()),
      dtype_before_(at::autocast::get_autocast_dtype(device)) {
  const bool low = precision == Precision::kBf16 || precision == Precision::kFp16;
  at::autocast::set_autocast_enabled(device, low);
  if (low) at::autocast::set_autocast_dtype(device, precision == Precision::kBf16 ? at::kBFloat16 : at::kHalf);
  // The cache keeps the low copy of a weight that is used twice, so that both uses share its gradient's way back. It is
  // the process's, and a copy made without gradients has no way back: there it stays off.
  at::autocast::set_autocast_cache_enabled(low && c10::GradMode::is_enabled());
  at::autocast::increment_nesting();
}

Autocast::~Autocast() {
  // Weights change between two steps: copies of them live no longer than the outermost guard.
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, enabled_before_);
  at::autocast::set_autocast_dtype(device_, dtype_before_);
  at::autocast::set_autocast_cache_enabled(cache_before_);
}

void SetNumerics(const TrainSettings &settings, c10::Device device, bool own_libtorch) {
  const bool tf32 = settings.precision == Precision::kTf32;
  if (!own_libtorch) {
    if (settings.deterministic) RefuseShared("train.deterministic", "let that program set torch's deterministic mode");
    if (tf32 && device.is_cuda())
      RefuseShared("train.precision", "let that program allow TF32, and leave this at fp32");
    return;
  }
  if (settings.deterministic && device.is_cuda()) CheckWorkspace();
  at::Context &context = at::globalContext();
  context.setDeterministicAlgorithms(settings.deterministic, /*warn_only=*/false);
  // Memory that is not set yet is never read here: filling it would cost a pass over each new tensor.
  context.setDeterministicFillUninitializedMemory(false);
  context.setDeterministicCuDNN(settings.deterministic);
  context.setBenchmarkCuDNN(!settings.deterministic);
  // PyTorch's own default is mixed: TF32 in convolutions and not in matrix products.
  context.setAllowTF32CuDNN(tf32);
  context.setAllowTF32CuBLAS(tf32);
}

}  // namespace trainyard
