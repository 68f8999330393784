// distribution.h: the builder and its JSON.
#include "capi/api.h"
#include "util/json.h"

namespace trainyard_test {
namespace {

using trainyard::Json;

class DistributionTest : public ::testing::Test {
 protected:
  Json ToJson() {
    Text text;
    EXPECT_OK(ty_distribution_to_json(distribution, text.out(), err));
    return Json::Parse(text.str(), "distribution");
  }

  TyDistribution distribution;
  Err err;
};

TEST_F(DistributionTest, IsWhatWasSet) {
  ASSERT_OK(ty_distribution_new_pytorch(0, 2, distribution.out(), err));
  EXPECT_OK(ty_distribution_set_backend(distribution, "NCCL", err));
  EXPECT_OK(ty_distribution_set_master_port(distribution, 7001, err));
  EXPECT_OK(ty_distribution_set_max_restarts(distribution, 3, err));
  const Json json = ToJson();
  EXPECT_EQ(json.GetString("type"), "pytorch");
  EXPECT_EQ(json.GetInt64("process_count"), 2);
  EXPECT_EQ(json.GetString("backend"), "nccl");
  EXPECT_EQ(json.GetInt64("master_port"), 7001);
  EXPECT_EQ(json.GetInt64("max_restarts"), 3);
  TyDistribution copy;
  ASSERT_OK(ty_distribution_from_json(json.Dump().c_str(), copy.out(), err));
  EXPECT_OK(ty_distribution_set_backend(distribution, nullptr, err));
  EXPECT_FALSE(ToJson().Has("backend"));
}

TEST_F(DistributionTest, RefusesWhatDoesNotFit) {
  EXPECT_EQ(ty_distribution_new_pytorch(5, 2, distribution.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("take 4 or 6"), std::string::npos) << err.message();
  EXPECT_EQ(distribution.get(), nullptr);
  ASSERT_OK(ty_distribution_new_mpi(2, 3, distribution.out(), err));
  EXPECT_EQ(ToJson().GetInt64("process_count_per_node"), 3);
  EXPECT_EQ(ty_distribution_set_backend(distribution, "gloo", err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_distribution_from_json(R"({"type":"pytorch","node_coun":2})", distribution.out(), err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("'node_count'"), std::string::npos) << err.message();
}

TEST_F(DistributionTest, AJobTakesItBack) {
  TyJob job;
  ASSERT_OK(ty_job_new_shell(nullptr, "true", job.out(), err));
  Text before, after;
  ASSERT_OK(ty_job_to_json(job, before.out(), err));
  ASSERT_OK(ty_distribution_new_pytorch_per_node(2, distribution.out(), err));
  ASSERT_OK(ty_job_set_distribution(job, distribution, err));
  ASSERT_OK(ty_job_set_distribution(job, nullptr, err));
  ASSERT_OK(ty_job_to_json(job, after.out(), err));
  EXPECT_EQ(before.str(), after.str());
}

}  // namespace
}  // namespace trainyard_test
