// Whether this thread may use the engine's own kernels in place of LibTorch's. They compute the same in another order
// of summing, so that results differ in the last digits: training asks for them, and everything else (prediction,
// export, comparisons) gets LibTorch's. Thread rule: each thread has its own switch.
#pragma once

namespace trainyard {

class FastKernels {
 public:
  // From here to the end of the scope.
  explicit FastKernels(bool allowed) : before_(allowed_) { allowed_ = allowed; }
  ~FastKernels() { allowed_ = before_; }
  FastKernels(const FastKernels &) = delete;
  FastKernels &operator=(const FastKernels &) = delete;

  static bool AreAllowed() { return allowed_; }

 private:
  static thread_local bool allowed_;
  const bool before_;
};

}  // namespace trainyard
