#include <ATen/Functions.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <utility>

#include "engine_torch/train/device.h"
#include "engine_torch/train/trainer.h"
#include "util/error.h"

namespace trainyard {
namespace {

// What a rank wants, the stronger the larger.
constexpr int64_t kFinish = 1;
constexpr int64_t kLeave = 2;

}  // namespace

void Trainer::MeetRanks() {
  if (host_->world_size <= 1) {
    device_ = ChooseDevice(settings_.device);
    return;
  }
  const int local_ranks = host_->local_world_size > 0 ? host_->local_world_size : host_->world_size;
  device_ = ChooseRankDevice(settings_.device, host_->local_rank, local_ranks, GpuCount(), HasGpuCollective());
  // What names no device would take memory on the first one, for every rank.
  if (!device_.is_cpu()) c10::impl::VirtualGuardImpl(device_.type()).setDevice(device_);
  ranks_ = Ranks::Open(host_->rank, host_->world_size, device_);
  reporter_.Log(LogLevel::kInfo, std::to_string(ranks_.count()) + " ranks, " +
                                     std::to_string(ranks_.on_this_machine()) + " of them on this machine, by " +
                                     ranks_.name() + ": a step has " + std::to_string(settings_.batch_size) + " " +
                                     settings_.Noun() + "s on each");
}

// Ranks with other data would train something that nobody asked for.
void Trainer::CheckSameData() const {
  if (!ranks_.several()) return;
  const uint32_t crc = validation_->Checksum(train_->Checksum(0));
  if (ranks_.Same(crc)) return;
  throw Error(Status::kInvalidState,
              "the ranks do not see the same " + std::string(settings_.Noun()) + "s: this one has " +
                  std::to_string(train_->size()) + " and " + std::to_string(validation_->size()) + " in '" +
                  train_->source() + "' and '" + validation_->source() + "'; the data must be the same on all hosts",
              {{"code", "data"}});
}

void Trainer::CheckSamePosition() const {
  if (!ranks_.several() || ranks_.Same(info_.epoch * StepsPerEpoch() + info_.step)) return;
  throw Error(Status::kInvalidState,
              "the ranks do not find the same checkpoint in '" + std::string(host_->checkpoint_directory) +
                  "' (this one is after epoch " + std::to_string(info_.epoch) +
                  "): the workspace must be on a file system that all hosts share",
              {{"code", "checkpoint"}});
}

// After all, it is what the ranks are for.
void Trainer::CheckSameWeights() const {
  if (!ranks_.several()) return;
  const uint32_t crc = trainyard::ChecksumOf(model_->parameters());
  if (!ranks_.Same(crc)) throw Error::Internal("the ranks ended with different weights");
  reporter_.Log(LogLevel::kInfo, "all " + std::to_string(ranks_.count()) + " ranks have the same weights");
}

// Batch norm statistics, where each rank has its own, are the first one's: before they are used or kept.
void Trainer::ShareBuffers() const {
  ranks_.Share(model_->buffers());
}

StopRequest Trainer::Wanted() const {
  const StopRequest own = reporter_.Wanted();
  const int64_t most = ranks_.Max(own == StopRequest::kLeave ? kLeave : own == StopRequest::kFinish ? kFinish : 0);
  return most == kLeave ? StopRequest::kLeave : most == kFinish ? StopRequest::kFinish : StopRequest::kNone;
}

std::vector<double> Trainer::OwnWish() const {
  if (!ranks_.several()) return {};
  const StopRequest own = reporter_.Wanted();
  return {own == StopRequest::kLeave ? 1.0 : 0, own == StopRequest::kFinish ? 1.0 : 0};
}

StopRequest Trainer::WishOf(const std::vector<double> &sum) {
  if (sum.empty()) return StopRequest::kNone;
  return sum[0] > 0 ? StopRequest::kLeave : sum[1] > 0 ? StopRequest::kFinish : StopRequest::kNone;
}

// Of an evaluation: each sample was one rank's, whose verdict the others get.
void Trainer::AddUp(Totals *totals) {
  if (!ranks_.several()) return;
  std::vector<double> sums = {totals->loss, static_cast<double>(totals->correct), static_cast<double>(totals->images)};
  ranks_.Sum(&sums);
  totals->loss = sums[0];
  totals->correct = static_cast<int64_t>(sums[1]);
  totals->images = static_cast<int64_t>(sums[2]);
  if (settings_.task != Task::kClassification) {
    answers_.AddUp([this](std::vector<double> *rows) { ranks_.Sum(rows); });
    return;
  }
  std::vector<double> rows;
  for (const Verdict &verdict : verdicts_) {
    const bool asked = verdict.predicted >= 0;
    rows.push_back(asked ? static_cast<double>(verdict.predicted + 1) : 0);
    rows.push_back(asked ? static_cast<double>(verdict.better_classes) : 0);
    rows.push_back(asked ? verdict.probability : 0);
    rows.push_back(asked ? verdict.log_odds : 0);
  }
  ranks_.Sum(&rows);
  for (size_t i = 0; i < verdicts_.size(); ++i) {
    verdicts_[i] = {static_cast<int64_t>(rows[4 * i]) - 1, static_cast<int64_t>(rows[4 * i + 1]), rows[4 * i + 2],
                    rows[4 * i + 3]};
  }
}

std::set<size_t> Trainer::AllBad(const Dataset &dataset) const {
  std::set<size_t> all;
  std::vector<double> bad(ranks_.several() ? dataset.size() : 0);
  for (const auto &[index, reason] : dataset.bad()) {
    all.insert(index);
    if (!bad.empty()) bad[index] = 1;
  }
  ranks_.Sum(&bad);
  for (size_t i = 0; i < bad.size(); ++i) {
    if (bad[i] > 0) all.insert(i);
  }
  return all;
}

}  // namespace trainyard
