#include "store/object_store.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "store_fixture.h"
#include "util/hash.h"

namespace trainyard {
namespace {

class ObjectStoreTest : public StoreTest {
 protected:
  ObjectStore &objects() { return store().objects(); }
  void Write(const std::string &name, std::string_view data, mode_t mode = 0644) {
    MakeDirs(ParentPath(Path(name)));
    WriteFileAtomic(Path(name), data, mode, false);
  }
};

TEST_F(ObjectStoreTest, PutReadVerify) {
  Write("a", "hello");
  const ObjectInfo info = objects().PutFile(Path("a"));
  EXPECT_EQ(info.sha256, Sha256Hex("hello"));
  EXPECT_EQ(info.size, 5u);
  EXPECT_EQ(objects().Read(info.sha256), "hello");
  EXPECT_EQ(objects().PutBytes("hello").sha256, info.sha256);
  EXPECT_TRUE(PathExists(Path("a")));
  struct stat mine {
  }, theirs{};
  stat(Path("a").c_str(), &mine);
  stat(objects().Path(info.sha256).c_str(), &theirs);
  EXPECT_NE(mine.st_ino, theirs.st_ino);  // never a hard link
  objects().Verify(info.sha256);
  chmod(objects().Path(info.sha256).c_str(), 0600);
  AppendFile(objects().Path(info.sha256), "!");
  EXPECT_EQ(StatusOf([&] { objects().Verify(info.sha256); }), Status::kCorrupt);
  EXPECT_EQ(StatusOf([&] { objects().Open(Sha256Hex("none")); }), Status::kNotFound);
  EXPECT_EQ(StatusOf([&] { objects().Path("../../etc/passwd"); }), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf([&] { objects().PutFile("/dev/null"); }), Status::kInvalidArgument);
}

TEST_F(ObjectStoreTest, LargeFilesAndMoves) {
  const std::string large(9 << 20, 'z');
  Write("large", large);
  const ObjectInfo info = objects().PutFile(Path("large"));
  EXPECT_EQ(info.sha256, Sha256Hex(large));
  EXPECT_EQ(objects().PutFileByMove(Path("large")).sha256, info.sha256);
  EXPECT_FALSE(PathExists(Path("large")));
  EXPECT_TRUE(ListDir(store().layout().Objects() + "/tmp").empty());
  objects().Export(info.sha256, Path("out"), 0640);
  EXPECT_EQ(Stat(Path("out"))->mode, 0640u);
  EXPECT_EQ(Sha256File(Path("out")), info.sha256);
}

TEST_F(ObjectStoreTest, GarbageHasAGrace) {
  const std::string kept = objects().PutBytes("kept").sha256;
  const std::string gone = objects().PutBytes("gone").sha256;
  EXPECT_EQ(objects().CollectGarbage({kept}, false).count, 0);  // too fresh
  const GarbageReport dry = objects().CollectGarbage({kept}, true, -1000);
  EXPECT_EQ(dry.names, std::vector<std::string>{gone});
  EXPECT_EQ(dry.bytes, 4u);
  EXPECT_TRUE(objects().Has(gone));
  objects().CollectGarbage({kept}, false, -1000);
  EXPECT_FALSE(objects().Has(gone));
  EXPECT_TRUE(objects().Has(kept));
}

// Putting an old object again makes it fresh, also while garbage is being collected.
TEST_F(ObjectStoreTest, PuttingAgainSaves) {
  const std::string hash = objects().PutBytes("again").sha256;
  const timespec old[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, objects().Path(hash).c_str(), old, 0), 0);
  EXPECT_EQ(objects().CollectGarbage({}, true).count, 1);
  objects().PutBytes("again");
  EXPECT_EQ(objects().CollectGarbage({}, false).count, 0);
  std::atomic<bool> stop{false};
  std::thread collector([&] {
    ObjectStore own(store().layout());
    while (!stop) own.CollectGarbage({}, false, 50);
  });
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(utimensat(AT_FDCWD, objects().Path(hash).c_str(), old, 0) == 0 || errno == ENOENT, true);
    objects().PutBytes("again", false);
    ASSERT_TRUE(objects().Has(hash));
  }
  stop = true;
  collector.join();
}

