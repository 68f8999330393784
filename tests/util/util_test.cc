#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "util/boot.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hash.h"
#include "util/inside.h"
#include "util/log.h"
#include "util/random.h"
#include "util/text.h"

namespace trainyard {
namespace {

Status StatusOf(const std::function<void()> &work) {
  try {
    work();
  } catch (const Error &error) {
    return error.status();
  }
  return Status::kOk;
}

TEST(Text, NearestNames) {
  const std::vector<std::string> keys = {"optimizer.lr", "epochs", "batch_size", "model"};
  EXPECT_EQ(NearestOf("epoch", keys), "epochs");
  EXPECT_EQ(NearestOf("bacth_size", keys), "batch_size");
  EXPECT_EQ(NearestOf("Model", keys), "model");
  EXPECT_EQ(NearestOf("lr", keys), "optimizer.lr");
  EXPECT_EQ(NearestOf("zzzzzz", keys), "");
  EXPECT_EQ(DidYouMean("epochz", keys), ", did you mean 'epochs'?");
}

TEST(Text, SplitJoinTrimSlug) {
  EXPECT_EQ(Split("a,b,,c", ','), (std::vector<std::string_view>{"a", "b", "", "c"}));
  EXPECT_TRUE(Split("", ',').empty());
  EXPECT_EQ(Join({"a", "b"}, ", "), "a, b");
  EXPECT_EQ(Trim(" \ta b\n"), "a b");
  EXPECT_EQ(Slug("My Exp/1", 6), "my-exp");
  EXPECT_EQ(Slug("", 6), "x");
}

TEST(Text, Utf8) {
  for (const char *good : {"", "a", "\u00e9", "\u20ac", "\U0001F600", "\uFFFF"}) EXPECT_TRUE(IsValidUtf8(good));
  for (const char *bad : {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80", "\xE2\x82", "\xFF", "\xE0\x80\x80",
                          "\xF0\x80\x80\x80"}) {
    EXPECT_FALSE(IsValidUtf8(bad));
    EXPECT_TRUE(IsValidUtf8(SanitizeUtf8(bad)));
  }
  EXPECT_EQ(TruncateUtf8("a\u20ac", 3), "a");
  EXPECT_EQ(TruncateUtf8("a\u20ac", 4), "a\u20ac");
}

TEST(Text, MessagesAreOneLineOfBoundedLength) {
  EXPECT_EQ(PrintableLine("a\n\t\x1b\x7f\xff\u20ac", 100), "a\\n\\t\\x1b\\x7f\uFFFD\u20ac");
  EXPECT_EQ(PrintableLine("12345678901234567890", 20), "12345678901234567890");
  EXPECT_EQ(PrintableLine("123456789012345678901", 20), "1234567890 ... 78901");
  std::string euros;
  for (int i = 0; i < 1000; ++i) euros += "\u20ac";
  for (size_t max = 100; max < 110; ++max) {
    const std::string line = PrintableLine(euros, max);
    EXPECT_LE(line.size(), max);
    EXPECT_GT(line.size(), max - 6);
    EXPECT_TRUE(IsValidUtf8(line)) << line;
  }
}

TEST(Text, Numbers) {
  EXPECT_EQ(ParseInt64("-42"), -42);
  EXPECT_EQ(ParseDouble("1e3"), 1000);
  for (const char *bad : {"", " 1", "1 ", "+1", "0x1", "9223372036854775808", "1.5"})
    EXPECT_EQ(ParseInt64(bad), std::nullopt) << bad;
  for (const char *bad : {"", "inf", "nan", "1.5x", "0x1p3"}) EXPECT_EQ(ParseDouble(bad), std::nullopt) << bad;
}

TEST(Hash, KnownAnswers) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Crc32("123456789", 9), 0xCBF43926u);
  EXPECT_EQ(Crc32("6789", 4, Crc32("12345", 5)), 0xCBF43926u);
  EXPECT_EQ(Crc32(nullptr, 0, 0xCBF43926u), 0xCBF43926u) << "nothing to add";
  TempDir directory;
  WriteFileAtomic(directory.path() + "/a", "abc");
  uint64_t size = 0;
  EXPECT_EQ(Sha256File(directory.path() + "/a", &size), Sha256Hex("abc"));
  EXPECT_EQ(size, 3u);
}

