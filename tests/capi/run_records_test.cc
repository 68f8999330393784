// run.h: what is kept of runs: tags, files, models, snapshots, lists, and how it goes again.

#include "capi/run_test.h"

namespace trainyard_test {
namespace {

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

TEST_F(RunTest, LinksOfARunAreItsFilesAndNamesThatTheyHaveStayTaken) {
  const TyRun run = Complete(
      "cd outputs; echo w > epoch3.ckpt; ln -s epoch3.ckpt last.ckpt; ln -s none dangling; "
      "mkfifo pipe; echo x > \"$(printf 'bad\\377')\"");
  EXPECT_EQ(Files(run, "outputs"), (std::vector<std::string>{"outputs/epoch3.ckpt", "outputs/last.ckpt"}));
  EXPECT_OK(ty_run_download_files(run, "outputs/", (directory / "all").c_str(), err));
  EXPECT_EQ(ReadAll(directory / "all/outputs/last.ckpt"), "w\n");
  WriteAll(directory / "file", "1");
  for (const char *name : {"outputs/last.ckpt", "outputs/dangling", "outputs/pipe"}) {
    EXPECT_EQ(ty_run_upload_file(run, name, (directory / "file").c_str(), err), TY_ERR_ALREADY_EXISTS) << name;
  }
  WriteAll(directory / "folder/pipe", "1");
  EXPECT_EQ(ty_run_upload_folder(run, "outputs", (directory / "folder").c_str(), err), TY_ERR_ALREADY_EXISTS);
  WriteAll(directory / "folder2/bad\xff", "1");
  EXPECT_EQ(ty_run_upload_folder(run, "outputs/f", (directory / "folder2").c_str(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_upload_file(run, "outputs/\xff", (directory / "file").c_str(), err), TY_ERR_INVALID_ARGUMENT);
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

}  // namespace
}  // namespace trainyard_test
