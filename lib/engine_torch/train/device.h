// Which device a model runs on. Thread-safe.
#pragma once

#include <c10/core/Device.h>

#include <string>

namespace trainyard {

// "auto" (the first GPU when there is one, else the CPU), "cpu", "cuda" or "cuda:N". Throws kInvalidArgument for
// another text, kUnsupported when there is no such GPU.
c10::Device ChooseDevice(const std::string &name);

// GPUs that this process sees: those that the run was given.
int GpuCount();

// Of one of the `local_ranks` ranks of a machine that has `gpus` of them: the CPU for "cpu", the GPU of its own number
// for "cuda"; for "auto" that where each has one and `can_share` (they can add up there), else the CPU. Throws
// kInvalidArgument for another text ("cuda:N" too: a rank has no choice), kUnsupported when there are too few.
c10::Device ChooseRankDevice(const std::string &name, int local_rank, int local_ranks, int gpus, bool can_share);

}  // namespace trainyard
