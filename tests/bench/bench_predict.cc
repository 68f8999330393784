// How long ResNet-18 takes for one image of 224 x 224 in memory: ty_predictor_predict, against TorchScript in Python
// (tests/bench/predict_peer.py), traced, and traced and frozen. Medians over rounds in turn of medians over calls. The
// peer is at the better of one thread and all, ours as a host finds it. TRAINYARD_PYTHON_TORCH names the Python.
#include <cmath>

#include "bench.h"
#include "peer.h"

namespace {

using bench::Check;
using bench::NowNs;
using bench::Quantile;

constexpr int kRounds = 7, kCalls = 15;
constexpr int64_t kSide = 224, kClasses = 1000;

class Ours {
 public:
  explicit Ours(const std::string &model) : pixels_(3 * kSide * kSide), output_(kClasses) {
    ty_error *error = nullptr;
    Check(ty_predictor_open(model.c_str(), "cpu", &predictor_, &error), error, "open");
    for (size_t i = 0; i < pixels_.size(); ++i)
      pixels_[i] = static_cast<float>(std::sin(0.01 * static_cast<double>(i)));
  }
  Ours(const Ours &) = delete;
  Ours &operator=(const Ours &) = delete;
  ~Ours() { ty_predictor_free(predictor_); }

  // Milliseconds, the median of some calls.
  double Measure() {
    int64_t shape[] = {1, 3, kSide, kSide};
    DLTensor image{};
    image.data = pixels_.data();
    image.device = {kDLCPU, 0};
    image.ndim = 4;
    image.dtype = {kDLFloat, 32, 1};
    image.shape = shape;
    std::vector<double> times;
    for (int i = 0; i < kCalls; ++i) {
      ty_error *error = nullptr;
      const int64_t start = NowNs();
      Check(ty_predictor_predict(predictor_, &image, output_.data(), output_.size(), &error), error, "predict");
      times.push_back(static_cast<double>(NowNs() - start) / 1e6);
    }
    return Quantile(times, 0.5);
  }

 private:
  ty_predictor *predictor_ = nullptr;
  std::vector<float> pixels_, output_;
};

}  // namespace

int main() {
  const trainyard::TempDir directory("trainyard-bench");
  const std::string model = directory.path() + "/model";
  const std::string driver = trainyard::ParentPath(bench::Self()) + "/export_driver";
  if (std::system((driver + " make resnet18 224 1000 " + model).c_str()) != 0) {
    std::printf("SKIP: the engine or its driver is not built (%s)\n", driver.c_str());
    return 0;
  }
  Ours predictor(model);
  predictor.Measure();
  std::vector<double> ours, traced, frozen;
  const char *python = std::getenv("TRAINYARD_PYTHON_TORCH");
  if (python == nullptr || *python == '\0') {
    std::printf("no Python with torch (TRAINYARD_PYTHON_TORCH): without the peer\n");
    for (int i = 0; i < kRounds; ++i) ours.push_back(predictor.Measure());
    bench::Report("predict_resnet18_batch_1_ms", Quantile(ours, 0.5), "ms");
    return 0;
  }
  bench::Peer peer({python, TRAINYARD_SOURCE_DIR "/tests/bench/predict_peer.py", model + "/model.safetensors"});
  const auto best = [&](const std::string &kind) {
    return std::min(peer.Ask((kind + " 1").c_str()), peer.Ask((kind + " 0").c_str()));
  };
  for (int i = 0; i < kRounds; ++i) {
    ours.push_back(predictor.Measure());
    traced.push_back(best("traced"));
    frozen.push_back(best("frozen"));
  }
  bench::ReportPeer("predict_resnet18_batch_1_ms", Quantile(ours, 0.5), "ms", Quantile(traced, 0.5));
  bench::ReportPeer("predict_resnet18_batch_1_against_frozen_ms", Quantile(ours, 0.5), "ms", Quantile(frozen, 0.5));
  return 0;
}
