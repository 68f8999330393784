#include "runner/inputs/unpack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tar_entry.h"
#include "util/error.h"
#include "util/fs.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

// Unpacks into a directory beside which nothing may appear.
class UnpackTest : public testing::Test {
 protected:
  void TearDown() override { ASSERT_EQ(chdir("/"), 0); }
  std::string Path(const std::string &name) const { return directory_.path() + "/" + name; }

  Status TryArchive(const std::string &data, const UnpackLimits &limits = {}) {
    WriteFileAtomic(Path("archive"), data, 0600, false);
    RemoveTree(Path("out"));
    MakeDirs(Path("out"));
    EXPECT_EQ(chdir(Path("out").c_str()), 0);
    Status status = Status::kOk;
    try {
      UnpackHere(Path("archive"), "shown.tar", limits);
    } catch (const Error &error) {
      message_ = error.what();
      status = error.status();
    }
    EXPECT_EQ(ListDir(directory_.path()).size(), 2U);
    return status;
  }
  Status Try(const std::string &entries, const UnpackLimits &limits = {}) { return TryArchive(TarOf(entries), limits); }

  TempDir directory_{"trainyard-unpack-test"};
  std::string message_;
};

TEST_F(UnpackTest, FilesDirectoriesAndLinksInside) {
  ASSERT_EQ(Try(TarEntry("./", '5') + TarEntry("./a/", '5', "", "", 0500) +
                TarEntry("a/run.sh", '0', "#!/bin/sh\n", "", 0755) + TarEntry("deep/er/file", '0', "content") +
                TarEntry("a/link", '2', "", "../deep/er/file") + TarEntry("hard", '1', "", "deep/er/file") +
                TarEntry("broken", '2', "", "nowhere") + TarEntry("none", '0')),
            Status::kOk)
      << message_;
  EXPECT_EQ(Stat(Path("out/a/run.sh"))->mode & 0111U, 0111U);
  EXPECT_EQ(ReadFile(Path("out/a/link")), "content");
  EXPECT_EQ(ReadFile(Path("out/hard")), "content");
  EXPECT_EQ(ReadFile(Path("out/none")), "");
}

