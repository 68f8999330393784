// A compute of kind mpi, from its hostfile to the ranks: two hosts made of network namespaces.
#include <map>

#include "capi/api.h"
#include "launch/network_hosts.h"
#include "util/json.h"

namespace trainyard_test {
namespace {

using trainyard::Json;
using trainyard::NetworkHosts;

class MpiComputeTest : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    setenv("XDG_RUNTIME_DIR", directory.path().c_str(), 1);
    if (std::system("command -v mpirun >/dev/null 2>&1") != 0)
      GTEST_SKIP() << "SKIP: no mpirun: sh scripts/setup.sh mpi";
    std::string why_not;
    hosts_ = NetworkHosts::Make(directory.path(), &why_not);
    if (!hosts_) GTEST_SKIP() << "SKIP: " << why_not;
    // All that a user would have to say as well on a machine of several networks without sshd.
    const Json options(std::vector<std::string>{"--mca", "plm_rsh_agent", hosts_->rsh_agent(), "--mca", "btl",
                                                "tcp,self", "--mca", "pml", "ob1", "--mca", "btl_tcp_if_include",
                                                "10.77.0.0/24", "--mca", "oob_tcp_if_include", "10.77.0.0/24"});
    Json settings = Json::Object();
    settings.Set("kind", "mpi").Set("hostfile", hosts_->hostfile()).Set("mpirun_options", options);
    ASSERT_OK(ty_compute_create(workspace, "hosts", settings.Dump().c_str(), nullptr, err));
  }
  TyJob OnTwoHosts(const std::string &line) {
    TyJob job = Shell(line);
    TyDistribution distribution;
    EXPECT_OK(ty_distribution_new_mpi(2, 2, distribution.out(), err));
    EXPECT_OK(ty_job_set_distribution(job, distribution, err));
    EXPECT_OK(ty_job_set_compute(job, "hosts", err));
    return job;
  }

  std::unique_ptr<NetworkHosts> hosts_;
};

TEST_F(MpiComputeTest, RanksKnowWhereTheyAre) {
  const TyRun run = Complete(OnTwoHosts(
      "echo $RANK $LOCAL_RANK $NODE_RANK $WORLD_SIZE $MASTER_ADDR; ip -4 -o addr | grep -o '10.77.0.[0-9]*/'"));
  EXPECT_EQ(Log(run, 1), "1 1 0 4 10.77.0.1\n10.77.0.1/\n");
  EXPECT_EQ(Log(run, 2), "2 0 1 4 10.77.0.1\n10.77.0.2/\n");
}

#ifdef TRAINYARD_MPI_PROGRAM
TEST_F(MpiComputeTest, AnMpiProgramTalksAcrossTheHosts) {
  const TyRun run = Complete(OnTwoHosts("exec " TRAINYARD_MPI_PROGRAM));
  for (int32_t rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(Log(run, rank), std::to_string(rank) + " of 4: 6, local " + std::to_string(rank % 2) + " of 2\n");
  }
}

TEST_F(MpiComputeTest, TheRankThatFailsOnTheOtherHostIsNamed) {
  const TyRun run = Submit(OnTwoHosts("exec " TRAINYARD_MPI_PROGRAM " exit 3 7"));
  EXPECT_EQ(Wait(run), TY_RUN_FAILED);
  FailureHandle failure;
  ASSERT_OK(ty_run_failure(run, failure.out(), err));
  std::map<std::string, std::string> details;
  for (const char *key : {"rank", "exit_code", "node"}) {
    const char *value = ty_error_detail(failure, key);
    details[key] = value == nullptr ? "none" : value;
  }
  EXPECT_EQ(details, (std::map<std::string, std::string>{{"rank", "3"}, {"exit_code", "7"}, {"node", "10.77.0.2"}}))
      << ty_error_message(failure);
}
#endif

TEST_F(MpiComputeTest, ACancelReachesTheOtherHost) {
  const TyRun run = Submit(OnTwoHosts("echo up; sleep 1000"));
  EXPECT_TRUE(Until([&] { return Log(run, 0) == "up\n" && Log(run, 3) == "up\n"; }));
  EXPECT_OK(ty_run_cancel(run, err));
  EXPECT_EQ(Wait(run), TY_RUN_CANCELED) << FailureOf(run);
}

}  // namespace
}  // namespace trainyard_test
