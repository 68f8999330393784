// What the tests of the C API share: handles that free themselves, an error to pass as `err`, a workspace in a
// temporary directory, waiting for something to become true. Used by one thread at a time.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "trainyard/trainyard.h"

namespace trainyard_test {

// Passed where a call wants `ty_error **err`; holds the error of the last call.
class Err {
 public:
  Err() = default;
  Err(const Err &) = delete;
  Err &operator=(const Err &) = delete;
  ~Err() { ty_error_free(error_); }

  operator ty_error **() {  // NOLINT(google-explicit-constructor): stands for the pointer
    ty_error_free(error_);
    error_ = nullptr;
    return &error_;
  }
  const ty_error *get() const { return error_; }
  ty_status status() const { return ty_error_status(error_); }
  std::string message() const { return ty_error_message(error_); }
  std::string detail(const char *key) const {
    const char *value = ty_error_detail(error_, key);
    return value == nullptr ? "" : value;
  }

 private:
  ty_error *error_ = nullptr;
};

#define EXPECT_OK(call) EXPECT_EQ(call, TY_OK) << err.message()
#define ASSERT_OK(call) ASSERT_EQ(call, TY_OK) << err.message()

// Owns a handle; `out()` is for calls that make one.
template <typename T, auto Free>
class Handle {
 public:
  Handle() = default;
  Handle(Handle &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Handle &operator=(Handle &&other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Handle() { Free(handle_); }

  T **out() {
    reset();
    return &handle_;
  }
  void reset() { Free(std::exchange(handle_, nullptr)); }
  T *get() const { return handle_; }
  operator T *() const { return handle_; }  // NOLINT(google-explicit-constructor): stands for the pointer

 private:
  T *handle_ = nullptr;
};

using Workspace = Handle<ty_workspace, &ty_workspace_free>;
using TyJob = Handle<ty_job, &ty_job_free>;
using TyDistribution = Handle<ty_distribution, &ty_distribution_free>;
using TyRun = Handle<ty_run, &ty_run_free>;
using Model = Handle<ty_model, &ty_model_free>;
using TyEnvironment = Handle<ty_environment, &ty_environment_free>;
using Config = Handle<ty_train_config, &ty_train_config_free>;
using Stream = Handle<ty_event_stream, &ty_event_stream_free>;
using Series = Handle<ty_metric_series, &ty_metric_series_free>;
using FailureHandle = Handle<ty_error, &ty_error_free>;

// A `char *` of the library.
class Text : public Handle<char, &ty_string_free> {
 public:
  std::string str() const { return get() == nullptr ? "" : get(); }
};

class List : public Handle<ty_string_list, &ty_string_list_free> {
 public:
  std::vector<std::string> strings() const {
    std::vector<std::string> all;
    for (size_t i = 0; i < ty_string_list_size(get()); ++i) all.emplace_back(ty_string_list_get(get(), i));
    return all;
  }
};

inline std::string ReadAll(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void WriteAll(const std::string &path, const std::string &text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// Looks until `done` is true; false after a minute, which only a broken program needs.
inline bool Until(const std::function<bool()> &done) {
  for (int i = 0; i < 12000; ++i) {
    if (done()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

// Runs a program of the tests and collects what it prints; `status` as of waitpid.
struct Output {
  int status = -1;
  std::string text;
};
inline Output RunProgram(const std::vector<std::string> &command) {
  std::string line;
  for (const std::string &part : command) {
    line += " '";
    for (const char c : part) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += "'";
  }
  Output output;
  FILE *pipe = popen(("exec" + line).c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 4096> buffer{};
  for (size_t n = 0; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) output.text.append(buffer.data(), n);
  output.status = pclose(pipe);
  return output;
}

class TempDirectory {
 public:
  explicit TempDirectory(const std::string &name = "") {
    std::string pattern = (std::filesystem::temp_directory_path() / "trainyard-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) abort();
    root_ = pattern;
    path_ = name.empty() ? root_ : root_ + "/" + name;
    std::filesystem::create_directories(path_);
  }
  TempDirectory(const TempDirectory &) = delete;
  TempDirectory &operator=(const TempDirectory &) = delete;
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  const std::string &path() const { return path_; }
  std::string operator/(const std::string &name) const { return path_ + "/" + name; }

 private:
  std::string root_, path_;
};

// A workspace in a temporary directory.
class WorkspaceTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK(ty_workspace_open((directory / "workspace").c_str(), workspace.out(), err)); }

  // Jobs of one shell line.
  TyJob Shell(const std::string &line, const char *source = nullptr) {
    TyJob job;
    EXPECT_OK(ty_job_new_shell(source, line.c_str(), job.out(), err));
    return job;
  }
  // The same as several processes.
  TyJob Shell(const std::string &line, int32_t processes, int32_t nodes = 1) {
    TyJob job = Shell(line);
    TyDistribution distribution;
    EXPECT_OK(ty_distribution_new_pytorch(processes, nodes, distribution.out(), err));
    EXPECT_OK(ty_job_set_distribution(job, distribution, err));
    return job;
  }
  TyRun Submit(const std::string &line, const char *source = nullptr) { return Submit(Shell(line, source)); }
  TyRun Submit(const TyJob &job, const char *experiment = "tests") {
    TyRun run;
    EXPECT_OK(ty_run_submit(workspace, experiment, job, run.out(), err));
    return run;
  }
  ty_run_state Wait(const TyRun &run) {
    ty_run_state state = TY_RUN_NOT_STARTED;
    EXPECT_OK(ty_run_wait(run, TY_WAIT_FOREVER, &state, err));
    return state;
  }
  // Submits, waits, and says how the run failed where it did.
  TyRun Complete(const std::string &line, const char *source = nullptr) { return Complete(Shell(line, source)); }
  TyRun Complete(const TyJob &job) {
    TyRun run = Submit(job);
    if (Wait(run) != TY_RUN_COMPLETED) ADD_FAILURE() << "run did not complete: " << FailureOf(run) << "\n" << Log(run);
    return run;
  }
  std::string FailureOf(const TyRun &run) {
    FailureHandle failure;
    EXPECT_OK(ty_run_failure(run, failure.out(), err));
    return ty_error_message(failure);
  }
  std::string Log(const TyRun &run, int32_t rank = 0) {
    std::string text;
    std::array<char, 1000> buffer{};
    size_t read = 0;
    do {
      EXPECT_OK(ty_run_log_read(run, rank, text.size(), buffer.data(), buffer.size(), &read, err));
      text.append(buffer.data(), read);
    } while (read > 0);
    return text;
  }
  std::string WorkspacePath() const { return ty_workspace_location(workspace); }

  TempDirectory directory;
  Workspace workspace;
  Err err;
};

}  // namespace trainyard_test
