// What the benchmarks share: clocks, medians, the result line, a workspace that is removed at the end.
#pragma once

#include <trainyard/trainyard.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "util/fs.h"
#include "util/process.h"

namespace bench {

// Of all processes of this machine alike.
inline int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

inline double Quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

inline void Report(const std::string &name, double value, const char *unit) {
  std::printf("bench %s %.6g %s\n", name.c_str(), value, unit);
  std::fflush(stdout);
}

// With the same figure of another program; the ratio says how many times smaller ours is.
inline void ReportPeer(const std::string &name, double value, const char *unit, double peer) {
  std::printf("bench %s %.6g %s peer %.6g ratio %.3g\n", name.c_str(), value, unit, peer, peer / value);
  std::fflush(stdout);
}

// `error` by reference: it is set by the call that is the first argument.
inline void Check(ty_status status, ty_error *const &error, const char *what) {
  if (status == TY_OK) return;
  std::fprintf(stderr, "%s: %s (%s)\n", what, ty_error_message(error), ty_status_name(status));
  std::exit(1);
}

inline ty_run *Submit(ty_workspace *workspace, const std::vector<std::string> &command) {
  std::vector<const char *> argv;
  for (const std::string &word : command) argv.push_back(word.c_str());
  ty_error *error = nullptr;
  ty_job *job = nullptr;
  ty_run *run = nullptr;
  Check(ty_job_new_command(nullptr, argv.data(), argv.size(), &job, &error), error, "job");
  Check(ty_run_submit(workspace, "bench", job, &run, &error), error, "submit");
  ty_job_free(job);
  return run;
}

class Workspace {
 public:
  Workspace() : directory_("trainyard-bench") {
    ty_error *error = nullptr;
    Check(ty_workspace_open((directory_.path() + "/ws").c_str(), &handle_, &error), error, "open");
  }
  Workspace(const Workspace &) = delete;
  Workspace &operator=(const Workspace &) = delete;
  ~Workspace() { ty_workspace_free(handle_); }

  ty_workspace *get() { return handle_; }
  std::string location() const { return ty_workspace_location(handle_); }

  ty_run *Submit(const std::vector<std::string> &command) { return bench::Submit(handle_, command); }

 private:
  trainyard::TempDir directory_;
  ty_workspace *handle_ = nullptr;
};

inline ty_run_state Wait(const ty_run *run) {
  ty_run_state state = TY_RUN_NOT_STARTED;
  ty_error *error = nullptr;
  Check(ty_run_wait(run, TY_WAIT_FOREVER, &state, &error), error, "wait");
  return state;
}

inline std::string Log(const ty_run *run, int32_t rank = 0) {
  std::string text(1 << 20, '\0');
  size_t count = 0;
  ty_error *error = nullptr;
  Check(ty_run_log_read(run, rank, 0, text.data(), text.size(), &count, &error), error, "log");
  text.resize(count);
  return text;
}

// Of the runs of a workspace.
inline std::vector<trainyard::ProcessInfo> Supervisors(const std::string &workspace) {
  std::vector<trainyard::ProcessInfo> found;
  for (const auto &process : trainyard::ListProcesses()) {
    std::ifstream file("/proc/" + std::to_string(process.pid) + "/cmdline");
    std::stringstream text;
    text << file.rdbuf();
    const std::string line = text.str();
    const bool ours = line.find("supervise") != std::string::npos && line.find(workspace) != std::string::npos;
    if (ours) found.push_back(process);
  }
  return found;
}

// The program that runs now, for ranks.
inline std::string Self() {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  return {path, size > 0 ? static_cast<size_t>(size) : 0};
}

}  // namespace bench
