// For precision_parity.py: steps of one network in a precision, and the scaler's answers to gradients.
//   precision_driver steps <architecture> <precision> <steps>   prints a line per step: the loss, then 64 of the
//   weights precision_driver scaler <letter>...                         f: finite gradients, i: an infinity, n: a NaN,
//   each with
//                                                               a count (f2000); prints scale and good steps after each
#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>

#include "engine_torch/models/registry.h"
#include "engine_torch/train/grad_scaler.h"
#include "engine_torch/train/learner.h"
#include "engine_torch/train/parameters.h"
#include "engine_torch/train/precision.h"

namespace trainyard {
namespace {

Precision ParsePrecision(const std::string &name) {
  for (const Precision precision : {Precision::kTf32, Precision::kBf16, Precision::kFp16}) {
    if (NameOf(precision) == name) return precision;
  }
  return Precision::kFp32;
}

int Steps(const char *architecture, const char *precision, int64_t steps) {
  at::set_num_threads(1);
  at::manual_seed(1);
  const std::shared_ptr<ImageClassifier> model = MakeModel(architecture, 3);
  ToChannelsLast(model.get());
  model->train();
  TrainSettings settings;
  settings.precision = ParsePrecision(precision);
  settings.fast_kernels = false;  // LibTorch's, as Python has them
  settings.optimizer.momentum = 0.9;
  Learner learner(model, settings, Learner::Input::kImages, {2, 2, 2}, [](int64_t) {});
  const at::Tensor targets = at::arange(4, at::kLong).remainder(3);
  for (int64_t step = 0; step < steps; ++step) {
    // Numbers that Python makes too.
    const at::Tensor images = at::arange(4 * 3 * 64 * 64, at::kFloat)
                                  .mul(0.37)
                                  .add(static_cast<double>(step))
                                  .sin()
                                  .view({4, 3, 64, 64})
                                  .contiguous(at::MemoryFormat::ChannelsLast);
    const Learner::Outcome outcome = learner.Step(images, targets, {0.01, 0.9}, 1);
    std::printf("%.9g", outcome.loss.item<double>());
    const at::Tensor weights = model->parameters().front().detach().contiguous().view(-1);
    for (int64_t i = 0; i < 64; ++i) std::printf(" %.9g", static_cast<double>(weights[i].item<float>()));
    std::printf("\n");
  }
  return 0;
}

int Scaler(int count, char **sequence) {
  GradScaler scaler(true, at::kCPU);
  for (int i = 0; i < count; ++i) {
    const float value = sequence[i][0] == 'f'   ? 2.0f
                        : sequence[i][0] == 'i' ? std::numeric_limits<float>::infinity()
                                                : std::numeric_limits<float>::quiet_NaN();
    for (long left = std::max(1L, std::atol(sequence[i] + 1)); left > 0; --left) scaler.Unscale({at::full({3}, value)});
    const GradScaler::State state = scaler.state();
    std::printf("%.17g %lld\n", state.scale, static_cast<long long>(state.good_steps));
  }
  return 0;
}

}  // namespace
}  // namespace trainyard

int main(int argc, char **argv) {
  try {
    if (argc == 5 && std::strcmp(argv[1], "steps") == 0) return trainyard::Steps(argv[2], argv[3], std::atol(argv[4]));
    if (argc > 2 && std::strcmp(argv[1], "scaler") == 0) return trainyard::Scaler(argc - 2, argv + 2);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "precision_driver: %s\n", error.what());
    return 1;
  }
  return 2;
}
