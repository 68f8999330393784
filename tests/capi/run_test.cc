// run.h: real runs of commands, from submit to delete.
#include <fcntl.h>
#include <signal.h>

#include <atomic>

#include "capi/api.h"
#include "util/json.h"

namespace trainyard_test {
namespace {

using trainyard::Json;

class RunTest : public WorkspaceTest {
 protected:
  Json Record(const TyRun &run) {
    Text text;
    EXPECT_OK(ty_run_to_json(run, text.out(), err));
    return Json::Parse(text.str(), "run");
  }
  std::vector<std::string> Files(const TyRun &run, const char *prefix = nullptr) {
    List names;
    EXPECT_OK(ty_run_list_files(run, prefix, names.out(), err));
    return names.strings();
  }
  std::vector<std::string> Runs(const char *filter = nullptr) {
    List ids;
    EXPECT_OK(ty_workspace_list_runs(workspace, filter, 100, nullptr, ids.out(), nullptr, err));
    return ids.strings();
  }
  bool Gone(const std::string &pid_file) {
    return kill(static_cast<pid_t>(std::stol(ReadAll(pid_file))), 0) != 0 && errno == ESRCH;
  }
};

TEST(RunState, NamesAndFinality) {
  EXPECT_STREQ(ty_run_state_name(TY_RUN_NOT_STARTED), "NotStarted");
  EXPECT_STREQ(ty_run_state_name(TY_RUN_CANCEL_REQUESTED), "CancelRequested");
  EXPECT_STREQ(ty_run_state_name(TY_RUN_PAUSED), "Paused");
  EXPECT_STREQ(ty_run_state_name(13), "Unknown");
  EXPECT_STREQ(ty_run_state_name(-1), "Unknown");
  for (ty_run_state state = -1; state < 15; ++state) {
    const bool final_state = state == TY_RUN_COMPLETED || state == TY_RUN_FAILED || state == TY_RUN_CANCELED;
    EXPECT_EQ(ty_run_state_is_final(state), final_state ? 1 : 0) << state;
  }
}

TEST_F(RunTest, ACommandCompletes) {
  WriteAll(directory / "source/data.txt", "from the source");
  const char *const argv[] = {
      "sh", "-c", "cat data.txt; echo; echo \"$1 $MODE $TOKEN $RANK $WORLD_SIZE\"; echo out > outputs/o.txt"};
  TyJob job;
  ASSERT_OK(ty_job_new_command((directory / "source").c_str(), argv, 3, job.out(), err));
  ASSERT_OK(ty_job_add_argument(job, "zero", err));
  ASSERT_OK(ty_job_add_argument(job, "an  argument", err));
  ASSERT_OK(ty_job_set_variable(job, "MODE", "fast", err));
  ASSERT_OK(ty_job_set_secret(job, "TOKEN", "hunter2-secret", err));
  ASSERT_OK(ty_job_set_tag(job, "team", "vision", err));
  ASSERT_OK(ty_job_set_display_name(job, "First", err));
  TyRun run = Submit(job);
  ASSERT_NE(run.get(), nullptr);
  job.reset();
  EXPECT_EQ(std::string(ty_run_id(run)).rfind("tests_", 0), 0U) << ty_run_id(run);
  EXPECT_STREQ(ty_run_experiment(run), "tests");
  EXPECT_EQ(Wait(run), TY_RUN_COMPLETED) << FailureOf(run);
  EXPECT_EQ(Log(run), "from the source\nan  argument fast hunter2-secret 0 1\n");
  const Json record = Record(run);
  EXPECT_EQ(record.GetString("state"), "Completed");
  EXPECT_EQ(record.GetString("display_name"), "First");
  EXPECT_EQ(record.GetStringMap("tags").at("team"), "vision");
  EXPECT_GT(record.GetInt64("started_ms"), 0);
  EXPECT_GE(record.GetInt64("ended_ms"), record.GetInt64("started_ms"));
  EXPECT_EQ(record.Dump().find("hunter2"), std::string::npos);
  FailureHandle failure;
  EXPECT_OK(ty_run_failure(run, failure.out(), err));
  EXPECT_EQ(failure.get(), nullptr);
  EXPECT_FALSE(Log(run, TY_RANK_RUNNER).empty());
  EXPECT_EQ(ReadAll(WorkspacePath() + "/trainyard.db").find("hunter2"), std::string::npos);
  EXPECT_EQ(ReadAll(WorkspacePath() + "/runs/" + ty_run_id(run) + "/job.json").find("hunter2"), std::string::npos);
}

TEST_F(RunTest, LogsAreReadByOffset) {
  const TyRun run = Complete("printf 0123456789");
  char buffer[4] = {};
  size_t read = 77;
  EXPECT_OK(ty_run_log_read(run, 0, 3, buffer, sizeof buffer, &read, err));
  EXPECT_EQ(std::string(buffer, read), "3456");
  EXPECT_OK(ty_run_log_read(run, 0, 8, buffer, sizeof buffer, &read, err));
  EXPECT_EQ(std::string(buffer, read), "89");
  EXPECT_OK(ty_run_log_read(run, 0, 10, buffer, sizeof buffer, &read, err));
  EXPECT_EQ(read, 0U);
  EXPECT_OK(ty_run_log_read(run, 0, UINT64_MAX, buffer, sizeof buffer, &read, err));
  EXPECT_EQ(read, 0U);
  EXPECT_OK(ty_run_log_read(run, 0, 0, buffer, 0, &read, err));
  EXPECT_EQ(read, 0U);
  EXPECT_EQ(ty_run_log_read(run, 1, 0, buffer, 1, &read, err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_run_log_read(run, -2, 0, buffer, 1, &read, err), TY_ERR_NOT_FOUND);
}

TEST_F(RunTest, SeveralRanksHaveTheirOwnLogs) {
  const TyJob job = Shell("echo rank $RANK of $WORLD_SIZE at $LOCAL_RANK", 3);
  const TyRun run = Complete(job);
  for (int32_t rank = 0; rank < 3; ++rank) {
    const std::string number = std::to_string(rank);
    EXPECT_EQ(Log(run, rank), "rank " + number + " of 3 at " + number + "\n");
  }
  EXPECT_EQ(Record(run).GetInt64("rank_count"), 3);
}

TEST_F(RunTest, AFailureHasAName) {
  const TyRun run = Submit("echo working; echo 'cannot find the thing' >&2; exit 3");
  EXPECT_EQ(Wait(run), TY_RUN_FAILED);
  FailureHandle failure;
  ASSERT_OK(ty_run_failure(run, failure.out(), err));
  ASSERT_NE(failure.get(), nullptr);
  EXPECT_EQ(ty_error_status(failure), TY_ERR_RUN_FAILED);
  EXPECT_STREQ(ty_error_detail(failure, "code"), "exit_code");
  EXPECT_STREQ(ty_error_detail(failure, "exit_code"), "3");
  EXPECT_STREQ(ty_error_detail(failure, "rank"), "0");
  EXPECT_STREQ(ty_error_detail(failure, "run_id"), ty_run_id(run));
  EXPECT_NE(std::string(ty_error_detail(failure, "stderr")).find("cannot find the thing"), std::string::npos);
  EXPECT_EQ(ty_error_detail(failure, "signal"), nullptr);
  EXPECT_EQ(std::string(ty_error_message(failure)).find('\n'), std::string::npos);
  EXPECT_EQ(Record(run).Find("error")->GetString("code"), "exit_code");
}

TEST_F(RunTest, ASignalIsNamedAndSecretsAreMasked) {
  TyJob job = Shell("echo \"token is $TOKEN\" >&2; kill -SEGV $$");
  ASSERT_OK(ty_job_set_secret(job, "TOKEN", "hunter2-secret", err));
  const TyRun run = Submit(job);
  EXPECT_EQ(Wait(run), TY_RUN_FAILED);
  FailureHandle failure;
  ASSERT_OK(ty_run_failure(run, failure.out(), err));
  EXPECT_STREQ(ty_error_detail(failure, "code"), "signal");
  EXPECT_STREQ(ty_error_detail(failure, "signal"), "SIGSEGV");
  const std::string tail = ty_error_detail(failure, "stderr");
  EXPECT_NE(tail.find("token is"), std::string::npos) << tail;
  EXPECT_EQ(tail.find("hunter2"), std::string::npos) << tail;
}

TEST_F(RunTest, TheRankToBlameIsNamed) {
  const TyJob job = Shell("[ $RANK = 2 ] && { echo broken >&2; exit 9; }; sleep 600", 4);
  const TyRun run = Submit(job);
  EXPECT_EQ(Wait(run), TY_RUN_FAILED);
  FailureHandle failure;
  ASSERT_OK(ty_run_failure(run, failure.out(), err));
  EXPECT_STREQ(ty_error_detail(failure, "rank"), "2");
  EXPECT_STREQ(ty_error_detail(failure, "exit_code"), "9");
}

TEST_F(RunTest, RetriesAndTimeLimits) {
  TyJob job =
      Shell("echo attempt; [ -e " + (directory / "second") + " ] || { touch " + (directory / "second") + "; exit 1; }");
  ASSERT_OK(ty_job_set_retries(job, 1, nullptr, 0, err));
  Complete(job);
  const int32_t never = 7;
  job = Shell("echo x >> " + (directory / "count") + "; exit 7");
  ASSERT_OK(ty_job_set_retries(job, 3, &never, 1, err));
  EXPECT_EQ(Wait(Submit(job)), TY_RUN_FAILED);
  EXPECT_EQ(ReadAll(directory / "count"), "x\n");
  job = Shell("sleep 600");
  ASSERT_OK(ty_job_set_time_limit(job, 200, err));
  const TyRun run = Submit(job);
  EXPECT_EQ(Wait(run), TY_RUN_FAILED);
  FailureHandle failure;
  ASSERT_OK(ty_run_failure(run, failure.out(), err));
  EXPECT_STREQ(ty_error_detail(failure, "code"), "time_limit");
}

TEST_F(RunTest, WaitingHasATimeLimit) {
  const TyRun run = Submit("while [ ! -e " + (directory / "go") + " ]; do sleep 0.01; done");
  ty_run_state state = TY_RUN_COMPLETED;
  EXPECT_OK(ty_run_wait(run, 0, &state, err));
  EXPECT_FALSE(ty_run_state_is_final(state));
  EXPECT_OK(ty_run_wait(run, 30, &state, err));
  EXPECT_FALSE(ty_run_state_is_final(state));
  EXPECT_OK(ty_run_wait(run, 1, nullptr, err));
  EXPECT_EQ(ty_run_wait(run, -2, &state, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_delete(run, err), TY_ERR_INVALID_STATE);
  WriteAll(directory / "go", "");
  EXPECT_EQ(Wait(run), TY_RUN_COMPLETED);
}

TEST_F(RunTest, CancelLeavesNoProcess) {
  const std::string pids = directory / "pids";
  const TyRun run =
      Submit("setsid sh -c 'echo $$ > " + pids + ".1; trap \"\" TERM; sleep 601' & (sleep 602 & echo $! > " + pids +
             ".2; wait) & echo $$ > " + pids + ".3; wait");
  ASSERT_TRUE(Until(
      [&] { return !ReadAll(pids + ".1").empty() && !ReadAll(pids + ".2").empty() && !ReadAll(pids + ".3").empty(); }));
  EXPECT_OK(ty_run_cancel(run, err));
  EXPECT_OK(ty_run_cancel(run, err));
  EXPECT_EQ(Wait(run), TY_RUN_CANCELED);
  for (const char *number : {".1", ".2", ".3"}) EXPECT_TRUE(Gone(pids + number)) << number;
  EXPECT_OK(ty_run_cancel(run, err)) << "an ended run";
  EXPECT_EQ(ty_run_request_stop(run, err), TY_ERR_INVALID_STATE);
  FailureHandle failure;
  EXPECT_OK(ty_run_failure(run, failure.out(), err));
  EXPECT_EQ(failure.get(), nullptr);
}

TEST_F(RunTest, CancelAtOnce) {
  for (int i = 0; i < 3; ++i) {
    const TyRun run = Submit("sleep 600");
    EXPECT_OK(ty_run_cancel(run, err));
    EXPECT_EQ(Wait(run), TY_RUN_CANCELED);
  }
}

TEST_F(RunTest, ARequestedStopCompletes) {
  const TyRun run = Submit("trap 'echo stopping; exit 0' TERM; echo ready; while true; do sleep 0.01; done");
  ASSERT_TRUE(Until([&] { return Log(run) == "ready\n"; }));
  EXPECT_OK(ty_run_request_stop(run, err));
  EXPECT_EQ(Wait(run), TY_RUN_COMPLETED) << FailureOf(run);
  // The shell may add what happened to its sleep.
  EXPECT_NE(Log(run).find("stopping\n"), std::string::npos) << Log(run);
}

TEST_F(RunTest, SameIdSameJobIsTheSameRun) {
  TyJob job = Shell("echo once");
  ASSERT_OK(ty_job_set_run_id(job, "chosen", err));
  const TyRun first = Submit(job), second = Submit(job);
  EXPECT_STREQ(ty_run_id(first), "chosen");
  EXPECT_STREQ(ty_run_id(second), "chosen");
  EXPECT_EQ(Wait(first), TY_RUN_COMPLETED);
  EXPECT_EQ(Wait(Submit(job)), TY_RUN_COMPLETED);
  EXPECT_EQ(Log(first), "once\n");
  EXPECT_EQ(Runs().size(), 1U);
  TyJob other = Shell("echo other");
  ASSERT_OK(ty_job_set_run_id(other, "chosen", err));
  TyRun run;
  EXPECT_EQ(ty_run_submit(workspace, "tests", other, run.out(), err), TY_ERR_ALREADY_EXISTS);
  EXPECT_NE(err.message().find("chosen"), std::string::npos);
  EXPECT_EQ(run.get(), nullptr);
}

TEST_F(RunTest, WrongSubmitsAreNamed) {
  TyRun run;
  const TyJob job = Shell("true");
  for (const char *name : {"", "a b", "../x", "\xc3\xbc"}) {
    EXPECT_EQ(ty_run_submit(workspace, name, job, run.out(), err), TY_ERR_INVALID_ARGUMENT) << name;
  }
  EXPECT_EQ(ty_run_submit(workspace, "e", Shell("true", "/no/such/directory"), run.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(err.detail("path"), "/no/such/directory");
  EXPECT_TRUE(Runs().empty());
}

TEST_F(RunTest, TagsChangeAndPropertiesDoNot) {
  const TyRun run = Complete("true");
  Text value;
  EXPECT_OK(ty_run_set_tag(run, "a", "1", err));
  EXPECT_OK(ty_run_set_tag(run, "a", "2", err));
  EXPECT_OK(ty_run_get_tag(run, "a", value.out(), err));
  EXPECT_EQ(value.str(), "2");
  EXPECT_EQ(Runs(R"({"tag":{"a":"2"}})").size(), 1U);
  EXPECT_EQ(Runs(R"({"tag":{"a":"1"}})").size(), 0U);
  EXPECT_EQ(Runs(R"({"tag":"a"})").size(), 1U);
  EXPECT_OK(ty_run_set_tag(run, "a", nullptr, err));
  EXPECT_EQ(ty_run_get_tag(run, "a", value.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(value.get(), nullptr);
  EXPECT_EQ(ty_run_set_tag(run, "", "1", err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_set_tag(run, std::string(101, 'k').c_str(), "1", err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_set_tag(run, "k", std::string(1001, 'v').c_str(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_OK(ty_run_set_property(run, "p", "1", err));
  EXPECT_OK(ty_run_set_property(run, "p", "1", err));
  EXPECT_EQ(ty_run_set_property(run, "p", "2", err), TY_ERR_ALREADY_EXISTS);
  EXPECT_OK(ty_run_get_property(run, "p", value.out(), err));
  EXPECT_EQ(value.str(), "1");
  EXPECT_EQ(ty_run_get_property(run, "none", value.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(err.detail("key"), "none");
}

TEST_F(RunTest, FilesAreListedAndCopied) {
  const TyRun run = Submit("mkdir -p outputs/deep; printf one > outputs/deep/1; printf two > logs/2; while [ ! -e " +
                           (directory / "go") + " ]; do sleep 0.01; done");
  const std::vector<std::string> names = {"logs/2", "outputs/deep/1", "user_logs/std_log.txt"};
  const auto own = [&] {
    std::vector<std::string> found;
    for (const std::string &name : Files(run)) {
      if (name.rfind("system_logs/", 0) != 0) found.push_back(name);
    }
    return found;
  };
  EXPECT_TRUE(Until([&] { return own() == names; })) << "while it runs";
  WriteAll(directory / "mine", "mine");
  EXPECT_OK(ty_run_upload_file(run, "outputs/mine", (directory / "mine").c_str(), err));
  WriteAll(directory / "go", "");
  EXPECT_EQ(Wait(run), TY_RUN_COMPLETED);
  EXPECT_EQ(own(), (std::vector<std::string>{"logs/2", "outputs/deep/1", "outputs/mine", "user_logs/std_log.txt"}));
  EXPECT_EQ(Files(run, "outputs/d"), std::vector<std::string>{"outputs/deep/1"});

  EXPECT_OK(ty_run_download_file(run, "outputs/deep/1", (directory / "got").c_str(), err));
  EXPECT_EQ(ReadAll(directory / "got"), "one");
  EXPECT_OK(ty_run_download_file(run, "outputs/deep/1", directory.path().c_str(), err));
  EXPECT_EQ(ReadAll(directory / "1"), "one");
  EXPECT_OK(ty_run_download_files(run, "outputs/", (directory / "all").c_str(), err));
  EXPECT_EQ(ReadAll(directory / "all/outputs/deep/1"), "one");
  EXPECT_EQ(ReadAll(directory / "all/outputs/mine"), "mine");
  EXPECT_EQ(ty_run_download_files(run, "nothing/", (directory / "all").c_str(), err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_run_download_file(run, "outputs/none", (directory / "got2").c_str(), err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_run_download_file(run, "outputs/deep/1", "/proc/none/x", err), TY_ERR_NOT_FOUND) << err.message();
  for (const char *name :
       {"../../trainyard.db", "outputs/../../../trainyard.db", "/etc/passwd", "journal/x", "", "outputs/"}) {
    const ty_status status = ty_run_download_file(run, name, (directory / "stolen").c_str(), err);
    EXPECT_TRUE(status == TY_ERR_INVALID_ARGUMENT || status == TY_ERR_NOT_FOUND) << name << ": " << err.message();
    EXPECT_FALSE(std::filesystem::exists(directory / "stolen")) << name;
  }
}

TEST_F(RunTest, UploadsStayInTheRun) {
  const TyRun run = Complete("true");
  WriteAll(directory / "file", "1");
  const std::string file = directory / "file";
  EXPECT_OK(ty_run_upload_file(run, "outputs/a/b", file.c_str(), err));
  EXPECT_EQ(ty_run_upload_file(run, "outputs/a/b", file.c_str(), err), TY_ERR_ALREADY_EXISTS);
  EXPECT_EQ(ReadAll(file), "1");
  // What a script wrote to its place, and then adds as well.
  const std::string place = std::string(ty_workspace_location(workspace)) + "/runs/" + ty_run_id(run) + "/outputs/a/b";
  EXPECT_OK(ty_run_upload_file(run, "outputs/a/b", place.c_str(), err));
  EXPECT_EQ(ReadAll(place), "1");
  EXPECT_EQ(ty_run_upload_file(run, "outputs/none", (directory / "none").c_str(), err), TY_ERR_NOT_FOUND);
  for (const char *name :
       {"outputs/../x", "../x", "/x", "x", "outputs", "outputs/", "journal/0", "user_logs/x", "outputs/./x"}) {
    EXPECT_EQ(ty_run_upload_file(run, name, file.c_str(), err), TY_ERR_INVALID_ARGUMENT) << name;
  }
  EXPECT_EQ(Files(run, "outputs"), std::vector<std::string>{"outputs/a/b"});
}

TEST_F(RunTest, AModelIsRegisteredFromARun) {
  TyRun run = Complete("printf weights > outputs/model.bin; mkdir outputs/sub; printf x > outputs/sub/x");
  Model model;
  ASSERT_OK(ty_run_register_model(run, "net", nullptr, nullptr, model.out(), err));
  EXPECT_EQ(ty_model_version(model), 1);
  EXPECT_STREQ(ty_model_run_id(model), ty_run_id(run));
  const char *metadata = R"({"tags":{"a":"b"},"properties":{"c":"d"},"framework":"PyTorch","description":"e"})";
  ASSERT_OK(ty_run_register_model(run, "net", "outputs/model.bin", metadata, model.out(), err));
  EXPECT_EQ(ty_model_version(model), 2);
  Text json;
  ASSERT_OK(ty_model_to_json(model, json.out(), err));
  for (const char *part : {R"("a": "b")", R"("c": "d")", R"("framework": "PyTorch")", R"("description": "e")"}) {
    EXPECT_NE(json.str().find(part), std::string::npos) << json.str();
  }
  EXPECT_EQ(ty_run_register_model(run, "net", nullptr, R"({"tag":"a"})", nullptr, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_OK(ty_run_register_model(run, "net", "outputs/sub", nullptr, nullptr, err));
  EXPECT_EQ(ty_run_register_model(run, "net", "outputs/none", nullptr, nullptr, err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_run_register_model(run, "net", "../..", nullptr, nullptr, err), TY_ERR_INVALID_ARGUMENT);
  // Models outlive the run they came from, and objects that models need outlive pruning.
  EXPECT_OK(ty_run_delete(run, err));
  EXPECT_OK(ty_workspace_prune(workspace, "{}", 0, nullptr, err));
  ASSERT_OK(ty_model_get(workspace, "net", 1, model.out(), err));
  EXPECT_OK(ty_model_download(model, (directory / "copy").c_str(), err));
  EXPECT_EQ(ReadAll(directory / "copy/model.bin"), "weights");
  EXPECT_EQ(ReadAll(directory / "copy/sub/x"), "x");
}

TEST_F(RunTest, TheSnapshotComesBack) {
  WriteAll(directory / "source/sub/a.py", "print(1)");
  WriteAll(directory / "source/run.sh", "#!/bin/sh\n");
  ASSERT_EQ(chmod((directory / "source/run.sh").c_str(), 0755), 0);
  TyRun run = Complete("echo changed > sub/a.py; ./run.sh", (directory / "source").c_str());
  WriteAll(directory / "source/sub/a.py", "later");
  EXPECT_OK(ty_run_restore_snapshot(run, (directory / "restored").c_str(), err));
  EXPECT_EQ(ReadAll(directory / "restored/sub/a.py"), "print(1)");
  EXPECT_EQ(access((directory / "restored/run.sh").c_str(), X_OK), 0);
  EXPECT_EQ(ty_run_restore_snapshot(run, (directory / "restored").c_str(), err), TY_ERR_ALREADY_EXISTS);
  run = Complete("true");
  EXPECT_EQ(ty_run_restore_snapshot(run, (directory / "other").c_str(), err), TY_ERR_NOT_FOUND);
}

TEST_F(RunTest, SnapshotsWarnAndRefuse) {
  const std::string source = directory / "source";
  WriteAll(source + "/train.py", "print(1)");
  WriteAll(source + "/.env", "PASSWORD=x");
  TyJob job = Shell("true", source.c_str());
  Text report;
  ASSERT_OK(ty_job_validate(workspace, job, report.out(), err));
  Json validated = Json::Parse(report.str(), "report");
  EXPECT_TRUE(validated.GetBool("ok"));
  EXPECT_EQ(validated.Get("snapshot").GetInt64("files"), 2);
  ASSERT_EQ(validated.GetStringList("warnings").size(), 1U);
  EXPECT_NE(validated.GetStringList("warnings")[0].find("'.env'"), std::string::npos);
  const TyRun run = Submit(job);
  EXPECT_EQ(Wait(run), TY_RUN_COMPLETED);
  EXPECT_EQ(Record(run).GetStringList("warnings"), validated.GetStringList("warnings"));
  EXPECT_NE(Log(run, TY_RANK_RUNNER).find("'.env' looks like a secret"), std::string::npos);

  ASSERT_OK(ty_job_set_snapshot_limits(job, 0, 1, err));
  TyRun none;
  EXPECT_EQ(ty_run_submit(workspace, "tests", job, none.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("2 files"), std::string::npos) << err.message();
  EXPECT_EQ(err.detail("ignore_file"), source + "/.amlignore");
  EXPECT_EQ(Runs().size(), 1U);
  ASSERT_OK(ty_job_validate(workspace, job, report.out(), err));
  validated = Json::Parse(report.str(), "report");
  EXPECT_FALSE(validated.GetBool("ok"));
  EXPECT_NE(validated.GetStringList("problems")[0].find("2 files"), std::string::npos);
}

TEST_F(RunTest, TheSourceRepositoryIsRecorded) {
  if (std::system("git --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "there is no git";
  const std::string source = directory / "source";
  WriteAll(source + "/train.py", "print(1)");
  const std::string git =
      "cd '" + source + "' && HOME=/nowhere GIT_CONFIG_NOSYSTEM=1 git -c user.name=n -c user.email=e ";
  ASSERT_EQ(std::system((git + "init -q -b trunk && git remote add origin https://me:pw@host/r.git").c_str()), 0);
  const auto property = [&](const TyRun &run, const char *key) {
    Text value;
    return ty_run_get_property(run, key, value.out(), err) == TY_OK ? value.str() : "";
  };
  ASSERT_EQ(std::system((git + "add -A && " + git + "commit -q -m m").c_str()), 0);
  TyRun run = Complete("true", source.c_str());
  EXPECT_EQ(property(run, "azureml.git.branch"), "trunk");
  EXPECT_EQ(property(run, "azureml.git.commit").size(), 40U);
  EXPECT_EQ(property(run, "azureml.git.repository_uri"), "https://host/r.git");
  EXPECT_EQ(property(run, "azureml.git.dirty"), "False");
  EXPECT_EQ(property(run, "mlflow.source.git.branch"), "trunk");
  WriteAll(source + "/new.py", "print(2)");
  run = Complete("true", source.c_str());
  EXPECT_EQ(property(run, "azureml.git.dirty"), "True");
}

TEST_F(RunTest, DeletedRunsAreGone) {
  const TyRun run = Complete("echo text > outputs/x");
  const std::string id = ty_run_id(run);
  EXPECT_OK(ty_run_delete(run, err));
  ty_run_state state = 0;
  EXPECT_EQ(ty_run_get_state(run, &state, err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(err.detail("run_id"), id);
  EXPECT_EQ(ty_run_wait(run, TY_WAIT_FOREVER, &state, err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_run_delete(run, err), TY_ERR_NOT_FOUND);
  Text text;
  EXPECT_EQ(ty_run_to_json(run, text.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_TRUE(Runs().empty());
  EXPECT_FALSE(std::filesystem::exists(WorkspacePath() + "/runs/" + id));
}

TEST_F(RunTest, PruneLooksFirst) {
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) {
    ids.emplace_back(ty_run_id(Complete("echo " + std::to_string(i) + " > outputs/x")));
    std::this_thread::sleep_for(std::chrono::milliseconds(3));  // created_ms orders them
  }
  Text report;
  ASSERT_OK(ty_workspace_prune(workspace, R"({"keep_last_runs":1})", 1, report.out(), err));
  const Json dry = Json::Parse(report.str(), "report");
  EXPECT_EQ(Runs().size(), 3U);
  ASSERT_OK(ty_workspace_prune(workspace, R"({"keep_last_runs":1})", 0, report.out(), err));
  EXPECT_EQ(Runs(), std::vector<std::string>{ids[2]});
  // As the header describes it.
  std::vector<std::string> named = dry.GetStringList("runs");
  std::sort(named.begin(), named.end());
  std::vector<std::string> expected = {ids[0], ids[1]};
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(named, expected) << report.str();
  EXPECT_GE(dry.GetInt64("objects"), 0);
  EXPECT_GT(dry.GetInt64("bytes"), 0);
  EXPECT_TRUE(dry.GetBool("dry_run"));
}

TEST_F(RunTest, ListsComeInPagesNewestFirst) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) {
    const TyJob job = Shell("exit " + std::to_string(i % 2));
    const TyRun run = Submit(job, i < 3 ? "first" : "second");
    Wait(run);
    ids.insert(ids.begin(), ty_run_id(run));
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  EXPECT_EQ(Runs(), ids);
  std::vector<std::string> paged;
  Text token;
  int pages = 0;
  do {
    List page;
    Text next;
    ASSERT_OK(ty_workspace_list_runs(workspace, nullptr, 2, token, page.out(), next.out(), err));
    for (const std::string &id : page.strings()) paged.push_back(id);
    token = std::move(next);
    ++pages;
  } while (token.get() != nullptr && pages < 10);
  EXPECT_EQ(paged, ids);
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(Runs(R"({"experiment":"second"})"), (std::vector<std::string>{ids[0], ids[1]}));
  EXPECT_EQ(Runs(R"({"states":["Failed"]})"), (std::vector<std::string>{ids[1], ids[3]}));
  EXPECT_TRUE(Runs(R"({"created_from_ms":9999999999999})").empty());
  Text json;
  ASSERT_OK(ty_workspace_list_runs_json(workspace, R"({"experiment":"first"})", 10, nullptr, json.out(), nullptr, err));
  const Json records = Json::Parse(json.str(), "list");
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records.Items()[0].GetString("id"), ids[2]);
  List names;
  EXPECT_OK(ty_workspace_list_experiments(workspace, names.out(), err));
  EXPECT_EQ(names.strings(), (std::vector<std::string>{"first", "second"}));
}

TEST_F(RunTest, HandlesMayBeFreedInAnyOrder) {
  TyRun run = Submit("echo x");
  Stream stream;
  ASSERT_OK(ty_run_events(run, nullptr, TY_EVENT_ALL, stream.out(), err));
  workspace.reset();
  EXPECT_EQ(Wait(run), TY_RUN_COMPLETED);
  run.reset();
  const ty_event *event = nullptr;
  ty_status status = TY_OK;
  while ((status = ty_event_stream_next(stream, TY_WAIT_FOREVER, &event, err)) == TY_OK) ASSERT_NE(event, nullptr);
  EXPECT_EQ(status, TY_END) << err.message();
}

TEST_F(RunTest, OneHandleServesManyThreads) {
  const TyRun run = Submit("i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); sleep 0.005; done");
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int number = 0; number < 6; ++number) {
    threads.emplace_back([&, number] {
      ty_run_state state = 0;
      while (!ty_run_state_is_final(state)) {
        char buffer[256];
        size_t read = 0;
        char *json = nullptr;
        ty_string_list *files = nullptr;
        wrong += ty_run_get_state(run, &state, nullptr) != TY_OK;
        wrong += ty_run_log_read(run, 0, 0, buffer, sizeof buffer, &read, nullptr) != TY_OK;
        wrong += ty_run_to_json(run, &json, nullptr) != TY_OK;
        wrong += ty_run_list_files(run, nullptr, &files, nullptr) != TY_OK;
        wrong += ty_run_set_tag(run, "t", std::to_string(number).c_str(), nullptr) != TY_OK;
        wrong += ty_run_wait(run, number, nullptr, nullptr) != TY_OK;
        ty_string_free(json);
        ty_string_list_free(files);
      }
    });
  }
  for (std::thread &thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(Wait(run), TY_RUN_COMPLETED);
}

TEST_F(RunTest, AWorkspaceMayHaveAnyPath) {
  TempDirectory odd("a b \xC3\xBC \xE2\x82\xAC 'q' \"d\" $x");
  ASSERT_OK(ty_workspace_open(odd.path().c_str(), workspace.out(), err));
  WriteAll(odd / "source/f", "content");
  const TyRun run = Complete("cat f; pwd > outputs/where", (odd / "source").c_str());
  EXPECT_EQ(Log(run), "content");
  EXPECT_EQ(Files(run, "outputs/"), std::vector<std::string>{"outputs/where"});
}

}  // namespace
}  // namespace trainyard_test
