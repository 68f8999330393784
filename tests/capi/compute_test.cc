// compute.h: get or create, nodes that come and go, jobs on a compute, deletion.
#include "capi/api.h"
#include "util/json.h"

namespace trainyard_test {
namespace {

using trainyard::Json;
using TyCompute = Handle<ty_compute, &ty_compute_free>;

class ComputeTest : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    setenv("XDG_RUNTIME_DIR", directory.path().c_str(), 1);
  }
  TyCompute Create(const char *name, const char *settings) {
    TyCompute compute;
    EXPECT_OK(ty_compute_create(workspace, name, settings, compute.out(), err));
    return compute;
  }
  Json Nodes(const TyCompute &compute) {
    Text text;
    EXPECT_OK(ty_compute_status(compute, text.out(), err));
    return Json::Parse(text.str(), "status").Get("nodes");
  }
  TyJob On(const char *compute, const std::string &line, int32_t nodes = 1, int32_t processes = 1) {
    TyJob job = Shell(line);
    EXPECT_OK(ty_job_set_compute(job, compute, err));
    Handle<ty_distribution, &ty_distribution_free> distribution;
    EXPECT_OK(ty_distribution_new_pytorch(processes, nodes, distribution.out(), err));
    EXPECT_OK(ty_job_set_distribution(job, distribution, err));
    return job;
  }
  std::string Refusal(const TyJob &job, ty_status expected) {
    TyRun run;
    EXPECT_EQ(ty_run_submit(workspace, "tests", job, run.out(), err), expected);
    return err.message();
  }
  static bool Has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }
};

TEST_F(ComputeTest, LocalIsAlwaysThere) {
  TyCompute local;
  ASSERT_OK(ty_compute_get(workspace, "local", local.out(), err));
  EXPECT_EQ(Nodes(local).GetInt64("current"), 1);
  EXPECT_OK(ty_compute_wait(local, 1, 0, err));
  EXPECT_EQ(ty_compute_delete(local, err), TY_ERR_INVALID_STATE);
  EXPECT_EQ(ty_compute_create(workspace, "local", nullptr, nullptr, err), TY_ERR_ALREADY_EXISTS);
  List names;
  EXPECT_OK(ty_compute_list(workspace, names.out(), err));
  EXPECT_EQ(names.strings(), std::vector<std::string>{"local"});
}

