// A process group for CPUs that does what NCCL's does on GPUs, over the store that ranks meet at: each puts its values
// there, and Wait() adds up what all have put. Thread rule: as c10d's groups; Abort() by any.
#pragma once

#include <ATen/Functions.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "engine_torch/parallel/group_collective.h"

namespace trainyard {

class StoreGroup final : public c10d::Backend {
 public:
  StoreGroup(c10::intrusive_ptr<c10d::Store> store, int rank, int size)
      : c10d::Backend(rank, size), store_(std::move(store)) {}

  c10::intrusive_ptr<c10d::Work> allreduce(std::vector<at::Tensor> &tensors,
                                           const c10d::AllreduceOptions &options) override {
    const std::string key = Put(tensors.at(0), /*mine=*/true);
    const bool sum = options.reduceOp == c10d::ReduceOp::SUM;
    return c10::make_intrusive<Work>([this, key, sum, result = tensors[0]] {
      at::Tensor total = Get(key, 0, result);
      for (int rank = 1; rank < getSize(); ++rank) {
        const at::Tensor other = Get(key, rank, result);
        total = sum ? total + other : at::maximum(total, other);
      }
      at::Tensor(result).copy_(total);
    });
  }
  c10::intrusive_ptr<c10d::Work> broadcast(std::vector<at::Tensor> &tensors,
                                           const c10d::BroadcastOptions &options) override {
    const auto root = static_cast<int>(options.rootRank);
    const std::string key = Put(tensors.at(0), root == getRank());
    return c10::make_intrusive<Work>(
        [this, key, root, result = tensors[0]] { at::Tensor(result).copy_(Get(key, root, result)); });
  }
  void Abort() { aborted_ = true; }
  void Break() { broken_ = true; }
  bool aborted() const { return aborted_; }
  std::string Look() const { return broken_ ? "the group is broken" : ""; }

 private:
  static constexpr size_t kPiece = size_t{4} << 20;  // TCPStore takes eight

  class Work final : public c10d::Work {
   public:
    explicit Work(std::function<void()> finish) : finish_(std::move(finish)) {}
    bool wait(std::chrono::milliseconds) override {
      finish_();
      return true;
    }

   private:
    std::function<void()> finish_;
  };

  std::string Put(const at::Tensor &tensor, bool mine) {
    const std::string key = "group/" + std::to_string(next_++) + "/";
    const auto *data = static_cast<const uint8_t *>(tensor.const_data_ptr());
    for (size_t first = 0; mine && (first < tensor.nbytes() || first == 0); first += kPiece) {
      const size_t size = std::min(kPiece, tensor.nbytes() - first);
      store_->set(Name(key, getRank(), first), std::vector<uint8_t>(data + first, data + first + size));
    }
    return key;
  }
  at::Tensor Get(const std::string &key, int rank, const at::Tensor &like) const {
    at::Tensor values = at::empty_like(like);
    for (size_t first = 0; first < values.nbytes() || first == 0; first += kPiece) {
      const std::string name = Name(key, rank, first);
      while (!store_->check({name})) {
        TORCH_CHECK(!aborted_, "the group was aborted");
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
      const std::vector<uint8_t> bytes = store_->get(name);
      TORCH_CHECK(bytes.size() == std::min(kPiece, values.nbytes() - first), "ranks with tensors of different sizes");
      std::memcpy(static_cast<uint8_t *>(values.mutable_data_ptr()) + first, bytes.data(), bytes.size());
    }
    return values;
  }
  static std::string Name(const std::string &key, int rank, size_t first) {
    return key + std::to_string(rank) + "/" + std::to_string(first);
  }

  const c10::intrusive_ptr<c10d::Store> store_;
  int64_t next_ = 0;
  std::atomic<bool> aborted_ = false, broken_ = false;
};

inline MakeProcessGroup MakeStoreGroup(int rank, int size, StoreGroup **out = nullptr) {
  return [=](const c10::intrusive_ptr<c10d::Store> &store) {
    const auto group = c10::make_intrusive<StoreGroup>(store, rank, size);
    if (out != nullptr) *out = group.get();
    ProcessGroup made;
    made.backend = group;
    made.name = "a store";
    made.look = [group] { return group->Look(); };
    made.abort = [group] { group->Abort(); };
    made.shut_down = [] {};
    return made;
  };
}

}  // namespace trainyard
