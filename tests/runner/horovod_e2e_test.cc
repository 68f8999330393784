// A real Horovod script under mpirun: Debian's torch and Horovod built for Open MPI (scripts/horovod.sh).
#include <gmock/gmock.h>

#include <cstdlib>
#include <set>

#include "runner/run_fixture.h"
#include "util/text.h"

namespace trainyard {
namespace {

// Trains a little, each rank on its own data; prints a digest of the weights. "exit RANK CODE" breaks it.
constexpr char kScript[] = R"(
import hashlib, os, sys, torch
import horovod.torch as hvd

hvd.init()
assert hvd.rank() == int(os.environ["RANK"]) and hvd.size() == int(os.environ["WORLD_SIZE"])
torch.manual_seed(hvd.rank())
model = torch.nn.Linear(8, 4)
hvd.broadcast_parameters(model.state_dict(), root_rank=0)
optimizer = hvd.DistributedOptimizer(torch.optim.SGD(model.parameters(), lr=0.1), named_parameters=model.named_parameters())
for step in range(1000000 if len(sys.argv) > 1 else 5):
    if step == 3 and sys.argv[1:3] == ["exit", str(hvd.rank())]:
        os._exit(int(sys.argv[3]))
    optimizer.zero_grad()
    model(torch.randn(16, 8)).pow(2).mean().backward()
    optimizer.step()
weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
print(hashlib.sha256(weights).hexdigest())
)";

class HorovodTest : public RunTest {
 protected:
  void SetUp() override {
    const char *python = std::getenv("TRAINYARD_PYTHON_HOROVOD");
    if (python == nullptr || *python == '\0') {
      GTEST_SKIP() << "SKIP: no Python with Horovod (TRAINYARD_PYTHON_HOROVOD: sh scripts/horovod.sh)";
    }
    job_.command = {python, "train.py"};
    job_.source_directory = directory_.path() + "/source";
    job_.variables = {{"OMP_NUM_THREADS", "1"}};
    job_.distribution = Distribution::Mpi(2, 2);
    MakeDirs(job_.source_directory);
    WriteFileAtomic(job_.source_directory + "/train.py", kScript);
  }

  Job job_;
};

TEST_F(HorovodTest, AllRanksHaveTheSameWeights) {
  const RunRecord run = Run(job_);
  ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message << "\n" << run.error.stderr_tail;
  std::set<std::string> digests;
  for (int32_t rank = 0; rank < 4; ++rank) digests.insert(ReadFile(Paths(run.id).StdLog(rank, 4)));
  EXPECT_EQ(digests.size(), 1u);
  EXPECT_EQ(digests.begin()->size(), 65u);
}

TEST_F(HorovodTest, TheFailingRankIsNamedNotTheEchoes) {
  job_.arguments = {"exit", "3", "7"};
  const RunRecord run = Run(job_);
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error.rank, 3) << run.error.message << "\n" << run.error.stderr_tail;
  EXPECT_EQ(run.error.exit_code, 7);
  EXPECT_EQ(ProcessesOf(run.id), 0u);
}

}  // namespace
}  // namespace trainyard
