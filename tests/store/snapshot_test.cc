// Snapshots: what is taken, what is refused and how that is said, what unchanged files cost, what comes back.
#include "store/snapshot.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "store/prune.h"
#include "store/snapshot_index.h"
#include "store_fixture.h"
#include "util/hash.h"
#include "util/random.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SnapshotTest : public StoreTest {
 protected:
  ObjectStore &objects() { return store().objects(); }
  std::string Source(const std::string &name = "") const { return Path("src" + (name.empty() ? "" : "/" + name)); }
  void Write(const std::string &name, std::string_view data, mode_t mode = 0644) {
    MakeDirs(ParentPath(Source(name)), 0755);
    WriteFileAtomic(Source(name), data, mode, false);
  }
  // So old that nobody takes it for just written.
  void Age(const std::string &name) {
    const timespec times[2] = {{1600000000, 0}, {1600000000, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, Source(name).c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
  }
  SnapshotManifest Take(const SnapshotLimits &limits = {}) {
    return TakeSnapshot({Source(), limits, Root()}, &objects(), &report);
  }
  std::vector<std::string> Paths(const SnapshotManifest &manifest) {
    std::vector<std::string> paths;
    for (const SnapshotEntry &entry : manifest.entries) {
      paths.push_back(entry.path + (entry.kind == SnapshotEntry::Kind::kDirectory ? "/" : ""));
    }
    return paths;
  }
  Status Refused(const SnapshotLimits &limits = {}) {
    return StatusOf([&] { Take(limits); }, &message);
  }
  std::string IndexPath() { return SnapshotIndex::Path(Root(), Source()); }
  // A file's change is seen by its inode's time, which nobody can set back: let the margin pass for the index instead.
  void MakeIndexOld() {
    SnapshotIndex index = SnapshotIndex::Load(IndexPath());
    const SnapshotManifest manifest = LoadSnapshot(index.snapshot_id, objects());
    for (IndexedFile &file : index.files) {
      for (const SnapshotEntry &entry : manifest.entries) {
        if (entry.path == file.path) file.sha256 = entry.sha256;
      }
    }
    index.Save(IndexPath());
  }

  SnapshotReport report;
  std::string message;
};

TEST_F(SnapshotTest, ComesBackAsItWas) {
  Write("train.py", "print()", 0640);
  Write("run.sh", "#!/bin/sh", 0755);
  Write("lib/a.py", "a", 0600);
  Write("lib/outputs/kept", "y");
  MakeDirs(Source("empty/deep"), 0755);
  MakeDirs(Source("private"), 0700);
  Write("private/key", "k");
  MakeDirs(Source("closed"), 0755);
  Write("closed/file", "f", 0444);
  ASSERT_EQ(chmod(Source("closed").c_str(), 0555), 0);
  ASSERT_EQ(symlink("lib/a.py", Source("link").c_str()), 0);
  ASSERT_EQ(symlink("../lib", Source("lib/self").c_str()), 0);
  ASSERT_EQ(symlink("nowhere", Source("broken").c_str()), 0);
  const SnapshotManifest taken = Take();
  EXPECT_EQ(taken.bytes, 7u + 9 + 1 + 1 + 1 + 1);
  EXPECT_EQ(report.files, 9u);
  RestoreSnapshot(LoadSnapshot(taken.id, objects()), objects(), Path("dst"));
  EXPECT_EQ(Stat(Path("dst/train.py"))->mode, 0640u);
  EXPECT_EQ(Stat(Path("dst/run.sh"))->mode, 0755u);
  EXPECT_EQ(Stat(Path("dst/lib/a.py"))->mode, 0600u);
  EXPECT_EQ(Stat(Path("dst/lib"))->mode, 0755u);
  EXPECT_EQ(Stat(Path("dst/private"))->mode, 0700u);
  EXPECT_EQ(Stat(Path("dst/closed"))->mode, 0555u);
  EXPECT_EQ(ReadFile(Path("dst/closed/file")), "f");
  EXPECT_TRUE(IsDirectory(Path("dst/empty/deep")));
  EXPECT_EQ(ReadFile(Path("dst/link")), "a");
  EXPECT_EQ(Stat(Path("dst/broken"), false)->kind, FileInfo::Kind::kSymlink);
  // Taken again from there it is the same.
  EXPECT_EQ(TakeSnapshot({.directory = Path("dst")}, &objects()).id, taken.id);
  Write("train.py", "changed");
  EXPECT_EQ(ReadFile(Path("dst/train.py")), "print()");  // the copy is its own
  EXPECT_NE(Take().id, taken.id);
  EXPECT_EQ(StatusOf([&] { TakeSnapshot({.directory = Path("none")}, &objects()); }), Status::kNotFound);
}

TEST_F(SnapshotTest, AManifestCannotLeaveItsDirectory) {
  const std::string id =
      objects().PutBytes(R"({"entries":[{"kind":"directory","mode":493,"path":"../x"}],"schema_version":1})").sha256;
  EXPECT_EQ(StatusOf([&] { LoadSnapshot(id, objects()); }), Status::kCorrupt);
}

TEST_F(SnapshotTest, IgnoreFilesDecide) {
  for (const char *name : {".git/config", "__pycache__/a.pyc", "outputs/old", "logs/old", "a.py", "data/x.bin",
                           "data/keep.csv", "sub/b.tmp", "sub/b.py", "sub/outputs/o"}) {
    Write(name, name);
  }
  EXPECT_THAT(Paths(Take()),
              ElementsAre("a.py", "data/keep.csv", "data/x.bin", "sub/b.py", "sub/b.tmp", "sub/outputs/o"));
  Write(".gitignore", "data/*\n!data/keep.csv\n*.tmp\n");
  EXPECT_THAT(Paths(Take()), ElementsAre(".gitignore", "a.py", "data/keep.csv", "sub/b.py", "sub/outputs/o"));
  Write("sub/.gitignore", "!b.tmp\n/outputs\n");
  EXPECT_THAT(Paths(Take()),
              ElementsAre(".gitignore", "a.py", "data/keep.csv", "sub/.gitignore", "sub/b.py", "sub/b.tmp"));
  // .amlignore replaces them all, and may take back what is left out by name.
  Write(".amlignore", "/data/\n*.py\n!outputs/\n");
  EXPECT_THAT(Paths(Take()),
              ElementsAre(".amlignore", ".gitignore", "outputs/old", "sub/.gitignore", "sub/b.tmp", "sub/outputs/o"));
  // A directory that is left out is not even looked into.
  Write(".amlignore", "*\n!a.py\n");
  ASSERT_EQ(symlink("/etc", Source("data/etc").c_str()), 0);
  EXPECT_THAT(Paths(Take()), ElementsAre("a.py"));
}

TEST_F(SnapshotTest, TheWorkspaceStaysOut) {
  Write("a.py", "a");
  const Layout layout(Source("workspace"));
  Store inside(layout.Root());
  const SnapshotManifest taken = TakeSnapshot({Source(), {}, layout.Root()}, &inside.objects());
  EXPECT_THAT(Paths(taken), ElementsAre("a.py"));
}

TEST_F(SnapshotTest, SymlinksThatLeaveAreNamed) {
  Write("sub/a.py", "a");
  ASSERT_EQ(symlink("../../sub", Source("sub/up").c_str()), 0);
  EXPECT_EQ(Refused(), Status::kInvalidArgument);
  EXPECT_THAT(message,
              testing::AllOf(HasSubstr("'sub/up'"), HasSubstr("'../../sub'"), HasSubstr("/sub/up in .amlignore")));
  ASSERT_EQ(unlink(Source("sub/up").c_str()), 0);
  ASSERT_EQ(symlink("/usr/bin/python3", Source("python").c_str()), 0);
  EXPECT_EQ(Refused(), Status::kInvalidArgument);
  EXPECT_THAT(message, HasSubstr("'/usr/bin/python3'"));
  ASSERT_EQ(unlink(Source("python").c_str()), 0);
  // By way of another symlink: "sub/.." of what "over" leads to is above the root.
  ASSERT_EQ(symlink(".", Source("over").c_str()), 0);
  EXPECT_EQ(Refused(), Status::kOk) << message;
  ASSERT_EQ(symlink("over/../x", Source("through").c_str()), 0);
  EXPECT_EQ(Refused(), Status::kInvalidArgument);
  EXPECT_THAT(message, HasSubstr("'through'"));
  ASSERT_EQ(unlink(Source("through").c_str()), 0);
  ASSERT_EQ(symlink((Source("sub")).c_str(), Source("absolute").c_str()), 0);
  EXPECT_EQ(Refused(), Status::kInvalidArgument);
  EXPECT_THAT(message, HasSubstr("make it relative"));
  ASSERT_EQ(unlink(Source("absolute").c_str()), 0);
  ASSERT_EQ(symlink("b", Source("a").c_str()), 0);
  ASSERT_EQ(symlink("a", Source("b").c_str()), 0);
  EXPECT_EQ(Refused(), Status::kInvalidArgument);
  EXPECT_THAT(message, testing::AllOf(HasSubstr("round in circles"), HasSubstr(" in .amlignore")));
  ASSERT_EQ(unlink(Source("a").c_str()), 0);
  // Further than the kernel goes, but not than others.
  std::string far;
  for (int i = 0; i < 41; ++i) far += "over/";
  ASSERT_EQ(symlink((far + "../../etc").c_str(), Source("b-far").c_str()), 0);
  EXPECT_EQ(Refused(), Status::kInvalidArgument);
  EXPECT_THAT(message, HasSubstr("'b-far'"));
}

TEST_F(SnapshotTest, SpecialFilesAreLeftOutWithAWarning) {
  Write("a.py", "a");
  ASSERT_EQ(mkfifo(Source("fifo").c_str(), 0600), 0);
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(Source("socket").size(), sizeof address.sun_path);
  Source("socket").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr *>(&address), sizeof address), 0);
  EXPECT_THAT(Paths(Take()), ElementsAre("a.py"));
  EXPECT_THAT(report.warnings,
              testing::UnorderedElementsAre(HasSubstr("'fifo' is a pipe"), HasSubstr("'socket' is a socket")));
}

