// An MPI program in Python, with Debian's mpi4py: four ranks on two simulated nodes.
#include <gmock/gmock.h>

#include <cstdlib>

#include "runner/run_fixture.h"

namespace trainyard {
namespace {

constexpr char kScript[] = R"(
import os, sys
from mpi4py import MPI

world = MPI.COMM_WORLD
assert world.rank == int(os.environ["RANK"]) and world.size == int(os.environ["WORLD_SIZE"])
if sys.argv[1:] == [str(world.rank)]:
    raise ValueError("bad batch")
print(world.rank, world.allreduce(world.rank))
)";

class Mpi4pyTest : public RunTest {
 protected:
  void SetUp() override {
    if (std::system("/usr/bin/python3 -c 'import mpi4py' 2>/dev/null && command -v mpirun >/dev/null") != 0) {
      GTEST_SKIP() << "SKIP: no mpi4py: sh scripts/setup.sh mpi";
    }
    job_.source_directory = directory_.path() + "/source";
    job_.distribution = Distribution::Mpi(2, 2);
    job_.command = {"/usr/bin/python3", "program.py"};
    MakeDirs(job_.source_directory);
    WriteFileAtomic(job_.source_directory + "/program.py", kScript);
  }

  Job job_;
};

TEST_F(Mpi4pyTest, RanksTalk) {
  const RunRecord run = Run(job_);
  ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message << "\n" << run.error.stderr_tail;
  for (int32_t rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(ReadFile(Paths(run.id).StdLog(rank, 4)), std::to_string(rank) + " 6\n");
  }
}

TEST_F(Mpi4pyTest, TheRankThatRaisesIsNamed) {
  // As its manual says: by itself a rank that raises waits in MPI_Finalize for the others, for ever.
  job_.command = {"/usr/bin/python3", "-m", "mpi4py", "program.py", "2"};
  const RunRecord run = Run(job_);
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error.rank, 2) << run.error.message << "\n" << run.error.stderr_tail;
  EXPECT_THAT(run.error.message, testing::HasSubstr("ValueError: bad batch"));
}

}  // namespace
}  // namespace trainyard
