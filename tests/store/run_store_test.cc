#include "store/run_store.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <thread>

#include "store_fixture.h"

#include "util/clock.h"

namespace trainyard {
namespace {

using enum RunState;
using testing::HasSubstr;

class RunStoreTest : public StoreTest {
 protected:
  RunStore &runs() { return store().runs(); }
};

TEST_F(RunStoreTest, CreateGetAndTheSameJobAgain) {
  RunRecord run = Record("r1");
  run.display_name = "näme";
  run.tags = {{"a", "1"}};
  run.properties = {{"p", "q"}};
  run.submitter = {42, 7, "boot", "host"};
  const auto created = runs().Create(run, {kStarting});
  EXPECT_FALSE(created.existed);
  EXPECT_EQ(created.run.state, kStarting);
  const RunRecord got = runs().Get("r1");
  EXPECT_EQ(got.display_name, "näme");
  EXPECT_EQ(got.job_json, run.job_json);
  EXPECT_EQ(got.tags, run.tags);
  EXPECT_EQ(got.properties, run.properties);
  EXPECT_EQ(got.submitter.hostname, "host");
  EXPECT_GT(got.created_ms, 0);
  EXPECT_TRUE(IsDirectory(store().RunPaths("r1").Journal()));
  EXPECT_TRUE(runs().Create(run).existed);
  run.job_hash = "other";
  std::string message;
  EXPECT_EQ(StatusOf([&] { runs().Create(run); }, &message), Status::kAlreadyExists);
  EXPECT_THAT(message, HasSubstr("'r1'"));
  EXPECT_EQ(StatusOf([&] { runs().Get("none"); }), Status::kNotFound);
  EXPECT_EQ(StatusOf([&] { runs().Create(Record("No Good")); }), Status::kInvalidArgument);
}

TEST_F(RunStoreTest, MovesAreCheckedAndKept) {
  MakeRun("r1", {kStarting, kRunning});
  std::string message;
  EXPECT_EQ(StatusOf([&] { runs().Transition("r1", kQueued), runs().Transition("r1", kNotStarted); }, &message),
            Status::kInvalidState);
  EXPECT_THAT(message, HasSubstr("from Queued to NotStarted"));
  RunError error{.code = "exit_code",
                 .message = "rank 0 exited with 3",
                 .rank = 0,
                 .node = "n",
                 .exit_code = 3,
                 .signal = "",
                 .stderr_tail = "boom\n",
                 .details_json = ""};
  runs().Transition("r1", kFailed, error);
  EXPECT_EQ(StatusOf([&] { runs().Transition("r1", kRunning); }, &message), Status::kInvalidState);
  const RunRecord run = runs().Get("r1");
  EXPECT_EQ(run.error.message, error.message);
  EXPECT_EQ(run.error.exit_code, 3);
  EXPECT_EQ(run.error.stderr_tail, "boom\n");
  EXPECT_GT(run.started_ms, 0);
  EXPECT_GT(run.ended_ms, 0);
  std::vector<RunState> states;
  for (const StateChange &change : runs().History("r1")) states.push_back(change.state);
  EXPECT_EQ(states, (std::vector<RunState>{kNotStarted, kStarting, kRunning, kQueued, kFailed}));
  EXPECT_EQ(runs().History("r1", 4).size(), 1u);
  EXPECT_EQ(runs().State("r1"), kFailed);
}

TEST_F(RunStoreTest, AGuardedChangeLosesTheRaceQuietly) {
  MakeRun("r1");
  RunChange change;
  change.only_from = {kQueued};
  change.states = {kFailed};
  EXPECT_EQ(runs().Apply("r1", change), std::nullopt);
  EXPECT_EQ(runs().State("r1"), kRunning);
  change.only_from = {kRunning};
  EXPECT_TRUE(runs().Apply("r1", change));
}

// All or nothing: an illegal move in the middle leaves the run as it was.
TEST_F(RunStoreTest, AChangeIsOneTransaction) {
  MakeRun("r1");
  RunChange change;
  change.states = {kFinalizing, kRunning};
  change.tags = {{"a", "b"}};
  EXPECT_EQ(StatusOf([&] { runs().Apply("r1", change); }), Status::kInvalidState);
  EXPECT_EQ(runs().State("r1"), kRunning);
  EXPECT_TRUE(runs().Get("r1").tags.empty());
}

TEST_F(RunStoreTest, TimesNeverGoBackwards) {
  int64_t now = 5000;
  SetWallClockForTest([&] { return now; });
  MakeRun("r1", {});
  now = 9000;
  runs().Transition("r1", kRunning);
  now = 1000;  // somebody set the clock back
  MakeRun("r2", {});
  runs().Transition("r1", kCompleted);
  SetWallClockForTest(nullptr);
  const auto history = runs().History("r1");
  EXPECT_EQ(history[2].time_ms, 9000);
  EXPECT_EQ(runs().Get("r1").ended_ms, 9000);
  EXPECT_EQ(runs().List({}).runs[0].id, "r2");  // the newest all the same
}

TEST_F(RunStoreTest, TagsChangePropertiesDoNot) {
  MakeRun("r1");
  runs().SetTag("r1", "a", "1");
  runs().SetTag("r1", "a", "2");
  runs().SetTag("r1", "b", "");
  runs().RemoveTag("r1", "b");
  EXPECT_EQ(runs().Get("r1").tags, (std::map<std::string, std::string>{{"a", "2"}}));
  runs().SetProperty("r1", "p", "1");
  runs().SetProperty("r1", "p", "1");
  EXPECT_EQ(StatusOf([&] { runs().SetProperty("r1", "p", "2"); }), Status::kAlreadyExists);
  EXPECT_EQ(StatusOf([&] { runs().SetTag("r1", std::string(101, 'k'), ""); }), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf([&] { runs().SetTag("r1", "k", std::string(1001, 'v')); }), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf([&] { runs().SetTag("no", "k", "v"); }), Status::kNotFound);
  for (size_t i = 1; i < RunStore::kMaxTags; ++i) runs().SetTag("r1", "t" + std::to_string(i), "");
  EXPECT_EQ(StatusOf([&] { runs().SetTag("r1", "one too many", ""); }), Status::kInvalidArgument);
}

TEST_F(RunStoreTest, ListsFiltersAndPages) {
  for (int i = 0; i < 7; ++i) {
    RunRecord run = Record("r" + std::to_string(i));
    run.experiment = i % 2 == 0 ? "even" : "odd";
    run.created_ms = 1000 + i;
    run.tags = {{"n", std::to_string(i % 3)}};
    run.properties = {{"p", "x"}};
    if (i > 4) run.parent_id = "r0";
    runs().Create(run, i == 3 ? std::vector<RunState>{kFailed} : std::vector<RunState>{kRunning});
  }
  const auto ids = [&](const RunFilter &filter) {
    std::string all;
    for (const RunRecord &run : runs().List(filter).runs) all += run.id[1];
    return all;
  };
  EXPECT_EQ(ids({}), "6543210");
  EXPECT_EQ(ids({.experiment = "odd"}), "531");
  EXPECT_EQ(ids({.states = {kFailed}}), "3");
  EXPECT_EQ(ids({.experiment = "odd", .states = {kFailed, kRunning}, .created_from_ms = 1003, .created_to_ms = 1005}),
            "3");
  EXPECT_EQ(ids({.tags = {{"n", "0"}}}), "630");
  EXPECT_EQ(ids({.tags = {{"n", std::nullopt}}}), "6543210");
  EXPECT_EQ(ids({.tags = {{"n", "0"}, {"other", std::nullopt}}}), "");
  EXPECT_EQ(ids({.tags = {{"n", "0"}}, .properties = {{"p", "x"}}}), "630");
  EXPECT_EQ(ids({.properties = {{"p", "y"}}}), "");
  EXPECT_EQ(ids({.properties = {{"p", ""}}}), "") << "an empty value is a value";
  EXPECT_EQ(ids({.kinds = {RunKind::kHost}}), "");
  EXPECT_EQ(ids({.kinds = {RunKind::kHost, RunKind::kCommand}}), "6543210");
  EXPECT_EQ(ids({.parent_id = "r0"}), "65");
  EXPECT_EQ(ids({.top_level = true}), "43210");
  std::string paged;
  RunFilter filter{.limit = 3};
  do {
    const RunPage page = runs().List(filter);
    for (const RunRecord &run : page.runs) paged += run.id[1];
    paged += "|";
    filter.page_token = page.next_page_token;
  } while (!filter.page_token.empty());
  EXPECT_EQ(paged, "654|321|0|");
  filter.page_token = "x";
  EXPECT_EQ(StatusOf([&] { runs().List(filter); }), Status::kInvalidArgument);
  const auto experiments = runs().ListExperiments();
  ASSERT_EQ(experiments.size(), 2u);
  EXPECT_EQ(experiments[0].run_count, 4);
}

TEST_F(RunStoreTest, ChildrenKnowTheirParentAndRoot) {
  const auto make = [&](const std::string &id, const std::string &parent) {
    RunRecord run = Record(id);
    run.parent_id = parent;
    return runs().Create(run, {kRunning}).run;
  };
  EXPECT_EQ(make("top", "").root_id, "");
  EXPECT_EQ(make("a", "top").root_id, "top");
  EXPECT_EQ(make("b", "a").root_id, "top");
  EXPECT_EQ(make("c", "b").parent_id, "b");
  make("other", "");
  make("d", "other");
  EXPECT_EQ(runs().Get("c").root_id, "top");
  const auto ids = [&](const RunFilter &filter) {
    std::vector<std::string> all;
    for (const RunRecord &run : runs().List(filter).runs) all.push_back(run.id);
    return all;
  };
  EXPECT_THAT(ids({.ancestor_id = "top"}), testing::ElementsAre("c", "b", "a"));
  EXPECT_THAT(ids({.ancestor_id = "b"}), testing::ElementsAre("c"));
  EXPECT_THAT(ids({.parent_id = "top"}), testing::ElementsAre("a"));
  EXPECT_THAT(ids({.ancestor_id = "c"}), testing::ElementsAre());
  std::string message;
  EXPECT_EQ(StatusOf([&] { make("x", "x"); }, &message), Status::kInvalidArgument);
  EXPECT_THAT(message, testing::HasSubstr("its own parent"));
  EXPECT_EQ(StatusOf([&] { make("x", "none"); }, &message), Status::kNotFound);
  EXPECT_THAT(message, testing::HasSubstr("'none'"));
  EXPECT_EQ(runs().Find("x"), std::nullopt);
  runs().Transition("a", kCancelRequested);
  EXPECT_EQ(StatusOf([&] { make("x", "a"); }, &message), Status::kInvalidState);
  EXPECT_THAT(message, testing::HasSubstr("was canceled"));
}

TEST_F(RunStoreTest, DeleteNeedsAnEndedRun) {
  MakeRun("r1");
  EXPECT_EQ(StatusOf([&] { runs().Delete("r1"); }), Status::kInvalidState);
  runs().Transition("r1", kCompleted);
  runs().Delete("r1");
  EXPECT_EQ(runs().Find("r1"), std::nullopt);
  EXPECT_FALSE(PathExists(store().RunPaths("r1").Root()));
  EXPECT_EQ(StatusOf([&] { runs().Delete("r1"); }), Status::kNotFound);
}

TEST_F(RunStoreTest, DescendantsAreDeletedWithTheirAncestor) {
  const auto make = [&](const std::string &id, const std::string &parent) {
    RunRecord run = Record(id);
    run.parent_id = parent;
    runs().Create(run, {kRunning});
  };
  make("top", "");
  make("a", "top");
  make("b", "a");
  make("other", "");
  for (const char *id : {"top", "a", "other"}) runs().Transition(id, kCompleted);
  std::string message;
  EXPECT_EQ(StatusOf([&] { runs().Delete("top"); }, &message), Status::kInvalidState);
  EXPECT_THAT(message, testing::HasSubstr("has a descendant 'b', which is Running"));
  EXPECT_TRUE(runs().Find("a").has_value()) << "all or none";
  runs().Transition("b", kFailed);
  runs().Delete("top");
  for (const char *id : {"top", "a", "b"}) {
    EXPECT_EQ(runs().Find(id), std::nullopt) << id;
    EXPECT_FALSE(PathExists(store().RunPaths(id).Root())) << id;
  }
  EXPECT_TRUE(runs().Find("other").has_value());
}

TEST_F(RunStoreTest, OnlyOneOfManyThreadsEndsARun) {
  MakeRun("r1");
  std::atomic<int> won{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      Store own(Root());  // each with a connection of its own, as processes have
      const Status status = StatusOf([&] { own.runs().Transition("r1", t % 2 == 0 ? kCompleted : kFailed); });
      if (status == Status::kOk)
        ++won;
      else
        EXPECT_EQ(status, Status::kInvalidState);
    });
  }
  for (std::thread &thread : threads) thread.join();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(runs().History("r1").size(), 3u);
}

