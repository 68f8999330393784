// A trainer that learns for days in its host must not grow: resident memory over thousands of steps with batches of
// varying sizes.
#include "capi/trainer_fixture.h"
#include "util/process_memory.h"

namespace trainyard_test {
namespace {

using trainyard::ProcessMemoryKib;

// The first steps fill caches: LibTorch's, the allocator's, malloc's, one for each batch size.
constexpr int64_t kWarmUp = 2000, kSteps = 10000;
// After them nothing new is kept, and 8000 steps that leak no more than 100 bytes each are over this. Below it lies
// what is no leak: a page here and there that a thread or a library touches late.
constexpr int64_t kBoundKib = 512;

class TrainerMemoryTest : public TrainerTest {
 protected:
  // `step`: one of many.
  static void ExpectNoGrowth(const std::function<void(int64_t)> &step) {
    for (int64_t i = 0; i < kWarmUp; ++i) step(i);
    const int64_t resident = ProcessMemoryKib("VmRSS"), most = ProcessMemoryKib("VmHWM");
    for (int64_t i = kWarmUp; i < kSteps; ++i) step(i);
    RecordProperty("resident_kib", std::to_string(resident));
    RecordProperty("grown_kib", std::to_string(ProcessMemoryKib("VmRSS") - resident));
    EXPECT_LE(ProcessMemoryKib("VmRSS") - resident, kBoundKib) << "resident KiB beyond the " << resident;
    EXPECT_LE(ProcessMemoryKib("VmHWM") - most, kBoundKib) << "KiB at the most beyond the " << most;
  }
};

// Every size between 1 and `most` comes, in no order.
int64_t SizeOf(int64_t step, int64_t most) {
  return 1 + step * 7919 % most;
}

template <typename Value>
Array<Value> Filled(const std::vector<int64_t> &shape, int64_t step) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  std::vector<Value> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = std::is_integral_v<Value>
                    ? static_cast<Value>(i % 3)
                    : static_cast<Value>(static_cast<double>((i * 31 + static_cast<size_t>(step)) % 17) / 8 - 1);
  }
  return {shape, values};
}

TEST_F(TrainerMemoryTest, StepsOfAnMlp) {
  const Trainer trainer = New(
      R"({"model":{"architecture":"mlp","inputs":64,"hidden":[256,256]},"loss":{"name":"mse"},"optimizer":{"name":"adam","lr":0.001},"threads":1})");
  ExpectNoGrowth([&](int64_t step) {
    const int64_t size = SizeOf(step, 256);
    double loss = 0;
    ASSERT_OK(ty_trainer_step(trainer, Filled<float>({size, 64}, step).tensor(),
                              Filled<float>({size, 1}, step).tensor(), &loss, err));
    if (step % 10 != 0) return;
    std::vector<float> outputs(static_cast<size_t>(size));
    ASSERT_OK(
        ty_trainer_predict(trainer, Filled<float>({size, 64}, step).tensor(), outputs.data(), outputs.size(), err));
  });
}

TEST_F(TrainerMemoryTest, StepsOfAConvolutionalNetwork) {
  const Trainer trainer =
      New(R"({"model":{"architecture":"squeezenet1_1","outputs":3},"optimizer":{"lr":0.0001},"threads":1})");
  ExpectNoGrowth([&](int64_t step) {
    const int64_t size = SizeOf(step, 4);
    ASSERT_OK(ty_trainer_step(trainer, Filled<float>({size, 3, 32, 32}, step).tensor(),
                              Filled<int64_t>({size}, step).tensor(), nullptr, err));
  });
}

// Steps, validation, best weights and epochs of a fit.
TEST_F(TrainerMemoryTest, EpochsOfAFit) {
  const Trainer trainer = New(
      R"({"model":{"architecture":"mlp","inputs":64,"hidden":[256,256]},"loss":{"name":"mse"},"optimizer":{"lr":0.001},"threads":1,
          "train":{"epochs":1000,"ema_decay":0.99}})");
  struct Host {
    Array<float> inputs = Filled<float>({1, 64}, 0), targets = Filled<float>({1, 1}, 0);
    int64_t resident = 0, most = 0;
  } host;
  const auto next_batch = [](ty_fit_phase, int64_t epoch, int64_t step, const DLTensor **inputs,
                             const DLTensor **targets, void *user) -> ty_status {
    if (step > 5) return TY_END;
    auto *self = static_cast<Host *>(user);
    const int64_t size = SizeOf(10 * epoch + step, 256);
    self->inputs = Filled<float>({size, 64}, step);
    self->targets = Filled<float>({size, 1}, step);
    *inputs = self->inputs.tensor();
    *targets = self->targets.tensor();
    return TY_OK;
  };
  const auto on_epoch = [](const ty_fit_epoch *epoch, void *user) -> ty_status {
    auto *self = static_cast<Host *>(user);
    if (epoch->epoch != 200) return TY_OK;
    self->resident = ProcessMemoryKib("VmRSS");
    self->most = ProcessMemoryKib("VmHWM");
    return TY_OK;
  };
  ASSERT_OK(ty_trainer_fit(trainer, next_batch, on_epoch, &host, nullptr, nullptr, err));
  EXPECT_LE(ProcessMemoryKib("VmRSS") - host.resident, kBoundKib) << "resident KiB beyond the " << host.resident;
  EXPECT_LE(ProcessMemoryKib("VmHWM") - host.most, kBoundKib) << "KiB at the most beyond the " << host.most;
}

}  // namespace
}  // namespace trainyard_test
