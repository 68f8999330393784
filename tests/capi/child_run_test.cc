// child_run.h: runs inside runs: who is whose child, what a cancel does, what is asked about all of them.
#include <sys/stat.h>

#include <filesystem>

#include "capi/api.h"
#include "util/json.h"

namespace trainyard_test {
namespace {

using trainyard::Json;
using Strings = std::vector<std::string>;

class ChildRunTest : public WorkspaceTest {
 protected:
  TyRun Start(const std::string &id, const char *experiment = "tests") {
    TyRun run;
    EXPECT_OK(ty_run_start(workspace, experiment, ("{\"run_id\":\"" + id + "\"}").c_str(), run.out(), err));
    return run;
  }
  TyRun Child(const TyRun &parent, const std::string &id, const std::string &more = "") {
    TyRun run;
    EXPECT_OK(ty_run_start_child(parent, ("{\"run_id\":\"" + id + "\"" + more + "}").c_str(), run.out(), err));
    return run;
  }
  TyRun SubmitChild(const TyRun &parent, const std::string &line) {
    TyRun run;
    EXPECT_OK(ty_run_submit_child(parent, Shell(line), run.out(), err));
    return run;
  }
  Strings Children(const TyRun &run, bool recursive, const char *filter = nullptr) {
    List ids;
    EXPECT_OK(ty_run_list_children(run, recursive ? 1 : 0, filter, ids.out(), err));
    return ids.strings();
  }
  Strings Runs(const char *filter) {
    List ids;
    EXPECT_OK(ty_workspace_list_runs(workspace, filter, 100, nullptr, ids.out(), nullptr, err));
    return ids.strings();
  }
  Json Record(const TyRun &run) {
    Text json;
    EXPECT_OK(ty_run_to_json(run, json.out(), err));
    return Json::Parse(json.str(), "run");
  }
  ty_run_state State(const std::string &id) {
    TyRun run;
    ty_run_state state = TY_RUN_NOT_STARTED;
    EXPECT_OK(ty_run_get(workspace, id.c_str(), run.out(), err));
    EXPECT_OK(ty_run_get_state(run, &state, err));
    return state;
  }
};

TEST_F(ChildRunTest, ATreeOfRuns) {
  const TyRun top = Start("top", "trees");
  const TyRun a = Child(top, "a", R"(,"tags":{"kind":"leaf"})");
  const TyRun b = Child(top, "b");
  const TyRun c = Child(b, "c", R"(,"tags":{"kind":"leaf"})");
  const TyRun other = Start("other");
  EXPECT_EQ(Children(top, false), (Strings{"b", "a"}));
  EXPECT_EQ(Children(top, true), (Strings{"c", "b", "a"}));
  EXPECT_EQ(Children(top, true, R"({"tag":{"kind":"leaf"}})"), (Strings{"c", "a"}));
  EXPECT_EQ(Children(top, true, R"({"states":["Completed"]})"), Strings{});
  EXPECT_EQ(Children(c, true), Strings{});
  EXPECT_EQ(Record(c).GetString("parent"), "b");
  EXPECT_EQ(Record(c).GetString("root"), "top");
  EXPECT_EQ(Record(top).GetString("root"), "top");
  EXPECT_FALSE(Record(top).Has("parent"));
  EXPECT_STREQ(ty_run_experiment(c), "trees");
  EXPECT_EQ(Runs(nullptr), (Strings{"other", "top"})) << "children are listed when asked for";
  EXPECT_EQ(Runs(R"({"include_children":true})"), (Strings{"other", "c", "b", "a", "top"}));
  EXPECT_EQ(Runs(R"({"parent":"b"})"), Strings{"c"});
  EXPECT_EQ(Runs(R"({"ancestor":"top","kinds":["host"]})"), (Strings{"c", "b", "a"}));
  EXPECT_EQ(Runs(R"({"ancestor":"top","kinds":["command"]})"), Strings{});
  Text json;
  ASSERT_OK(ty_run_list_children_json(top, 0, nullptr, json.out(), err));
  EXPECT_EQ(Json::Parse(json.str(), "list").Items().at(1).GetString("id"), "a");
  List ids;
  EXPECT_EQ(ty_run_list_children(top, 0, R"({"parent":"b"})", ids.out(), err), TY_ERR_INVALID_ARGUMENT);
  for (const TyRun *run : {&a, &b, &c, &top, &other}) EXPECT_OK(ty_run_complete(*run, err));
}

TEST_F(ChildRunTest, MetricsOfTheWholeTree) {
  const TyRun top = Start("top");
  const TyRun a = Child(top, "a");
  const TyRun b = Child(a, "b");
  EXPECT_OK(ty_run_log_metric(top, "x", 1, -1, err));
  EXPECT_OK(ty_run_log_metric(a, "x", 2, -1, err));
  EXPECT_OK(ty_run_log_text(b, "y", "deep", -1, err));
  Text json;
  ASSERT_OK(ty_run_get_metrics_json(top, R"({"recursive":true})", json.out(), err));
  EXPECT_EQ(json.str(), R"({"top":{"x":1},"a":{"x":2},"b":{"y":"deep"}})");
  ASSERT_OK(ty_run_get_metrics_json(top, R"({"recursive":true,"name":"x"})", json.out(), err));
  EXPECT_EQ(json.str(), R"({"top":{"x":1},"a":{"x":2},"b":{}})");
  for (const TyRun *run : {&b, &a, &top}) EXPECT_OK(ty_run_complete(*run, err));
}

TEST_F(ChildRunTest, WrongParents) {
  const TyRun top = Start("top");
  TyJob job = Shell("true");
  TyRun run;
  ASSERT_OK(ty_job_set_parent(job, "nowhere", err));
  EXPECT_EQ(ty_run_submit(workspace, "tests", job, run.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_NE(err.message().find("'nowhere'"), std::string::npos) << err.message();
  EXPECT_EQ(ty_job_set_parent(job, "No Good", err), TY_ERR_INVALID_ARGUMENT);
  ASSERT_OK(ty_job_set_run_id(job, "self", err));
  EXPECT_EQ(ty_job_set_parent(job, "self", err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("its own parent"), std::string::npos) << err.message();
  ASSERT_OK(ty_job_set_parent(job, "other", err));
  ASSERT_OK(ty_job_set_run_id(job, "other", err));
  EXPECT_EQ(ty_run_submit(workspace, "tests", job, run.out(), err), TY_ERR_INVALID_ARGUMENT);
  ASSERT_OK(ty_job_set_parent(job, "top", err));
  EXPECT_OK(ty_run_cancel(top, err));
  EXPECT_EQ(ty_run_submit(workspace, "tests", job, run.out(), err), TY_ERR_INVALID_STATE);
  EXPECT_NE(err.message().find("was canceled"), std::string::npos) << err.message();
  EXPECT_EQ(ty_run_start_child(top, nullptr, run.out(), err), TY_ERR_INVALID_STATE);
  EXPECT_EQ(Runs(R"({"include_children":true})"), Strings{"top"});
  ASSERT_OK(ty_job_set_parent(job, "elsewhere", err));
  EXPECT_EQ(ty_run_submit_child(top, job, run.out(), err), TY_ERR_INVALID_ARGUMENT);
}

TEST_F(ChildRunTest, CancelReachesEveryDescendant) {
  const TyRun top = Start("top");
  const TyRun done = Child(top, "done");
  EXPECT_OK(ty_run_complete(done, err));
  const TyRun middle = Child(top, "middle");
  const TyRun deep = Child(middle, "deep");
  const TyRun command = SubmitChild(deep, "while :; do sleep 0.01; done");
  EXPECT_EQ(Record(command).GetString("root"), "top");
  ASSERT_TRUE(Until([&] { return Record(command).GetString("state") == "Running"; }));
  const TyRun beside = Start("beside");
  EXPECT_OK(ty_run_cancel(top, err));
  EXPECT_EQ(State("top"), TY_RUN_CANCELED);
  EXPECT_EQ(State("middle"), TY_RUN_CANCELED);
  EXPECT_EQ(State("deep"), TY_RUN_CANCELED);
  EXPECT_EQ(Wait(command), TY_RUN_CANCELED);
  EXPECT_EQ(State("done"), TY_RUN_COMPLETED);
  EXPECT_EQ(State("beside"), TY_RUN_RUNNING);
  EXPECT_OK(ty_run_complete(beside, err));
}

TEST_F(ChildRunTest, CancelOfASupervisedParentReachesItsChildren) {
  const TyRun parent = Submit("while :; do sleep 0.01; done");
  const TyRun child = SubmitChild(parent, "while :; do sleep 0.01; done");
  EXPECT_OK(ty_run_cancel(parent, err));
  EXPECT_EQ(Wait(parent), TY_RUN_CANCELED);
  EXPECT_EQ(Wait(child), TY_RUN_CANCELED);
}

// A rank starts children of its own run; one that it leaves behind is found out.
TEST_F(ChildRunTest, ARankHasChildren) {
  const TyRun parent = Complete(std::string("exec '") + RANK_PROGRAM + "' child inner");
  EXPECT_EQ(Children(parent, false), (Strings{"inner-left", "inner"})) << Log(parent);
  EXPECT_EQ(State("inner"), TY_RUN_COMPLETED);
  EXPECT_EQ(State("inner-left"), TY_RUN_FAILED);
  Text json;
  ASSERT_OK(ty_run_get_metrics_json(parent, R"({"recursive":true,"name":"inner"})", json.out(), err));
  EXPECT_NE(json.str().find(R"("inner":{"inner":1})"), std::string::npos) << json.str();
}

TEST_F(ChildRunTest, DeletedTogetherOrNotAtAll) {
  const TyRun top = Start("top"), other = Start("other");
  const TyRun a = Child(top, "a");
  const TyRun b = Child(a, "b");
  for (const TyRun *run : {&a, &top, &other}) EXPECT_OK(ty_run_complete(*run, err));
  EXPECT_EQ(ty_run_delete(top, err), TY_ERR_INVALID_STATE);
  EXPECT_EQ(err.detail("run_id"), "b") << err.message();
  EXPECT_EQ(Children(top, true), (Strings{"b", "a"}));
  EXPECT_OK(ty_run_complete(b, err));
  EXPECT_OK(ty_run_delete(top, err));
  EXPECT_EQ(Runs(R"({"include_children":true})"), Strings{"other"});
  EXPECT_EQ(ty_run_delete(a, err), TY_ERR_NOT_FOUND);
}

TEST_F(ChildRunTest, TagsAndPropertiesTogether) {
  const TyRun run = Start("r");
  EXPECT_OK(ty_run_set_tags(run, R"({"a":"1","b":"","c":"3"})", err));
  EXPECT_OK(ty_run_set_tags(run, R"({"a":"2","c":null})", err));
  Text json;
  ASSERT_OK(ty_run_list_tags(run, json.out(), err));
  EXPECT_EQ(json.str(), R"({"a":"2","b":""})");
  EXPECT_EQ(ty_run_set_tags(run, ("{\"x\":\"1\",\"y\":\"" + std::string(1001, 'v') + "\"}").c_str(), err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("at most 1000 bytes"), std::string::npos) << err.message();
  ASSERT_OK(ty_run_list_tags(run, json.out(), err));
  EXPECT_EQ(json.str(), R"({"a":"2","b":""})") << "all or none";
  EXPECT_OK(ty_run_set_properties(run, R"({"p":"1","q":"2"})", err));
  EXPECT_OK(ty_run_set_properties(run, R"({"p":"1"})", err)) << "the same again";
  EXPECT_EQ(ty_run_set_properties(run, R"({"r":"3","q":"other"})", err), TY_ERR_ALREADY_EXISTS);
  ASSERT_OK(ty_run_list_properties(run, json.out(), err));
  EXPECT_EQ(json.str(), R"({"p":"1","q":"2"})");
  std::string many = "{";
  for (int i = 0; i < 101; ++i) many += (i == 0 ? "\"k" : ",\"k") + std::to_string(i) + "\":\"\"";
  EXPECT_EQ(ty_run_set_tags(run, (many + "}").c_str(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("at most 100 tags"), std::string::npos) << err.message();
  EXPECT_EQ(Runs(R"({"tag":"b"})"), Strings{"r"});
  EXPECT_EQ(Runs(R"({"tag":{"a":"2","b":null}})"), Strings{"r"});
  EXPECT_EQ(Runs(R"({"tag":{"a":"2","b":"x"}})"), Strings{});
  EXPECT_OK(ty_run_complete(run, err));
}

TEST_F(ChildRunTest, FoldersAndLogs) {
  const TyRun run = Complete("echo hello; echo x > logs/mine.txt");
  WriteAll(directory / "folder/a.txt", "a");
  WriteAll(directory / "folder/deep/b.txt", "b");
  EXPECT_OK(ty_run_upload_folder(run, "outputs/folder", (directory / "folder").c_str(), err));
  List files;
  EXPECT_OK(ty_run_list_files(run, "outputs/", files.out(), err));
  EXPECT_EQ(files.strings(), (Strings{"outputs/folder/a.txt", "outputs/folder/deep/b.txt"}));
  WriteAll(directory / "folder/new.txt", "n");
  EXPECT_EQ(ty_run_upload_folder(run, "outputs/folder", (directory / "folder").c_str(), err), TY_ERR_ALREADY_EXISTS);
  EXPECT_EQ(ty_run_upload_folder(run, "outputs/x", (directory / "none").c_str(), err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_run_upload_folder(run, "user_logs/x", (directory / "folder").c_str(), err), TY_ERR_INVALID_ARGUMENT);
  // What would be left out is named instead, and nothing is copied.
  const auto refused = [&](const char *part) {
    EXPECT_EQ(ty_run_upload_folder(run, "outputs/x", (directory / "folder").c_str(), err), TY_ERR_INVALID_ARGUMENT);
    EXPECT_NE(err.message().find(part), std::string::npos) << err.message();
  };
  const std::string odd = directory / "folder/odd";
  std::filesystem::create_directory_symlink("deep", odd);
  refused("folder/odd' is a link to a directory");
  std::filesystem::remove(odd);
  ASSERT_EQ(mkfifo(odd.c_str(), 0600), 0);
  refused("folder/odd' is a pipe");
  std::filesystem::remove(odd);
  List again;
  EXPECT_OK(ty_run_list_files(run, "outputs/", again.out(), err));
  EXPECT_EQ(again.strings().size(), 2U);
  std::filesystem::create_symlink("a.txt", odd);
  EXPECT_OK(ty_run_upload_folder(run, "outputs/x", (directory / "folder").c_str(), err));
  List paths;
  EXPECT_OK(ty_run_get_all_logs(run, (directory / "logs").c_str(), paths.out(), err));
  EXPECT_EQ(ReadAll(directory / "logs/user_logs/std_log.txt"), "hello\n");
  EXPECT_EQ(ReadAll(directory / "logs/logs/mine.txt"), "x\n");
  EXPECT_EQ(paths.strings().front(), directory / "logs/user_logs/std_log.txt");
}

}  // namespace
}  // namespace trainyard_test
