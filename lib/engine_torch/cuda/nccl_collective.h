// Ranks on GPUs by NCCL: LibTorch's ProcessGroupNCCL behind parallel/group_collective.h. Thread rule: as
// parallel/collective.h says.
#pragma once

#include <memory>

#include "engine_torch/parallel/collective.h"

namespace trainyard {

// The ranks meet at MASTER_ADDR and MASTER_PORT (parallel/meeting.h). `device`: this rank's GPU, and no other rank's.
// Throws Error kEngine, kInvalidState, and kVersion when LibTorch has another NCCL than this was built for.
std::unique_ptr<Collective> OpenNcclCollective(int rank, int world_size, c10::Device device);

}  // namespace trainyard
