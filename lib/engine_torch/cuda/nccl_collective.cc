#include "engine_torch/cuda/nccl_collective.h"

#include <chrono>
#include <cstdlib>
#include <utility>

#include <torch/csrc/cuda/nccl.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "engine_torch/parallel/group_collective.h"
#include "engine_torch/parallel/lost_peer.h"

namespace trainyard {
namespace {

// A rank that has gone is noticed otherwise (parallel/control_line.h). Until then ranks may wait for each other: for
// one that writes a large checkpoint, say.
constexpr std::chrono::minutes kLongestWait{30};

std::string Version(uint64_t major, uint64_t minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

// What NCCL's header makes of LibTorch's classes must be what LibTorch was built with.
void CheckVersion() {
  const uint64_t version = torch::cuda::nccl::version();
  const uint64_t major = version >> 32, minor = (version >> 16) & 0xffff;
  if (major == NCCL_MAJOR && minor == NCCL_MINOR) return;
  throw Error(Status::kVersion, "this trainyard was built with the header of NCCL " + Version(NCCL_MAJOR, NCCL_MINOR) +
                                    ", and its LibTorch has NCCL " + Version(major, minor) +
                                    ": build it again with that one's nccl.h");
}

// The environment is how ProcessGroupNCCL is told: it is not to end the process when it finds a failure, which is told
// as an Error; nor to dump what it knows to files. Whoever has set these means it.
void TellGroup() {
  // NOLINTBEGIN(concurrency-mt-unsafe): the rank's first act; no thread of the engine's runs yet
  setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", /*overwrite=*/0);
  setenv("TORCH_NCCL_ENABLE_MONITORING", "0", /*overwrite=*/0);
  setenv("TORCH_NCCL_DUMP_ON_TIMEOUT", "0", /*overwrite=*/0);
  // NOLINTEND(concurrency-mt-unsafe)
}

std::string Describe(c10d::ErrorType error) {
  switch (error) {
    case c10d::ErrorType::SUCCESS:
      return "";
    case c10d::ErrorType::TIMEOUT:
      return "NCCL: an operation was not over after " + std::to_string(kLongestWait.count()) + " minutes";
    default:
      return "NCCL: an operation failed (NCCL_DEBUG=WARN in the job's variables tells more)";
  }
}

}  // namespace

std::unique_ptr<Collective> OpenNcclCollective(int rank, int world_size, c10::Device device) {
  CheckVersion();
  TellGroup();
  const auto make = [&](const c10::intrusive_ptr<c10d::Store> &store) {
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = kLongestWait;
    const auto group = c10::make_intrusive<c10d::ProcessGroupNCCL>(
        c10::make_intrusive<c10d::PrefixStore>("trainyard/nccl", store), rank, world_size, std::move(options));
    ProcessGroup made;
    made.backend = group;
    made.name = "NCCL " + Version(NCCL_MAJOR, NCCL_MINOR);
    made.look = [group] { return Describe(group->getError()); };
    made.abort = [group] { group->abort(); };
    made.shut_down = [group] { group->shutdown(); };
    return made;
  };
  return OpenGroupCollective(rank, world_size, device, MeetOtherRanks(rank, world_size, PlaceOfMeeting()), make);
}

}  // namespace trainyard
