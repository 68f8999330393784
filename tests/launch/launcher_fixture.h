// What the tests of all launchers share: a request in a temporary directory, and the exits as they come.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <string>
#include <vector>

#include "launch/launcher.h"
#include "util/fs.h"
#include "util/random.h"

namespace trainyard {

class LauncherTest : public testing::Test {
 protected:
  explicit LauncherTest(std::string_view launcher) : launcher_(MakeLauncher(launcher)) {
    request_.run_id = RandomBase32(12);
    request_.nodes = {{"node0", "127.0.0.1", 1}};
    request_.working_directory = directory_.path();
    request_.log_directory = directory_.path();
    request_.variables = {{kRunIdVariable, request_.run_id}};
#ifdef TRAINYARD_TEST_RUNNER
    request_.runner = TRAINYARD_TEST_RUNNER;
#endif
  }
  void Nodes(int32_t nodes, int32_t processes_per_node) {
    request_.nodes.clear();
    for (int32_t i = 0; i < nodes; ++i) {
      request_.nodes.push_back({"node" + std::to_string(i), "127.0.0." + std::to_string(i + 1), processes_per_node});
    }
  }
  void Shell(const std::string &line) {
    request_.command = {"sh", "-c", line};
    launcher_->Start(request_);
  }
  RankExit NextExit() {
    for (;;) {
      if (auto exit = launcher_->TakeExit()) return *exit;
      pollfd entry{launcher_->descriptor(), POLLIN, 0};
      poll(&entry, 1, -1);
    }
  }
  std::string Log(const std::string &name = "std_log.txt") const {
    return ReadFileIfExists(directory_.path() + "/" + name).value_or("");
  }
  std::string LogOf(int32_t rank) const {
    return Log("std_log_" + std::to_string(rank) + ".txt");
  }

  TempDir directory_;
  LaunchRequest request_;
  std::unique_ptr<Launcher> launcher_;
};

}  // namespace trainyard
