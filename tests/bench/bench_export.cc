// Exporting ResNet-50 to ONNX: from the weights on disk to the file, against torch.onnx.export of torchvision's, its
// default exporter and the older one that traces TorchScript. Each in one process that has loaded everything, in turns.
// TRAINYARD_PYTHON_ONNX names the Python with torch and onnxscript.
#include "bench.h"
#include "peer.h"

namespace {

using bench::Check;
using bench::NowNs;
using bench::Quantile;

constexpr int kRounds = 5;

double Ours(const std::string &model, const std::string &out) {
  ty_error *error = nullptr;
  const int64_t start = NowNs();
  Check(ty_export_onnx(model.c_str(), nullptr, out.c_str(), &error), error, "export");
  return static_cast<double>(NowNs() - start) / 1e9;
}

}  // namespace

int main() {
  const trainyard::TempDir directory("trainyard-bench");
  const std::string model = directory.path() + "/model", out = directory.path() + "/model.onnx";
  const std::string driver = trainyard::ParentPath(bench::Self()) + "/export_driver";
  if (std::system((driver + " make resnet50 224 1000 " + model).c_str()) != 0) {
    std::printf("SKIP: the engine or its driver is not built (%s)\n", driver.c_str());
    return 0;
  }
  bench::Report("onnx_export_resnet50_first_s", Ours(model, out), "s");  // loads LibTorch
  const char *python = std::getenv("TRAINYARD_PYTHON_ONNX");
  if (python == nullptr || *python == '\0') {
    std::printf("no Python with ONNX (TRAINYARD_PYTHON_ONNX): without the peer\n");
    std::vector<double> ours;
    for (int i = 0; i < kRounds; ++i) ours.push_back(Ours(model, out));
    bench::Report("onnx_export_resnet50_s", Quantile(ours, 0.5), "s");
    return 0;
  }
  bench::Peer peer({python, TRAINYARD_SOURCE_DIR "/tests/bench/export_peer.py", model + "/model.safetensors"});
  peer.Ask("script");
  peer.Ask("default");
  std::vector<double> ours, script, standard;
  for (int i = 0; i < kRounds; ++i) {
    ours.push_back(Ours(model, out));
    script.push_back(peer.Ask("script"));
    standard.push_back(peer.Ask("default"));
    std::printf("round %d: ours %.3f s, torch.onnx.export %.3f s, its older exporter %.3f s\n", i, ours.back(),
                standard.back(), script.back());
  }
  bench::ReportPeer("onnx_export_resnet50_s", Quantile(ours, 0.5), "s", Quantile(standard, 0.5));
  bench::ReportPeer("onnx_export_resnet50_against_older_exporter_s", Quantile(ours, 0.5), "s", Quantile(script, 0.5));
  return 0;
}