TEST_F(SnapshotTest, TheLimitNamesWhoIsToBlame) {
  Write("train.py", "t");
  for (int i = 0; i < 40; ++i) Write("venv/lib/m" + std::to_string(i) + ".py", std::string(100, 'x'));
  Write("venv/pyvenv.cfg", "home = /usr");
  for (int i = 0; i < 25; ++i) Write("my data/f" + std::to_string(i) + ".jpg", std::string(1000, 'x'));
  const SnapshotLimits limits{.max_bytes = 10000, .max_files = 30};
  Error::Details details;
  try {
    Take(limits);
    FAIL() << "67 files were taken";
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), Status::kInvalidArgument);
    message = error.what();
    details = error.details();
  }
  EXPECT_THAT(message, testing::AllOf(HasSubstr("67 files"), HasSubstr("9.8 KB or 30 files"),
                                      HasSubstr("'my data/' (25 files, 24.4 KB)"), HasSubstr("'venv/' (41 files"),
                                      HasSubstr("make the file '" + Source(".amlignore") + "'"),
                                      HasSubstr("/my data/  /venv/"), HasSubstr("ty_job_set_snapshot_limits")));
  EXPECT_EQ(details["ignore_lines"], "/my data/\n/venv/");
  // The advice is followed.
  Write(".amlignore", details["ignore_lines"]);
  EXPECT_THAT(Paths(Take(limits)), ElementsAre(".amlignore", "train.py"));
  Write(".amlignore", "");
  EXPECT_EQ(Refused(limits), Status::kInvalidArgument);
  EXPECT_THAT(message, HasSubstr("add these lines to '" + Source(".amlignore") + "'"));
  ASSERT_EQ(unlink(Source(".amlignore").c_str()), 0);
  Write(".gitignore", "*.pyc\n");
  EXPECT_EQ(Refused(limits), Status::kInvalidArgument);
  EXPECT_THAT(message, HasSubstr("add these lines to '" + Source(".gitignore") + "'"));
  EXPECT_EQ(Refused({.max_bytes = 0, .max_files = 0}), Status::kOk);
  EXPECT_EQ(Refused({.max_bytes = 0, .max_files = 68}), Status::kOk);
  EXPECT_EQ(Refused({.max_bytes = 0, .max_files = 67}), Status::kInvalidArgument);
}

