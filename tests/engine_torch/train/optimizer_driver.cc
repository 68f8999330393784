// For optimizer_parity.py: a linear classifier learns for some epochs, with the settings of a job.
//   optimizer_driver <config.json> <epochs> <steps per epoch>
// Prints a line per step: the rate, then every parameter (4 x 3 weights, 4 biases, then the moving averages).
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cstdio>
#include <cstdlib>

#include "engine_torch/train/ema.h"
#include "engine_torch/train/loss.h"
#include "engine_torch/train/optimizer.h"
#include "engine_torch/train/schedule.h"
#include "util/fs.h"

namespace trainyard {
namespace {

void Print(const at::Tensor &tensor) {
  const at::Tensor values = tensor.detach().contiguous().view(-1);
  for (int64_t i = 0; i < values.numel(); ++i) std::printf(" %.9g", static_cast<double>(values[i].item<float>()));
}

// Numbers that Python makes too.
at::Tensor Inputs(int64_t step) {
  return at::arange(15, at::kFloat).mul(0.37).add(static_cast<double>(step)).sin().view({5, 3});
}

int Run(const std::string &config, int64_t epochs, int64_t steps) {
  const TrainSettings settings = ParseTrainSettings(ReadFile(config));
  at::Tensor weight = at::arange(12, at::kFloat).mul(0.7).cos().view({4, 3}).set_requires_grad(true);
  at::Tensor bias = at::arange(4, at::kFloat).mul(0.1).set_requires_grad(true);
  const at::Tensor targets = at::arange(5, at::kLong).remainder(4);
  const auto optimizer = MakeOptimizer(settings.optimizer, {{{{"weight", weight}}, 1}, {{{"bias", bias}}, 0.5}});
  Schedule schedule(settings.schedule, settings.optimizer.lr, FirstMomentum(settings.optimizer), epochs, steps);
  MovingAverage average(settings.ema_decay, optimizer->groups());
  const Loss loss(settings.loss, {3, 1, 1, 5}, c10::kCPU);
  for (int64_t epoch = 1; epoch <= epochs; ++epoch) {
    for (int64_t step = 1; step <= steps; ++step) {
      optimizer->ZeroGradients();
      const at::Tensor logits = at::linear(Inputs((epoch - 1) * steps + step), weight, bias);
      (loss.Sum(logits, targets) / loss.Weight(targets)).backward();
      ClipGradients(optimizer->groups(), settings.clip_norm, settings.clip_value);
      const StepRates rates = schedule.At(epoch, step);
      optimizer->Step(rates);
      average.Update();
      std::printf("%.17g", rates.lr);
      Print(weight);
      Print(bias);
      for (const auto &[name, tensor] : average.state()) {
        if (name != "updates") Print(tensor);
      }
      std::printf("\n");
    }
    // A loss that falls, then stays.
    schedule.EpochEnded(1.0 / static_cast<double>(epoch < 3 ? epoch : 3));
  }
  return 0;
}

}  // namespace
}  // namespace trainyard

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  try {
    return trainyard::Run(argv[1], std::atol(argv[2]), std::atol(argv[3]));
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
