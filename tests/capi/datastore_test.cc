// datastore.h, and the inputs of real runs that are local. Those from a server: tests/runner/inputs_e2e_test.cc.
#include <sys/stat.h>
#include <filesystem>

#include "capi/api.h"
#include "util/json.h"

namespace trainyard_test {
namespace {

using trainyard::Json;

class DataTest : public WorkspaceTest {
 protected:
  std::string Directory(const char *datastore) {
    Text text;
    EXPECT_OK(ty_datastore_get(workspace, datastore, text.out(), err));
    return text.str();
  }
};

TEST_F(DataTest, DatastoresAreNamedDirectories) {
  List names;
  ASSERT_OK(ty_datastore_list(workspace, names.out(), err));
  EXPECT_EQ(names.strings(), std::vector<std::string>{"workspaceblobstore"});
  EXPECT_EQ(Directory("workspaceblobstore"), WorkspacePath() + "/datastores/workspaceblobstore");
  WriteAll(directory / "images/a/1.txt", "one");
  ASSERT_OK(ty_datastore_register(workspace, "images", (directory / "images").c_str(), err));
  EXPECT_OK(ty_datastore_register(workspace, "images", (directory / "images/").c_str(), err));
  EXPECT_EQ(ty_datastore_register(workspace, "images", (directory / "images/a").c_str(), err), TY_ERR_ALREADY_EXISTS);
  EXPECT_EQ(ty_datastore_register(workspace, "other", (directory / "none").c_str(), err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_datastore_register(workspace, "a/b", directory.path().c_str(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(Directory("images"), directory / "images");
  Text text;
  EXPECT_EQ(ty_datastore_get(workspace, "image", text.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_NE(err.message().find("'images'"), std::string::npos) << err.message();
  EXPECT_EQ(ty_datastore_delete(workspace, "workspaceblobstore", err), TY_ERR_INVALID_STATE);
  EXPECT_OK(ty_datastore_delete(workspace, "images", err));
  EXPECT_EQ(ty_datastore_delete(workspace, "images", err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ReadAll(directory / "images/a/1.txt"), "one");
}

TEST_F(DataTest, UploadsAreWholeOrNotAtAll) {
  WriteAll(directory / "data/a/1.txt", "one");
  WriteAll(directory / "data/2.txt", "two");
  const char *store = "workspaceblobstore";
  const std::string root = Directory(store);
  ASSERT_OK(ty_datastore_upload(workspace, store, (directory / "data").c_str(), "sets/first", 0, err));
  EXPECT_EQ(ReadAll(root + "/sets/first/a/1.txt"), "one");
  ASSERT_OK(ty_datastore_upload(workspace, store, (directory / "data/2.txt").c_str(), nullptr, 0, err));
  EXPECT_EQ(ReadAll(root + "/2.txt"), "two");
  WriteAll(directory / "data/a/1.txt", "new");
  WriteAll(directory / "data/3.txt", "three");
  EXPECT_EQ(ty_datastore_upload(workspace, store, (directory / "data").c_str(), "sets/first", 0, err),
            TY_ERR_ALREADY_EXISTS);
  EXPECT_EQ(access((root + "/sets/first/3.txt").c_str(), F_OK), -1);
  ASSERT_OK(ty_datastore_upload(workspace, store, (directory / "data").c_str(), "sets/first", 1, err));
  EXPECT_EQ(ReadAll(root + "/sets/first/a/1.txt"), "new");
  EXPECT_EQ(ty_datastore_upload(workspace, store, (directory / "none").c_str(), nullptr, 0, err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_datastore_upload(workspace, store, (directory / "data").c_str(), "../x", 0, err),
            TY_ERR_INVALID_ARGUMENT);
}

TEST_F(DataTest, LinksThatWouldLeaveSomethingOutAreNamedBeforeAnythingIsUploaded) {
  WriteAll(directory / "data/1.txt", "one");
  const std::string link = directory / "data/linked";
  std::filesystem::create_directory_symlink(directory.path(), link);
  EXPECT_EQ(ty_datastore_upload(workspace, "workspaceblobstore", (directory / "data").c_str(), "links", 0, err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("data/linked' is a link to a directory"), std::string::npos) << err.message();
  std::filesystem::remove(link);
  std::filesystem::create_symlink("nowhere", link);
  EXPECT_EQ(ty_datastore_upload(workspace, "workspaceblobstore", (directory / "data").c_str(), "links", 0, err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("a link to nothing"), std::string::npos) << err.message();
  std::filesystem::remove(link);
  std::filesystem::create_symlink("1.txt", link);
  EXPECT_OK(ty_datastore_upload(workspace, "workspaceblobstore", (directory / "data").c_str(), "links", 0, err));
}

TEST_F(DataTest, WhatIsNoFileIsNamedBeforeAnythingIsUploaded) {
  const std::string data = directory / "data";
  WriteAll(data + "/1.txt", "one");
  const auto refused = [&](const char *part) {
    EXPECT_EQ(ty_datastore_upload(workspace, "workspaceblobstore", data.c_str(), "t", 0, err), TY_ERR_INVALID_ARGUMENT);
    EXPECT_NE(err.message().find(part), std::string::npos) << err.message();
    EXPECT_FALSE(std::filesystem::exists(Directory("workspaceblobstore") + "/t"));
  };
  ASSERT_EQ(mkfifo((data + "/pipe").c_str(), 0600), 0);
  refused("data/pipe' is a pipe");
  std::filesystem::remove(data + "/pipe");
  std::filesystem::create_symlink("/dev/zero", data + "/zero");
  refused("data/zero' is a link to a pipe, a socket or a device");
  std::filesystem::remove(data + "/zero");
  EXPECT_EQ(ty_datastore_upload(workspace, "workspaceblobstore", data.c_str(), "\xff", 0, err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_OK(ty_datastore_upload(workspace, "workspaceblobstore", data.c_str(), "t", 0, err));
}

TEST_F(DataTest, AnUnreadableFileIsFoundBeforeAnythingIsUploaded) {
  if (geteuid() == 0) GTEST_SKIP() << "SKIP: root reads everything";
  const std::string data = directory / "data";
  WriteAll(data + "/1.txt", "one");
  WriteAll(data + "/2.txt", "two");
  ASSERT_EQ(chmod((data + "/2.txt").c_str(), 0), 0);
  EXPECT_EQ(ty_datastore_upload(workspace, "workspaceblobstore", data.c_str(), "t", 0, err), TY_ERR_PERMISSION);
  ASSERT_EQ(chmod((data + "/2.txt").c_str(), 0600), 0);
  EXPECT_OK(ty_datastore_upload(workspace, "workspaceblobstore", data.c_str(), "t", 0, err));
}

TEST_F(DataTest, ADatastoreThatIsGoneIsNotMadeAnew) {
  WriteAll(directory / "mounted/file", "x");
  WriteAll(directory / "data/1.txt", "one");
  ASSERT_OK(ty_datastore_register(workspace, "disk", (directory / "mounted").c_str(), err));
  std::filesystem::remove_all(directory / "mounted");
  EXPECT_EQ(ty_datastore_upload(workspace, "disk", (directory / "data").c_str(), "a", 0, err), TY_ERR_NOT_FOUND);
  EXPECT_NE(err.message().find("is gone: mount it"), std::string::npos) << err.message();
  EXPECT_FALSE(std::filesystem::exists(directory / "mounted"));
  EXPECT_EQ(ty_datastore_register(workspace, "empty", "", err), TY_ERR_INVALID_ARGUMENT);
}

TEST_F(DataTest, ADatastoreIsNotLeftThroughALink) {
  WriteAll(directory / "data/1.txt", "one");
  std::filesystem::create_directory(directory / "elsewhere");
  const std::string root = Directory("workspaceblobstore");
  std::filesystem::create_directory_symlink(directory / "elsewhere", root + "/out");
  for (const char *target : {"out", "out/deeper"}) {
    EXPECT_EQ(ty_datastore_upload(workspace, "workspaceblobstore", (directory / "data").c_str(), target, 1, err),
              TY_ERR_INVALID_ARGUMENT);
    EXPECT_NE(err.message().find("leads out of the datastore"), std::string::npos) << err.message();
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory / "elsewhere"));
  // A link in a file's place is replaced, not followed.
  WriteAll(directory / "elsewhere/1.txt", "theirs");
  std::filesystem::create_symlink(directory / "elsewhere/1.txt", root + "/1.txt");
  EXPECT_EQ(ty_datastore_upload(workspace, "workspaceblobstore", (directory / "data").c_str(), nullptr, 0, err),
            TY_ERR_ALREADY_EXISTS);
  EXPECT_OK(ty_datastore_upload(workspace, "workspaceblobstore", (directory / "data").c_str(), nullptr, 1, err));
  EXPECT_EQ(ReadAll(directory / "elsewhere/1.txt"), "theirs");
  EXPECT_EQ(ReadAll(root + "/1.txt"), "one");
}

TEST_F(DataTest, APipeIsNoFileToUpload) {
  const std::string pipe = directory / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(ty_datastore_upload(workspace, "workspaceblobstore", pipe.c_str(), nullptr, 0, err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("not a regular file"), std::string::npos) << err.message();
}

TEST_F(DataTest, AssetsHaveVersions) {
  WriteAll(directory / "data/1.txt", "one");
  int64_t version = 0;
  ASSERT_OK(ty_data_register(workspace, "set", (directory / "data").c_str(), R"({"description":"d","tags":{"k":"v"}})",
                             &version, err));
  EXPECT_EQ(version, 1);
  ASSERT_OK(ty_data_register(workspace, "set", "https://host/a.zip", nullptr, &version, err));
  EXPECT_EQ(version, 2);
  Text text;
  ASSERT_OK(ty_data_get(workspace, "set", 1, text.out(), err));
  const Json json = Json::Parse(text.str(), "data");
  EXPECT_EQ(json.GetString("source"), directory / "data");
  EXPECT_EQ(json.GetStringMap("tags").at("k"), "v");
  ASSERT_OK(ty_data_get(workspace, "set", 0, text.out(), err));
  EXPECT_EQ(Json::Parse(text.str(), "data").GetInt64("version"), 2);
  List list;
  ASSERT_OK(ty_data_list_versions(workspace, "set", list.out(), err));
  EXPECT_EQ(list.strings(), (std::vector<std::string>{"1", "2"}));
  ASSERT_OK(ty_data_list(workspace, list.out(), err));
  EXPECT_EQ(list.strings(), std::vector<std::string>{"set"});
  EXPECT_EQ(ty_data_register(workspace, "set", "https://user:pw@host/a.zip", nullptr, &version, err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(err.message().find("pw"), std::string::npos) << err.message();
  EXPECT_OK(ty_data_delete(workspace, "set", 2, err));
  EXPECT_EQ(ty_data_delete(workspace, "set", 2, err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_data_delete(workspace, "set", 0, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_data_get(workspace, "set", 3, text.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_data_register(workspace, "set", (directory / "none").c_str(), nullptr, &version, err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_data_register(workspace, "set", "azureml:set:1", nullptr, &version, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_data_register(workspace, "set", "azureml://datastores/none/paths/", nullptr, &version, err),
            TY_ERR_NOT_FOUND);
}

TEST_F(DataTest, RunsFindTheirInputs) {
  WriteAll(directory / "data/1.txt", "one");
  WriteAll(directory / "file.csv", "csv");
  const char *store = "workspaceblobstore";
  ASSERT_OK(ty_datastore_upload(workspace, store, (directory / "data").c_str(), "sets", 0, err));
  ASSERT_OK(
      ty_data_register(workspace, "set", "azureml://datastores/workspaceblobstore/paths/sets", nullptr, nullptr, err));
  TyJob job = Shell(
      "cat ${{inputs.linked}}/1.txt \"$copied/1.txt\" $AZUREML_DATAREFERENCE_asset/1.txt \"$csv\" \"$1\"/1.txt "
      "\"$DIRECT/1.txt\"; echo; test -L $linked && ! test -L $copied && basename $csv; true");
  ASSERT_OK(ty_job_add_input(job, "linked", (directory / "data").c_str(), TY_INPUT_LINK, err));
  ASSERT_OK(ty_job_add_input(job, "copied", ("file://" + (directory / "data")).c_str(), TY_INPUT_DOWNLOAD, err));
  ASSERT_OK(ty_job_add_input(job, "asset", "azureml:set@latest", TY_INPUT_LINK, err));
  ASSERT_OK(ty_job_add_input(job, "csv", (directory / "file.csv").c_str(), TY_INPUT_DOWNLOAD, err));
  ASSERT_OK(ty_job_add_argument(job, "azureml://datastores/workspaceblobstore/paths/sets", err));
  ASSERT_OK(ty_job_set_variable(job, "DIRECT", "azureml://datastores/workspaceblobstore/paths/sets/", err));
  const TyRun run = Complete(job);
  EXPECT_EQ(Log(run), "oneoneonecsvoneone\nfile.csv\n");
  Text text;
  ASSERT_OK(ty_run_to_json(run, text.out(), err));  // the version is that of the submit
  const Json asset = Json::Parse(text.str(), "run").Get("job").Get("inputs").Get("asset");
  EXPECT_EQ(asset.GetString("source"), "azureml:set:1");
  EXPECT_EQ(asset.GetString("location"), Directory(store) + "/sets");
}

TEST_F(DataTest, AModelsLineageNamesTheData) {
  WriteAll(directory / "data/1.txt", "one");
  ASSERT_OK(ty_data_register(workspace, "set", (directory / "data").c_str(), nullptr, nullptr, err));
  TyJob job = Shell("cp $in/1.txt outputs/model.txt");
  ASSERT_OK(ty_job_add_input(job, "in", "azureml:set", TY_INPUT_LINK, err));
  const TyRun run = Complete(job);
  Model model;
  ASSERT_OK(ty_run_register_model(run, "m", "outputs/model.txt", nullptr, model.out(), err));
  Text text;
  ASSERT_OK(ty_model_to_json(model, text.out(), err));
  const Json input = Json::Parse(text.str(), "model").Get("lineage").Get("inputs").Get("in");
  EXPECT_EQ(input.GetString("source"), "azureml:set:1");
  EXPECT_EQ(input.GetString("location"), directory / "data");
}

TEST_F(DataTest, EveryProblemIsReportedBeforeTheRun) {
  TyJob job = Shell("true");
  ASSERT_OK(ty_job_add_input(job, "a", "/no/such/path", TY_INPUT_LINK, err));
  ASSERT_OK(ty_job_add_input(job, "b", "azureml:none:1", TY_INPUT_LINK, err));
  ASSERT_OK(ty_job_add_argument(job, "azureml://datastores/none/paths/x", err));
  ASSERT_OK(ty_job_add_argument(job, "${{inputs.c}}", err));
  Text text;
  ASSERT_OK(ty_job_validate(workspace, job, text.out(), err));
  EXPECT_EQ(Json::Parse(text.str(), "report").GetStringList("problems").size(), 4U) << text.str();
  TyRun run;
  EXPECT_EQ(ty_run_submit(workspace, "tests", job, run.out(), err), TY_ERR_NOT_FOUND);
  for (const char *named : {"'/no/such/path'", "'none:1'", "datastore 'none'", "no input 'c'"})
    EXPECT_NE(err.message().find(named), std::string::npos) << err.message();
}

TEST_F(DataTest, WhatIsNotThereIsSaidBeforeTheRun) {
  const auto refused = [&](const char *source) {
    TyJob job = Shell("true");
    EXPECT_OK(ty_job_add_input(job, "in", source, TY_INPUT_LINK, err));
    TyRun run;
    const ty_status status = ty_run_submit(workspace, "tests", job, run.out(), err);
    EXPECT_NE(err.message().find("input 'in'"), std::string::npos) << err.message();
    return status;
  };
  EXPECT_EQ(refused("/no/such/path"), TY_ERR_NOT_FOUND);
  EXPECT_EQ(refused("azureml://datastores/none/paths/x"), TY_ERR_NOT_FOUND);
  EXPECT_EQ(refused("azureml://datastores/workspaceblobstore/paths/none"), TY_ERR_NOT_FOUND);
  EXPECT_EQ(refused("azureml:none:1"), TY_ERR_NOT_FOUND);
  TyJob job = Shell("true");
  EXPECT_EQ(ty_job_add_input(job, "in", "https://host/a#nohash", TY_INPUT_LINK, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_add_input(job, "in", "s3://bucket/a", TY_INPUT_LINK, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("'s3' is no scheme"), std::string::npos) << err.message();
  EXPECT_EQ(ty_job_add_input(job, "in", "http://host/a.zip", TY_INPUT_LINK, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_add_input(job, "in put", "/", TY_INPUT_LINK, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_job_add_input(job, "in", "/", 7, err), TY_ERR_INVALID_ARGUMENT);
  ASSERT_OK(ty_job_add_argument(job, "${{inputs.none}}", err));
  TyRun run;
  EXPECT_EQ(ty_run_submit(workspace, "tests", job, run.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("ty_job_add_input"), std::string::npos) << err.message();
}

}  // namespace
}  // namespace trainyard_test
