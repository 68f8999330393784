#include "core/snapshot_limits.h"

#include <gmock/gmock.h>

#include "util/error.h"

namespace trainyard {
namespace {

using testing::ElementsAre;

constexpr uint64_t kMega = 1 << 20;

std::vector<std::string> Lines(const std::vector<SizedPath> &files, const SnapshotLimits &limits = {}) {
  std::vector<std::string> lines;
  for (const Offender &offender : FindOffenders(files, limits, 10)) lines.push_back(offender.line);
  return lines;
}

void AddMany(std::vector<SizedPath> *files, const std::string &prefix, const std::string &suffix, int count,
             uint64_t bytes) {
  for (int i = 0; i < count; ++i) files->push_back({prefix + std::to_string(i) + suffix, bytes});
}

TEST(Offenders, ADirectoryIsNamedAsAWhole) {
  std::vector<SizedPath> files = {{"train.py", 2000}, {"model.bin", 50 * kMega}};
  AddMany(&files, "data/train/cats/", ".jpg", 1500, kMega / 10);
  AddMany(&files, "data/train/dogs/", ".jpg", 1500, kMega / 10);
  AddMany(&files, "data/val/cats/", ".jpg", 600, kMega / 10);
  AddMany(&files, "data/val/dogs/", ".jpg", 600, kMega / 10);
  EXPECT_THAT(Lines(files), ElementsAre("/data/train/", "/data/val/", "/model.bin"));
}

TEST(Offenders, AnEnvironmentIsNotTakenApart) {
  std::vector<SizedPath> files = {{"train.py", 2000}, {"myenv/pyvenv.cfg", 100}};
  AddMany(&files, "myenv/lib/python3.11/site-packages/torch/", ".so", 40, 20 * kMega);
  AddMany(&files, "myenv/lib/python3.11/site-packages/pip/", ".py", 3000, 1000);
  AddMany(&files, "web/node_modules/left/", ".js", 3000, 1000);
  EXPECT_THAT(Lines(files), ElementsAre("/myenv/", "/web/node_modules/"));
}

TEST(Offenders, OneLargeFileDeepDownIsNamedItself) {
  std::vector<SizedPath> files = {{"a/b/c/checkpoint.pt", 900 * kMega}, {"a/b/c/x.py", 100}, {"a/b/y.py", 100}};
  EXPECT_THAT(Lines(files), ElementsAre("/a/b/c/checkpoint.pt"));
}

TEST(Offenders, FilesOfOneKindSideBySideAreOne) {
  std::vector<SizedPath> files = {{"train.py", 2000}, {"README.md", 100}};
  AddMany(&files, "frame", ".png", 5000, 100);
  EXPECT_THAT(Lines(files), ElementsAre("/*.png"));
  files = {{"src/train.py", 2000}};
  AddMany(&files, "src/[raw]/f", ".png", 2500, 100);
  AddMany(&files, "src/[raw]/g", ".txt", 300, 100);
  EXPECT_THAT(Lines(files), ElementsAre("/src/\\[raw]/*.png", "/src/\\[raw]/*.txt"));
}

TEST(Offenders, OnlyExceededLimitsCount) {
  std::vector<SizedPath> files = {{"big.bin", 200 * kMega}};
  AddMany(&files, "many/f", "", 3000, 10);
  EXPECT_THAT(Lines(files), ElementsAre("/many/"));
  EXPECT_THAT(Lines(files, {.max_bytes = 100 * kMega, .max_files = 0}), ElementsAre("/big.bin"));
}

TEST(Offenders, AtMostTen) {
  std::vector<SizedPath> files;
  AddMany(&files, "", "/x", 30, 100 * kMega);
  EXPECT_EQ(Lines(files).size(), 10U);
}

TEST(SnapshotLimits, JsonAndTexts) {
  const SnapshotLimits limits{.max_bytes = 5, .max_files = 0};
  EXPECT_EQ(SnapshotLimits::FromJson(limits.ToJson()), limits);
  EXPECT_TRUE(SnapshotLimits().IsDefault());
  EXPECT_THROW(SnapshotLimits::FromJson(Json::Parse(R"({"max_byte":1})", "limits")), Error);
  EXPECT_TRUE(limits.Allow(5, 1 << 30));
  EXPECT_FALSE(limits.Allow(6, 1));
  EXPECT_EQ(FormatBytes(0), "0 bytes");
  EXPECT_EQ(FormatBytes(1023), "1023 bytes");
  EXPECT_EQ(FormatBytes(1536), "1.5 KB");
  EXPECT_EQ(FormatBytes(300 * kMega), "300 MB");
  EXPECT_EQ(FormatBytes(1024 * kMega - 1), "1 GB");
  EXPECT_EQ(FormatBytes(UINT64_MAX), "16384 PB");
}

}  // namespace
}  // namespace trainyard
