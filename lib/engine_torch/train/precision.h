// The number formats of a step: autocast, as torch.autocast does it, and what of LibTorch's process-wide settings
// belongs to train.precision and train.deterministic. Weights, their gradients and the optimizer's values are float32
// whatever the precision. Thread rule: an Autocast belongs to the thread that made it; the functions may run anywhere.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string_view>

#include "engine_torch/train/settings.h"

namespace trainyard {

// While it lives, the operations of this thread on `device` run in the format that LibTorch's autocast has for them:
// bf16 and fp16; with fp32 and tf32 autocast is off, whatever the host's thread has set. Backward passes belong
// outside: they follow the formats of the forward pass.
class Autocast {
 public:
  Autocast(Precision precision, c10::DeviceType device);
  ~Autocast();
  Autocast(const Autocast &) = delete;
  Autocast &operator=(const Autocast &) = delete;

 private:
  const c10::DeviceType device_;
  const bool enabled_before_, cache_before_;
  const c10::ScalarType dtype_before_;
};

// Whether gradients are so small in it that the loss is scaled (train/grad_scaler.h).
inline bool NeedsScaling(Precision precision) {
  return precision == Precision::kFp16;
}

std::string_view NameOf(Precision precision);  // "fp32", "tf32", "bf16", "fp16"

// Before a model is made: what is process-wide of train.precision and train.deterministic. Where LibTorch is the host's
// own nothing is changed, and what would need a change is refused: Error::InvalidState. So is a deterministic GPU whose
// matrix library was not told in time (an environment variable, which is not ours to set).
void SetNumerics(const TrainSettings &settings, c10::Device device, bool own_libtorch);

}  // namespace trainyard
