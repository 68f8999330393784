// Collective by one of LibTorch's process groups: NCCL's on GPUs (engine_torch/cuda/nccl_group.h). Tensors on the
// group's device are added up there, on a stream of the group's own: Wait() lets the current stream wait, not the host.
// Small tensors on the CPU, which the host is to know, go over the ranks' line and wait for no GPU; larger ones by way
// of the device.
//
// A rank that goes is noticed by the line, in the moment its connection ends: the group's operations, which would wait
// for ever, are aborted then.
//
// Thread rule: as collective.h says.
#pragma once

#include <c10/core/Device.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "engine_torch/parallel/collective.h"
#include "engine_torch/parallel/meeting.h"

namespace trainyard {

struct ProcessGroup {
  c10::intrusive_ptr<c10d::Backend> backend;
  std::string name;                   // "NCCL 2.28.9"
  std::function<std::string()> look;  // what is wrong with it; empty: nothing. Any thread
  std::function<void()> abort;        // what runs ends, and fails. Any thread
  std::function<void()> shut_down;    // all ranks together, after the last operation
};
using MakeProcessGroup = std::function<ProcessGroup(const c10::intrusive_ptr<c10d::Store> &store)>;

constexpr size_t kMostOnLine = size_t{1} << 14;  // bytes

// The ranks have met. Throws Error kEngine when they do not add up to their number. `most_on_line`: bytes.
std::unique_ptr<Collective> OpenGroupCollective(int rank, int world_size, c10::Device device, Meeting meeting,
                                                const MakeProcessGroup &make, size_t most_on_line = kMostOnLine);

}  // namespace trainyard