TEST_F(SnapshotTest, SecretsAreNamed) {
  Write(".env", "PASSWORD=x");
  Write("train.py", "print()");
  Write("deploy/key.pem", "-----BEGIN RSA PRIVATE KEY-----\n" + std::string(64, 'M') + "\n");
  Write("large.txt",
        "ghp_" + std::string("0123456789abcdefghijklmnopqrstuvwxyz") + std::string(kSecretFileBytes, '\n'));
  const auto expected = ElementsAre(HasSubstr("'.env'"), HasSubstr("'deploy/key.pem'"));
  EXPECT_THAT(InspectSource({Source(), {}, Root()}).warnings, expected);
  Take();
  EXPECT_THAT(report.warnings, expected);
  MakeIndexOld();
  Take();  // known from the index
  EXPECT_EQ(report.read_files, 0u);
  EXPECT_THAT(report.warnings, expected);
  for (int i = 0; i < 30; ++i) Write("many/" + std::to_string(i) + "/.env", "x");
  Take();
  EXPECT_EQ(report.warnings.size(), 21u);
  EXPECT_THAT(report.warnings.back(), HasSubstr("12 more"));
}

TEST_F(SnapshotTest, UnchangedFilesAreNotRead) {
  for (int i = 0; i < 40; ++i) Write("f" + std::to_string(i), "content " + std::to_string(i));
  Write("large", std::string(5 << 20, 'l'));
  const std::string id = Take().id;
  EXPECT_EQ(report.read_files, 41u);
  MakeIndexOld();
  EXPECT_EQ(Take().id, id);
  EXPECT_EQ(report.read_files, 0u);
  const auto written = Stat(IndexPath());
  EXPECT_EQ(Take().id, id);
  EXPECT_EQ(Stat(IndexPath())->inode, written->inode);  // nothing to write either
  Write("f7", "content X");
  EXPECT_NE(Take().id, id);
  EXPECT_EQ(report.read_files, 1u);
  Write("f7", "content 7");
  EXPECT_EQ(Take().id, id);
  // Modes, names and links count as well, without a file being read.
  MakeIndexOld();
  ASSERT_EQ(chmod(Source("f1").c_str(), 0755), 0);
  EXPECT_NE(Take().id, id);
  ASSERT_EQ(chmod(Source("f1").c_str(), 0644), 0);
  ASSERT_EQ(symlink("f1", Source("link").c_str()), 0);
  EXPECT_NE(Take().id, id);
  ASSERT_EQ(unlink(Source("link").c_str()), 0);
  EXPECT_EQ(Take().id, id);
}

