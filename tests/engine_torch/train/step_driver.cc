// Training steps alone, on images in memory: for benchmarks and profilers.
//   step_driver <architecture> <batch> <steps> <threads> [<micro batch>]
// Prints the median of the steps' milliseconds, after three that do not count.
#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "engine_torch/models/registry.h"
#include "engine_torch/train/allocator.h"
#include "engine_torch/train/learner.h"

int main(int argc, char **argv) {
  using namespace trainyard;
  if (argc < 5) return 2;
  try {
    const int64_t batch = std::atol(argv[2]);
    const int64_t steps = std::atol(argv[3]);
    InstallCachingAllocator();
    at::set_num_threads(std::atoi(argv[4]));
    at::manual_seed(0);
    const std::shared_ptr<ImageClassifier> model = MakeModel(argv[1], 1000);
    ToChannelsLast(model.get());
    model->train();
    TrainSettings settings;
    settings.optimizer.momentum = 0.9;
    if (argc > 5) settings.micro_batch_size = std::atol(argv[5]);
    Learner learner(model, settings, Learner::Input::kImages, std::vector<int64_t>(1000, 1), [](int64_t) {});
    const at::Tensor images = at::randn({batch, 3, 224, 224}).contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor targets = at::randint(1000, {batch}, at::kLong);
    std::vector<double> times;
    for (int64_t step = 0; step < steps + 3; ++step) {
      const auto start = std::chrono::steady_clock::now();
      const Learner::Outcome outcome = learner.Step(images, targets, {0.001, 0.9}, static_cast<uint64_t>(step));
      outcome.loss.item<double>();
      if (step >= 3)
        times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    }
    std::sort(times.begin(), times.end());
    std::printf("%.3f\n", times[times.size() / 2]);
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "step_driver: %s\n", error.what());
    return 1;
  }
}