TEST_F(ObjectStoreTest, ManyThreadsPutTheSame) {
  objects();  // opens the workspace
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) EXPECT_EQ(objects().PutBytes("n" + std::to_string(i), false).size, i < 10 ? 2u : 3u);
    });
  }
  for (std::thread &thread : threads) thread.join();
  for (int i = 0; i < 50; ++i) objects().Verify(Sha256Hex("n" + std::to_string(i)));
}

// Collections are what a full disk needs.
TEST_F(ObjectStoreTest, AFullDiskIsCollected) {
  MakeDirs(Path("small"));
  if (mount("tmpfs", Path("small").c_str(), "tmpfs", 0, "size=256k") != 0)
    GTEST_SKIP() << "SKIP: mounting a tmpfs needs root";
  {
    const Layout layout(Path("small"));
    MakeDirs(layout.Objects());
    ObjectStore full(layout);
    const std::string object = full.PutBytes(std::string(100000, 'x')).sha256;
    EXPECT_EQ(StatusOf([&] { AppendFile(Path("small/filler"), std::string(1 << 20, 'y')); }), Status::kNoSpace);
    while (StatusOf([&] { AppendFile(Path("small/filler"), "y"); }) == Status::kOk) {
    }
    EXPECT_EQ(full.CollectGarbage({}, false, -1000).names, std::vector<std::string>{object});
    EXPECT_FALSE(full.Has(object));
  }
  EXPECT_EQ(umount(Path("small").c_str()), 0);
}

// A list that is held keeps what it names, and who holds one learns whether something was removed before.
TEST_F(ObjectStoreTest, HeldListsSurviveACollection) {
  const std::string file = objects().PutBytes("file").sha256, other = objects().PutBytes("other").sha256;
  const std::string list = objects().PutBytes("list of file").sha256;
  const auto expand = [&](const std::string &held, std::set<std::string> *referenced) {
    EXPECT_EQ(held, list);
    referenced->insert(file);
  };
  const std::string generation = objects().Generation();
  EXPECT_TRUE(objects().Hold(list, generation));
  const timespec old[2] = {{1000, 0}, {1000, 0}};
  for (const std::string &hash : {file, other, list})
    ASSERT_EQ(utimensat(AT_FDCWD, objects().Path(hash).c_str(), old, 0), 0);
  EXPECT_EQ(objects().CollectGarbage({}, true, ObjectStore::kGraceMs, expand).names, std::vector<std::string>{other});
  EXPECT_EQ(objects().Generation(), generation);  // a dry run removes nothing
  EXPECT_EQ(objects().CollectGarbage({}, false, ObjectStore::kGraceMs, expand).count, 1);
  EXPECT_TRUE(objects().Has(file));
  EXPECT_TRUE(objects().Has(list));
  EXPECT_FALSE(objects().Hold(list, generation));
  EXPECT_TRUE(objects().Hold(list, objects().Generation()));
  EXPECT_FALSE(objects().Refresh(other));
  EXPECT_TRUE(objects().Refresh(file));
  // Marks are given up with the grace.
  objects().CollectGarbage({}, false, -1000);
  EXPECT_FALSE(objects().Has(list));
  EXPECT_TRUE(ListDir(store().layout().Objects() + "/held").empty());
}

TEST_F(ObjectStoreTest, ManyObjectsAreSyncedTogether) {
  std::vector<std::string> hashes;
  for (int i = 0; i < 300; ++i) hashes.push_back(objects().PutBytes("object " + std::to_string(i), false).sha256);
  objects().Sync(hashes);
  for (const std::string &hash : hashes) EXPECT_EQ(Stat(objects().Path(hash))->mode, 0400u);
  objects().Sync(hashes);
}

}  // namespace
}  // namespace trainyard
