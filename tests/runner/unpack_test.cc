#include "runner/inputs/unpack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdlib>
#include <map>

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

  static std::string Gzip(const std::string &data) {
    z_stream stream{};
    EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    std::string out(deflateBound(&stream, data.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(data.data()));
    stream.avail_in = static_cast<uInt>(data.size());
    stream.next_out = reinterpret_cast<Bytef *>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
  }

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

TEST_F(UnpackTest, SymlinksMayNotGoFurtherThanTheKernel) {
  const std::string good = TarEntry("x", '2', "", ".");
  std::string far;
  for (int i = 0; i < 41; ++i) far += "x/";
  EXPECT_EQ(Try(good + TarEntry("far", '2', "", far + "../../etc")), Status::kCorrupt);
  EXPECT_THAT(message_, testing::AllOf(HasSubstr("'far'"), HasSubstr("over more than 40 others")));
  EXPECT_EQ(Try(TarEntry("a", '2', "", "b") + TarEntry("b", '2', "", "a")), Status::kCorrupt);
  EXPECT_THAT(message_, HasSubstr("round in circles"));
}

TEST_F(UnpackTest, SymlinksTakeBoundedMemory) {
  const std::string name(4096, 'x');
  // GNU's way to write a long target: an entry of its own in front.
  EXPECT_EQ(Try(TarEntry("././@LongLink", 'K', name) + TarEntry("long", '2', "", name.substr(0, 100))),
            Status::kCorrupt);
  EXPECT_THAT(message_, testing::AllOf(HasSubstr("'long'"), HasSubstr("4096 bytes")));
  const std::string links = TarEntry("a", '2', "", std::string(50, 'x')) + TarEntry("b", '2', "", std::string(50, 'x'));
  EXPECT_EQ(Try(links), Status::kOk) << message_;
  EXPECT_EQ(Try(links, {.max_link_bytes = 200}), Status::kCorrupt);
  EXPECT_THAT(message_, testing::AllOf(HasSubstr("'b'"), HasSubstr("more than 200 bytes")));
}

TEST_F(UnpackTest, NamesInErrorsAreOneLineOfText) {
  EXPECT_EQ(Try(TarEntry("a\x1b[31m\nb", '6')), Status::kCorrupt);
  EXPECT_THAT(message_, HasSubstr("'a\\x1b[31m\\nb'"));
}

TEST_F(UnpackTest, ATarThatWasCutBetweenEntriesIsNotWhole) {
  const std::string first = TarEntry("a", '0', "x"), second = TarEntry("b", '0', std::string(600, 'x'));
  for (const std::string &cut : {first, first + second, first + second.substr(0, 512), first + second.substr(0, 1024)})
    EXPECT_EQ(TryArchive(cut), Status::kCorrupt) << cut.size();
  EXPECT_EQ(TryArchive(first), Status::kCorrupt);
  EXPECT_THAT(message_, HasSubstr("no end mark"));
  EXPECT_EQ(TryArchive(TarOf(first)), Status::kOk) << message_;
  EXPECT_EQ(TryArchive(TarOf("")), Status::kOk) << message_;
}

TEST_F(UnpackTest, GzipIsCheckedToItsEnd) {
  const std::string tar = TarOf(TarEntry("a", '0', std::string(100000, 'x')) + TarEntry("b", '0', "y"));
  const std::string whole = Gzip(tar);
  EXPECT_EQ(TryArchive(whole), Status::kOk) << message_;
  EXPECT_EQ(ReadFile(Path("out/b")), "y");
  EXPECT_EQ(TryArchive(Gzip(tar.substr(0, 70000)) + Gzip(tar.substr(70000))), Status::kOk) << message_;
  EXPECT_EQ(TryArchive(whole + std::string(512, '\0')), Status::kOk) << message_;  // as tapes have it
  for (size_t cut = 1; cut <= 9; ++cut) EXPECT_EQ(TryArchive(whole.substr(0, whole.size() - cut)), Status::kCorrupt);
  EXPECT_THAT(message_, HasSubstr("cut short"));
  for (const size_t at : {whole.size() - 8, whole.size() - 1}) {  // the checksum, the length
    std::string wrong = whole;
    wrong[at] = static_cast<char>(wrong[at] + 1);
    EXPECT_EQ(TryArchive(wrong), Status::kCorrupt);
    EXPECT_THAT(message_, HasSubstr("its gzip stream is damaged: incorrect"));
  }
  EXPECT_EQ(TryArchive(Gzip(tar.substr(0, 512 + 100352))), Status::kCorrupt);  // a member's end, and no tar's
}

// What tools make, as they make it.
TEST_F(UnpackTest, ArchivesOfToolsAreWholeAndTheirCutsAreNot) {
  const std::string made = Path("made");
  const std::string script = R"(import os, sys, tarfile, zipfile
os.makedirs('tree/sub'); open('tree/a', 'w').write('content' * 1000); open('tree/sub/b', 'w').write('')
for end in ('', ':gz', ':bz2', ':xz'):
    with tarfile.open('py' + end.replace(':', '.'), 'w' + end) as t: t.add('tree')
with zipfile.ZipFile('py.zip', 'w', zipfile.ZIP_DEFLATED) as z:
    for name in ('tree/a', 'tree/sub/b'): z.write(name)
class Pipe:
    def __init__(self, file): self.file = file
    def write(self, data): return self.file.write(data)
    def flush(self): self.file.flush()
with open('stream.zip', 'wb') as file, zipfile.ZipFile(Pipe(file), 'w') as z:
    for name in ('tree/a', 'tree/sub/b'): z.write(name)
)";
  MakeDirs(made);
  WriteFileAtomic(made + "/make.py", script);
  const std::string make = "cd '" + made +
                           "' && python3 make.py && tar -czf gnu.gz tree && tar -b 1 -cf gnu tree"
                           " && { ! command -v zip >/dev/null || zip -qr zip.zip tree; }"
                           " && { ! command -v bsdtar >/dev/null || bsdtar -czf bsd.gz tree; }";
  ASSERT_EQ(system(make.c_str()), 0);  // NOLINT(cert-env33-c,concurrency-mt-unsafe)
  std::map<std::string, std::string> archives;
  for (const DirEntry &entry : ListDir(made)) {
    if (entry.kind == FileInfo::Kind::kFile && entry.name != "make.py")
      archives[entry.name] = ReadFile(made + "/" + entry.name);
  }
  RemoveTree(made);
  EXPECT_GE(archives.size(), 8U);
  for (const auto &[name, data] : archives) {
    EXPECT_EQ(TryArchive(data), Status::kOk) << name << ": " << message_;
    EXPECT_EQ(Stat(Path("out/tree/a"))->size, 7000U) << name;
    EXPECT_TRUE(PathExists(Path("out/tree/sub/b"))) << name;
    if (!name.ends_with(".zip")) continue;
    for (const size_t cut : {10, 30, 100})
      EXPECT_EQ(TryArchive(data.substr(0, data.size() - cut)), Status::kCorrupt) << name;
    EXPECT_THAT(message_, HasSubstr("list of entries"));
  }
}

