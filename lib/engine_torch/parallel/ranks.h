// The ranks of one training, as the trainer sees them: who this one is, and questions that all of them answer together.
// Of a training of one process every question is answered at once.
//
// All ranks must ask the same questions in the same order: what they decide by may come from such an answer or from
// what is the same everywhere, never from a clock or from this process alone. Thread rule: the trainer's thread.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine_torch/parallel/collective.h"

namespace trainyard {

class Ranks {
 public:
  Ranks() = default;  // one process
  explicit Ranks(std::unique_ptr<Collective> collective);
  // Throws as OpenCollective.
  static Ranks Open(int rank, int world_size, c10::Device device);

  int rank() const { return collective_ == nullptr ? 0 : collective_->rank(); }
  int count() const { return collective_ == nullptr ? 1 : collective_->world_size(); }
  // Whether there are others to talk to. Who talks to nobody but itself by way of a collective, to see it work, counts.
  bool several() const { return collective_ != nullptr; }
  bool leads() const { return rank() == 0; }  // writes files and reports
  Collective *collective() const { return collective_.get(); }
  std::string name() const { return collective_ == nullptr ? "" : collective_->name(); }
  // Collective::failure.
  std::string failure() const { return collective_ == nullptr ? "" : collective_->failure(); }
  // Those on this machine that share its CPUs with this one, this one counted.
  int on_this_machine() const { return on_this_machine_; }

  void Sum(std::vector<double> *values) const;
  int64_t Max(int64_t value) const;
  bool Any(bool value) const { return Max(value ? 1 : 0) != 0; }
  bool Same(int64_t value) const;  // whether all ranks have the same
  // [n] doubles, in place.
  void SumTensor(const at::Tensor &values) const;
  // Everyone gets rank 0's values.
  void Share(const std::vector<at::Tensor> &tensors) const;
  void Barrier() const;
  // All are done; the last call.
  void Close();

 private:
  std::unique_ptr<Collective> collective_;
  int on_this_machine_ = 1;
};

// CRC-32 of the tensors' values.
uint32_t ChecksumOf(const std::vector<at::Tensor> &tensors);

}  // namespace trainyard
