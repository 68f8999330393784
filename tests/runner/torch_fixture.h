// What tests share that run scripts of Python's torch: four ranks on two simulated nodes, started process by process or
// by one torchrun per node.
#pragma once

#include <gmock/gmock.h>

#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "runner/run_fixture.h"
#include "util/text.h"

namespace trainyard {

class TorchFixture : public RunTest {
 protected:
  // `variable` names the Python; without it the tests skip.
  explicit TorchFixture(const char *variable = "TRAINYARD_PYTHON_TORCH") : variable_(variable) {}
  void SetUp() override {
    const char *python = std::getenv(variable_);
    if (python == nullptr || *python == '\0') GTEST_SKIP() << "SKIP: no Python for it (" << variable_ << ")";
    python_ = python;
  }
  void Script(const std::string &name, const char *text) const {
    MakeDirs(source_);
    WriteFileAtomic(source_ + "/" + name, text);
  }
  Job Python(const std::vector<std::string> &arguments, const Distribution &distribution) const {
    Job job;
    job.command = {python_};
    job.command.insert(job.command.end(), arguments.begin(), arguments.end());
    job.source_directory = source_;
    // Hosts whose name resolves to nothing still have a loopback interface.
    job.variables = {{"GLOO_SOCKET_IFNAME", "lo"}, {"OMP_NUM_THREADS", "1"}};
    job.distribution = distribution;
    return job;
  }
  // One command per node, as users write it.
  Job PerNode(std::vector<std::string> launcher, const std::vector<std::string> &script) const {
    for (const char *word : {"--nnodes=2", "--nproc_per_node=2", "--node_rank=$NODE_RANK", "--master_addr=$MASTER_ADDR",
                             "--master_port=$MASTER_PORT"}) {
      launcher.emplace_back(word);
    }
    launcher.insert(launcher.end(), script.begin(), script.end());
    return Python(launcher, Distribution::PyTorchPerNode(2));
  }
  // Every rank trained, and all have the same weights: each printed "weights <rank> <local rank> <port> <digest>".
  void ExpectOneModel(const RunRecord &run, int32_t logs, const std::string &port = "") const {
    ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message << "\n" << run.error.stderr_tail;
    std::set<std::string> ranks, digests;
    for (int32_t log = 0; log < logs; ++log) {
      const std::string text = ReadFile(Paths(run.id).StdLog(log, logs));
      for (const std::string_view line : Split(text, '\n')) {
        const auto words = Split(line, ' ');
        if (words.size() != 5 || words[0] != "weights") continue;
        ranks.emplace(words[1]);
        digests.emplace(words[4]);
        EXPECT_EQ(std::string(words[2]), std::to_string(std::stoi(std::string(words[1])) % 2));
        if (!port.empty()) {
          EXPECT_EQ(words[3], port);
        }
      }
    }
    EXPECT_EQ(ranks, (std::set<std::string>{"0", "1", "2", "3"}));
    EXPECT_EQ(digests.size(), 1u);
    EXPECT_EQ(ProcessesOf(run.id), 0u);
  }

  const char *const variable_;
  std::string python_;
  const std::string source_ = directory_.path() + "/source";
};

}  // namespace trainyard
