// model.h: models of runs: what is taken, where they come from, and how they are found again.
#include "capi/api.h"
#include "util/json.h"

namespace trainyard_test {
namespace {

using trainyard::Json;
using Strings = std::vector<std::string>;

class ModelTest : public WorkspaceTest {
 protected:
  Json Record(const Model &model) {
    Text json;
    EXPECT_OK(ty_model_to_json(model, json.out(), err));
    return Json::Parse(json.str(), "model");
  }
  Strings Files(const Model &model) {
    Strings paths;
    for (const Json &file : Record(model).Get("files").Items()) paths.push_back(file.GetString("path"));
    return paths;
  }
  // "name:version ..." of what a filter finds.
  std::string Find(const char *filter) {
    Text json;
    EXPECT_OK(ty_workspace_list_models_json(workspace, filter, 100, nullptr, json.out(), nullptr, err));
    std::string all;
    for (const Json &model : Json::Parse(json.str(), "models").Items()) {
      EXPECT_FALSE(model.Has("files"));
      all += model.GetString("name") + ":" + std::to_string(model.GetInt64("version")) + " ";
    }
    return all;
  }
};

TEST_F(ModelTest, CheckpointsStayWithTheRun) {
  const TyRun run = Complete(
      "mkdir -p outputs/checkpoints outputs/sub; echo m > outputs/m; echo c > outputs/checkpoints/c; "
      "echo s > outputs/sub/checkpoints");
  Model model;
  ASSERT_OK(ty_run_register_model(run, "net", nullptr, nullptr, model.out(), err));
  EXPECT_EQ(Files(model), (Strings{"m", "sub/checkpoints"}));
  ASSERT_OK(ty_run_register_model(run, "net", "outputs/", nullptr, model.out(), err));
  EXPECT_EQ(Files(model), (Strings{"m", "sub/checkpoints"}));
  ASSERT_OK(ty_run_register_model(run, "net", nullptr, R"({"include_checkpoints":true})", model.out(), err));
  EXPECT_EQ(Files(model), (Strings{"checkpoints/c", "m", "sub/checkpoints"}));
  ASSERT_OK(ty_run_register_model(run, "net", "outputs/checkpoints", nullptr, model.out(), err));
  EXPECT_EQ(Files(model), Strings{"c"});
}

TEST_F(ModelTest, LineageOutlivesTheRun) {
  WriteAll(directory / "source/train.sh", "true");
  TyRun parent;
  ASSERT_OK(ty_run_start(workspace, "lines", R"({"run_id":"top"})", parent.out(), err));
  TyJob job = Shell("echo m > outputs/m", (directory / "source").c_str());
  ASSERT_OK(ty_job_set_run_id(job, "maker", err));
  TyRun run;
  ASSERT_OK(ty_run_submit_child(parent, job, run.out(), err));
  ASSERT_EQ(Wait(run), TY_RUN_COMPLETED) << FailureOf(run);
  ASSERT_OK(ty_run_set_property(run, "azureml.git.commit", "abc", err));
  Model model;
  ASSERT_OK(ty_run_register_model(run, "net", nullptr, R"({"datasets":["images:3",{"name":"d"}]})", model.out(), err));
  EXPECT_OK(ty_run_delete(run, err));
  const Json record = Record(model);
  EXPECT_EQ(record.Get("datasets").Dump(), R"(["images:3",{"name":"d"}])");
  const Json lineage = record.Get("lineage");
  EXPECT_EQ(lineage.GetString("run"), "maker");
  EXPECT_EQ(lineage.GetString("experiment"), "lines");
  EXPECT_EQ(lineage.GetString("parent"), "top");
  EXPECT_EQ(lineage.GetString("root"), "top");
  EXPECT_EQ(lineage.GetString("kind"), "command");
  EXPECT_TRUE(lineage.Has("environment"));
  EXPECT_EQ(lineage.GetString("snapshot").size(), 64U);
  EXPECT_EQ(lineage.Get("code").GetString("azureml.git.commit"), "abc");
  EXPECT_FALSE(lineage.Has("data"));
  WriteAll(directory / "w", "w");
  ASSERT_OK(ty_model_register(workspace, "net", (directory / "w").c_str(), nullptr, model.out(), err));
  EXPECT_FALSE(Record(model).Has("lineage"));
  EXPECT_EQ(Record(model).Get("datasets").Dump(), "[]");
  EXPECT_EQ(ty_model_register(workspace, "net", (directory / "w").c_str(), R"({"datasets":[1]})", nullptr, err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_OK(ty_run_complete(parent, err));
}

TEST_F(ModelTest, AreFoundByWhatTheyAre) {
  WriteAll(directory / "w", "w");
  const auto make = [&](const char *name, const char *metadata) {
    EXPECT_OK(ty_model_register(workspace, name, (directory / "w").c_str(), metadata, nullptr, err));
  };
  make("a", R"({"framework":"PyTorch","tags":{"stage":"test"}})");
  make("a", R"({"framework":"Onnx","tags":{"stage":"live"},"properties":{"p":"1"}})");
  make("b", R"({"framework":"PyTorch"})");
  EXPECT_EQ(Find(nullptr), "a:2 a:1 b:1 ");
  EXPECT_EQ(Find(R"({"latest":true})"), "a:2 b:1 ");
  EXPECT_EQ(Find(R"({"name":"a","framework":"PyTorch"})"), "a:1 ");
  EXPECT_EQ(Find(R"({"tag":{"stage":"live"}})"), "a:2 ");
  EXPECT_EQ(Find(R"({"tag":"stage"})"), "a:2 a:1 ");
  EXPECT_EQ(Find(R"({"property":{"p":"1"}})"), "a:2 ");
  EXPECT_EQ(Find(R"({"run":"none"})"), "");
  Text json, second_page, next;
  EXPECT_OK(ty_workspace_list_models_json(workspace, nullptr, 2, nullptr, json.out(), second_page.out(), err));
  EXPECT_OK(ty_workspace_list_models_json(workspace, nullptr, 2, second_page, json.out(), next.out(), err));
  EXPECT_EQ(Json::Parse(json.str(), "models").Items().at(0).GetString("name"), "b");
  EXPECT_EQ(next.get(), nullptr);
  EXPECT_EQ(ty_workspace_list_models_json(workspace, R"({"names":"a"})", 2, nullptr, json.out(), nullptr, err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_workspace_list_models_json(workspace, nullptr, 0, nullptr, json.out(), nullptr, err),
            TY_ERR_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace trainyard_test