TEST(Clock, FormatsAndCanBeSet) {
  EXPECT_EQ(FormatUtc(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(FormatUtc(1795235645123), "2026-11-21T04:34:05.123Z");
  EXPECT_EQ(FormatUtc(-1), "1969-12-31T23:59:59.999Z");
  SetWallClockForTest([] { return int64_t{7}; });
  EXPECT_EQ(NowUnixMs(), 7);
  SetWallClockForTest(nullptr);
  EXPECT_GT(NowUnixMs(), 1600000000000);
}

TEST(Log, GoesToTheSinkOnly) {
  EXPECT_FALSE(LogEnabled(LogLevel::kError));
  std::vector<std::string> lines;
  SetLogSink([&](LogLevel, const std::string &message) {
    lines.push_back(message);
    LogEnabled(LogLevel::kInfo);  // no lock is held
  });
  Log(LogLevel::kDebug, "no");
  Log(LogLevel::kInfo, "yes");
  SetLogSink(nullptr);
  Log(LogLevel::kError, "no");
  EXPECT_EQ(lines, std::vector<std::string>{"yes"});
}

TEST(Log, MayBeReplacedWhileInUse) {
  std::atomic<int> calls{0};
  std::atomic<bool> stop{false};
  std::thread logger([&] {
    while (!stop) Log(LogLevel::kInfo, "x");
  });
  for (int i = 0; i < 200; ++i) SetLogSink([&](LogLevel, const std::string &) { ++calls; });
  stop = true;
  logger.join();
  SetLogSink(nullptr);
}

TEST(Random, IsRandom) {
  const std::string a = RandomBase32(10);
  EXPECT_EQ(a.size(), 10u);
  EXPECT_EQ(a.find_first_not_of("abcdefghijklmnopqrstuvwxyz234567"), std::string::npos);
  EXPECT_NE(a, RandomBase32(10));
}

TEST(Boot, KnowsThisProcess) {
  EXPECT_GT(ProcessStartTime(getpid()), 0);
  EXPECT_EQ(ProcessStartTime(0), 0);
  EXPECT_FALSE(HostName().empty());
  EXPECT_EQ(BootId(), BootId());
}

TEST(Text, OneLineForAMessage) {
  EXPECT_EQ(PrintableUtf8("a\x1b[1m\n\t\x7f\xc2\x9b\xc3\xa9\xff"), "a\\x1b[1m\\n\\t\\x7f\\x9b\xc3\xa9\xef\xbf\xbd");
}

class FsTest : public testing::Test {
 protected:
  std::string Path(const std::string &name) const { return directory_.path() + "/" + name; }
  TempDir directory_;
};

TEST_F(FsTest, ReadAndWrite) {
  WriteFileAtomic(Path("a"), "one", 0640);
  WriteFileAtomic(Path("a"), "two", 0600);
  EXPECT_EQ(ReadFile(Path("a")), "two");
  EXPECT_EQ(Stat(Path("a"))->mode, 0600u);
  AppendFile(Path("a"), "!");
  EXPECT_EQ(ReadFile(Path("a")), "two!");
  EXPECT_EQ(ListDir(directory_.path()).size(), 1u);  // no temporary file is left
  EXPECT_EQ(StatusOf([&] { ReadFile(Path("a"), 3); }), Status::kCorrupt);
  EXPECT_EQ(StatusOf([&] { ReadFile(Path("b")); }), Status::kNotFound);
  EXPECT_EQ(ReadFileIfExists(Path("b")), std::nullopt);
  EXPECT_EQ(StatusOf([&] { WriteFileAtomic(Path("no/a"), "x"); }), Status::kNotFound);
  EXPECT_FALSE(ReadFile("/proc/self/status").empty());  // files without a size
  EXPECT_EQ(StatusOf([&] { AppendFile("/dev/full", "x"); }), Status::kNoSpace);
}

TEST_F(FsTest, Trees) {
  MakeDirs(Path("t/a/b"));
  MakeDirs(Path("t/a/b"));
  AppendFile(Path("t/a/b/f"), "f");
  AppendFile(Path("outside"), "o");
  ASSERT_EQ(symlink(directory_.path().c_str(), Path("t/loop").c_str()), 0);
  EXPECT_EQ(ListTree(Path("t")), (std::vector<std::string>{"a/b/f", "loop"}));
  CopyTree(Path("t"), Path("copy"));
  EXPECT_EQ(ListTree(Path("copy")), ListTree(Path("t")));
  // Neither itself, under whatever name, nor what is to stay out.
  MakeDirs(Path("t/out/deep"));
  AppendFile(Path("t/out/deep/f"), "f");
  CopyTree(Path("t"), Path("t/a/into"), nullptr, Path("t/a/../out"));
  EXPECT_EQ(ListTree(Path("t/a/into")), (std::vector<std::string>{"a/b/f", "loop"}));
  chmod(Path("t/a").c_str(), 0);
  RemoveTree(Path("t"));
  RemoveTree(Path("t"));
  EXPECT_FALSE(PathExists(Path("t")));
  EXPECT_TRUE(PathExists(Path("outside")));
  EXPECT_EQ(StatusOf([&] { MakeDirs(Path("outside/x")); }), Status::kNotFound);
}

TEST_F(FsTest, Copies) {
  AppendFile(Path("a"), std::string(300000, 'x'));
  chmod(Path("a").c_str(), 0750);
  CopyFile(Path("a"), Path("b"));
  EXPECT_EQ(Sha256File(Path("b")), Sha256File(Path("a")));
  EXPECT_EQ(Stat(Path("b"))->mode, 0750u);
  EXPECT_EQ(StatusOf([&] { CopyFile(Path("a"), Path("b")); }), Status::kAlreadyExists);
  CopyFile(Path("a"), Path("b"), true);
  EXPECT_EQ(StatusOf([&] { CopyFile(directory_.path(), Path("c")); }), Status::kInvalidArgument);
}

TEST_F(FsTest, OnlyARegularFileIsOpenedWhereOthersMayHavePutSomethingElse) {
  MakeDirs(Path("logs"));
  EXPECT_FALSE(OpenRegularFile(Path("logs/log")).valid());
  EXPECT_FALSE(OpenRegularFile(Path("none/log")).valid());
  AppendFile(Path("logs/log"), "text");
  EXPECT_TRUE(OpenRegularFile(Path("logs/log")).valid());
  ASSERT_EQ(mkfifo(Path("logs/pipe").c_str(), 0600), 0);
  ASSERT_EQ(symlink("log", Path("logs/link").c_str()), 0);
  ASSERT_EQ(symlink("logs", Path("directory").c_str()), 0);
  for (const char *name : {"logs/pipe", "logs/link", "directory/log", "logs", "logs/log/x"})
    EXPECT_FALSE(OpenRegularFile(Path(name)).valid()) << name;
}

TEST_F(FsTest, WhatLeadsInsideADirectory) {
  MakeDirs(Path("root/a"));
  MakeDirs(Path("rooted"));
  AppendFile(Path("root/a/f"), "f");
  ASSERT_EQ(symlink("a", Path("root/in").c_str()), 0);
  ASSERT_EQ(symlink("../rooted", Path("root/out").c_str()), 0);
  ASSERT_EQ(symlink("nowhere", Path("root/dangling").c_str()), 0);
  ASSERT_EQ(symlink("root", Path("alias").c_str()), 0);
  const std::string root = Path("root");
  for (const char *name : {"root", "root/a/f", "root/in/f", "root/a/new/file"})
    EXPECT_TRUE(LeadsInside(root, Path(name))) << name;
  for (const char *name : {"root/out", "root/out/new", "root/dangling", "root/dangling/new", "rooted"})
    EXPECT_FALSE(LeadsInside(root, Path(name))) << name;
  EXPECT_TRUE(LeadsInside(Path("alias"), Path("alias/in/f")));
  EXPECT_FALSE(LeadsInside(Path("none"), Path("none/x")));
  EXPECT_TRUE(LeadsInside("/", Path("root")));
}

TEST_F(FsTest, TheWayOfASymlink) {
  const auto way = [&](const std::string &target) { return FollowSymlink(directory_.path(), "link", target); };
  const auto times = [](const std::string &text, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
  };
  ASSERT_EQ(symlink(".", Path("x").c_str()), 0);
  EXPECT_EQ(way(times("x/", 40)), SymlinkWay::kInside);
  EXPECT_EQ(way(times("x/", 40) + ".."), SymlinkWay::kLeaves);
  EXPECT_EQ(way(times("x/", 41) + "../../etc"), SymlinkWay::kTooLong);
  ASSERT_EQ(symlink("a", Path("b").c_str()), 0);
  ASSERT_EQ(symlink("b", Path("a").c_str()), 0);
  EXPECT_EQ(way("a"), SymlinkWay::kTooLong);
  EXPECT_EQ(way("nowhere"), SymlinkWay::kInside);
}

TEST(FsPath, Arithmetic) {
  EXPECT_EQ(ParentPath("/a/b"), "/a");
  EXPECT_EQ(ParentPath("/a"), "/");
  EXPECT_EQ(ParentPath("b"), ".");
  EXPECT_EQ(BaseName("/a/b/"), "b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(AbsolutePath("/a/./b/../c/"), "/a/c");
  for (const char *good : {"a", "a/b.c", "..a", "a..", "..."}) EXPECT_TRUE(IsSafeRelativePath(good)) << good;
  for (const char *bad : {"", "/a", "..", "a/..", "../a", "a//b", "./a", "a/.", "a/"})
    EXPECT_FALSE(IsSafeRelativePath(bad)) << bad;
  EXPECT_FALSE(IsSafeRelativePath(std::string_view("a\0b", 3)));
}

TEST_F(FsTest, FileSystemKinds) {
  EXPECT_FALSE(GetFileSystemKind("/tmp").name.empty());
  SetFileSystemKindForTest([](const std::string &) { return FileSystemKind{true, "nfs"}; });
  EXPECT_TRUE(GetFileSystemKind("/tmp").network);
  SetFileSystemKindForTest(nullptr);
  EXPECT_EQ(StatusOf([&] { GetFileSystemKind(Path("no")); }), Status::kNotFound);
}

TEST_F(FsTest, DescriptorsAreClosedOnExec) {
  UniqueFd fd = OpenFile(Path("a"), O_RDWR | O_CREAT);
  EXPECT_NE(fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, 0);
  UniqueFd moved = std::move(fd);
  EXPECT_TRUE(moved.valid());
}

// The host's own SIGPIPE disposition is the default here: a signal would end this test.
TEST(HostDescriptor, NobodyReadingIsAnErrorAndNoSignal) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  EXPECT_THROW(WriteToHostDescriptor(ends[1], "text", "pipe"), Error);
  close(ends[1]);
  sigset_t pending, blocked;
  sigpending(&pending);
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
  EXPECT_EQ(sigismember(&blocked, SIGPIPE), 0);
}

TEST(HostDescriptor, OneThatDoesNotBlockIsWaitedFor) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK), 0);
  const std::string text(300000, 'x');  // more than a pipe holds
  std::string got;
  std::thread reader([&] {
    char part[4096];
    while (got.size() < text.size()) {
      const ssize_t count = read(ends[0], part, sizeof part);
      if (count > 0) got.append(part, static_cast<size_t>(count));
    }
  });
  WriteToHostDescriptor(ends[1], text, "pipe");
  reader.join();
  EXPECT_EQ(got, text);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace trainyard
