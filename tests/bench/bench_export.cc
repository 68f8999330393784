// Exporting ResNet-50 to ONNX: from the weights on disk to the file, against torch.onnx.export of torchvision's, its
// default exporter and the older one that traces TorchScript. Each in one process that has loaded everything, in turns.
// TRAINYARD_PYTHON_ONNX names the Python with torch and onnxscript.
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "bench.h"

extern char **environ;

namespace {

using bench::Check;
using bench::NowNs;
using bench::Quantile;

constexpr int kRounds = 5;

// tests/bench/export_peer.py, which answers each line with seconds.
class Peer {
 public:
  Peer(const char *python, const std::string &weights) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) std::exit(1);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    const char *const argv[] = {python, TRAINYARD_SOURCE_DIR "/tests/bench/export_peer.py", weights.c_str(), nullptr};
    if (posix_spawn(&pid_, python, &actions, nullptr, const_cast<char **>(argv), environ) != 0) std::exit(1);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    stream_ = fdopen(ends[0], "r+");
  }
  Peer(const Peer &) = delete;
  Peer &operator=(const Peer &) = delete;
  ~Peer() {
    std::fclose(stream_);
    waitpid(pid_, nullptr, 0);
  }

  double Export(const char *exporter) {
    char line[128] = "";
    std::fprintf(stream_, "%s\n", exporter);
    std::fflush(stream_);
    if (std::fgets(line, sizeof line, stream_) == nullptr) std::exit(std::fprintf(stderr, "the peer ended\n"));
    return std::strtod(line, nullptr);
  }

 private:
  pid_t pid_ = 0;
  FILE *stream_ = nullptr;
};

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
  Peer peer(python, model + "/model.safetensors");
  peer.Export("script");
  peer.Export("default");
  std::vector<double> ours, script, standard;
  for (int i = 0; i < kRounds; ++i) {
    ours.push_back(Ours(model, out));
    script.push_back(peer.Export("script"));
    standard.push_back(peer.Export("default"));
    std::printf("round %d: ours %.3f s, torch.onnx.export %.3f s, its older exporter %.3f s\n", i, ours.back(),
                standard.back(), script.back());
  }
  bench::ReportPeer("onnx_export_resnet50_s", Quantile(ours, 0.5), "s", Quantile(standard, 0.5));
  bench::ReportPeer("onnx_export_resnet50_against_older_exporter_s", Quantile(ours, 0.5), "s", Quantile(script, 0.5));
  return 0;
}
