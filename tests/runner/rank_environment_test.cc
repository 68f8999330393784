// What every rank of a run finds in its environment.
#include "runner/rank_environment.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "util/fs.h"

namespace trainyard {
namespace {

class RankEnvironmentTest : public testing::Test {
 protected:
  RankEnvironmentTest() {
    unsetenv("PYTHONPATH");
    unsetenv("PYTHONUNBUFFERED");
    run_.id = "exp_1_abc";
    run_.experiment = "exp";
    environment_.job = &job_;
    environment_.run = &run_;
    environment_.workspace = "/data/my workspace";
    environment_.runtime_directory = runtime_.path();
  }
  std::map<std::string, std::string> Make() const { return MakeRankVariables(environment_); }

  TempDir runtime_;
  Job job_;
  RunRecord run_;
  RankEnvironment environment_;
};

TEST_F(RankEnvironmentTest, SaysWhichRunItIs) {
  environment_.attempt = 2;
  environment_.library = "/lib/libtrainyard.so.0";
  const auto variables = Make();
  EXPECT_EQ(variables.at("TRAINYARD_RUN_ID"), "exp_1_abc");
  EXPECT_EQ(variables.at("TRAINYARD_WORKSPACE"), "/data/my workspace");
  EXPECT_EQ(variables.at("TRAINYARD_EXPERIMENT"), "exp");
  EXPECT_EQ(variables.at("TRAINYARD_RUN_DIR"), "/data/my workspace/runs/exp_1_abc");
  EXPECT_EQ(variables.at("TRAINYARD_JOURNAL_DIR"), "/data/my workspace/runs/exp_1_abc/journal");
  EXPECT_EQ(variables.at("TRAINYARD_ATTEMPT"), "2");
  EXPECT_EQ(variables.at("PWD"), "/data/my workspace/runs/exp_1_abc/code");
  EXPECT_EQ(variables.at("TRAINYARD_LIBRARY"), "/lib/libtrainyard.so.0");
  EXPECT_EQ(variables.count("TRAINYARD_WEIGHTS_PATH"), 0U);
  environment_.library.clear();
  environment_.weights_path = "/w";
  EXPECT_EQ(Make().count("TRAINYARD_LIBRARY"), 0U);
  EXPECT_EQ(Make().at("TRAINYARD_WEIGHTS_PATH"), "/w");
}

TEST_F(RankEnvironmentTest, ScriptsOfAzureMlFindWhatTheyLookFor) {
  environment_.node_count = 3;
  const auto variables = Make();
  const std::string scope =
      "/subscriptions/local/resourceGroups/local/providers/Microsoft.MachineLearningServices/workspaces/my workspace";
  const std::map<std::string, std::string> expected = {
      {"AZUREML_RUN_ID", "exp_1_abc"},
      {"AZUREML_ROOT_RUN_ID", "exp_1_abc"},
      {"AZUREML_EXPERIMENT_ID", "exp"},
      {"AZUREML_EXPERIMENT_SCOPE", scope + "/experiments/exp"},
      {"AZUREML_WORKSPACE_ID", "/data/my workspace"},
      {"AZUREML_WORKSPACE_SCOPE", scope},
      {"AZUREML_ARM_SUBSCRIPTION", "local"},
      {"AZUREML_ARM_RESOURCEGROUP", "local"},
      {"AZUREML_ARM_WORKSPACE_NAME", "my workspace"},
      {"AZUREML_ARM_PROJECT_NAME", "exp"},
      {"AZUREML_TARGET_TYPE", "local"},
      {"AZUREML_FRAMEWORK", "Python"},
      {"AZUREML_NODE_COUNT", "3"},
      {"AZUREML_LOGDIRECTORY_PATH", "/data/my workspace/runs/exp_1_abc/user_logs"},
  };
  for (const auto &[name, value] : expected) EXPECT_EQ(variables.at(name), value) << name;
  // Nothing that stands for a service, or for the right to use one.
  for (const auto &[name, value] : variables) {
    EXPECT_EQ(name.find("TOKEN"), std::string::npos) << name;
    EXPECT_EQ(name.find("ENDPOINT"), std::string::npos) << name;
  }
  job_.distribution = Distribution::PyTorch(2, 1);
  EXPECT_EQ(Make().at("AZUREML_FRAMEWORK"), "PyTorch");
  run_.root_id = "root";
  EXPECT_EQ(Make().at("AZUREML_ROOT_RUN_ID"), "root");
}

TEST_F(RankEnvironmentTest, TheRunsOwnVariablesWinOverTheJobs) {
  job_.variables = {{"A", "job"}, {"B", "job"}, {"TRAINYARD_RUN_ID", "other"}, {"PYTHONUNBUFFERED", "0"}};
  environment_.secrets = {{"B", "secret"}};
  const auto variables = Make();
  EXPECT_EQ(variables.at("A"), "job");
  EXPECT_EQ(variables.at("B"), "secret");
  EXPECT_EQ(variables.at("TRAINYARD_RUN_ID"), "exp_1_abc");
  EXPECT_EQ(variables.at("PYTHONUNBUFFERED"), "0");
}

TEST_F(RankEnvironmentTest, DefaultsGiveWayToTheSupervisorsEnvironment) {
  EXPECT_EQ(Make().at("PYTHONUNBUFFERED"), "1");
  EXPECT_EQ(Make().count("GOMP_SPINCOUNT"), 0U);
  job_.kind = RunKind::kTrain;
  EXPECT_EQ(Make().at("GOMP_SPINCOUNT"), "1000");
  setenv("OMP_WAIT_POLICY", "ACTIVE", 1);
  setenv("PYTHONUNBUFFERED", "", 1);
  EXPECT_EQ(Make().count("GOMP_SPINCOUNT"), 0U);
  EXPECT_EQ(Make().count("PYTHONUNBUFFERED"), 0U);
  unsetenv("OMP_WAIT_POLICY");
}

TEST_F(RankEnvironmentTest, PythonPathIsAddedTo) {
  EXPECT_EQ(Make().count("PYTHONPATH"), 0U);  // a runtime directory without packages
  const std::string packages = runtime_.path() + "/python";
  const std::string compatibility = packages + "/azureml_compat";
  MakeDirs(compatibility);
  EXPECT_EQ(Make().at("PYTHONPATH"), packages + ":" + compatibility);
  setenv("PYTHONPATH", "/of/the/host:relative", 1);
  EXPECT_EQ(Make().at("PYTHONPATH"), "/of/the/host:relative:" + packages + ":" + compatibility);
  job_.variables = {{"PYTHONPATH", "/of/the/job"}};
  EXPECT_EQ(Make().at("PYTHONPATH"), "/of/the/job:" + packages + ":" + compatibility);
  // A run that was submitted by a rank of another inherits what that one was given.
  job_.variables = {{"PYTHONPATH", packages + ":/of/the/job:" + compatibility}};
  EXPECT_EQ(Make().at("PYTHONPATH"), packages + ":/of/the/job:" + compatibility);
  unsetenv("PYTHONPATH");
}

}  // namespace
}  // namespace trainyard
