// The trainer in the host's process, on arrays: an MLP 64-256-256-1, batch 256, mean squared error, SGD with momentum.
// Prints the median of a step's microseconds; tests/bench/trainer.sh compares.
//   bench_trainer [<steps> [<threads>]]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "trainyard/trainyard.h"

namespace {

constexpr int64_t kBatch = 256, kInputs = 64;

DLTensor View(std::vector<float> *values, int64_t *shape) {
  DLTensor tensor{};
  tensor.data = values->data();
  tensor.device = {kDLCPU, 0};
  tensor.ndim = 2;
  tensor.dtype = {kDLFloat, 32, 1};
  tensor.shape = shape;
  return tensor;
}

int Fail(ty_error *error) {
  std::fprintf(stderr, "bench_trainer: %s\n", ty_error_message(error));
  ty_error_free(error);
  return 1;
}

}  // namespace

int main(int argc, char **argv) {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 2000;
  const std::string threads = argc > 2 ? argv[2] : "1";
  const std::string json =
      R"({"model":{"architecture":"mlp","inputs":64,"hidden":[256,256],"outputs":1},"loss":{"name":"mse"},)"
      R"("optimizer":{"lr":0.01},"schedule":{"name":"constant"},"device":"cpu","threads":)" +
      threads + "}";
  ty_error *error = nullptr;
  ty_train_config *config = nullptr;
  ty_trainer *trainer = nullptr;
  if (ty_train_config_from_json(json.c_str(), &config, &error) != TY_OK) return Fail(error);
  if (ty_trainer_new(config, nullptr, &trainer, &error) != TY_OK) return Fail(error);
  std::vector<float> inputs(kBatch * kInputs), targets(kBatch);
  for (size_t i = 0; i < inputs.size(); ++i) inputs[i] = static_cast<float>(std::sin(0.37 * static_cast<double>(i)));
  for (size_t i = 0; i < targets.size(); ++i) targets[i] = inputs[i * kInputs] * inputs[i * kInputs + 1];
  int64_t input_shape[] = {kBatch, kInputs}, target_shape[] = {kBatch, 1};
  const DLTensor input = View(&inputs, input_shape), target = View(&targets, target_shape);
  std::vector<double> times;
  for (int step = 0; step < steps + 50; ++step) {
    const auto start = std::chrono::steady_clock::now();
    double loss = 0;
    if (ty_trainer_step(trainer, &input, &target, &loss, &error) != TY_OK) return Fail(error);
    const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - start;
    if (step >= 50) times.push_back(taken.count());
  }
  std::sort(times.begin(), times.end());
  std::printf("bench trainer_mlp_step_threads_%s_us %.1f us\n", threads.c_str(), times[times.size() / 2]);
  ty_trainer_free(trainer);
  ty_train_config_free(config);
  return 0;
}