TEST_F(UnpackTest, NoFileGetsMoreRightsThanItNeeds) {
  ASSERT_EQ(Try(TarEntry("setuid", '0', "x", "", 06777) + TarEntry("sticky/", '5', "", "", 01777) +
                TarEntry("closed", '0', "x", "", 0000)),
            Status::kOk)
      << message_;
  for (const char *name : {"setuid", "sticky", "closed"}) {
    struct stat info {};
    ASSERT_EQ(stat(Path(std::string("out/") + name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07000U, 0U) << name;
    EXPECT_EQ(info.st_mode & 0600U, 0600U) << name;
    EXPECT_EQ(info.st_uid, geteuid()) << name;
  }
}

TEST_F(UnpackTest, WhatWouldLeaveTheFolderIsNamed) {
  const std::string good = TarEntry("good", '0', "x");
  const struct {
    std::string entry;
    const char *named, *reason;
  } cases[] = {
      {TarEntry("../evil", '0', "x"), "'../evil'", "'..'"},
      {TarEntry("a/../../evil", '0', "x"), "'a/../../evil'", "'..'"},
      {TarEntry("..", '5'), "'..'", "'..'"},
      {TarEntry("/etc/evil", '0', "x"), "'/etc/evil'", "absolute"},
      {TarEntry("link", '2', "", "/etc"), "'link'", "'/etc'"},
      {TarEntry("a/link", '2', "", "../../x"), "'a/link'", "out of the folder"},
      {TarEntry("d", '2', "", ".") + TarEntry("e", '2', "", "d/../x"), "'e'", "out of the folder"},
      {TarEntry("hard", '1', "", "/etc/passwd"), "'/etc/passwd'", "absolute"},
      {TarEntry("hard", '1', "", "../x"), "'../x'", "'..'"},
      {TarEntry("hard", '1', "", "none"), "'hard'", "not in it"},
      {TarEntry("to", '2', "", "/etc") + TarEntry("hard", '1', "", "to/passwd"), "'hard'", "not in it"},
      {TarEntry("char", '3'), "'char'", "device"},
      {TarEntry("block", '4'), "'block'", "device"},
      {TarEntry("pipe", '6'), "'pipe'", "pipe"},
  };
  for (const auto &c : cases) {
    EXPECT_EQ(Try(good + c.entry), Status::kCorrupt) << c.named;
    EXPECT_THAT(message_, testing::AllOf(HasSubstr("'shown.tar'"), HasSubstr(c.named), HasSubstr(c.reason)));
  }
}

TEST_F(UnpackTest, NothingIsWrittenThroughALinkOfTheArchive) {
  const std::string outside = Path("outside");
  EXPECT_EQ(Try(TarEntry("to", '2', "", "..") + TarEntry("to/file", '0', "x")), Status::kCorrupt);
  EXPECT_EQ(Try(TarEntry("to", '2', "", outside) + TarEntry("to", '0', "x")), Status::kCorrupt);
  EXPECT_FALSE(PathExists(outside));
  // Links are made one by one as well, and one may lie behind another.
  const TempDir elsewhere;
  for (const std::string &target : {elsewhere.path(), std::string(".."), std::string("b")}) {
    EXPECT_EQ(Try(TarEntry("b/", '5') + TarEntry("a", '2', "", target) + TarEntry("a/deep/er", '2', "", "x")),
              Status::kCorrupt);
    EXPECT_THAT(message_, testing::AllOf(HasSubstr("'a/deep/er'"), HasSubstr("'a', which is a symlink")));
    EXPECT_TRUE(ListDir(elsewhere.path()).empty());
  }
  // What contradicts itself.
  EXPECT_EQ(Try(TarEntry("a", '0', "x") + TarEntry("a/below", '0', "x")), Status::kCorrupt);
  EXPECT_THAT(message_, HasSubstr("'a/below'"));
}

TEST_F(UnpackTest, TheLastLinkOfANameCounts) {
  ASSERT_EQ(Try(TarEntry("a", '0', "x") + TarEntry("l", '2', "", "none") + TarEntry("l", '2', "", "a")), Status::kOk);
  EXPECT_EQ(ReadFile(Path("out/l")), "x");
}

TEST_F(UnpackTest, BombsAndDamageAreRefused) {
  std::string deep;  // more than a directory's removal may hold open
  for (int i = 0; i < 45; ++i) deep += "a/";
  EXPECT_EQ(Try(TarEntry(deep + "f", '0', "x")), Status::kOk) << message_;
  UnpackLimits flat;
  flat.max_depth = 45;
  EXPECT_EQ(Try(TarEntry(deep + "f", '0', "x"), flat), Status::kCorrupt);
  EXPECT_THAT(message_, HasSubstr("deeper than 45 folders"));
  EXPECT_EQ(Try(TarEntry("a", '0', "x") + TarEntry("b", '0', "x"), {.max_entries = 1}), Status::kCorrupt);
  EXPECT_THAT(message_, HasSubstr("more than 1 entries"));
  const UnpackLimits small = {.max_ratio = 0, .min_bytes = 4000};
  EXPECT_EQ(Try(TarEntry("a", '0', std::string(5000, 'x')), small), Status::kCorrupt);
  EXPECT_THAT(message_, testing::AllOf(HasSubstr("'a'"), HasSubstr("more than 4000 bytes")));
  EXPECT_EQ(Try(TarEntry("a", '0', std::string(3000, 'x')) + TarEntry("b", '0', std::string(3000, 'x')), small),
            Status::kCorrupt);
  EXPECT_THAT(message_, HasSubstr("'b'"));
  EXPECT_EQ(Try(TarEntry("a", '0', std::string(5000, 'x')).substr(0, 2000)), Status::kCorrupt);
  EXPECT_EQ(TryArchive("this is no archive"), Status::kCorrupt);
  EXPECT_THAT(message_, HasSubstr("cannot be read"));
  EXPECT_EQ(TryArchive(""), Status::kCorrupt);
}

TEST(Archives, AreKnownByTheirNames) {
  for (const char *name : {"a.zip", "a.tar", "a.tar.gz", "a.b.tgz", "a.tar.zst", "a.tar.xz"})
    EXPECT_TRUE(IsArchiveName(name)) << name;
  for (const char *name : {"a.gz", ".zip", "a.csv", "zip", "a.zip.txt"}) EXPECT_FALSE(IsArchiveName(name)) << name;
}

}  // namespace
}  // namespace trainyard
