#include "engine_torch/parallel/group_collective.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <atomic>
#include <cstring>
#include <utility>
#include <vector>

#include "engine_torch/parallel/lost_peer.h"

namespace trainyard {
namespace {

using Reduction = Collective::Reduction;
using Operation = ControlLine::Operation;

// How much later than the group's failure the line's word of a lost rank may come.
constexpr std::chrono::seconds kWordOfLoss{2};

// Values in their order in memory: groups want plain arrays.
at::Tensor Flat(const at::Tensor &tensor) {
  if (!tensor.is_contiguous() && !tensor.is_non_overlapping_and_dense())
    throw Error::Internal("ranks cannot share a tensor with holes");
  return tensor.detach().as_strided({tensor.numel()}, {1});
}

void CheckSummable(const at::Tensor &tensor) {
  const at::ScalarType type = tensor.scalar_type();
  if (type == at::kFloat || type == at::kDouble || type == at::kLong) return;
  throw Error::Internal(std::string("ranks cannot add tensors of type ") + c10::toString(type));
}

class GroupCollective final : public Collective {
 public:
  GroupCollective(int rank, int world_size, c10::Device device, Meeting meeting, const MakeProcessGroup &make,
                  size_t most_on_line)
      : rank_(rank),
        world_size_(world_size),
        device_(device),
        most_on_line_(most_on_line),
        store_(std::move(meeting.store)),
        line_(std::move(meeting.line)) {
    // The group's making waits for all: by now they are known to live.
    Barrier();
    Guard([&] { group_ = make(store_); });
    line_->Watch(group_.look, [this] { AbortGroup(); });
    const at::Tensor ones = at::ones({1}, at::TensorOptions(at::kDouble).device(device_));
    OfGroup(ones, Reduction::kSum)->Wait();
    const double sum = ones.item<double>();
    Check();
    if (sum != world_size) {
      ThrowRanksFailed(group_.name + " adds up the ones of " + std::to_string(world_size) + " ranks to " +
                       std::to_string(sum));
    }
  }
  GroupCollective(const GroupCollective &) = delete;
  GroupCollective &operator=(const GroupCollective &) = delete;
  ~GroupCollective() override {
    GroupCollective::Abort();
    line_.reset();  // before what its thread aborts
  }

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }
  std::string name() const override { return group_.name; }
  std::string failure() const override { return line_->failure(); }

  std::unique_ptr<Work> AllReduce(const at::Tensor &tensor, Reduction reduction) override {
    CheckSummable(tensor);
    const at::Tensor flat = Flat(tensor);
    if (tensor.is_cpu() && tensor.nbytes() <= most_on_line_) return OverLine(flat, reduction);
    Check();
    if (tensor.device() == device_) return OfGroup(flat, reduction);
    const at::Tensor there = flat.to(device_);
    return std::make_unique<StagedWork>(OfGroup(there, reduction), there, flat);
  }

  std::unique_ptr<Work> Broadcast(const at::Tensor &tensor, int root) override {
    const at::Tensor flat = Flat(tensor);
    Check();
    if (tensor.device() == device_) return BroadcastOfGroup(flat, root);
    const at::Tensor there = flat.to(device_);
    return std::make_unique<StagedWork>(BroadcastOfGroup(there, root), there, flat);
  }

  // The host's: what was started on the device may go on.
  void Barrier() override { line_->Answer(line_->Ask(Operation::kSumIntegers, {})); }

  void Close() override {
    Barrier();
    Guard(group_.shut_down);
    closed_ = true;
    line_->Close();
  }

  void Abort() override {
    line_->GiveUp();
    AbortGroup();
  }

 private:
  class GroupWork final : public Work {
   public:
    GroupWork(GroupCollective *owner, c10::intrusive_ptr<c10d::Work> work) : owner_(owner), work_(std::move(work)) {}
    void Wait() override {
      owner_->Guard([&] { work_->wait(); });
      owner_->Check();
    }

   private:
    GroupCollective *owner_;
    c10::intrusive_ptr<c10d::Work> work_;
  };

  // Of a tensor that is not where the group works.
  class StagedWork final : public Work {
   public:
    StagedWork(std::unique_ptr<Work> work, at::Tensor there, at::Tensor here)
        : work_(std::move(work)), there_(std::move(there)), here_(std::move(here)) {}
    void Wait() override {
      work_->Wait();
      const c10::NoGradGuard no_grad;
      here_.copy_(there_);
    }

