// Whole runs through the real trainyard-runner, in a workspace and a runtime directory of their own.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "drivers/driver.h"
#include "launch/launcher.h"
#include "store/store.h"
#include "util/fs.h"
#include "util/process.h"

namespace trainyard {

class RunTest : public testing::Test {
 protected:
  RunTest() : workspace_(directory_.path() + "/workspace") {
    setenv("TRAINYARD_RUNTIME_DIR", TRAINYARD_TEST_RUNTIME_DIR, 1);
    setenv("XDG_RUNTIME_DIR", directory_.path().c_str(), 1);
    setenv("TRAINYARD_LOCAL_SLOTS", "8", 1);
    driver_ = OpenWorkspace(workspace_);
  }
  ~RunTest() override {
    for (const std::string &id : runs_) {
      if (IsFinal(driver_->GetState(id))) continue;
      driver_->Cancel(id);
      driver_->Wait(id, -1);
    }
  }

  static Job Shell(const std::string &line) {
    Job job;
    job.shell_command = line;
    return job;
  }
  std::string Submit(const Job &job) {
    runs_.push_back(driver_->Submit("test", job).id);
    return runs_.back();
  }
  RunRecord Finish(const std::string &id) {
    driver_->Wait(id, -1);
    return driver_->GetRun(id);
  }
  RunRecord Run(const Job &job) { return Finish(Submit(job)); }
  RunLayout Paths(const std::string &id) const { return Layout(workspace_).Run(id); }
  std::string Log(const std::string &id) const { return ReadFileIfExists(Paths(id).StdLog(0, 1)).value_or(""); }
  void AwaitLog(const std::string &id, const std::string &text) const {
    while (Log(id).find(text) == std::string::npos) usleep(2000);
  }
  void AwaitState(const std::string &id, RunState state) const {
    while (driver_->GetState(id) != state) usleep(2000);
  }
  static size_t ProcessesOf(const std::string &id) { return FindProcessTree(RunTreeQuery(id, 0)).size(); }
  static bool HasSupervisor(const std::string &id) {
    for (const ProcessInfo &process : ListProcesses()) {
      if (process.state != 'Z' && ProcessVariable(process.pid, kSupervisorVariable) == id) return true;
    }
    return false;
  }
  std::vector<RunState> History(const std::string &id) const {
    Store store(workspace_);
    std::vector<RunState> states;
    for (const StateChange &change : store.runs().History(id)) states.push_back(change.state);
    return states;
  }

  TempDir directory_;
  const std::string workspace_;
  std::shared_ptr<Driver> driver_;
  std::vector<std::string> runs_;
};

}  // namespace trainyard
