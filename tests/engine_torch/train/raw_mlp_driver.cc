// The MLP of tests/bench/bench_trainer.cc in plain LibTorch, as its C++ documentation writes it: what the trainer's own
// work per step is measured against.
//   raw_mlp_driver <steps> <threads>
#include <ATen/Parallel.h>
#include <torch/nn/functional/loss.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  namespace nn = torch::nn;
  const int steps = std::atoi(argv[1]);
  at::set_num_threads(std::atoi(argv[2]));
  nn::Sequential model(nn::Linear(64, 256), nn::ReLU(), nn::Linear(256, 256), nn::ReLU(), nn::Linear(256, 1));
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.01).momentum(0.9));
  const torch::Tensor inputs =
      torch::arange(256 * 64, torch::kDouble).mul(0.37).sin().to(torch::kFloat).view({256, 64});
  const torch::Tensor targets = (inputs.select(1, 0) * inputs.select(1, 1)).view({256, 1}).clone();
  std::vector<double> times;
  for (int step = 0; step < steps + 50; ++step) {
    const auto start = std::chrono::steady_clock::now();
    optimizer.zero_grad();
    const torch::Tensor loss = nn::functional::mse_loss(model->forward(inputs), targets);
    loss.backward();
    optimizer.step();
    loss.item<double>();
    const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - start;
    if (step >= 50) times.push_back(taken.count());
  }
  std::sort(times.begin(), times.end());
  std::printf("%.1f\n", times[times.size() / 2]);
  return 0;
}
