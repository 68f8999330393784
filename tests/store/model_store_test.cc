#include "store/model_store.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <set>

#include "store/prune.h"
#include "store_fixture.h"
#include "util/clock.h"

namespace trainyard {
namespace {

class ModelStoreTest : public StoreTest {
 protected:
  ModelStore &models() { return store().models(); }
  std::string File(const std::string &name, std::string_view data) {
    MakeDirs(ParentPath(Path(name)));
    WriteFileAtomic(Path(name), data, 0644, false);
    return Path(name);
  }
  ModelRecord Register(const std::string &name, const std::string &path) {
    ModelRecord model;
    model.name = name;
    return models().Register(model, path);
  }
};

TEST_F(ModelStoreTest, RegisterGetDownload) {
  File("m/model.json", "{}");
  File("m/weights/w.bin", "www");
  ModelRecord model;
  model.name = "net";
  model.run_id = "r1";
  model.description = "d";
  model.framework = "PyTorch";
  model.tags = {{"t", "1"}};
  model.properties = {{"p", "2"}};
  EXPECT_EQ(models().Register(model, Path("m")).version, 1);
  EXPECT_EQ(models().Register(model, Path("m/model.json")).version, 2);
  const ModelRecord got = models().Get("net", 1);
  EXPECT_EQ(got.run_id, "r1");
  EXPECT_EQ(got.framework, "PyTorch");
  EXPECT_EQ(got.tags, model.tags);
  EXPECT_EQ(got.properties, model.properties);
  ASSERT_EQ(got.files.size(), 2u);
  EXPECT_EQ(got.files[1].path, "weights/w.bin");
  EXPECT_EQ(got.files[1].size, 3u);
  EXPECT_EQ(models().Get("net").version, 2);
  EXPECT_EQ(ReadFile(models().FilePath(got, "weights/w.bin")), "www");
  models().Download(got, Path("out"));
  EXPECT_EQ(ListTree(Path("out")), (std::vector<std::string>{"model.json", "weights/w.bin"}));
  EXPECT_EQ(StatusOf([&] { models().Download(got, Path("out")); }), Status::kAlreadyExists);
  models().Download(got, Path("out"), true);
  std::string message;
  EXPECT_EQ(StatusOf([&] { models().Get("net", 3); }, &message), Status::kNotFound);
  EXPECT_EQ(message, "there is no model 'net:3' in the workspace; the latest version is 2");
  EXPECT_EQ(StatusOf([&] { models().Get("nets"); }, &message), Status::kNotFound);
  EXPECT_EQ(message, "there is no model 'nets' in the workspace, did you mean 'net'?");
  EXPECT_EQ(StatusOf([&] { Register("bad name", Path("m")); }), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf([&] { Register("net", Path("none")); }), Status::kNotFound);
  MakeDirs(Path("empty"));
  EXPECT_EQ(StatusOf([&] { Register("net", Path("empty")); }), Status::kInvalidArgument);
}

TEST_F(ModelStoreTest, ADamagedFileIsNotHandedOut) {
  const ModelRecord model = Register("net", File("w", "www"));
  const std::string object = models().FilePath(model, "w");
  chmod(object.c_str(), 0600);
  AppendFile(object, "x");
  EXPECT_EQ(StatusOf([&] { models().Download(model, Path("out")); }), Status::kCorrupt);
  EXPECT_TRUE(ListDir(Path("out")).empty());
}

TEST_F(ModelStoreTest, VersionsAreNeverReused) {
  const std::string file = File("w", "www");
  Register("net", file);
  Register("net", file);
  models().Delete("net", 2);
  models().Delete("net", 1);
  EXPECT_EQ(StatusOf([&] { models().Delete("net", 1); }), Status::kNotFound);
  EXPECT_EQ(Register("net", file).version, 3);
}

TEST_F(ModelStoreTest, EightProcessesAtOnce) {
  const std::string file = File("w", "www");
  store();
  Reopen();
  std::vector<pid_t> children;
  for (int p = 0; p < 8; ++p) {
    const pid_t pid = fork();
    if (pid == 0) {
      const Status status = StatusOf([&] {
        Store own(Root());
        for (int i = 0; i < 5; ++i) {
          ModelRecord model;
          model.name = "net";
          own.models().Register(model, file);
        }
      });
      _exit(status == Status::kOk ? 0 : 1);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
  }
  std::set<int64_t> versions;
  for (const ModelRecord &model : models().List({.name = "net"}).models) versions.insert(model.version);
  EXPECT_EQ(versions.size(), 40u);
  EXPECT_EQ(*versions.begin(), 1);
  EXPECT_EQ(*versions.rbegin(), 40);
}

TEST_F(ModelStoreTest, ListsPagesAndTags) {
  const std::string file = File("w", "www");
  for (const char *name : {"a", "b", "a", "c", "a"}) Register(name, file);
  models().SetTag("a", 2, "k", "v");
  models().SetTag("a", 2, "k", "w");
  std::string all, token;
  do {
    const ModelPage page = models().List({.limit = 2, .page_token = token});
    for (const ModelRecord &model : page.models) {
      all += model.name + std::to_string(model.version) + (model.tags.empty() ? "" : "=" + model.tags.at("k")) + " ";
    }
    token = page.next_page_token;
  } while (!token.empty());
  EXPECT_EQ(all, "a3 a2=w a1 b1 c1 ");
  models().RemoveTag("a", 2, "k");
  EXPECT_TRUE(models().Get("a", 2).tags.empty());
}

TEST_F(ModelStoreTest, ListsByEveryCondition) {
  const std::string file = File("w", "www");
  const auto make = [&](const char *name, const char *run, const char *framework,
                        const std::map<std::string, std::string> &tags,
                        const std::map<std::string, std::string> &properties) {
    ModelRecord model;
    model.name = name;
    model.run_id = run;
    model.framework = framework;
    model.tags = tags;
    model.properties = properties;
    models().Register(model, file);
  };
  make("a", "r1", "PyTorch", {{"k", "v"}}, {{"p", "1"}});
  make("a", "", "Onnx", {{"k", "w"}}, {{"p", "2"}, {"q", "it's"}});
  make("b", "r1", "PyTorch", {}, {});
  const auto list = [&](const ModelFilter &filter) {
    std::string all;
    for (const ModelRecord &model : models().List(filter).models) all += model.name + std::to_string(model.version);
    return all;
  };
  EXPECT_EQ(list({}), "a2a1b1");
  EXPECT_EQ(list({.run_id = "r1"}), "a1b1");
  EXPECT_EQ(list({.framework = "Onnx"}), "a2");
  EXPECT_EQ(list({.tags = {{"k", std::nullopt}}}), "a2a1");
  EXPECT_EQ(list({.tags = {{"k", "v"}}}), "a1");
  EXPECT_EQ(list({.properties = {{"p", "2"}, {"q", "it's"}}}), "a2");
  EXPECT_EQ(list({.properties = {{"p", std::nullopt}}}), "a2a1");
  EXPECT_EQ(list({.latest = true}), "a2b1");
  EXPECT_EQ(list({.run_id = "r1", .latest = true}), "b1");
  EXPECT_EQ(list({.name = "a", .limit = 1, .page_token = "a:2"}), "a1");
  EXPECT_EQ(StatusOf([&] { models().List({.page_token = "x"}); }), Status::kInvalidArgument);
}

TEST_F(ModelStoreTest, APartMayBeLeftOut) {
  File("tree/model", "m");
  File("tree/checkpoints/c", "c");
  File("tree/checkpoints2/d", "d");
  const auto paths = [&](std::string_view left_out) {
    ModelRecord model;
    model.name = "net";
    std::string all;
    for (const StoredFile &file : models().Register(model, Path("tree"), left_out).files) all += file.path + " ";
    return all;
  };
  EXPECT_EQ(paths(""), "checkpoints/c checkpoints2/d model ");
  EXPECT_EQ(paths("checkpoints"), "checkpoints2/d model ");
  File("only/checkpoints/c", "c");
  std::string message;
  ModelRecord model;
  model.name = "net";
  EXPECT_EQ(StatusOf([&] { models().Register(model, Path("only"), "checkpoints"); }, &message),
            Status::kInvalidArgument);
  EXPECT_NE(message.find("besides 'checkpoints'"), std::string::npos) << message;
}

TEST_F(ModelStoreTest, PruneShowsThenDeletes) {
  const std::string old = File("old", "old weights");
  Register("net", old);
  Register("net", File("new", "new weights"));
  MakeRun("done", {RunState::kRunning, RunState::kCompleted});
  MakeRun("busy");
  WriteFileAtomic(store().RunPaths("done").UserLogs() + "/std_log.txt", "12345");
  PruneRequest request;
  request.runs_ended_before_ms = NowUnixMs() + 1000;
  request.model_versions_to_keep = 1;
  request.object_grace_ms = -1000;
  for (const bool dry : {true, false}) {
    request.dry_run = dry;
    const PruneReport report = Prune(&store(), request);
    EXPECT_EQ(report.runs.names, std::vector<std::string>{"done"});
    EXPECT_GE(report.runs.bytes, 5u);
    EXPECT_EQ(report.models.names, std::vector<std::string>{"net:1"});
    EXPECT_EQ(report.objects.count, 1);
    EXPECT_EQ(report.objects.bytes, 11u);
    EXPECT_EQ(store().runs().Find("done").has_value(), dry);
  }
  EXPECT_EQ(Prune(&store(), request).runs.count, 0);
  EXPECT_EQ(models().List({.name = "net"}).models.size(), 1u);
  models().Download(models().Get("net"), Path("out"));
  EXPECT_EQ(store().runs().State("busy"), RunState::kRunning);
}

TEST_F(ModelStoreTest, PruneTakesChildrenWithTheirParentAlone) {
  const auto make = [&](const std::string &id, const std::string &parent) {
    RunRecord run = Record(id);
    run.parent_id = parent;
    store().runs().Create(run, {RunState::kRunning});
  };
  const auto end = [&](const std::string &id, int64_t time_ms) {
    RunChange change;
    change.states = {RunState::kCompleted};
    change.ended_ms = time_ms;
    store().runs().Apply(id, change);
  };
  for (const char *top : {"first", "second"}) {
    make(top, "");
    make(std::string(top) + "_child", top);
  }
  for (const char *id : {"first_child", "first", "second"}) end(id, 1000);
  PruneRequest request;
  request.dry_run = false;
  request.runs_ended_before_ms = 2000;
  EXPECT_THAT(Prune(&store(), request).runs.names, testing::ElementsAre("first", "first_child"));
  end("second_child", 3000);
  EXPECT_EQ(Prune(&store(), request).runs.count, 0) << "its last part is too new";
  request.runs_ended_before_ms = 0;
  request.runs_to_keep = 1;
  EXPECT_EQ(Prune(&store(), request).runs.count, 0) << "children do not count";
  request.runs_to_keep = 0;
  EXPECT_THAT(Prune(&store(), request).runs.names, testing::ElementsAre("second", "second_child"));
}

}  // namespace
}  // namespace trainyard
