// What the ranks of a training do together: sums over all of them, the same values for all of them. The algorithms are
// those of the engine behind it (MPI); nothing here sends a byte.
//
// All ranks start the same operations in the same order; what an operation works on must stay alive and alone until
// Wait() has returned. An operation whose peers are gone throws Error kEngine, in Wait() or when the next one is
// started. Thread rule: operations are started by one thread at a time; Abort() by any.
#pragma once

#include <ATen/core/Tensor.h>

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

  // In place. `tensor`: contiguous, on the CPU, float, double or int64.
  virtual std::unique_ptr<Work> AllReduce(const at::Tensor &tensor, Reduction reduction) = 0;
  // From rank `root` to all. `tensor`: contiguous, on the CPU, of any type.
  virtual std::unique_ptr<Work> Broadcast(const at::Tensor &tensor, int root) = 0;
  // Until all ranks are here.
  virtual void Barrier() = 0;
  // All ranks are done, together: the last operation.
  virtual void Close() = 0;
  // Everything that waits fails, and nothing is started any more. Peers learn of it when this process ends.
  virtual void Abort() = 0;
};

// What this process was started with decides: mpirun's ranks get MPI. `plugin` is libtrainyard_torch_mpi.so; empty: the
// one beside this library. Throws Error kUnsupported when nothing here knows how these ranks talk, kEngine when they do
// not find each other.
std::unique_ptr<Collective> OpenCollective(int rank, int world_size, const std::string &plugin = "");

}  // namespace trainyard
