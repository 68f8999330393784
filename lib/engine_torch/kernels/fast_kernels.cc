#include "engine_torch/kernels/fast_kernels.h"

namespace trainyard {

thread_local bool FastKernels::allowed_ = false;

}  // namespace trainyard
