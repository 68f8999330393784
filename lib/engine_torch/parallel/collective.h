// What the ranks of a training do together: sums over all of them, the same values for all of them. The algorithms are
// those of the engine behind it: MPI for what lies on CPUs, NCCL on GPUs.
//
// All ranks start the same operations in the same order; what an operation works on must stay alive and alone until
// Wait() has returned. Of a tensor on a GPU it is the current stream that waits, not the host: what that stream is
// given afterwards finds the result, as with any work there. An operation whose peers are gone throws Error kEngine, in
// Wait() or when the next one is started; what was on its way to a GPU by then is worth nothing. Thread rule:
// operations are started by one thread at a time; Abort() and failure() by any.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <memory>
#include <string>

namespace trainyard {

class Collective {
 public:
  enum class Reduction { kSum, kMax };

  // An operation that was started. Letting go of it without Wait() is for those who give up (Abort).
  class Work {
   public:
    virtual ~Work() = default;
    virtual void Wait() = 0;
  };

  // Gives up, if it was not closed.
  virtual ~Collective() = default;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;
  virtual std::string name() const = 0;  // "Open MPI v4.1.4"
  // Why nothing works any more; empty: it does.
  virtual std::string failure() const = 0;

  // In place. `tensor`: without holes, float, double or int64, on the CPU or the device that the ranks were opened for.
  virtual std::unique_ptr<Work> AllReduce(const at::Tensor &tensor, Reduction reduction) = 0;
  // From rank `root` to all. `tensor`: without holes, of any type.
  virtual std::unique_ptr<Work> Broadcast(const at::Tensor &tensor, int root) = 0;
  // Until all ranks are here.
  virtual void Barrier() = 0;
  // All ranks are done, together: the last operation.
  virtual void Close() = 0;
  // Everything that waits fails, and nothing is started any more. Peers learn of it when this process ends.
  virtual void Abort() = 0;
};

// One that adds up on GPUs, one rank on each. The CUDA half of the engine (engine_torch/cuda) makes it; without it
// ranks are on CPUs. Thread rule: set once, before training begins.
using MakeGpuCollective = std::unique_ptr<Collective> (*)(int rank, int world_size, c10::Device device);
void SetGpuCollective(MakeGpuCollective make);
bool HasGpuCollective();

// On a GPU: the one above, whoever started the ranks. On CPUs mpirun's ranks get MPI; `plugin` is
// libtrainyard_torch_mpi.so, empty: the one beside this library. Throws Error kUnsupported when nothing here knows how
// these ranks talk, kEngine when they do not find each other.
std::unique_ptr<Collective> OpenCollective(int rank, int world_size, c10::Device device,
                                           const std::string &plugin = "");

}  // namespace trainyard