TEST_F(ComputeTest, GetsTheSameAndRefusesAnother) {
  const TyCompute made = Create("cluster", R"({"slots":2,"max_nodes":3})");
  EXPECT_STREQ(ty_compute_name(made), "cluster");
  const TyCompute same = Create("cluster", R"({"slots":2,"max_nodes":3})");
  EXPECT_EQ(ty_compute_create(workspace, "cluster", R"({"slots":4,"max_nodes":3})", nullptr, err),
            TY_ERR_ALREADY_EXISTS);
  EXPECT_TRUE(Has(err.message(), "'slots': it has 2, asked for is 4")) << err.message();
  TyCompute other;
  EXPECT_EQ(ty_compute_get(workspace, "clutser", other.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_TRUE(Has(err.message(), "'cluster'")) << err.message();
  EXPECT_EQ(ty_compute_create(workspace, "x", R"({"slot":1})", nullptr, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_TRUE(Has(err.message(), "'slots'")) << err.message();
  EXPECT_EQ(ty_compute_create(workspace, "x", R"({"min_nodes":2})", nullptr, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_compute_create(workspace, "no spaces", nullptr, nullptr, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_compute_create(workspace, "x", R"({"gpus":1000})", nullptr, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_TRUE(Has(err.message(), "1000 GPU(s)")) << err.message();
}

TEST_F(ComputeTest, MoreSlotsThanFilesCanBeOpenAreRefused) {
  EXPECT_EQ(ty_compute_create(workspace, "x", R"({"slots":100000,"max_nodes":2})", nullptr, err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_TRUE(Has(err.message(), "200000 slots and GPUs")) << err.message();
  WriteAll(directory / "hostfile", "alpha slots=60000\nbeta slots=60000\n");
  const std::string settings = R"({"kind":"mpi","hostfile":")" + (directory / "hostfile") + R"("})";
  EXPECT_EQ(ty_compute_create(workspace, "x", settings.c_str(), nullptr, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_TRUE(Has(err.message(), "120000 slots and GPUs")) << err.message();
}

TEST_F(ComputeTest, WhatItCannotGiveIsRefusedAtSubmit) {
  const TyCompute compute = Create("cluster", R"({"slots":2,"max_nodes":2})");
  EXPECT_TRUE(Has(Refusal(On("cluster", "true", 3, 3), TY_ERR_INVALID_ARGUMENT), "asks for 3 nodes")) << err.message();
  EXPECT_TRUE(Has(err.message(), "has at most 2")) << err.message();
  EXPECT_TRUE(Has(Refusal(On("clusterr", "true"), TY_ERR_NOT_FOUND), "did you mean 'cluster'")) << err.message();
  TyJob job = On("cluster", "true");
  ASSERT_OK(ty_job_set_gpus(job, 1, err));
  EXPECT_TRUE(Has(Refusal(job, TY_ERR_INVALID_ARGUMENT), "has 0")) << err.message();
}

TEST_F(ComputeTest, NodesComeWithRunsAndGoWhenIdle) {
  const TyCompute compute = Create("cluster", R"({"max_nodes":3,"idle_ms":0})");
  EXPECT_EQ(Nodes(compute).GetInt64("current"), 0);
  EXPECT_EQ(ty_compute_wait(compute, 2, 0, err), TY_ERR_TIMEOUT);
  EXPECT_TRUE(Has(err.message(), "2 node(s)") && Has(err.message(), "there are 0")) << err.message();
  EXPECT_EQ(ty_compute_wait(compute, 4, 0, err), TY_ERR_INVALID_ARGUMENT);
  const TyRun run = Submit(On("cluster", "echo $NODE_RANK $AZ_BATCH_NODE_LIST; sleep 1000", 2, 2));
  EXPECT_OK(ty_compute_wait(compute, 2, TY_WAIT_FOREVER, err));
  EXPECT_EQ(Nodes(compute).GetInt64("busy"), 2);
  EXPECT_TRUE(Until([&] { return Log(run, 1) == "1 127.0.0.1;127.0.0.2\n"; })) << Log(run, 1);
  EXPECT_OK(ty_run_cancel(run, err));
  EXPECT_EQ(Wait(run), TY_RUN_CANCELED);
  EXPECT_TRUE(Until([&] { return Nodes(compute).GetInt64("current") == 0; }));
  const TyCompute kept = Create("kept", R"({"max_nodes":3,"min_nodes":1})");
  EXPECT_EQ(Nodes(kept).GetInt64("current"), 1);
}

TEST_F(ComputeTest, ItsSlotsAreItsOwn) {
  const TyCompute compute = Create("two", R"({"slots":2})");
  const TyRun wide = Submit(On("two", "sleep 1000", 1, 2));
  EXPECT_TRUE(Until([&] {
    ty_run_state state = 0;
    EXPECT_OK(ty_run_get_state(wide, &state, err));
    return state == TY_RUN_RUNNING;
  }));
  const TyRun next = Submit(On("two", "true", 1, 2));
  EXPECT_EQ(Wait(Submit("true")), TY_RUN_COMPLETED) << "the other compute has slots";
  ty_run_state state = 0;
  EXPECT_OK(ty_run_get_state(next, &state, err));
  EXPECT_LE(state, TY_RUN_QUEUED);
  EXPECT_EQ(ty_compute_delete(compute, err), TY_ERR_BUSY);
  EXPECT_TRUE(Has(err.message(), "2 run(s)")) << err.message();
  EXPECT_OK(ty_run_cancel(wide, err));
  EXPECT_EQ(Wait(wide), TY_RUN_CANCELED);
  EXPECT_EQ(Wait(next), TY_RUN_COMPLETED);
  EXPECT_OK(ty_compute_delete(compute, err));
  EXPECT_EQ(ty_compute_delete(compute, err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_compute_wait(compute, 0, 0, err), TY_ERR_NOT_FOUND);
}

TEST_F(ComputeTest, RunsOfALowPriorityComputeArePreemptible) {
  const TyCompute compute = Create("spot", R"({"low_priority":true})");
  const TyRun low = Submit(On("spot", "if [ -e outputs/x ]; then exit 0; fi; touch outputs/x; sleep 1000"));
  EXPECT_TRUE(Until([&] { return Nodes(compute).GetInt64("busy") == 1; }));
  TyJob high = On("spot", "true");
  ASSERT_OK(ty_job_set_priority(high, 1, err));
  EXPECT_EQ(Wait(Submit(high)), TY_RUN_COMPLETED);
  EXPECT_EQ(Wait(low), TY_RUN_COMPLETED);
}

TEST_F(ComputeTest, KindMpiHasTheHostsOfItsHostfile) {
  EXPECT_EQ(ty_compute_create(workspace, "hosts", R"({"kind":"mpi"})", nullptr, err), TY_ERR_INVALID_ARGUMENT);
  const std::string path = directory / "hostfile";
  const std::string settings = R"({"kind":"mpi","hostfile":")" + path + R"("})";
  EXPECT_EQ(ty_compute_create(workspace, "hosts", settings.c_str(), nullptr, err), TY_ERR_NOT_FOUND);
  WriteAll(path, "# ours\nalpha slots=4\nbeta slots=2\n");
  const TyCompute compute = Create("hosts", settings.c_str());
  EXPECT_EQ(Nodes(compute).GetInt64("current"), 2);
  EXPECT_OK(ty_compute_wait(compute, 2, 0, err));
  EXPECT_TRUE(Has(Refusal(On("hosts", "true"), TY_ERR_INVALID_ARGUMENT), "ty_distribution_new_mpi")) << err.message();
}

}  // namespace
}  // namespace trainyard_test
