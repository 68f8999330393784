// run.h: real runs of commands, from submit to their end.
#include <signal.h>

#include <atomic>

#include "capi/run_test.h"

namespace trainyard_test {
namespace {

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