   private:
    std::unique_ptr<Work> work_;
    at::Tensor there_, here_;
  };

  class LineWork final : public Work {
   public:
    LineWork(ControlLine *line, uint64_t question, at::Tensor wide, at::Tensor result)
        : line_(line), question_(question), wide_(std::move(wide)), result_(std::move(result)) {}
    void Wait() override {
      const ControlLine::Bytes answer = line_->Answer(question_);
      if (answer.size() != wide_.nbytes()) throw Error::Internal("the ranks' line answers something else");
      if (!answer.empty()) std::memcpy(wide_.mutable_data_ptr(), answer.data(), answer.size());
      const c10::NoGradGuard no_grad;
      if (!result_.is_same(wide_)) result_.copy_(wide_);
    }

   private:
    ControlLine *line_;
    uint64_t question_;
    at::Tensor wide_, result_;
  };

  std::unique_ptr<Work> OverLine(const at::Tensor &flat, Reduction reduction) {
    const bool integers = flat.scalar_type() == at::kLong;
    const at::Tensor wide = integers ? flat : flat.to(at::kDouble);  // the same tensor, where it is that already
    const auto *data = static_cast<const uint8_t *>(wide.const_data_ptr());
    const bool sum = reduction == Reduction::kSum;
    const Operation operation = integers ? (sum ? Operation::kSumIntegers : Operation::kMaxIntegers)
                                         : (sum ? Operation::kSumDoubles : Operation::kMaxDoubles);
    return std::make_unique<LineWork>(line_.get(), line_->Ask(operation, {data, data + wide.nbytes()}), wide, flat);
  }

  std::unique_ptr<Work> OfGroup(const at::Tensor &flat, Reduction reduction) {
    std::vector<at::Tensor> tensors = {flat};
    c10d::AllreduceOptions options;
    options.reduceOp = reduction == Reduction::kSum ? c10d::ReduceOp::SUM : c10d::ReduceOp::MAX;
    c10::intrusive_ptr<c10d::Work> work;
    Guard([&] { work = group_.backend->allreduce(tensors, options); });
    return std::make_unique<GroupWork>(this, std::move(work));
  }

  std::unique_ptr<Work> BroadcastOfGroup(const at::Tensor &flat, int root) {
    std::vector<at::Tensor> tensors = {flat};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    c10::intrusive_ptr<c10d::Work> work;
    Guard([&] { work = group_.backend->broadcast(tensors, options); });
    return std::make_unique<GroupWork>(this, std::move(work));
  }

  void Check() const {
    if (const std::string failure = line_->failure(); !failure.empty()) ThrowRanksFailed(failure);
  }

  // The group's own words are of little use where a rank has gone, and that is the reason.
  template <typename Body>
  void Guard(const Body &body) const {
    try {
      body();
    } catch (const c10::OutOfMemoryError &) {
      throw;
    } catch (const c10::Error &error) {
      if (const std::string lost = line_->AwaitFailure(kWordOfLoss); !lost.empty()) ThrowRanksFailed(lost);
      const std::string text = error.what_without_backtrace();
      ThrowRanksFailed((group_.name.empty() ? "" : group_.name + ": ") + text.substr(0, text.find('\n')));
    }
  }

  void AbortGroup() noexcept {
    if (closed_ || aborted_.exchange(true) || !group_.abort) return;
    try {
      group_.abort();
    } catch (const std::exception &) {
      // The failure that led here is the one to tell.
    }
  }

  const int rank_, world_size_;
  const c10::Device device_;
  const size_t most_on_line_;
  const c10::intrusive_ptr<c10d::Store> store_;
  ProcessGroup group_;
  std::atomic<bool> aborted_ = false, closed_ = false;
  std::unique_ptr<ControlLine> line_;
};

}  // namespace

std::unique_ptr<Collective> OpenGroupCollective(int rank, int world_size, c10::Device device, Meeting meeting,
                                                const MakeProcessGroup &make, size_t most_on_line) {
  return std::make_unique<GroupCollective>(rank, world_size, device, std::move(meeting), make, most_on_line);
}

}  // namespace trainyard
