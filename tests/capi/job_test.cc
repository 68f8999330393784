// job.h: the builder, its JSON, and the dry run of a command.
#include "capi/api.h"
#include "util/json.h"

namespace trainyard_test {
namespace {

using trainyard::Json;

class JobTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char *const argv[] = {"python3", "train.py"};
    ASSERT_OK(ty_job_new_command(nullptr, argv, 2, job.out(), err));
  }
  std::string ToJson(const ty_job *from) {
    Text text;
    EXPECT_OK(ty_job_to_json(from, text.out(), err));
    return text.str();
  }

  TyJob job;
  Err err;
};

TEST_F(JobTest, RoundTripsThroughJson) {
  EXPECT_OK(ty_job_set_run_id(job, "my-run_1", err));
  EXPECT_OK(ty_job_set_display_name(job, "My r\xC3\xBCn", err));
  EXPECT_OK(ty_job_add_argument(job, "--name=a b \"c\" \\ \n", err));
  EXPECT_OK(ty_job_add_argument(job, "", err));
  EXPECT_OK(ty_job_set_variable(job, "MODE", "fast", err));
  EXPECT_OK(ty_job_set_variable(job, "GONE", "x", err));
  EXPECT_OK(ty_job_set_variable(job, "GONE", nullptr, err));
  TyDistribution distribution;
  ASSERT_OK(ty_distribution_new_pytorch(4, 2, distribution.out(), err));
  EXPECT_OK(ty_job_set_distribution(job, distribution, err));
  EXPECT_OK(ty_job_set_time_limit(job, 60000, err));
  EXPECT_OK(ty_job_set_gpus(job, 2, err));
  EXPECT_OK(ty_job_set_gpu_sharing(job, 1, err));
  EXPECT_OK(ty_job_set_cpus(job, 3, err));
  EXPECT_OK(ty_job_set_memory(job, uint64_t{1} << 33, err));
  EXPECT_OK(ty_job_set_priority(job, -4, err));
  EXPECT_OK(ty_job_set_preemptible(job, 1, err));
  const int32_t never[] = {2, 3};
  EXPECT_OK(ty_job_set_retries(job, 5, never, 2, err));
  EXPECT_OK(ty_job_set_tag(job, "team", "vision", err));
  const std::string json = ToJson(job);
  TyJob copy;
  ASSERT_OK(ty_job_from_json(json.c_str(), copy.out(), err));
  EXPECT_EQ(ToJson(copy), json);

  const Json parsed = Json::Parse(json, "job");
  EXPECT_EQ(parsed.GetString("run_id", ""), "my-run_1");
  EXPECT_EQ(parsed.GetStringList("arguments"), (std::vector<std::string>{"--name=a b \"c\" \\ \n", ""}));
  EXPECT_EQ(parsed.GetStringMap("variables"), (std::map<std::string, std::string>{{"MODE", "fast"}}));
  EXPECT_EQ(parsed.Get("distribution").GetInt64("process_count", 0), 4);
  const Json resources = *parsed.Find("resources");
  EXPECT_EQ(resources.GetInt64("time_limit_ms", 0), 60000);
  EXPECT_EQ(resources.GetInt64("gpus", 0), 2);
  EXPECT_TRUE(resources.GetBool("share_gpus", false));
  EXPECT_EQ(resources.GetInt64("cpus", 0), 3);
  EXPECT_EQ(resources.GetInt64("memory_bytes", 0), int64_t{1} << 33);
  EXPECT_EQ(resources.GetInt64("priority", 0), -4);
  EXPECT_TRUE(resources.GetBool("preemptible", false));
  EXPECT_OK(ty_job_set_gpus(job, -1, err));
  EXPECT_FALSE(Json::Parse(ToJson(job), "job").Find("resources")->Has("gpus"));
  EXPECT_EQ(parsed.Find("retries")->GetInt64("maximum", 0), 5);
}

TEST_F(JobTest, SnapshotLimits) {
  EXPECT_EQ(ToJson(job).find("snapshot_limits"), std::string::npos);
  EXPECT_OK(ty_job_set_snapshot_limits(job, 0, 5000, err));
  const Json limits = *Json::Parse(ToJson(job), "job").Find("snapshot_limits");
  EXPECT_EQ(limits.GetInt64("max_bytes"), 0);
  EXPECT_EQ(limits.GetInt64("max_files"), 5000);
  TyJob copy;
  ASSERT_OK(ty_job_from_json(ToJson(job).c_str(), copy.out(), err));
  EXPECT_EQ(ToJson(copy), ToJson(job));
  EXPECT_OK(ty_job_set_snapshot_limits(job, 300 << 20, 2000, err));  // the defaults
  EXPECT_EQ(ToJson(job).find("snapshot_limits"), std::string::npos);
}

