#include "core/distribution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/job.h"
#include "util/error_message.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

std::string Read(const std::string &text) {
  return Distribution::FromJson(Json::Parse(text, "distribution")).ToJson().Dump();
}

TEST(Distribution, ProcessCountIsTheTotalOfAllNodes) {
  EXPECT_EQ(Distribution::PyTorch(8, 2).processes_per_node(), 4);
  EXPECT_EQ(Distribution::PyTorch(0, 3).process_count, 3);
  EXPECT_EQ(Distribution::Mpi(2, 4).process_count, 8);
  EXPECT_EQ(Distribution::PyTorchPerNode(3).process_count, 3);
  EXPECT_THAT(MessageOf([] { Distribution::PyTorch(7, 2); }),
              HasSubstr("7 processes cannot be spread evenly over 2 nodes; take 6 or 8"));
  EXPECT_THAT(MessageOf([] { Distribution::PyTorch(1, 2); }), HasSubstr("; take 2"));
}

TEST(Distribution, CountsHaveLimits) {
  EXPECT_THAT(MessageOf([] { Distribution::PyTorch(-1, 1); }), HasSubstr("process count must be from 1 to 1024"));
  EXPECT_THAT(MessageOf([] { Distribution::PyTorch(1025, 1); }), HasSubstr("got 1025"));
  EXPECT_THAT(MessageOf([] { Distribution::PyTorchPerNode(0); }), HasSubstr("node count must be from 1 to 128"));
  EXPECT_THAT(MessageOf([] { Distribution::Mpi(2, 0); }), HasSubstr("per node"));
  EXPECT_THAT(MessageOf([] { Distribution::Mpi(128, 1024); }), HasSubstr("got 131072"));
  Distribution distribution;
  EXPECT_THAT(MessageOf([&] { distribution.SetMasterPort(65536); }), HasSubstr("0 = chosen"));
  EXPECT_THAT(MessageOf([&] { distribution.SetMaxRestarts(-1); }), HasSubstr("restarts"));
}

TEST(Distribution, BackendsAreTwoInAnyCase) {
  Distribution distribution = Distribution::PyTorch(2, 1);
  distribution.SetBackend("Gloo");
  EXPECT_EQ(distribution.backend, "gloo");
  EXPECT_THAT(MessageOf([&] { distribution.SetBackend("ucx"); }), HasSubstr("'nccl' or 'gloo', got 'ucx'"));
  Distribution mpi = Distribution::Mpi(1, 2);
  EXPECT_THAT(MessageOf([&] { mpi.SetBackend("nccl"); }), HasSubstr("takes no backend"));
}

TEST(Distribution, RoundTripsThroughJson) {
  for (const char *text : {R"({"type":"mpi","node_count":2,"process_count_per_node":4})",
                           R"({"type":"pytorch","node_count":1,"process_count":4,"backend":"gloo","master_port":7000})",
                           R"({"type":"pytorch_per_node","node_count":3,"max_restarts":2})"}) {
    EXPECT_EQ(Read(text), text);
  }
  EXPECT_EQ(Read(R"({"type":"pytorch","node_count":2})"), R"({"type":"pytorch","node_count":2,"process_count":2})");
  EXPECT_THAT(MessageOf([] { Read(R"({"type":"horovod"})"); }), HasSubstr("got 'horovod'"));
  EXPECT_THAT(MessageOf([] { Read(R"({"type":"mpi","proces_count_per_node":4})"); }),
              HasSubstr("'process_count_per_node'"));
}

TEST(Distribution, BareCountsInAJobNameTheCallToUse) {
  for (const char *text : {R"({"command":["x"],"process_count":4})", R"({"command":["x"],"node_count":2})",
                           R"({"command":["x"],"process_count_per_node":2})"}) {
    EXPECT_THAT(MessageOf([&] { Job::Parse(text, "job"); }), HasSubstr("ty_job_set_distribution"));
  }
}

TEST(Distribution, AJobWithoutOneIsOneProcessAndItsJsonSaysNothingOfIt) {
  Job job;
  job.command = {"x"};
  EXPECT_EQ(job.RankCount(), 1);
  EXPECT_FALSE(job.ToJson().Has("distribution"));
  job.distribution = Distribution::PyTorch(4, 2);
  const Job read = Job::Parse(job.ToJson().Dump(), "job");
  EXPECT_EQ(read.RankCount(), 4);
  EXPECT_EQ(read.distribution->node_count, 2);
}

TEST(Distribution, TheRanksOfATrainingJobOnCpusAreMpiruns) {
  Job job = Job::Parse(R"({"kind":"train","train":{"data":{"directory":"/data"}}})", "job");
  EXPECT_NO_THROW(job.Check());
  job.distribution = Distribution::PyTorch(2, 1);
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("ty_distribution_new_mpi; or a GPU for each rank"));
  job.resources.gpus = 0;
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("ty_distribution_new_mpi"));
  job.resources.gpus = 2;
  job.train->SetString("device", "cpu");
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("ty_distribution_new_mpi"));
  job.distribution = Distribution::Mpi(1, 2);
  EXPECT_NO_THROW(job.Check());
  EXPECT_FALSE(job.TrainsOnGpus());
}

TEST(Distribution, ARankOfATrainingJobTakesAGpuForItselfWhoeverStartsIt) {
  Job job = Job::Parse(R"({"kind":"train","train":{"data":{"directory":"/data"},"device":"cuda"}})", "job");
  for (const Distribution &distribution : {Distribution::PyTorch(4, 2), Distribution::Mpi(2, 2)}) {
    job.distribution = distribution;
    job.resources.gpus.reset();
    EXPECT_NO_THROW(job.Check());
    EXPECT_TRUE(job.TrainsOnGpus());
    job.resources.gpus = 2;
    EXPECT_NO_THROW(job.Check());
    job.resources.gpus = 1;
    EXPECT_THAT(MessageOf([&] { job.Check(); }),
                HasSubstr("asks for 1 GPU(s) on a node, and has 2 ranks there: a rank of a training takes one"));
  }
  // device auto goes with the GPUs that are asked for.
  job.train->SetString("device", "auto");
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("ty_job_set_gpus"));
  job.resources.gpus = 2;
  EXPECT_NO_THROW(job.Check());
  job.train->SetString("device", "cuda:1");
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("the GPU of its LOCAL_RANK: set it to cuda"));
}

TEST(Distribution, ATrainingJobStartsNoProcessesItself) {
  Job job = Job::Parse(R"({"kind":"train","train":{"data":{"directory":"/data"},"device":"cuda"}})", "job");
  job.distribution = Distribution::PyTorchPerNode(2);
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("ty_distribution_new_pytorch (a GPU for each rank)"));
}

}  // namespace
}  // namespace trainyard
