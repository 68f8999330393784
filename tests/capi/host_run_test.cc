// host_run.h: runs that the program executes itself: their life, their metrics, and what becomes of them when their
// program ends.
#include <atomic>
#include <thread>

#include "capi/api.h"
#include "util/json.h"

namespace trainyard_test {
namespace {

using trainyard::Json;

class HostRunTest : public WorkspaceTest {
 protected:
  TyRun Start(const char *options = nullptr) {
    TyRun run;
    EXPECT_OK(ty_run_start(workspace, "tests", options, run.out(), err));
    return run;
  }
  ty_run_state State(const TyRun &run) {
    ty_run_state state = TY_RUN_NOT_STARTED;
    EXPECT_OK(ty_run_get_state(run, &state, err));
    return state;
  }
  Json Record(const TyRun &run) {
    Text json;
    EXPECT_OK(ty_run_to_json(run, json.out(), err));
    return Json::Parse(json.str(), "run");
  }
  std::string Metrics(const TyRun &run, const char *query = nullptr) {
    Text json;
    EXPECT_OK(ty_run_get_metrics_json(run, query, json.out(), err));
    return json.str();
  }
  std::string FailureCode(const TyRun &run) {
    FailureHandle failure;
    EXPECT_OK(ty_run_failure(run, failure.out(), err));
    const char *code = ty_error_detail(failure, "code");
    return code == nullptr ? "" : code;
  }
  // Another process of this program's user: `other_process <command> <workspace> <arguments>`.
  Output Other(const std::string &command, const std::vector<std::string> &arguments = {}) {
    std::vector<std::string> line = {OTHER_PROCESS, command, WorkspacePath()};
    line.insert(line.end(), arguments.begin(), arguments.end());
    return RunProgram(line);
  }
};

TEST_F(HostRunTest, StartLogComplete) {
  const TyRun run = Start(R"({"run_id":"mine","display_name":"Mine","tags":{"a":"b"},"properties":{"p":"q"}})");
  EXPECT_STREQ(ty_run_id(run), "mine");
  EXPECT_EQ(State(run), TY_RUN_RUNNING);
  EXPECT_OK(ty_run_log_metric(run, "loss", 0.5, -1, err));
  EXPECT_OK(ty_run_log_metric(run, "loss", 0.25, -1, err));
  EXPECT_OK(ty_run_log_text(run, "note", "hello", -1, err));
  EXPECT_EQ(Metrics(run), R"({"loss":[0.5,0.25],"note":"hello"})");
  EXPECT_OK(ty_run_complete(run, err));
  EXPECT_EQ(State(run), TY_RUN_COMPLETED);
  EXPECT_EQ(Metrics(run), R"({"loss":[0.5,0.25],"note":"hello"})");
  EXPECT_OK(ty_run_complete(run, err)) << "again is fine";
  EXPECT_EQ(ty_run_fail(run, nullptr, nullptr, err), TY_ERR_INVALID_STATE);
  EXPECT_NE(err.message().find("Completed"), std::string::npos) << err.message();
  EXPECT_EQ(ty_run_log_metric(run, "loss", 1, -1, err), TY_ERR_INVALID_STATE);
  TyRun again;
  ASSERT_OK(ty_run_get(workspace, "mine", again.out(), err));
  EXPECT_EQ(ty_run_log_metric(again, "loss", 1, -1, err), TY_ERR_INVALID_STATE);
  const Json record = Record(run);
  EXPECT_EQ(record.GetString("kind"), "host");
  EXPECT_EQ(record.GetString("display_name"), "Mine");
  EXPECT_EQ(record.GetString("root"), "mine");
  EXPECT_EQ(record.Get("tags").GetString("a"), "b");
  EXPECT_EQ(record.Get("properties").GetString("p"), "q");
  EXPECT_GE(record.GetInt64("ended_ms"), record.GetInt64("started_ms"));
  EXPECT_TRUE(std::filesystem::is_empty(WorkspacePath() + "/runs/mine/journal"));
}

TEST_F(HostRunTest, FailSaysWhy) {
  const TyRun run = Start();
  EXPECT_OK(ty_run_log_metric(run, "x", 1, -1, err));
  EXPECT_OK(ty_run_fail(run, "no_data", "the data set is empty", err));
  EXPECT_EQ(State(run), TY_RUN_FAILED);
  EXPECT_EQ(FailureCode(run), "no_data");
  EXPECT_EQ(FailureOf(run), "the data set is empty");
  EXPECT_OK(ty_run_fail(run, "other", "other", err)) << "again is fine";
  EXPECT_EQ(FailureCode(run), "no_data");
  EXPECT_EQ(ty_run_complete(run, err), TY_ERR_INVALID_STATE);
  EXPECT_EQ(Metrics(run), R"({"x":1})");
  const TyRun plain = Start();
  EXPECT_EQ(ty_run_fail(plain, "", nullptr, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_OK(ty_run_fail(plain, nullptr, nullptr, err));
  EXPECT_EQ(FailureCode(plain), "failed");
}

TEST_F(HostRunTest, CancelIsImmediateForItsOwner) {
  const TyRun run = Start();
  EXPECT_OK(ty_run_cancel(run, err));
  EXPECT_EQ(State(run), TY_RUN_CANCELED);
  EXPECT_OK(ty_run_cancel(run, err));
  EXPECT_EQ(ty_run_complete(run, err), TY_ERR_INVALID_STATE);
  EXPECT_EQ(ty_run_log_metric(run, "x", 1, -1, err), TY_ERR_INVALID_STATE);
}

TEST_F(HostRunTest, BadInputStartsNothing) {
  TyRun run;
  EXPECT_EQ(ty_run_start(workspace, "no good", nullptr, run.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_start(workspace, "e", R"({"run_id":"No Good"})", run.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_start(workspace, "e", R"({"run_idd":"x"})", run.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("run_id"), std::string::npos) << err.message();
  EXPECT_EQ(ty_run_start(workspace, "e", R"({"parent":"none"})", run.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_run_start(workspace, "e", R"({"run_id":"x","parent":"x"})", run.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_start(workspace, "e", R"({"source_directory":"/none/such"})", run.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(
      ty_run_start(workspace, "e", ("{\"tags\":{\"" + std::string(101, 'k') + "\":\"\"}}").c_str(), run.out(), err),
      TY_ERR_INVALID_ARGUMENT);
  List ids;
  EXPECT_OK(ty_workspace_list_runs(workspace, nullptr, 10, nullptr, ids.out(), nullptr, err));
  EXPECT_EQ(ids.strings(), std::vector<std::string>{});
  const TyRun first = Start(R"({"run_id":"x"})");
  EXPECT_EQ(ty_run_start(workspace, "tests", R"({"run_id":"x"})", run.out(), err), TY_ERR_ALREADY_EXISTS);
  EXPECT_EQ(State(first), TY_RUN_RUNNING);
  EXPECT_OK(ty_run_complete(first, err));
  EXPECT_EQ(ty_run_start(workspace, "tests", R"({"run_id":"x"})", run.out(), err), TY_ERR_ALREADY_EXISTS);
}

TEST_F(HostRunTest, TheSourceIsKept) {
  WriteAll(directory / "source/train.py", "print(1)\n");
  const TyRun run = Start(("{\"source_directory\":\"" + (directory / "source") + "\"}").c_str());
  EXPECT_OK(ty_run_restore_snapshot(run, (directory / "restored").c_str(), err));
  EXPECT_EQ(ReadAll(directory / "restored/train.py"), "print(1)\n");
  EXPECT_OK(ty_run_complete(run, err));
}

TEST_F(HostRunTest, HandlesAreNotTheRun) {
  TyRun run = Start(R"({"run_id":"kept"})");
  EXPECT_OK(ty_run_log_metric(run, "x", 1, -1, err));
  run.reset();
  workspace.reset();
  ASSERT_OK(ty_workspace_open((directory / "workspace").c_str(), workspace.out(), err));
  ASSERT_OK(ty_run_get(workspace, "kept", run.out(), err));
  EXPECT_EQ(State(run), TY_RUN_RUNNING);
  EXPECT_OK(ty_run_log_metric(run, "x", 2, -1, err));
  EXPECT_OK(ty_run_complete(run, err));
  EXPECT_EQ(Metrics(run), R"({"x":[1,2]})");
}

// Values that come while the run is ended are in it, or were refused.
TEST_F(HostRunTest, NoAcknowledgedValueIsLostAtTheEnd) {
  for (int round = 0; round < 5; ++round) {
    const TyRun run = Start();
    TyRun other;
    ASSERT_OK(ty_run_get(workspace, ty_run_id(run), other.out(), err));
    std::atomic<int> logged{0};
    std::vector<std::thread> threads;
    for (const ty_run *handle : {run.get(), other.get(), run.get()}) {
      threads.emplace_back([&logged, handle] {
        while (ty_run_log_metric(handle, "n", 1, -1, nullptr) == TY_OK) ++logged;
      });
    }
    while (logged < 1000) std::this_thread::yield();
    EXPECT_OK(ty_run_complete(run, err));
    for (std::thread &thread : threads) thread.join();
    Series series;
    ASSERT_OK(ty_run_get_metric(run, "n", R"({"limit":1})", series.out(), err));
    EXPECT_EQ(ty_metric_series_total(series), logged);
  }
}

TEST_F(HostRunTest, ADeadHostIsFoundOut) {
  const Output output = Other("start", {"died", "exit"});
  EXPECT_EQ(output.text, "started\n");
  TyRun run;
  ASSERT_OK(ty_run_get(workspace, "died", run.out(), err));
  EXPECT_EQ(State(run), TY_RUN_FAILED);
  EXPECT_EQ(FailureCode(run), "host_died");
  EXPECT_EQ(Metrics(run), R"({"loss":[1,2],"row":{"a":1}})") << "what it logged is there";
  EXPECT_EQ(ty_run_complete(run, err), TY_ERR_INVALID_STATE);
}

// A child that the host forked holds its descriptors, and its lock with them.
TEST_F(HostRunTest, ADeadHostWithALivingChildIsFoundOut) {
  const Output output = Other("start", {"died", "fork", directory / "go"});
  EXPECT_EQ(output.text, "started\n");
  TyRun run;
  ASSERT_OK(ty_run_get(workspace, "died", run.out(), err));
  EXPECT_EQ(State(run), TY_RUN_FAILED);
  EXPECT_EQ(FailureCode(run), "host_died");
  WriteAll(directory / "go", "");
}

TEST_F(HostRunTest, AnotherProcessMayLogAndAskButNotEndIt) {
  const TyRun run = Start(R"({"run_id":"mine"})");
  EXPECT_EQ(Other("log", {"mine", "theirs", "7"}).text, "TY_OK\n");
  EXPECT_EQ(Other("complete", {"mine"}).text, "TY_ERR_INVALID_STATE\n");
  EXPECT_EQ(State(run), TY_RUN_RUNNING);
  EXPECT_EQ(Other("cancel", {"mine"}).text, "TY_OK\n");
  EXPECT_EQ(State(run), TY_RUN_CANCEL_REQUESTED);
  EXPECT_OK(ty_run_log_metric(run, "mine", 1, -1, err)) << "it has not ended";
  EXPECT_OK(ty_run_cancel(run, err));
  EXPECT_EQ(State(run), TY_RUN_CANCELED);
  EXPECT_EQ(Metrics(run), R"({"mine":1,"theirs":7})");
  EXPECT_EQ(Other("log", {"mine", "theirs", "8"}).text, "TY_ERR_INVALID_STATE\n");
}

TEST_F(HostRunTest, ARunWithASupervisorIsNotEndedFromOutside) {
  const TyRun run = Submit("while [ ! -e '" + (directory / "go") + "' ]; do sleep 0.01; done");
  EXPECT_EQ(ty_run_complete(run, err), TY_ERR_INVALID_STATE);
  EXPECT_NE(err.message().find("supervisor"), std::string::npos) << err.message();
  EXPECT_EQ(ty_run_fail(run, nullptr, nullptr, err), TY_ERR_INVALID_STATE);
  WriteAll(directory / "go", "");
  EXPECT_EQ(Wait(run), TY_RUN_COMPLETED);
  EXPECT_OK(ty_run_complete(run, err));
}

TEST_F(HostRunTest, ARankMayCompleteOrFailItsOwnRun) {
  const TyRun completed = Complete(std::string("exec '") + RANK_PROGRAM + "' complete");
  EXPECT_EQ(Metrics(completed), R"({"after":1,"before":1})") << "completing is not ending";
  const TyRun failed = Submit(std::string("exec '") + RANK_PROGRAM + "' fail");
  EXPECT_EQ(Wait(failed), TY_RUN_FAILED) << "although it exits with 0";
  EXPECT_EQ(FailureCode(failed), "bad_data");
  EXPECT_EQ(FailureOf(failed), "said by the rank");
}

TEST_F(HostRunTest, EventsTellRecords) {
  const TyRun run = Start();
  Stream stream;
  ASSERT_OK(ty_run_events(run, nullptr, TY_EVENT_METRIC | TY_EVENT_STATE, stream.out(), err));
  EXPECT_OK(ty_run_log_metric(run, "x", 1.5, -1, err));
  EXPECT_OK(ty_run_log_row(run, "r", R"({"a": 1})", 7, err));
  EXPECT_OK(ty_run_complete(run, err));
  std::vector<std::string> told;
  const ty_event *event = nullptr;
  while (ty_event_stream_next(stream, TY_WAIT_FOREVER, &event, err) == TY_OK) {
    ASSERT_NE(event, nullptr);
    EXPECT_EQ(event->struct_size, sizeof(ty_event));
    if (event->kind == TY_EVENT_STATE) {
      told.emplace_back(event->text);
    } else {
      told.push_back(std::string(event->name) + " " + ty_metric_kind_name(event->metric_kind) + " " +
                     std::to_string(event->step) + " " + event->text);
      EXPECT_EQ(event->value == 1.5, event->metric_kind == TY_METRIC_SCALAR);
    }
  }
  EXPECT_EQ(told,
            (std::vector<std::string>{"NotStarted", "Running", "x scalar 0 ", R"(r row 7 {"a":1})", "Completed"}));
}

}  // namespace
}  // namespace trainyard_test