// A change within the clock's step after the look leaves the times as they were.
TEST_F(SnapshotTest, WhatWasJustWrittenIsReadAgain) {
  Write("a", "1234");
  Take();
  EXPECT_EQ(report.read_files, 1u);
  Take();
  EXPECT_EQ(report.read_files, 1u);
  Age("a");  // the time of the content can be set, that of the inode not
  Take();
  EXPECT_EQ(report.read_files, 1u);
  const SnapshotIndex index = SnapshotIndex::Load(IndexPath());
  ASSERT_EQ(index.files.size(), 1u);
  EXPECT_EQ(index.files[0].sha256, "");
}

TEST_F(SnapshotTest, ADamagedIndexIsNone) {
  Write("a", "1");
  const std::string id = Take().id;
  MakeIndexOld();
  std::string data = ReadFile(IndexPath());
  for (const std::string &damaged :
       {std::string(), data.substr(0, data.size() - 1), data + "x", std::string(500, 'x')}) {
    WriteFileAtomic(IndexPath(), damaged, 0600, false);
    EXPECT_EQ(Take().id, id);
    EXPECT_EQ(report.read_files, 1u);
  }
  data[data.size() / 2] = static_cast<char>(data[data.size() / 2] ^ 1);
  WriteFileAtomic(IndexPath(), data, 0600, false);
  EXPECT_TRUE(SnapshotIndex::Load(IndexPath()).files.empty());
}

