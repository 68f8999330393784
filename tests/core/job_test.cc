#include "core/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "util/error_message.h"

namespace trainyard {
namespace {

using testing::HasSubstr;
using testing::Not;

Job CommandJob() {
  Job job;
  job.command = {"/bin/echo", "a b"};
  job.arguments = {"--lr", "0.1"};
  job.variables = {{"A", "1"}};
  job.secrets = {{"TOKEN", "very-secret-value"}};
  job.source_directory = "/src";
  job.tags = {{"team", "vision"}};
  job.retries = {2, {7, 9}};
  job.resources.time_limit_ms = 5000;
  job.distribution = Distribution::PyTorch(3, 1);
  return job;
}

TEST(Job, RoundTripsThroughJsonWithoutSecretValues) {
  const Job job = CommandJob();
  const std::string text = job.ToJson().DumpPretty();
  EXPECT_THAT(text, Not(HasSubstr("very-secret-value")));
  const Job read = Job::Parse(text, "job");
  EXPECT_EQ(read.ToJson().Canonical(), job.ToJson().Canonical());
  EXPECT_EQ(read.command, job.command);
  EXPECT_EQ(read.retries.never_on_exit_codes, job.retries.never_on_exit_codes);
  ASSERT_EQ(read.secrets.count("TOKEN"), 1U);
  EXPECT_EQ(read.secrets.at("TOKEN"), "");
}

Job ScriptJob(const std::string &script) {
  Job job;
  job.kind = RunKind::kScript;
  job.source_directory = "/src";
  job.script = script;
  job.script_parameters = {{"--lr", "0.1"}, {"--fast", ""}, {"--data", "a b"}};
  job.arguments = {"last"};
  return job;
}

TEST(Job, ScriptGetsItsParametersInOrderAndAnEmptyValueIsABareFlag) {
  const std::vector<std::string> tail = {"--lr", "0.1", "--fast", "--data", "a b", "last"};
  const auto command = [&](const std::string &script, std::vector<std::string> head) {
    head.insert(head.end(), tail.begin(), tail.end());
    EXPECT_EQ(ScriptJob(script).Command("/env/python"), head) << script;
  };
  command("sub/train.py", {"/env/python", "sub/train.py"});
  command("run.sh", {"/bin/sh", "run.sh"});
  command("program", {"./program"});
  // Not read as an option.
  command("-x.sh", {"/bin/sh", "./-x.sh"});
  command("+x.sh", {"/bin/sh", "./+x.sh"});
  command("-x.py", {"/env/python", "./-x.py"});
}

TEST(Job, AShellGetsItsLineAsItIsAndOnlyTheArgumentsAreExpanded) {
  Job job;
  job.shell_command = "-x";
  job.arguments = {"$RANK"};
  const std::vector<std::string> command = job.Command("");
  EXPECT_EQ(command, (std::vector<std::string>{"/bin/sh", "-c", "--", "-x", "sh", "$RANK"}));
  EXPECT_EQ(command[job.FirstExpandedWord()], "$RANK");
}

TEST(Job, ScriptRoundTripsThroughJson) {
  const Job job = ScriptJob("train.py");
  const Job read = Job::Parse(job.ToJson().Dump(), "job");
  EXPECT_EQ(read.kind, RunKind::kScript);
  EXPECT_EQ(read.script, "train.py");
  EXPECT_EQ(read.script_parameters, job.script_parameters);
  EXPECT_EQ(read.Hash(), job.Hash());
  read.Check();
}

TEST(Job, ScriptMustLieInsideItsSourceDirectory) {
  for (const char *script : {"", "/abs/train.py", "../train.py", "a/../../train.py"}) {
    EXPECT_THAT(MessageOf([&] { ScriptJob(script).Check(); }), HasSubstr("inside the source directory")) << script;
  }
  Job job = ScriptJob("train.py");
  job.source_directory = "";
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("source directory"));
  job = ScriptJob("train.py");
  job.command = {"python3"};
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("either a script or a command"));
}

TEST(Job, OnlyAScriptJobTakesScriptParameters) {
  Job job = CommandJob();
  job.script_parameters = {{"--lr", "1"}};
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("ty_job_new_script"));
}

TEST(Job, HashIsOfTheJobNotOfItsRunId) {
  Job job = CommandJob();
  const std::string hash = job.Hash();
  job.run_id = "mine";
  EXPECT_EQ(job.Hash(), hash);
  job.arguments.push_back("x");
  EXPECT_NE(job.Hash(), hash);
}

TEST(Job, UnknownKeysNameThePlaceAndTheNearest) {
  EXPECT_THAT(MessageOf([] { Job::Parse(R"({"comand":["x"]})", "job"); }), HasSubstr("'command'"));
  EXPECT_THAT(MessageOf([] { Job::Parse(R"({"command":["x"],"resources":{"gpu":1}})", "job"); }), HasSubstr("'gpus'"));
  EXPECT_THAT(MessageOf([] { Job::Parse(R"({"command":["x"],"resources":{"gpus":"1x"}})", "job"); }),
              HasSubstr("job.resources.gpus"));
  EXPECT_THAT(MessageOf([] { Job::Parse("{\n\"command\":[", "job"); }), HasSubstr("job:2:"));
}

TEST(Job, NewerSchemasAreRefused) {
  try {
    Job::Parse(R"({"schema_version":2,"command":["x"]})", "job");
    FAIL();
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), Status::kVersion);
  }
}

TEST(Job, ChecksWhatFitsTogether) {
  EXPECT_NO_THROW(CommandJob().Check());
  Job job;
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("needs a command"));
  job = CommandJob();
  job.shell_command = "echo";
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("either a program"));
  job = CommandJob();
  job.variables["TOKEN"] = "x";
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("both as a variable and as a secret"));
  job = CommandJob();
  job.variables["A=B"] = "x";
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("'A=B'"));
  job = CommandJob();
  job.compute = "my cluster";
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("compute name 'my cluster'"));
  job = CommandJob();
  job.tags[std::string(101, 'k')] = "v";
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("1 to 100 bytes"));
}

TEST(Job, TrainingJobsTakeSettingsOnly) {
  Job job;
  job.kind = RunKind::kTrain;
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("ty_job_new_train"));
  job.train.emplace();
  job.train->SetString("data.directory", "/data");
  EXPECT_NO_THROW(job.Check());
  job.arguments = {"x"};
  EXPECT_THAT(MessageOf([&] { job.Check(); }), HasSubstr("no arguments"));
  const Job read = Job::Parse(R"({"kind":"train","train":{"data":{"directory":"/d"},"optimizer":{"lr":0.5}}})", "job");
  EXPECT_EQ(read.train->GetNumber("optimizer.lr"), 0.5);
}

}  // namespace
}  // namespace trainyard
