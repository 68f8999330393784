#include "engine_torch/train/threads.h"

#include <ATen/Parallel.h>

namespace trainyard {

// A thread's first parallel operation gives it the number that any thread set last; and there are two such firsts, for
// at::parallel_for is a template with a memory of its own in LibTorch and in this library. Both are over before it is
// compared.
void SetComputeThreads(int count) {
  at::internal::lazy_init_num_threads();
  if (at::get_num_threads() != count) at::set_num_threads(count);
}

}  // namespace trainyard