TEST_F(SnapshotTest, PruningIsNoticed) {
  Write("a", "1");
  Write("b", "2");
  const std::string id = Take().id;
  MakeIndexOld();
  objects().CollectGarbage({}, false, -1000);  // no run refers to it
  EXPECT_FALSE(objects().Has(id));
  EXPECT_EQ(Take().id, id);
  EXPECT_EQ(report.read_files, 2u);
  RestoreSnapshot(LoadSnapshot(id, objects()), objects(), Path("dst"));
  EXPECT_EQ(ReadFile(Path("dst/b")), "2");
  // One that keeps everything costs a look at each object, no read.
  MakeIndexOld();
  objects().CollectGarbage({}, false);
  EXPECT_EQ(Take().id, id);
  EXPECT_EQ(report.read_files, 0u);
}

// Whatever the moment: the snapshot that was taken can be restored.
TEST_F(SnapshotTest, PruningAtTheSameTimeTakesNothingAway) {
  for (int i = 0; i < 10; ++i) Write("f" + std::to_string(i), std::to_string(i));
  Take();
  MakeIndexOld();
  PruneRequest request;
  request.dry_run = false;
  std::atomic<bool> stop{false};
  std::thread pruner([&] {
    Store own(Root());
    while (!stop) {
      Prune(&own, request);
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
  });
  const timespec old[2] = {{1000, 0}, {1000, 0}};
  for (int i = 0; i < 60; ++i) {
    for (const DirEntry &directory : ListDir(store().layout().Objects())) {
      if (directory.name.size() != 2) continue;
      const std::string parent = store().layout().Objects() + "/" + directory.name;
      for (const DirEntry &file : ListDir(parent)) utimensat(AT_FDCWD, (parent + "/" + file.name).c_str(), old, 0);
    }
    Write("f3", std::to_string(i));
    const SnapshotManifest taken = Take();
    for (const SnapshotEntry &entry : taken.entries) ASSERT_TRUE(objects().Has(entry.sha256)) << i;
    usleep(3000);
    for (const SnapshotEntry &entry : LoadSnapshot(taken.id, objects()).entries)
      ASSERT_TRUE(objects().Has(entry.sha256)) << i;
  }
  stop = true;
  pruner.join();
}

TEST_F(SnapshotTest, SeveralProcessesAtOnce) {
  for (int i = 0; i < 50; ++i) Write("f" + std::to_string(i), std::string(3000, static_cast<char>('a' + i % 26)));
  store();
  Reopen();
  std::vector<pid_t> children;
  for (int c = 0; c < 4; ++c) {
    const pid_t pid = fork();
    if (pid == 0) {
      Store own(Root());
      for (int i = 0; i < 5; ++i) {
        const SnapshotManifest taken = TakeSnapshot({Source(), {}, Root()}, &own.objects());
        for (const SnapshotEntry &entry : taken.entries) own.objects().Verify(entry.sha256);
        if (taken.entries.size() != 50) _exit(1);
      }
      _exit(0);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
}

// Files come, go and grow while they are read.
TEST_F(SnapshotTest, ADirectoryInMotion) {
  for (int i = 0; i < 200; ++i) Write("still" + std::to_string(i), std::to_string(i));
  std::atomic<bool> stop{false};
  std::thread mover([&] {
    for (int i = 0; !stop; ++i) {
      const std::string name = Source("moving" + std::to_string(i % 50));
      if (i % 3 == 0)
        unlink(name.c_str());
      else
        AppendFile(name, std::string(1 << 16, 'x'));
      if (i % 500 == 0) {
        for (int n = 0; n < 50; ++n) unlink(Source("moving" + std::to_string(n)).c_str());
      }
    }
  });
  for (int i = 0; i < 20; ++i) {
    const SnapshotManifest taken = Take();
    EXPECT_GE(taken.entries.size(), 200u);
    for (const SnapshotEntry &entry : taken.entries) {
      ASSERT_TRUE(objects().Has(entry.sha256)) << entry.path;
      ASSERT_EQ(Stat(objects().Path(entry.sha256))->size, entry.size) << entry.path;
    }
  }
  stop = true;
  mover.join();
}

TEST_F(SnapshotTest, WhatCannotBeReadIsNamed) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  ASSERT_EQ(chmod(directory_.path().c_str(), 0777), 0);
  Write("a.py", "a");
  Write("conf/hidden", "h", 0600);
  ASSERT_EQ(chmod(Source("conf").c_str(), 0755), 0);
  const auto as_nobody = [&](const std::string &expected) {
    return InChild([&] {
      if (setgid(65534) != 0 || setuid(65534) != 0) return 2;
      Store own(Path("ws-" + RandomBase32(4)));
      std::string said;
      const Status status = StatusOf([&] { TakeSnapshot({.directory = Source()}, &own.objects()); }, &said);
      const bool named = said.find(expected) != std::string::npos && said.find(".amlignore") != std::string::npos;
      if (!named) fprintf(stderr, "%s\n", said.c_str());
      return status == Status::kPermission && named ? 0 : 1;
    });
  };
  EXPECT_EQ(as_nobody("'" + Source("conf/hidden") + "'"), 0);
  ASSERT_EQ(chmod(Source("conf").c_str(), 0700), 0);
  EXPECT_EQ(as_nobody("line /conf/ in"), 0);
}

TEST_F(SnapshotTest, AFullDiskLeavesNothingBehind) {
  MakeDirs(Path("small"));
  if (mount("tmpfs", Path("small").c_str(), "tmpfs", 0, "size=2m") != 0) GTEST_SKIP() << "cannot mount a tmpfs";
  {
    ObjectStore small{Layout(Path("small"))};
    for (int i = 0; i < 8; ++i) Write("f" + std::to_string(i), RandomBase32(400000));
    EXPECT_EQ(StatusOf([&] { TakeSnapshot({.directory = Source()}, &small); }, &message), Status::kNoSpace) << message;
    EXPECT_TRUE(ListDir(Path("small/objects/tmp")).empty());
    for (int i = 2; i < 8; ++i) ASSERT_EQ(unlink(Source("f" + std::to_string(i)).c_str()), 0);
    small.CollectGarbage({}, false, -1000);
    EXPECT_EQ(StatusOf([&] { TakeSnapshot({.directory = Source()}, &small); }, &message), Status::kOk) << message;
  }
  umount(Path("small").c_str());
}

TEST_F(SnapshotTest, DeepAndOddNames) {
  std::string deep = "d";
  for (int i = 0; i < 300; ++i) deep += "/d";
  Write(deep + "/bottom", "b");
  Write("line\nbreak", "l");
  Write("\xC3\xA9 *?[", "u");
  EXPECT_EQ(Take().entries.size(), 3u);
  Write("bad\xFF", "x");
  EXPECT_EQ(Refused(), Status::kInvalidArgument);
  EXPECT_THAT(message, HasSubstr("not valid UTF-8"));
  Write(".amlignore", "bad*\n");
  EXPECT_EQ(Refused(), Status::kOk) << message;
  EXPECT_THAT(report.warnings, IsEmpty());
}

}  // namespace
}  // namespace trainyard
