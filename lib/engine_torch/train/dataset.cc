#include "engine_torch/train/dataset.h"

#include <ATen/Functions.h>

#include <functional>
#include <numeric>

namespace trainyard {

at::Tensor Dataset::NewBatch(int64_t count, bool pin) const {
  std::vector<int64_t> shape = SampleShape();
  shape.insert(shape.begin(), count);
  const auto format = shape.size() == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  return at::empty(shape, at::TensorOptions(at::kFloat).memory_format(format).pinned_memory(pin));
}

int64_t Dataset::SampleSize() const {
  const std::vector<int64_t> shape = SampleShape();
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

std::map<size_t, std::string> Dataset::bad() const {
  const std::lock_guard lock(bad_mutex_);
  return bad_;
}

void Dataset::NoteBad(size_t index, const std::string &reason) {
  const std::lock_guard lock(bad_mutex_);
  bad_.emplace(index, reason);
}

}  // namespace trainyard
