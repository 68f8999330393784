// Real PyTorch scripts: DDP with gloo on two simulated nodes, started process by process and by torchrun per node.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "runner/run_fixture.h"
#include "util/text.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

// Trains a little, each rank on its own data; prints a digest of the weights. "exit RANK CODE" and "raise RANK" break
// it.
constexpr char kScript[] = R"(
import hashlib, os, sys, time
import torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
rank = dist.get_rank()
assert rank == int(os.environ["RANK"]) and dist.get_world_size() == int(os.environ["WORLD_SIZE"])
torch.manual_seed(rank)
model = DistributedDataParallel(torch.nn.Linear(8, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(1000000 if len(sys.argv) > 1 else 5):
    if step == 3 and sys.argv[1:3] == ["exit", str(rank)]:
        os._exit(int(sys.argv[3]))
    if step == 3 and sys.argv[1:3] == ["raise", str(rank)]:
        raise ValueError("bad batch")
    optimizer.zero_grad()
    model(torch.randn(16, 8)).pow(2).mean().backward()
    optimizer.step()
weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
words = ["weights", rank, os.environ["LOCAL_RANK"], os.environ["MASTER_PORT"], hashlib.sha256(weights).hexdigest()]
os.write(1, (" ".join(map(str, words)) + "\n").encode())  # at once: under torchrun two ranks share a log
dist.destroy_process_group()
)";

class TorchTest : public RunTest {
 protected:
  void SetUp() override {
    const char *python = std::getenv("TRAINYARD_PYTHON_TORCH");
    if (python == nullptr || *python == '\0') GTEST_SKIP() << "SKIP: no Python with torch (TRAINYARD_PYTHON_TORCH)";
    python_ = python;
    MakeDirs(source_);
    WriteFileAtomic(source_ + "/ddp.py", kScript);
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
  // Every rank trained, and all have the same weights.
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

  std::string python_;
  const std::string source_ = directory_.path() + "/source";
};

TEST_F(TorchTest, ProcessByProcess) {
  Distribution distribution = Distribution::PyTorch(4, 2);
  distribution.SetBackend("Gloo");
  ExpectOneModel(Run(Python({"ddp.py"}, distribution)), 4);
}

TEST_F(TorchTest, TorchrunPerNode) {
  const std::string torchrun = ParentPath(python_) + "/torchrun";
  Job job = PerNode({}, {"ddp.py"});
  job.command[0] = torchrun;
  ExpectOneModel(Run(job), 2);
}

TEST_F(TorchTest, TheModuleBehindTorchrunPerNode) {
  ExpectOneModel(Run(PerNode({"-m", "torch.distributed.run"}, {"ddp.py"})), 2);
}

TEST_F(TorchTest, TheOldLauncherWithAPortOfItsOwn) {
  Job job = PerNode({"-m", "torch.distributed.launch", "--use_env"}, {});
  job.command.insert(job.command.end(), {"--master_port=16123", "ddp.py"});
  ExpectOneModel(Run(job), 2, "16123");
}

TEST_F(TorchTest, AShellLineExpandsByItself) {
  Job job = PerNode({}, {});
  job.command.clear();
  job.shell_command =
      python_ +
      " -m torch.distributed.run --nnodes=$AZUREML_NODE_COUNT --nproc_per_node=2 --node_rank $NODE_RANK "
      "--master_addr ${MASTER_ADDR} --master_port ${MASTER_PORT} ddp.py";
  ExpectOneModel(Run(job), 2);
}

TEST_F(TorchTest, TheExitCodeOfARankIsNamed) {
  for (const Job &job : {Python({"ddp.py", "exit", "3", "7"}, Distribution::PyTorch(4, 2)),
                         PerNode({"-m", "torch.distributed.run"}, {"ddp.py", "exit", "3", "7"})}) {
    const RunRecord run = Run(job);
    EXPECT_EQ(run.state, RunState::kFailed);
    EXPECT_EQ(run.error.rank, 3) << run.error.message << "\n" << run.error.stderr_tail;
    EXPECT_EQ(run.error.exit_code, 7);
    EXPECT_EQ(run.error.node, "node1");
    EXPECT_EQ(ProcessesOf(run.id), 0u);
  }
}

TEST_F(TorchTest, TheRankThatRaisedIsNamed) {
  for (const Job &job : {Python({"ddp.py", "raise", "2"}, Distribution::PyTorch(4, 2)),
                         PerNode({"-m", "torch.distributed.run"}, {"ddp.py", "raise", "2"})}) {
    const RunRecord run = Run(job);
    EXPECT_EQ(run.error.rank, 2) << run.error.message << "\n" << run.error.stderr_tail;
    EXPECT_EQ(run.error.exit_code, 1);
    EXPECT_THAT(run.error.message, HasSubstr("ValueError: bad batch"));
    EXPECT_EQ(ProcessesOf(run.id), 0u);
  }
}

// The rank that broke it has said so and takes two seconds to leave; its victims end at once, so each torchrun names
// one of them as the first. TRAINYARD_BLAME_RUNS sets how often.
TEST_F(TorchTest, TheRankThatRaisedIsNamedThoughItLeavesLast) {
  constexpr int32_t kAtOnce = 3;
  const char *text = std::getenv("TRAINYARD_BLAME_RUNS");
  const auto wanted = static_cast<int32_t>(ParseInt64(text == nullptr ? "3" : text).value_or(3));
  // In a file: in an argument $RANK would be that of the node's command.
  WriteFileAtomic(source_ + "/worker.sh",
                  "say() { for line in 'Traceback (most recent call last):' \"  File 't.py'\" \"$1\"; do\n"
                  "  echo \"[rank$RANK]: $line\" >&2; done; }\n"
                  "[ $RANK = 2 ] && { say 'ValueError: bad batch'; sleep 2; exit 1; }\n"
                  "sleep 0.5; say 'RuntimeError: Connection closed by peer'; exit 1\n");
  const Job job = PerNode({"-m", "torch.distributed.run"}, {"--no-python", "sh", "worker.sh"});
  int32_t named = 0;
  for (int32_t done = 0; done < wanted;) {
    std::vector<std::string> ids;
    for (int32_t i = 0; i < std::min(kAtOnce, wanted - done); ++i) ids.push_back(Submit(job));
    for (const std::string &id : ids) {
      const RunRecord run = Finish(id);
      named += run.error.rank == 2 ? 1 : 0;
      EXPECT_THAT(run.error.message, HasSubstr("ValueError: bad batch"));
      if (run.error.rank != 2) std::printf("rank %d: %s\n", run.error.rank, run.error.message.c_str());
      EXPECT_EQ(ProcessesOf(id), 0u);
    }
    done += static_cast<int32_t>(ids.size());
  }
  std::printf("torchrun: rank 2 named %d times of %d\n", named, wanted);
  EXPECT_GE(named * 100, wanted * 99);
}

}  // namespace
}  // namespace trainyard