TEST_F(RunStoreTest, SurvivesReopeningAndSuspending) {
  MakeRun("r1");
  store().database().Suspend();
  EXPECT_EQ(runs().State("r1"), kRunning);
  Reopen();
  EXPECT_EQ(runs().State("r1"), kRunning);
  struct stat info {};
  ASSERT_EQ(stat((Root() + "/trainyard.db").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat(Root().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(RunStoreTest, AForkedChildIsRefused) {
  MakeRun("r1");
  EXPECT_EQ(InChild([&] {
              if (StatusOf([&] { runs().State("r1"); }) != Status::kForked) return 1;
              Store own(Root());  // but may open it anew
              return own.runs().State("r1") == kRunning ? 7 : 2;
            }),
            7);
  EXPECT_EQ(runs().State("r1"), kRunning);
}

// ---- the database under it ----

TEST_F(StoreTest, NoWorkspaceAndForeignDirectories) {
  EXPECT_EQ(StatusOf([&] { Store store(Root(), {.create = false}); }), Status::kNotFound);
  MakeDirs(Root());
  WriteFileAtomic(Root() + "/precious", "x");
  EXPECT_EQ(StatusOf([&] { Store store(Root()); }), Status::kInvalidArgument);
  EXPECT_FALSE(PathExists(Root() + "/trainyard.db"));
}

TEST_F(StoreTest, ADamagedDatabaseIsNamed) {
  MakeDirs(Root());
  WriteFileAtomic(Root() + "/trainyard.db", std::string(8192, 'x'));
  std::string message;
  EXPECT_EQ(StatusOf([&] { Store store(Root()); }, &message), Status::kCorrupt);
  EXPECT_THAT(message, HasSubstr("trainyard.db"));
}

// A disk that is really read-only: what is there can be read, and a change says why it cannot be made.
TEST_F(StoreTest, ReadOnlyDisk) {
  const std::string disk = Path("disk");
  MakeDirs(disk);
  if (mount("none", disk.c_str(), "tmpfs", 0, "size=16m") != 0) GTEST_SKIP() << "SKIP: mounting a tmpfs needs root";
  {
    Store writable(disk + "/workspace");
    RunRecord run;
    run.id = "kept";
    run.experiment = "e";
    writable.runs().Create(run);
  }
  EXPECT_EQ(mount("none", disk.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, ""), 0);
  {
    Store readable(disk + "/workspace");
    EXPECT_EQ(readable.runs().State("kept"), RunState::kNotStarted);
    std::string message;
    EXPECT_EQ(StatusOf([&] { readable.runs().SetTag("kept", "a", "b"); }, &message), Status::kPermission);
    EXPECT_THAT(message, HasSubstr("read-only file system"));
  }
  umount(disk.c_str());
}

class FormatTest : public StoreTest {
 protected:
  void MakeFormat(int64_t format, int64_t min_reader, int64_t min_writer) {
    MakeRun("r1");
    store().database().Write([&](Connection &db) {
      db.Prepare("UPDATE meta SET value = ? WHERE key = 'min_reader'").Bind(min_reader).Run();
      db.Prepare("UPDATE meta SET value = ? WHERE key = 'min_writer'").Bind(min_writer).Run();
      db.Execute("PRAGMA user_version = " + std::to_string(format));
    });
    Reopen();
  }
};

TEST_F(FormatTest, ANewerOneThatWeMayWrite) {
  MakeFormat(9, 1, 1);
  store().runs().SetTag("r1", "a", "b");
}

TEST_F(FormatTest, ANewerOneThatWeMayRead) {
  MakeFormat(9, 1, 9);
  EXPECT_TRUE(store().database().read_only());
  EXPECT_EQ(store().runs().State("r1"), kRunning);
  EXPECT_EQ(StatusOf([&] { store().runs().SetTag("r1", "a", "b"); }), Status::kVersion);
}

TEST_F(FormatTest, ANewerOneThatWeMayNotRead) {
  MakeFormat(9, 9, 9);
  std::string message;
  EXPECT_EQ(StatusOf([&] { store(); }, &message), Status::kVersion);
  EXPECT_THAT(message,
              testing::AllOf(HasSubstr("format 9"), HasSubstr("format " + std::to_string(Database::Format()))));
}

TEST_F(FormatTest, MigratesAloneWithABackup) {
  MakeRun("r1");
  DatabaseOptions newer;
  newer.format = Database::Format() + 1;
  newer.migrations = {{Database::Format(), "ALTER TABLE runs ADD COLUMN extra TEXT"}};
  newer.lock_wait_ms = 20;
  std::string message;
  EXPECT_EQ(StatusOf([&] { Store other(Root(), newer); }, &message), Status::kBusy);  // we have it open
  EXPECT_THAT(message, HasSubstr("migrated"));
  EXPECT_EQ(store().runs().State("r1"), kRunning);
  Reopen();
  {
    Store other(Root(), newer);
    other.database().Read([](Connection &db) { db.Prepare("SELECT extra FROM runs").Run(); });
    EXPECT_EQ(other.runs().State("r1"), kRunning);
  }
  const std::string backup = Root() + "/trainyard.db.bak-v" + std::to_string(Database::Format());
  ASSERT_TRUE(PathExists(backup));
  EXPECT_EQ(Stat(backup)->mode, 0600u);
}

class NetworkTest : public StoreTest {
 protected:
  NetworkTest() {
    SetFileSystemKindForTest([](const std::string &) { return FileSystemKind{true, "nfs"}; });
  }
  ~NetworkTest() override { SetFileSystemKindForTest(nullptr); }
};

TEST_F(NetworkTest, NoWriteAheadLog) {
  MakeRun("r1");
  EXPECT_TRUE(store().database().network());
  EXPECT_FALSE(PathExists(Root() + "/trainyard.db-wal"));
  EXPECT_EQ(store().runs().State("r1"), kRunning);
}

TEST_F(NetworkTest, AWorkspaceMadeOnALocalDisk) {
  SetFileSystemKindForTest(nullptr);
  MakeRun("r1");
  EXPECT_TRUE(PathExists(Root() + "/trainyard.db-wal"));
  Reopen();
  SetFileSystemKindForTest([](const std::string &) { return FileSystemKind{true, "nfs"}; });
  EXPECT_EQ(store().runs().State("r1"), kRunning);
  store().runs().SetTag("r1", "a", "b");
  EXPECT_FALSE(PathExists(Root() + "/trainyard.db-wal"));
}

TEST_F(NetworkTest, OneHostAtATime) {
  const DatabaseOptions alpha{.host = HostIdentity{"alpha", "boot-a"}};
  const DatabaseOptions beta{.host = HostIdentity{"beta", "boot-b"}};
  {
    Store first(Root(), alpha);
    Store second(Root(), alpha);
    std::string message;
    EXPECT_EQ(StatusOf([&] { Store other(Root(), beta); }, &message), Status::kBusy);
    EXPECT_THAT(message, HasSubstr("'alpha'"));
    first.runs().Create(Record("r1"));
    EXPECT_EQ(second.runs().State("r1"), kNotStarted);
  }
  Store later(Root(), beta);
  EXPECT_EQ(later.runs().State("r1"), kNotStarted);
}

}  // namespace
}  // namespace trainyard
