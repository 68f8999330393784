#include "store/run_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include "store/log_tail.h"
#include "store_fixture.h"
#include "util/log.h"

namespace trainyard {
namespace {

class RunFilesTest : public StoreTest {
 protected:
  RunFilesTest() : layout(Path("run")), files(layout) {}
  void Write(const std::string &name, std::string_view data) {
    MakeDirs(ParentPath(layout.Root() + "/" + name));
    WriteFileAtomic(layout.Root() + "/" + name, data, 0600, false);
  }
  std::string Names(std::string_view prefix = {}) {
    std::string all;
    for (const StoredFile &file : files.List(prefix).files) all += file.path + " ";
    return all;
  }
  RunLayout layout;
  RunFiles files;
};

TEST_F(RunFilesTest, TheSameNamesWhileRunningAndAfter) {
  Write("code/outputs/model/w.bin", "www");
  Write("code/logs/tb", "t");
  Write("code/train.py", "not listed");
  Write("user_logs/std_log.txt", "hello");
  Write("system_logs/runner.log", "r");
  Write("journal/rank0.0.0.tyj", "not listed");
  const std::string expected = "logs/tb outputs/model/w.bin system_logs/runner.log user_logs/std_log.txt ";
  EXPECT_EQ(Names(), expected);
  EXPECT_EQ(Names("outputs"), "outputs/model/w.bin ");
  EXPECT_EQ(Names("outputs/mo"), "outputs/model/w.bin ");
  EXPECT_EQ(ReadFile(files.Resolve("outputs/model/w.bin")), "www");
  RenamePath(layout.CodeOutputs(), layout.Outputs());
  RenamePath(layout.CodeLogs(), layout.Logs());
  EXPECT_EQ(Names(), expected);
  EXPECT_EQ(ReadFile(files.Resolve("outputs/model/w.bin")), "www");
  EXPECT_EQ(files.ResolveTree("outputs/model/"), layout.Outputs() + "/model");
  EXPECT_EQ(ReadFile(files.Resolve("azureml-logs/70_driver_log.txt")), "hello");
}

TEST_F(RunFilesTest, NamesCannotLeaveTheRun) {
  Write("code/outputs/x", "x");
  WriteFileAtomic(Path("secret"), "s");
  for (const char *bad :
       {"", "/etc/passwd", "outputs/../../secret", "outputs/./x", "code/train.py", "journal/x", "outputs//x"}) {
    EXPECT_EQ(StatusOf([&] { files.Resolve(bad); }), Status::kInvalidArgument) << bad;
  }
  ASSERT_EQ(symlink(Path("secret").c_str(), (layout.CodeOutputs() + "/link").c_str()), 0);
  ASSERT_EQ(symlink(directory_.path().c_str(), (layout.CodeOutputs() + "/dir").c_str()), 0);
  EXPECT_EQ(Names(), "outputs/x ");
  EXPECT_EQ(StatusOf([&] { files.Resolve("outputs/link"); }), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf([&] { files.Resolve("outputs/dir/secret"); }), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf([&] { files.Upload(Path("secret"), "outputs/dir/new"); }), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf([&] { files.Upload(Path("secret"), "user_logs/new"); }), Status::kInvalidArgument);
  // Not even a directory is made there.
  EXPECT_EQ(StatusOf([&] { files.Upload(Path("secret"), "outputs/dir/made/new"); }), Status::kInvalidArgument);
  EXPECT_FALSE(PathExists(Path("made")));
  // A whole tree that a job has replaced by a link is none of its files.
  ASSERT_EQ(symlink(directory_.path().c_str(), layout.CodeLogs().c_str()), 0);
  EXPECT_EQ(Names(), "outputs/x ");
  EXPECT_EQ(StatusOf([&] { files.Resolve("outputs/none"); }), Status::kNotFound);
}

TEST_F(RunFilesTest, LinksThatStayInTheRunAreFiles) {
  Write("code/outputs/epoch3.ckpt", "weights");
  Write("code/outputs/best/w", "w");
  const std::string outputs = layout.CodeOutputs();
  ASSERT_EQ(symlink("epoch3.ckpt", (outputs + "/last.ckpt").c_str()), 0);
  ASSERT_EQ(symlink("best", (outputs + "/directory").c_str()), 0);
  ASSERT_EQ(symlink("none", (outputs + "/dangling").c_str()), 0);
  ASSERT_EQ(symlink("loop", (outputs + "/loop").c_str()), 0);
  ASSERT_EQ(mkfifo((outputs + "/pipe").c_str(), 0600), 0);
  ASSERT_EQ(symlink("pipe", (outputs + "/to_pipe").c_str()), 0);
  EXPECT_EQ(Names(), "outputs/best/w outputs/epoch3.ckpt outputs/last.ckpt ");
  EXPECT_EQ(files.List("outputs/last").files.at(0).size, 7U);
  EXPECT_EQ(files.DownloadAll("outputs/", Path("all")), 3);
  EXPECT_EQ(ReadFile(Path("all/outputs/last.ckpt")), "weights");
  for (const char *name : {"outputs/last.ckpt", "outputs/dangling", "outputs/loop", "outputs/pipe", "outputs/best"})
    EXPECT_TRUE(files.IsTaken(name)) << name;
  EXPECT_FALSE(files.IsTaken("outputs/new"));
  EXPECT_TRUE(files.IsSame("outputs/last.ckpt", outputs + "/epoch3.ckpt"));
  EXPECT_FALSE(files.IsSame("outputs/dangling", outputs + "/epoch3.ckpt"));
}

TEST_F(RunFilesTest, ANameThatIsNoUtf8IsLeftOutAndToldOf) {
  Write("code/outputs/good", "g");
  Write("code/outputs/bad\xff", "b");
  std::string told;
  SetLogSink([&](LogLevel, const std::string &message) { told += message; });
  EXPECT_EQ(Names(), "outputs/good ");
  SetLogSink(nullptr);
  EXPECT_NE(told.find("outputs/bad\uFFFD"), std::string::npos) << told;
  EXPECT_EQ(files.DownloadAll("outputs/", Path("all")), 1);
}

TEST_F(RunFilesTest, UploadAndDownload) {
  MakeDirs(layout.Code());
  WriteFileAtomic(Path("local"), "data");
  files.Upload(Path("local"), "outputs/a/b");
  EXPECT_EQ(ReadFile(layout.CodeOutputs() + "/a/b"), "data");
  files.Download("outputs/a/b", Path("copy"));
  EXPECT_EQ(ReadFile(Path("copy")), "data");
  MakeDirs(Path("dir"));
  files.Download("outputs/a/b", Path("dir"));
  EXPECT_EQ(ReadFile(Path("dir/b")), "data");
  EXPECT_EQ(files.DownloadAll("outputs/", Path("all")), 1);
  EXPECT_EQ(ReadFile(Path("all/outputs/a/b")), "data");
}

TEST_F(RunFilesTest, Pages) {
  for (int i = 0; i < 7; ++i) Write("code/outputs/f" + std::to_string(i), "");
  std::string all, token;
  do {
    const FilePage page = files.List("outputs/", 3, token);
    for (const StoredFile &file : page.files) all += file.path.back();
    all += "|";
    token = page.next_page_token;
  } while (!token.empty());
  EXPECT_EQ(all, "012|345|6|");
}

TEST_F(RunFilesTest, LogsByOffset) {
  EXPECT_EQ(ReadLog(layout, 0, 1, 0, 100).data, "");
  Write("user_logs/std_log.txt", "hello world");
  LogSlice slice = ReadLog(layout, 0, 1, 0, 5);
  EXPECT_EQ(slice.data, "hello");
  EXPECT_EQ(slice.next_offset, 5u);
  EXPECT_EQ(slice.size, 11u);
  EXPECT_EQ(ReadLog(layout, 0, 1, 5, 100).data, " world");
  EXPECT_EQ(ReadLog(layout, 0, 1, -5, 100).data, "world");
  EXPECT_EQ(ReadLog(layout, 0, 1, -500, 100).data, "hello world");
  EXPECT_EQ(ReadLog(layout, 0, 1, 500, 100).data, "");
  EXPECT_EQ(ReadLog(layout, 1, 4, 0, 100).data, "");
  // What its rank has put in its place is not read, and not waited for.
  const std::string path = layout.StdLog(0, 1);
  RemoveFile(path);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(ReadLog(layout, 0, 1, 5, 100).data, "");
  EXPECT_EQ(ReadLog(layout, 0, 1, 5, 100).next_offset, 5U);
  RemoveFile(path);
  ASSERT_EQ(symlink("/etc/passwd", path.c_str()), 0);
  EXPECT_EQ(ReadLog(layout, 0, 1, 0, 100).data, "");
}

}  // namespace
}  // namespace trainyard