TEST_F(UnpackTest, HolesAtTheEndOfSparseFilesAreKept) {
  for (const char *format : {"gnu", "pax"}) {
    const std::string make = "cd '" + directory_.path() +
                             "' && mkdir s && printf head > s/a && truncate -s 3M s/a s/b && " +
                             "tar -S --format=" + format + " -cf s.tar -C s . && rm -r s";
    ASSERT_EQ(system(make.c_str()), 0);  // NOLINT(cert-env33-c,concurrency-mt-unsafe)
    const std::string tar = ReadFile(Path("s.tar"));
    RemoveFile(Path("s.tar"));
    EXPECT_LT(tar.size(), 100000U);
    EXPECT_EQ(TryArchive(tar), Status::kOk) << message_;
    for (const char *name : {"out/a", "out/b"}) EXPECT_EQ(Stat(Path(name))->size, 3U << 20) << format << " " << name;
    EXPECT_EQ(TryArchive(tar, {.max_ratio = 0, .min_bytes = 5 << 20}), Status::kCorrupt) << format;
    EXPECT_THAT(message_, HasSubstr("more than"));
  }
}

TEST(Archives, AreKnownByTheirNames) {
  for (const char *name : {"a.zip", "a.tar", "a.tar.gz", "a.b.tgz", "a.tar.zst", "a.tar.xz"})
    EXPECT_TRUE(IsArchiveName(name)) << name;
  for (const char *name : {"a.gz", ".zip", "a.csv", "zip", "a.zip.txt"}) EXPECT_FALSE(IsArchiveName(name)) << name;
}

}  // namespace
}  // namespace trainyard
