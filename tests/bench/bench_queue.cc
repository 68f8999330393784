// A workspace that several hosts use at once: what waiting costs in the queue, and what following many logs costs.
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cinttypes>
#include <cstring>

#include "bench.h"
#include "store/store.h"
#include "util/process.h"

namespace {

using bench::Check;
using bench::NowNs;
using bench::Quantile;
using bench::Report;

constexpr int kHosts = 4, kRunsOfAHost = 50, kSlots = 2;
constexpr int kWatchedSeconds = 10;

// What processes have used, in seconds.
double CpuSeconds(const std::vector<trainyard::ProcessInfo> &processes) {
  double ticks = 0;
  for (const auto &process : processes) ticks += static_cast<double>(process.cpu_ticks);
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::vector<trainyard::ProcessInfo> Look(const std::vector<pid_t> &pids) {
  std::vector<trainyard::ProcessInfo> found;
  for (const pid_t pid : pids) {
    if (const auto process = trainyard::GetProcess(pid)) found.push_back(*process);
  }
  return found;
}

// A host: submits its runs and waits for all of them.
int BeHost(const char *location) {
  ty_error *error = nullptr;
  ty_workspace *workspace = nullptr;
  Check(ty_workspace_open(location, &workspace, &error), error, "open");
  std::vector<ty_run *> runs;
  for (int i = 0; i < kRunsOfAHost; ++i) runs.push_back(bench::Submit(workspace, {"true"}));
  for (ty_run *run : runs) {
    if (bench::Wait(run) != TY_RUN_COMPLETED) return 1;
    ty_run_free(run);
  }
  ty_workspace_free(workspace);
  return 0;
}

// How many runs started before one that was submitted before them.
int Overtaken(const std::string &workspace) {
  trainyard::Store store(workspace);
  trainyard::RunFilter filter;
  filter.limit = 10000;
  const auto newest_first = store.runs().List(filter).runs;
  int count = 0;
  for (size_t i = 1; i < newest_first.size(); ++i) {
    if (newest_first[i].started_ms > newest_first[i - 1].started_ms) ++count;
  }
  return count;
}

// All slots are taken for a while, then the runs of the hosts go through them.
void FourHostsAndTwoSlots() {
  setenv("TRAINYARD_LOCAL_SLOTS", std::to_string(kSlots).c_str(), 1);
  bench::Workspace workspace;
  std::vector<ty_run *> holders;
  for (int i = 0; i < kSlots; ++i) holders.push_back(workspace.Submit({"sleep", "600"}));
  const std::string location = workspace.location(), self = bench::Self();
  const int64_t submitted = NowNs();
  std::vector<pid_t> hosts;
  for (int i = 0; i < kHosts; ++i) {
    hosts.push_back(fork());
    if (hosts.back() == 0) _exit(execl(self.c_str(), self.c_str(), "--host", location.c_str(), nullptr));
  }
  constexpr size_t kAll = size_t{kHosts} * kRunsOfAHost + kSlots;
  while (bench::Supervisors(location).size() < kAll) usleep(10000);
  Report("queue_4_hosts_submit_200_s", static_cast<double>(NowNs() - submitted) / 1e9, "s");
  sleep(3);
  const double hosts_before = CpuSeconds(Look(hosts)), before = CpuSeconds(bench::Supervisors(location));
  sleep(kWatchedSeconds);
  const double hosts_after = CpuSeconds(Look(hosts)), after = CpuSeconds(bench::Supervisors(location));
  Report("queue_waiting_hosts_cpu_percent_all", (hosts_after - hosts_before) / kWatchedSeconds * 100,
         "percent_of_one_core");
  Report("queue_waiting_supervisors_cpu_percent_all", (after - before) / kWatchedSeconds * 100, "percent_of_one_core");
  const int64_t freed = NowNs();
  ty_error *error = nullptr;
  for (ty_run *run : holders) Check(ty_run_cancel(run, &error), error, "cancel");
  for (const pid_t pid : hosts) {
    int status = 0;
    waitpid(pid, &status, 0);
    if (status != 0) std::exit(std::fprintf(stderr, "a host's runs did not all complete\n"));
  }
  Report("queue_200_through_2_slots_s", static_cast<double>(NowNs() - freed) / 1e9, "s");
  Report("queue_overtaken", Overtaken(location), "runs");
  for (ty_run *run : holders) ty_run_free(run);
}

// The rank: numbered lines with the time they were written at, 200 a second.
int WriteLines(int count) {
  const int64_t start = NowNs();
  for (int i = 0; i < count; ++i) {
    const int64_t due = start + int64_t{i} * 5000000;
    if (const int64_t now = NowNs(); now < due) usleep(static_cast<useconds_t>((due - now) / 1000));
    char line[64];
    const int size = std::snprintf(line, sizeof line, "%d %" PRId64 "\n", i, NowNs());
    if (write(STDOUT_FILENO, line, static_cast<size_t>(size)) != size) return 1;
  }
  return 0;
}

struct Followed {
  ty_run *run = nullptr;
  ty_event_stream *stream = nullptr;
  int lines = 0;
};

// Takes what the stream has; true at its end.
bool Take(Followed *one, std::vector<double> *lags) {
  const ty_event *event = nullptr;
  ty_status status = TY_OK;
  while ((status = ty_event_stream_next(one->stream, 0, &event, nullptr)) == TY_OK && event != nullptr) {
    char *rest = nullptr;
    const long number = std::strtol(event->text, &rest, 10);
    if (number != one->lines) std::exit(std::fprintf(stderr, "line %d is missing\n", one->lines));
    lags->push_back(static_cast<double>(NowNs() - std::atoll(rest)) / 1e6);
    ++one->lines;
  }
  return status != TY_OK;
}

double OwnCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval &time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void FollowFiftyLogs() {
  constexpr int kRuns = 50, kLines = 200 * kWatchedSeconds;
  setenv("TRAINYARD_LOCAL_SLOTS", std::to_string(kRuns).c_str(), 1);
  bench::Workspace workspace;
  std::vector<Followed> followed(kRuns);
  std::vector<pollfd> descriptors(kRuns);
  ty_error *error = nullptr;
  for (size_t i = 0; i < followed.size(); ++i) {
    followed[i].run = workspace.Submit({bench::Self(), "--lines", std::to_string(kLines)});
    Check(ty_run_events(followed[i].run, nullptr, TY_EVENT_LOG, &followed[i].stream, &error), error, "events");
    Check(ty_event_stream_fd(followed[i].stream, &descriptors[i].fd, &error), error, "descriptor");
    descriptors[i].events = POLLIN;
  }
  std::vector<double> lags;
  const double cpu = OwnCpuSeconds();
  const int64_t start = NowNs();
  for (int open = kRuns; open > 0;) {
    poll(descriptors.data(), descriptors.size(), -1);
    for (size_t i = 0; i < followed.size(); ++i) {
      if (descriptors[i].revents == 0 || !Take(&followed[i], &lags)) continue;
      descriptors[i].fd = -1;
      --open;
    }
  }
  const double seconds = static_cast<double>(NowNs() - start) / 1e9;
  int missed = 0;
  for (const Followed &one : followed) {
    missed += kLines - one.lines;
    ty_event_stream_free(one.stream);
    ty_run_free(one.run);
  }
  Report("follow_50_runs_lines_per_s", static_cast<double>(lags.size()) / seconds, "lines/s");
  Report("follow_50_runs_lines_missed", missed, "lines");
  Report("follow_50_runs_lag_ms", Quantile(lags, 0.5), "ms");
  Report("follow_50_runs_lag_p99_ms", Quantile(lags, 0.99), "ms");
  Report("follow_50_runs_host_cpu_percent", (OwnCpuSeconds() - cpu) / seconds * 100, "percent_of_one_core");
}

}  // namespace

int main(int argc, char **argv) {
  if (argc > 2 && std::strcmp(argv[1], "--host") == 0) return BeHost(argv[2]);
  if (argc > 2 && std::strcmp(argv[1], "--lines") == 0) return WriteLines(std::atoi(argv[2]));
  FourHostsAndTwoSlots();
  FollowFiftyLogs();
  return 0;
}
