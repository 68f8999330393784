// The rank to blame when it leaves last: rank 2 breaks, its victims end at once, it ends two seconds later. A hundred
// times under each launcher, several at once; TRAINYARD_BLAME_RUNS sets another number.
#include <algorithm>
#include <cstdlib>

#include "runner/run_fixture.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr int32_t kAtOnce = 10;
// A traceback that is printed at once, while the process stays (finalizers), and one that comes only at the end.
constexpr char kRaises[] =
    "printf 'Traceback (most recent call last):\\n  File \"train.py\", line 7\\nValueError: bad batch\\n' >&2; ";
constexpr char kVictim[] =
    "[ $RANK = 2 ] || { printf 'Traceback (most recent call last):\\n  File \"train.py\", line 9\\n"
    "RuntimeError: Connection closed by peer\\n' >&2; exit 1; }; ";

struct Case {
  const char *name;
  Distribution distribution;
};

class BlameTest : public RunTest, public testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    const bool needs_mpi = GetParam().distribution.kind == Distribution::Kind::kMpi;
    if (needs_mpi && std::system("command -v mpirun >/dev/null 2>&1") != 0) {
      GTEST_SKIP() << "SKIP: no mpirun: sh scripts/setup.sh mpi";
    }
    setenv("TRAINYARD_LOCAL_SLOTS", std::to_string(4 * kAtOnce).c_str(), 1);
  }
  static int32_t Runs() {
    const char *text = std::getenv("TRAINYARD_BLAME_RUNS");
    if (text != nullptr) return static_cast<int32_t>(ParseInt64(text).value_or(100));
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 10;  // they look for other faults
#else
    return 100;
#endif
  }
};

TEST_P(BlameTest, TheRankThatBrokeItIsNamed) {
  int32_t named = 0;
  for (int32_t done = 0; done < Runs();) {
    std::vector<std::string> ids;
    for (int32_t i = 0; i < std::min(kAtOnce, Runs() - done); ++i) {
      const bool at_the_end = i % 2 == 1;
      Job job = Shell(kVictim + (at_the_end ? std::string("sleep 2; ") + kRaises : kRaises + std::string("sleep 2; ")) +
                      "exit 1");
      job.distribution = GetParam().distribution;
      ids.push_back(Submit(job));
    }
    for (const std::string &id : ids) {
      const RunRecord run = Finish(id);
      const bool right = run.state == RunState::kFailed && run.error.rank == 2;
      named += right ? 1 : 0;
      if (!right) std::printf("run %s: rank %d, %s\n", id.c_str(), run.error.rank, run.error.message.c_str());
      EXPECT_EQ(ProcessesOf(id), 0u);
    }
    done += static_cast<int32_t>(ids.size());
  }
  std::printf("%s: rank 2 named %d times of %d\n", GetParam().name, named, Runs());
  EXPECT_GE(named * 100, Runs() * 99);
}

INSTANTIATE_TEST_SUITE_P(Launchers, BlameTest,
                         testing::Values(Case{"Local", Distribution::PyTorch(4, 1)},
                                         Case{"Nodes", Distribution::PyTorch(4, 2)},
                                         Case{"Mpi", Distribution::Mpi(1, 4)}),
                         [](const auto &info) { return info.param.name; });

}  // namespace
}  // namespace trainyard
