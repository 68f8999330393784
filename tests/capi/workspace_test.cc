// workspace.h and model.h: everything that needs no run.
#include <sys/wait.h>

#include "capi/api.h"
#include "util/json.h"

namespace trainyard_test {
namespace {

using trainyard::Json;

TEST(WorkspaceOpen, MakesADirectoryForOneUser) {
  TempDirectory directory("with space \xC3\xBC \xE2\x82\xAC");
  Err err;
  Workspace workspace;
  const std::string path = directory / "deep/er";
  ASSERT_OK(ty_workspace_open(path.c_str(), workspace.out(), err));
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
  EXPECT_EQ(std::string(ty_workspace_location(workspace)), path);
}

TEST(WorkspaceOpen, RefusesWhatCannotBeOne) {
  TempDirectory directory;
  Err err;
  Workspace workspace;
  EXPECT_EQ(ty_workspace_open("", workspace.out(), err), TY_ERR_INVALID_ARGUMENT);
  WriteAll(directory / "file", "x");
  EXPECT_NE(ty_workspace_open((directory / "file").c_str(), workspace.out(), err), TY_OK);
  EXPECT_NE(err.message().find(directory / "file"), std::string::npos) << err.message();
  EXPECT_NE(err.status(), TY_ERR_INTERNAL);
  WriteAll(directory / "bad/trainyard.db", std::string(5000, 'x'));
  EXPECT_EQ(ty_workspace_open((directory / "bad").c_str(), workspace.out(), err), TY_ERR_CORRUPT) << err.message();
  EXPECT_EQ(ty_workspace_open("azureml://x/y", workspace.out(), err), TY_ERR_UNSUPPORTED);
  EXPECT_EQ(workspace.get(), nullptr);
}

// As root too: the other program gives its privileges up first.
TEST(WorkspaceOpen, AReadOnlyDirectoryIsAPermissionError) {
  TempDirectory directory;
  ASSERT_EQ(chmod(directory.path().c_str(), 0555), 0);
  const Output output = RunProgram({OTHER_PROCESS, "open-unprivileged", directory / "workspace"});
  EXPECT_NE(output.text.find("TY_ERR_PERMISSION"), std::string::npos) << output.text;
  EXPECT_NE(output.text.find(directory / "workspace"), std::string::npos) << output.text;
}

class WorkspaceListTest : public WorkspaceTest {};

TEST_F(WorkspaceListTest, SeveralWorkspacesAreIndependent) {
  Workspace other, same;
  ASSERT_OK(ty_workspace_open((directory / "other").c_str(), other.out(), err));
  ASSERT_OK(ty_workspace_open((directory / "workspace").c_str(), same.out(), err));
  WriteAll(directory / "w", "1");
  ASSERT_OK(ty_model_register(workspace, "m", (directory / "w").c_str(), nullptr, nullptr, err));
  List names;
  EXPECT_OK(ty_workspace_list_models(same, names.out(), err));
  EXPECT_EQ(names.strings(), std::vector<std::string>{"m"});
  EXPECT_OK(ty_workspace_list_models(other, names.out(), err));
  EXPECT_TRUE(names.strings().empty());
}

TEST_F(WorkspaceListTest, WrongListArgumentsAreNamed) {
  List ids;
  Text next;
  for (const int32_t size : {0, -1, 10001}) {
    EXPECT_EQ(ty_workspace_list_runs(workspace, nullptr, size, nullptr, ids.out(), next.out(), err),
              TY_ERR_INVALID_ARGUMENT);
    EXPECT_NE(err.message().find("page_size"), std::string::npos) << err.message();
  }
  EXPECT_EQ(ty_workspace_list_runs(workspace, R"({"experimen":"x"})", 1, nullptr, ids.out(), next.out(), err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("'experiment'"), std::string::npos) << err.message();
  EXPECT_EQ(ty_workspace_list_runs(workspace, R"({"states":["Runing"]})", 1, nullptr, ids.out(), next.out(), err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("Running"), std::string::npos) << err.message();
  EXPECT_EQ(ty_workspace_list_runs(workspace, "{", 1, nullptr, ids.out(), next.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_workspace_list_runs(workspace, nullptr, 1, "no token", ids.out(), next.out(), err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_workspace_prune(workspace, R"({"keep":1})", 1, next.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_workspace_prune(workspace, "[]", 1, next.out(), err), TY_ERR_INVALID_ARGUMENT);
  TyRun run;
  EXPECT_EQ(ty_run_get(workspace, "none", run.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(err.detail("run_id"), "none");
  for (const char *id : {"", "../../etc", "a/b", "UP"}) {
    EXPECT_NE(ty_run_get(workspace, id, run.out(), err), TY_OK) << id;
    EXPECT_NE(err.status(), TY_ERR_INTERNAL) << id;
  }
}

TEST_F(WorkspaceListTest, ThisProcessIsNoRank) {
  TyRun run;
  EXPECT_EQ(ty_run_current(run.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(run.get(), nullptr);
}

class ModelTest : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    WriteAll(directory / "m/model.json", "{}");
    WriteAll(directory / "m/deep/weights.bin", std::string(100000, 'w'));
  }
  Model Register(const char *name, const char *metadata = nullptr) {
    Model model;
    EXPECT_OK(ty_model_register(workspace, name, (directory / "m").c_str(), metadata, model.out(), err));
    return model;
  }
};

TEST_F(ModelTest, VersionsCountUpAndAreNeverGivenAgain) {
  const Model first = Register("net"), second = Register("net"), other = Register("other");
  EXPECT_EQ(ty_model_version(first), 1);
  EXPECT_EQ(ty_model_version(second), 2);
  EXPECT_EQ(ty_model_version(other), 1);
  EXPECT_STREQ(ty_model_name(second), "net");
  EXPECT_STREQ(ty_model_run_id(second), "");
  EXPECT_OK(ty_model_delete(second, err));
  EXPECT_EQ(ty_model_delete(second, err), TY_ERR_NOT_FOUND);
  Text json;
  EXPECT_EQ(ty_model_to_json(second, json.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_model_version(Register("net")), 3);
  List versions;
  EXPECT_OK(ty_model_list_versions(workspace, "net", versions.out(), err));
  EXPECT_EQ(versions.strings(), (std::vector<std::string>{"1", "3"}));
  EXPECT_OK(ty_model_list_versions(workspace, "none", versions.out(), err));
  EXPECT_TRUE(versions.strings().empty());
  List names;
  EXPECT_OK(ty_workspace_list_models(workspace, names.out(), err));
  EXPECT_EQ(names.strings(), (std::vector<std::string>{"net", "other"}));
}

TEST_F(ModelTest, RecordAndFilesComeBack) {
  const Model model =
      Register("net", R"({"description":"d","framework":"torch","tags":{"a":"1"},"properties":{"p":"q"}})");
  EXPECT_OK(ty_model_set_tag(model, "b", "2", err));
  EXPECT_OK(ty_model_set_tag(model, "a", nullptr, err));
  Model again;
  ASSERT_OK(ty_model_get(workspace, "net", 0, again.out(), err));
  Text text;
  ASSERT_OK(ty_model_to_json(again, text.out(), err));
  const Json json = Json::Parse(text.str(), "model");
  EXPECT_EQ(json.GetString("description", ""), "d");
  EXPECT_EQ(json.GetStringMap("tags"), (std::map<std::string, std::string>{{"b", "2"}}));
  EXPECT_EQ(json.GetStringMap("properties"), (std::map<std::string, std::string>{{"p", "q"}}));
  ASSERT_EQ(json.Find("files")->size(), 2U);
  EXPECT_EQ(json.Find("files")->Items()[0].GetString("path", ""), "deep/weights.bin");
  EXPECT_EQ(json.Find("files")->Items()[0].GetInt64("size", 0), 100000);
  ASSERT_OK(ty_model_download(again, (directory / "copy").c_str(), err));
  EXPECT_EQ(ReadAll(directory / "copy/deep/weights.bin"), std::string(100000, 'w'));
  EXPECT_EQ(ReadAll(directory / "copy/model.json"), "{}");
}

TEST_F(ModelTest, HandlesMayBeFreedInAnyOrder) {
  Model model = Register("net");
  workspace.reset();
  EXPECT_OK(ty_model_download(model, (directory / "copy").c_str(), err));
  EXPECT_TRUE(std::filesystem::exists(directory / "copy/model.json"));
}

TEST_F(ModelTest, WrongArgumentsAreNamed) {
  Model model;
  EXPECT_EQ(ty_model_get(workspace, "net", 0, model.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_model_get(workspace, "net", -1, model.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_model_register(workspace, "a b", directory.path().c_str(), nullptr, model.out(), err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_model_register(workspace, "../x", directory.path().c_str(), nullptr, model.out(), err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_model_register(workspace, "net", (directory / "none").c_str(), nullptr, model.out(), err),
            TY_ERR_NOT_FOUND);
  EXPECT_NE(err.message().find(directory / "none"), std::string::npos) << err.message();
  EXPECT_EQ(ty_model_register(workspace, "net", (directory / "m").c_str(), R"({"tag":{}})", model.out(), err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("'tags'"), std::string::npos) << err.message();
  EXPECT_EQ(model.get(), nullptr);
}

TEST_F(ModelTest, ADamagedFileIsNotHandedOut) {
  const Model model = Register("net");
  int damaged = 0;
  for (const auto &entry : std::filesystem::recursive_directory_iterator(WorkspacePath() + "/objects")) {
    if (!entry.is_regular_file() || entry.file_size() != 100000) continue;
    std::filesystem::permissions(entry.path(), std::filesystem::perms::owner_all);
    std::ofstream(entry.path(), std::ios::binary | std::ios::in | std::ios::out).seekp(500).put('X');
    ++damaged;
  }
  ASSERT_EQ(damaged, 1);
  EXPECT_EQ(ty_model_download(model, (directory / "copy").c_str(), err), TY_ERR_CORRUPT);
  EXPECT_FALSE(std::filesystem::exists(directory / "copy/deep/weights.bin"));
}

// Eight processes register versions of one model at once: every number is given once.
TEST_F(ModelTest, ManyProcessesRegisterAtOnce) {
  constexpr int kProcesses = 8, kEach = 5;
  std::vector<std::thread> threads;
  std::vector<Output> outputs(kProcesses);
  for (Output &output : outputs) {
    threads.emplace_back([&] {
      output =
          RunProgram({OTHER_PROCESS, "register", WorkspacePath(), "shared", directory / "m", std::to_string(kEach)});
    });
  }
  for (std::thread &thread : threads) thread.join();
  std::vector<int> versions, expected;
  for (const Output &output : outputs) {
    EXPECT_EQ(output.status, 0) << output.text;
    std::istringstream lines(output.text);
    for (int version = 0; lines >> version;) versions.push_back(version);
  }
  std::sort(versions.begin(), versions.end());
  for (int i = 1; i <= kProcesses * kEach; ++i) expected.push_back(i);
  EXPECT_EQ(versions, expected);
}

TEST_F(ModelTest, PruneDeletesWhatNothingRefersTo) {
  Model model = Register("net");
  EXPECT_OK(ty_model_delete(model, err));
  Text report;
  ASSERT_OK(ty_workspace_prune(workspace, "{}", 1, report.out(), err));
  const Json dry = Json::Parse(report.str(), "report");
  EXPECT_TRUE(dry.GetBool("dry_run", false)) << report.str();
  ASSERT_NE(dry.Find("runs"), std::nullopt);
  ASSERT_NE(dry.Find("objects"), std::nullopt);
  ASSERT_NE(dry.Find("bytes"), std::nullopt);
  EXPECT_OK(ty_workspace_prune(workspace, "{}", 0, nullptr, err));
}

}  // namespace
}  // namespace trainyard_test