TEST_F(JobTest, SecretsAreNeverInJson) {
  EXPECT_OK(ty_job_set_secret(job, "TOKEN", "hunter2-very-secret", err));
  const std::string json = ToJson(job);
  EXPECT_EQ(json.find("hunter2"), std::string::npos) << json;
  EXPECT_NE(json.find("TOKEN"), std::string::npos);
  EXPECT_OK(ty_job_set_secret(job, "TOKEN", nullptr, err));
  EXPECT_EQ(ToJson(job).find("TOKEN"), std::string::npos);
}

TEST_F(JobTest, UnknownKeysNameTheNearest) {
  TyJob other;
  EXPECT_EQ(ty_job_from_json(R"({"comand":["x"]})", other.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("comand"), std::string::npos) << err.message();
  EXPECT_NE(err.message().find("'command'"), std::string::npos) << err.message();
  EXPECT_EQ(other.get(), nullptr);
  EXPECT_EQ(ty_job_from_json(R"({"command":["x"],"resources":{"cpu":1}})", other.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("'cpus'"), std::string::npos) << err.message();
  EXPECT_EQ(ty_job_from_json(R"({"kind":"train","train":{"train":{"epoch":3}}})", other.out(), err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("train.epochs"), std::string::npos) << err.message();
  EXPECT_EQ(ty_job_from_json(R"({"schema_version":99,"command":["x"]})", other.out(), err), TY_ERR_VERSION);
  EXPECT_EQ(ty_job_from_json("{\"command\":", other.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_from_json("[1]", other.out(), err), TY_ERR_INVALID_ARGUMENT);
  const char *const too_many = R"({"distribution":{"type":"pytorch","process_count":4294967297},"command":["x"]})";
  EXPECT_EQ(ty_job_from_json(too_many, other.out(), err), TY_ERR_INVALID_ARGUMENT);
}

TEST_F(JobTest, WrongValuesAreRefused) {
  const std::string before = ToJson(job);
  for (const char *id : {"", "UPPER", "a b", "../x", "a/b"}) {
    EXPECT_EQ(ty_job_set_run_id(job, id, err), TY_ERR_INVALID_ARGUMENT) << id;
  }
  EXPECT_EQ(ty_job_set_run_id(job, std::string(65, 'a').c_str(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_set_variable(job, "", "x", err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_set_variable(job, "A=B", "x", err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_set_secret(job, "A=B", "x", err), TY_ERR_INVALID_ARGUMENT);
  for (const int64_t limit : {int64_t{0}, int64_t{-1}, INT64_MIN}) {
    EXPECT_EQ(ty_job_set_time_limit(job, limit, err), TY_ERR_INVALID_ARGUMENT) << limit;
  }
  EXPECT_EQ(ty_job_set_gpus(job, -2, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_set_gpus(job, 1025, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_set_cpus(job, -1, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_set_priority(job, 1000001, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_set_retries(job, -1, nullptr, 0, err), TY_ERR_INVALID_ARGUMENT);
  const int32_t wrong_code = 300;
  EXPECT_EQ(ty_job_set_retries(job, 1, &wrong_code, 1, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_set_tag(job, "", "x", err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_set_tag(job, std::string(101, 'k').c_str(), "x", err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_set_tag(job, "k", std::string(1001, 'v').c_str(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ToJson(job), before) << "a refused value was kept";
  // A caller's bytes that are no UTF-8 would make JSON that nobody reads.
  EXPECT_EQ(ty_job_set_display_name(job, "\xff\xfe", err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_set_tag(job, "k", "\xff", err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_OK(ty_job_set_retries(job, 0, nullptr, 0, err));
  TyJob empty;
  EXPECT_EQ(ty_job_new_shell(nullptr, "", empty.out(), err), TY_ERR_INVALID_ARGUMENT);
}

TEST_F(JobTest, ATrainingJobCopiesItsSettings) {
  Config config;
  ASSERT_OK(ty_train_config_new(config.out(), err));
  ASSERT_OK(ty_train_config_set_int(config, "train.epochs", 3, err));
  TyJob train;
  ASSERT_OK(ty_job_new_train(config, train.out(), err));
  ASSERT_OK(ty_train_config_set_int(config, "train.epochs", 4, err));
  config.reset();
  const Json json = Json::Parse(ToJson(train), "job");
  EXPECT_EQ(json.GetString("kind", ""), "train");
  EXPECT_EQ(json.Find("train")->Find("train")->GetInt64("epochs", 0), 3);
  EXPECT_EQ(ty_job_add_argument(train, "x", err), TY_ERR_INVALID_ARGUMENT);
  TyDistribution by_torchrun;
  ASSERT_OK(ty_distribution_new_pytorch_per_node(2, by_torchrun.out(), err));
  EXPECT_EQ(ty_job_set_distribution(train, by_torchrun, err), TY_ERR_INVALID_ARGUMENT);
  TyDistribution two;
  ASSERT_OK(ty_distribution_new_pytorch(2, 1, two.out(), err));
  EXPECT_OK(ty_job_set_distribution(train, two, err));  // GPUs may come later; submit looks
  TyDistribution by_mpi;
  ASSERT_OK(ty_distribution_new_mpi(1, 2, by_mpi.out(), err));
  EXPECT_OK(ty_job_set_distribution(train, by_mpi, err));
  TyJob copy;
  ASSERT_OK(ty_job_from_json(ToJson(train).c_str(), copy.out(), err));
  EXPECT_EQ(ToJson(copy), ToJson(train));
}

TEST_F(JobTest, ScriptParametersKeepTheirPlaceAndCanBeTakenBack) {
  TyJob script;
  ASSERT_OK(ty_job_new_script("/src", "train.py", script.out(), err));
  EXPECT_OK(ty_job_set_script_parameter(script, "--lr", "0.1", err));
  EXPECT_OK(ty_job_set_script_parameter(script, "--gone", "x", err));
  EXPECT_OK(ty_job_set_script_parameter(script, "--fast", "", err));
  EXPECT_OK(ty_job_set_script_parameter(script, "--lr", "0.2", err));
  EXPECT_OK(ty_job_set_script_parameter(script, "--gone", nullptr, err));
  EXPECT_EQ(ty_job_set_script_parameter(script, "", "x", err), TY_ERR_INVALID_ARGUMENT);
  const Json json = Json::Parse(ToJson(script), "job");
  EXPECT_EQ(json.Find("script_parameters")->Dump(), R"([{"name":"--lr","value":"0.2"},{"name":"--fast","value":""}])");
  TyJob copy;
  ASSERT_OK(ty_job_from_json(ToJson(script).c_str(), copy.out(), err));
  EXPECT_EQ(ToJson(copy), ToJson(script));

  EXPECT_EQ(ty_job_set_script_parameter(job, "--lr", "1", err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("ty_job_add_argument"), std::string::npos) << err.message();
  TyJob outside;
  EXPECT_EQ(ty_job_new_script("/src", "../train.py", outside.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_new_script("/src", "/train.py", outside.out(), err), TY_ERR_INVALID_ARGUMENT);
}

TEST_F(JobTest, AnEmptyShellLineIsNamed) {
  EXPECT_EQ(ty_job_new_shell(nullptr, "", job.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(err.message(), "line must not be empty");
}

class ValidateTest : public WorkspaceTest {
 protected:
  Json Validate(const TyJob &job) {
    Text report;
    EXPECT_OK(ty_job_validate(workspace, job, report.out(), err));
    return Json::Parse(report.str(), "report");
  }
};

// (Needs the runner to be there; nothing is started.)
TEST_F(ValidateTest, SaysWhatACommandWouldRun) {
  const char *const argv[] = {"sh", "-c", "exit 0"};
  TyJob job;
  ASSERT_OK(ty_job_new_command(nullptr, argv, 3, job.out(), err));
  ASSERT_OK(ty_job_add_argument(job, "more", err));
  const Json report = Validate(job);
  EXPECT_TRUE(report.GetBool("ok", false)) << report.Dump();
  EXPECT_EQ(report.GetStringList("command"), (std::vector<std::string>{"sh", "-c", "exit 0", "more"}));
}

TEST_F(ValidateTest, NamesWhatIsMissing) {
  const char *const argv[] = {"no-such-program-anywhere"};
  TyJob job;
  ASSERT_OK(ty_job_new_command(nullptr, argv, 1, job.out(), err));
  Json report = Validate(job);
  EXPECT_FALSE(report.GetBool("ok", true));
  ASSERT_EQ(report.GetStringList("problems").size(), 1U) << report.Dump();
  EXPECT_NE(report.GetStringList("problems")[0].find("no-such-program-anywhere"), std::string::npos);

  report = Validate(Shell("true", "/no/such/source"));
  EXPECT_FALSE(report.GetBool("ok", true));
  EXPECT_NE(report.GetStringList("problems").at(0).find("/no/such/source"), std::string::npos);
  // Submitting says the same.
  TyRun run;
  EXPECT_EQ(ty_run_submit(workspace, "e", job, run.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_NE(err.message().find("no-such-program-anywhere"), std::string::npos) << err.message();
  EXPECT_EQ(run.get(), nullptr);
}

TEST_F(ValidateTest, NothingIsRecorded) {
  Validate(Shell("true"));
  List runs;
  EXPECT_OK(ty_workspace_list_runs(workspace, nullptr, 10, nullptr, runs.out(), nullptr, err));
  EXPECT_TRUE(runs.strings().empty());
}

}  // namespace
}  // namespace trainyard_test
