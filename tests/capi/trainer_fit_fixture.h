// What the tests of ty_trainer_fit share. Thread rule: one thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "capi/trainer_fixture.h"

namespace trainyard_test {

using Floats = std::vector<float>;

// A host program's side of a fit: batches that depend on epoch and step alone, validation batches that are harder in
// some epochs, and a record of what it was asked and told.
class Host {
 public:
  int64_t steps = 4, validation_batches = 2;
  std::map<int64_t, float> validation_scale;  // of the targets, by epoch; else 1
  // Answer before all else.
  std::function<ty_status(ty_fit_phase, int64_t, int64_t)> before = [](auto...) { return TY_OK; };
  std::function<ty_status(const ty_fit_epoch &)> after_epoch = [](const auto &) { return TY_OK; };

  std::vector<std::string> asked;  // "train 1.1", ...
  std::vector<ty_fit_epoch> epochs;
  const ty_fit_summary *summary = nullptr;
  int destroyed = 0;

  ty_status Fit(const Trainer &trainer, ty_error **err) {
    return ty_trainer_fit(
        trainer, &NextBatch, &OnEpoch, this, [](void *user) { ++static_cast<Host *>(user)->destroyed; }, &summary, err);
  }

 private:
  static ty_status NextBatch(ty_fit_phase phase, int64_t epoch, int64_t step, const DLTensor **out_inputs,
                             const DLTensor **out_targets, void *user) {
    auto *self = static_cast<Host *>(user);
    const bool train = phase == TY_FIT_TRAIN;
    self->asked.push_back((train ? "train " : "validate ") + std::to_string(epoch) + "." + std::to_string(step));
    if (const ty_status answer = self->before(phase, epoch, step); answer != TY_OK) return answer;
    if (step > (train ? self->steps : self->validation_batches)) return TY_END;
    const int64_t number = train ? 100 * epoch + step : 100000 + step;
    self->inputs_ = Inputs(number);
    Array<float> sums = Sums(number);
    const auto scale = self->validation_scale.find(epoch);
    if (!train && scale != self->validation_scale.end()) {
      Floats values(static_cast<const float *>(sums.tensor()->data),
                    static_cast<const float *>(sums.tensor()->data) + kBatch);
      for (float &value : values) value *= scale->second;
      sums = Array<float>({kBatch, 1}, values);
    }
    self->targets_ = std::move(sums);
    *out_inputs = self->inputs_.tensor();
    *out_targets = self->targets_.tensor();
    return TY_OK;
  }

  static ty_status OnEpoch(const ty_fit_epoch *epoch, void *user) {
    auto *self = static_cast<Host *>(user);
    self->epochs.push_back(*epoch);
    return self->after_epoch(*epoch);
  }

  Array<float> inputs_ = Inputs(0), targets_ = Sums(0);
};

class TrainerFitTest : public TrainerTest {
 protected:
  // kMlp with more settings.
  static std::string Settings(const std::string &train, const std::string &more = "") {
    std::string json = kMlp;
    json.pop_back();
    return json + R"(,"train":{)" + train + "}" + more + "}";
  }
  static Floats Answers(const Trainer &trainer) {
    Err err;
    Floats outputs(kBatch);
    EXPECT_OK(ty_trainer_predict(trainer, Inputs(7).tensor(), outputs.data(), outputs.size(), err));
    return outputs;
  }
};

}  // namespace trainyard_test
