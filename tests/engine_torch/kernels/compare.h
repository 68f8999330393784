// Comparing the engine's kernels with LibTorch's. Thread rule: one thread.
#pragma once

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <vector>

namespace trainyard {

// The largest difference, as a share of the largest value.
inline double Difference(const at::Tensor &ours, const at::Tensor &theirs) {
  return ((ours - theirs).abs().max() / theirs.abs().max()).item<double>();
}

inline void ExpectClose(const std::vector<at::Tensor> &ours, const std::vector<at::Tensor> &theirs, double tolerance) {
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    ASSERT_EQ(ours[i].sizes(), theirs[i].sizes()) << "tensor " << i;
    EXPECT_LE(Difference(ours[i], theirs[i]), tolerance) << "tensor " << i;
  }
}

inline at::Tensor Images(at::IntArrayRef shape) {
  return at::randn(shape).contiguous(at::MemoryFormat::ChannelsLast).requires_grad_();
}

}  // namespace trainyard
