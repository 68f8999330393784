// Launching four ranks: from the submit (or the start of the other program) until all four are at their first
// instruction, against mpirun and torchrun of the same trivial program, taken in turns. TRAINYARD_PYTHON_TORCH names
// the Python whose torchrun is compared with.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cinttypes>
#include <cstring>
#include <sstream>

#include "bench.h"
#include "util/fs.h"

extern char **environ;

namespace {

using bench::Check;
using bench::NowNs;
using bench::Quantile;

constexpr int kRanks = 4;
constexpr int kRounds = 15;
constexpr int kTorchrunRounds = 5;

// Milliseconds from `start` to the last of the numbers in `text`; ends the program unless there is one of each rank.
double UntilLast(const std::string &text, int64_t start, const char *what) {
  std::istringstream numbers(text);
  int64_t last = 0, number = 0;
  int count = 0;
  for (; numbers >> number; ++count) last = std::max(last, number);
  if (count != kRanks) std::exit(std::fprintf(stderr, "%s: %d of %d ranks answered\n", what, count, kRanks));
  return static_cast<double>(last - start) / 1e6;
}

double Launch(bench::Workspace *workspace, ty_distribution *distribution, const char *what) {
  ty_error *error = nullptr;
  ty_job *job = nullptr;
  ty_run *run = nullptr;
  const std::string self = bench::Self();
  const char *const argv[] = {self.c_str(), "--stamp"};
  Check(ty_job_new_command(nullptr, argv, 2, &job, &error), error, "job");
  Check(ty_job_set_distribution(job, distribution, &error), error, "distribution");
  const int64_t start = NowNs();
  Check(ty_run_submit(workspace->get(), "bench", job, &run, &error), error, "submit");
  bench::Wait(run);
  std::string text;
  for (int32_t rank = 0; rank < kRanks; ++rank) text += bench::Log(run, rank);
  ty_run_free(run);
  ty_job_free(job);
  return UntilLast(text, start, what);
}

double Program(const std::string &line, const char *what) {
  const trainyard::TempDir directory("trainyard-bench");
  const std::string output = directory.path() + "/output";
  const std::string redirected = "exec " + line + " >" + output + " 2>/dev/null";
  const char *const argv[] = {"/bin/sh", "-c", redirected.c_str(), nullptr};
  pid_t pid = 0;
  const int64_t start = NowNs();
  if (posix_spawn(&pid, argv[0], nullptr, nullptr, const_cast<char *const *>(argv), environ) != 0) std::exit(1);
  waitpid(pid, nullptr, 0);
  return UntilLast(trainyard::ReadFile(output), start, what);
}

bool Have(const std::string &command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc > 1 && std::strcmp(argv[1], "--stamp") == 0) {
    char line[32];
    const int size = std::snprintf(line, sizeof line, "%" PRId64 "\n", NowNs());
    return write(STDOUT_FILENO, line, static_cast<size_t>(size)) != size;
  }
  setenv("TRAINYARD_LOCAL_SLOTS", "4", 1);
  setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  const bool have_mpirun = Have("command -v mpirun");
  const char *python = std::getenv("TRAINYARD_PYTHON_TORCH");
  const std::string stamp = bench::Self() + " --stamp";
  const std::string torchrun = std::string(python == nullptr ? "false" : python) +
                               " -m torch.distributed.run --standalone --nproc-per-node 4 --no-python " + stamp;
  if (!have_mpirun) std::printf("no mpirun to compare with: sh scripts/setup.sh mpi\n");
  if (python == nullptr) std::printf("no torchrun to compare with (TRAINYARD_PYTHON_TORCH)\n");

  bench::Workspace workspace;
  ty_error *error = nullptr;
  ty_distribution *local = nullptr, *nodes = nullptr, *mpi = nullptr;
  Check(ty_distribution_new_pytorch(kRanks, 1, &local, &error), error, "distribution");
  Check(ty_distribution_new_pytorch(kRanks, 2, &nodes, &error), error, "distribution");
  Check(ty_distribution_new_mpi(1, kRanks, &mpi, &error), error, "distribution");
  std::vector<double> local_ms, nodes_ms, mpi_ms, mpirun_ms, torchrun_ms;
  for (int round = 0; round < kRounds; ++round) {
    local_ms.push_back(Launch(&workspace, local, "local"));
    nodes_ms.push_back(Launch(&workspace, nodes, "nodes"));
    if (have_mpirun) {
      mpi_ms.push_back(Launch(&workspace, mpi, "mpi"));
      mpirun_ms.push_back(Program("mpirun --oversubscribe -np 4 " + stamp, "mpirun"));
    }
    if (python != nullptr && round < kTorchrunRounds) torchrun_ms.push_back(Program(torchrun, "torchrun"));
  }
  ty_distribution_free(local);
  ty_distribution_free(nodes);
  ty_distribution_free(mpi);
  const double ours = Quantile(local_ms, 0.5);
  bench::Report("launch_4_ranks_on_2_simulated_nodes_ms", Quantile(nodes_ms, 0.5), "ms");
  if (!have_mpirun) bench::Report("launch_4_ranks_local_ms", ours, "ms");
  if (have_mpirun) {
    const double mpirun = Quantile(mpirun_ms, 0.5);
    bench::ReportPeer("launch_4_ranks_local_against_mpirun_ms", ours, "ms", mpirun);
    bench::ReportPeer("launch_4_ranks_mpi_against_mpirun_ms", Quantile(mpi_ms, 0.5), "ms", mpirun);
    bench::Report("launch_4_ranks_mpi_above_mpirun_ms", Quantile(mpi_ms, 0.5) - mpirun, "ms");
  }
  if (!torchrun_ms.empty()) {
    bench::ReportPeer("launch_4_ranks_local_against_torchrun_ms", ours, "ms", Quantile(torchrun_ms, 0.5));
  }
  return 0;
}
