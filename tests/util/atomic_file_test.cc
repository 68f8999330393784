// Files that appear whole or not at all: also when their writer is killed or the disk is full.
#include "util/atomic_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/error.h"

namespace trainyard {
namespace {

std::vector<std::string> Names(const std::string &directory) {
  std::vector<std::string> names;
  for (const DirEntry &entry : ListDir(directory)) names.push_back(entry.name);
  return names;
}

void WriteText(const std::string &path, std::string_view text) {
  AtomicFile file(path);
  file.Write(text.data(), text.size());
  file.Commit();
}

bool HasUnnamedFiles(const std::string &directory) {
  return UniqueFd(open(directory.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600)).valid();
}

TEST(AtomicFileTest, AppearsWholeAndReplacesWhatIsThere) {
  const TempDir directory;
  const std::string path = JoinPath(directory.path(), "model.bin");
  WriteText(path, "first");
  {
    AtomicFile file(path);
    file.Write("sec", 3);
    EXPECT_EQ(ReadFile(path), "first");
    file.Write("ond", 3);
    file.Commit();
  }
  EXPECT_EQ(ReadFile(path), "second");
  EXPECT_THAT(Names(directory.path()), ::testing::ElementsAre("model.bin"));
}

TEST(AtomicFileTest, LeavesNothingWithoutCommit) {
  const TempDir directory;
  const std::string path = JoinPath(directory.path(), "model.bin");
  WriteText(path, "old");
  {
    AtomicFile file(path);
    file.Write("new", 3);
  }
  EXPECT_EQ(ReadFile(path), "old");
  EXPECT_EQ(Names(directory.path()).size(), 1u);
}

TEST(AtomicFileTest, ObeysTheUmask) {
  const TempDir directory;
  const std::string path = JoinPath(directory.path(), "model.bin");
  const mode_t old = umask(027);
  WriteText(path, "x");
  umask(old);
  EXPECT_EQ(Stat(path)->mode, 0640u);
}

TEST(AtomicFileTest, ADirectoryThatIsMissingIsAnErrorThatNamesTheFile) {
  const TempDir directory;
  const std::string path = JoinPath(directory.path(), "none/model.bin");
  try {
    const AtomicFile file(path);
    FAIL() << "no error";
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), Status::kNotFound);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("'" + path + "'"));
  }
}

TEST(AtomicFileTest, AKilledWriterLeavesNothing) {
  const TempDir directory;
  if (!HasUnnamedFiles(directory.path())) GTEST_SKIP() << "SKIP: this file system has no unnamed files";
  const std::string path = JoinPath(directory.path(), "model.bin");
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    AtomicFile file(path);
    const std::string megabyte(1 << 20, 'x');
    file.Write(megabyte.data(), megabyte.size());
    WriteAll(ready[1], "x", 1, "pipe");
    pause();
    _exit(0);
  }
  char byte = 0;
  EXPECT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_EQ(kill(child, SIGKILL), 0);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(Names(directory.path()).empty());
  close(ready[0]);
  close(ready[1]);
}

TEST(AtomicFileTest, AFullDiskLeavesTheOldFile) {
  const TempDir directory;
  if (mount("tmpfs", directory.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "SKIP: may not mount a tmpfs";
  }
  const std::string path = JoinPath(directory.path(), "model.bin");
  WriteText(path, "old");
  const std::string large(2 << 20, 'x');
  try {
    WriteText(path, large);
    ADD_FAILURE() << "no error";
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), Status::kNoSpace);
  }
  EXPECT_EQ(ReadFile(path), "old");
  EXPECT_EQ(Names(directory.path()).size(), 1u);
  umount2(directory.path().c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace trainyard
