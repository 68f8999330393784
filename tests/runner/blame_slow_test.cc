// The rank to blame when it leaves last (blame_fixture.h), under each launcher of ours.
#include "runner/blame_fixture.h"

namespace trainyard {
namespace {

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

class BlameTest : public BlameFixture<RunTest>, public testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    const bool needs_mpi = GetParam().distribution.kind == Distribution::Kind::kMpi;
    if (needs_mpi && std::system("command -v mpirun >/dev/null 2>&1") != 0) {
      GTEST_SKIP() << "SKIP: no mpirun: sh scripts/setup.sh mpi";
    }
    BlameFixture::SetUp();
  }
};

TEST_P(BlameTest, TheRankThatBrokeItIsNamed) {
  ExpectRankTwoNamed(GetParam().name, 100, [](int32_t number) {
    const bool at_the_end = number % 2 == 1;
    Job job = Shell(kVictim + (at_the_end ? std::string("sleep 2; ") + kRaises : kRaises + std::string("sleep 2; ")) +
                    "exit 1");
    job.distribution = GetParam().distribution;
    return job;
  });
}

INSTANTIATE_TEST_SUITE_P(Launchers, BlameTest,
                         testing::Values(Case{"Local", Distribution::PyTorch(4, 1)},
                                         Case{"Nodes", Distribution::PyTorch(4, 2)},
                                         Case{"Mpi", Distribution::Mpi(1, 4)}),
                         [](const auto &info) { return info.param.name; });

}  // namespace
}  // namespace trainyard
