// What the tests of train.h's trainer share: arrays with a DLPack view, a function to learn, settings of a small MLP.
// Thread rule: values; a test's own thread otherwise.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "capi/api.h"

namespace trainyard_test {

using Trainer = Handle<ty_trainer, &ty_trainer_free>;

// Values in C order, with a view of them.
template <typename Value>
class Array {
 public:
  Array(std::vector<int64_t> shape, std::vector<Value> values) : shape_(std::move(shape)), values_(std::move(values)) {
    tensor_.data = values_.data();
    tensor_.device = {kDLCPU, 0};
    tensor_.ndim = static_cast<int32_t>(shape_.size());
    tensor_.dtype = {std::is_integral_v<Value> ? uint8_t{kDLInt} : uint8_t{kDLFloat}, 8 * sizeof(Value), 1};
    tensor_.shape = shape_.data();
  }
  Array(Array &&) noexcept = default;  // the view points into what the vectors own, which a move keeps in place
  Array &operator=(Array &&) noexcept = default;
  const DLTensor *tensor() const { return &tensor_; }

 private:
  std::vector<int64_t> shape_;
  std::vector<Value> values_;
  DLTensor tensor_{};
};

constexpr int64_t kBatch = 16, kInputs = 6;

inline Array<float> Inputs(int64_t step) {
  std::vector<float> values(kBatch * kInputs);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(std::sin(0.37 * static_cast<double>(i) + static_cast<double>(step)));
  return {{kBatch, kInputs}, values};
}

// The sum of each sample's values.
inline Array<float> Sums(int64_t step) {
  std::vector<float> values(kBatch);
  for (size_t i = 0; i < kBatch * kInputs; ++i) {
    values[i / kInputs] += static_cast<float>(std::sin(0.37 * static_cast<double>(i) + static_cast<double>(step)));
  }
  return {{kBatch, 1}, values};
}

class TrainerTest : public ::testing::Test {
 protected:
  static Trainer New(const std::string &json, const char *weights = nullptr) {
    Err err;
    Config config;
    EXPECT_OK(ty_train_config_from_json(json.c_str(), config.out(), err));
    Trainer trainer;
    EXPECT_OK(ty_trainer_new(config, weights, trainer.out(), err));
    return trainer;
  }
  // The loss of the last of some steps.
  static double Learn(const Trainer &trainer, int first, int count) {
    Err err;
    double loss = 0;
    for (int step = first; step < first + count; ++step) {
      EXPECT_OK(ty_trainer_step(trainer, Inputs(step).tensor(), Sums(step).tensor(), &loss, err));
    }
    return loss;
  }

  TempDirectory directory;
  Err err;
};

constexpr const char *kMlp =
    R"({"model":{"architecture":"mlp","inputs":6,"hidden":[32,32],"outputs":1,"activation":"tanh"},"loss":{"name":"mse"},
        "optimizer":{"name":"adam","lr":0.01},"schedule":{"name":"constant"},"threads":1})";

}  // namespace trainyard_test
