#include "drivers/metric_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <clocale>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/metric_value.h"
#include "drivers/local/local_driver.h"
#include "drivers/tensorboard_file.h"
#include "util/crc32c.h"
#include "util/error.h"
#include "util/fs.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// 1x1 pixels, transparent.
const std::string kPng(
    "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9c"
    "c\0\1\0\0\5\0\1\r\n-\xb4\0\0\0\0IEND\xae"
    "B`\x82",
    67);

class MetricExportTest : public testing::Test {
 protected:
  std::string Path(const std::string &name) const { return directory_.path() + "/" + name; }
  RunRecord Start() {
    HostRunOptions options;
    options.run_id = "r";
    return driver_->StartRun("tests", options);
  }
  std::string Csv() {
    ExportCsv(driver_.get(), "r", Path("out/metrics.csv"));
    return ReadFile(Path("out/metrics.csv"));
  }

  TempDir directory_;
  std::shared_ptr<Driver> driver_ = OpenLocalWorkspace(directory_.path() + "/ws");
};

// The data of each record; checks lengths and checksums.
std::vector<std::string> Records(const std::string &file) {
  const auto masked = [](std::string_view data) {
    const uint32_t crc = Crc32c(data.data(), data.size());
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
  };
  const auto number = [&](size_t at) {
    uint32_t value = 0;
    memcpy(&value, file.data() + at, sizeof value);
    return value;
  };
  std::vector<std::string> records;
  for (size_t at = 0; at < file.size();) {
    uint64_t length = 0;
    memcpy(&length, file.data() + at, sizeof length);
    EXPECT_EQ(number(at + 8), masked(std::string_view(file).substr(at, 8)));
    records.push_back(file.substr(at + 12, length));
    EXPECT_EQ(number(at + 12 + length), masked(records.back()));
    at += 16 + length;
  }
  return records;
}

TEST_F(MetricExportTest, CsvIsTheSameInEveryLocale) {
  Start();
  {
    const auto writer = driver_->OpenMetrics("r");
    writer->Append("b", 0.5, 7);
    writer->Append("b", std::nan(""), std::nullopt);
    writer->Append("b", -std::numeric_limits<double>::infinity(), std::nullopt);
    writer->Append("a,\"x\"", 1e300, std::nullopt);
    writer->Append("c", 0.1 + 0.2, std::nullopt);
    writer->Record(MetricKind::kText, "b", "\"text\"", std::nullopt);
  }
  const std::string plain = Csv();
  // Times are when it happened; the rest is known.
  std::vector<std::string> lines;
  for (size_t at = 0; at < plain.size();) {
    const size_t end = plain.find('\n', at);
    lines.push_back(plain.substr(at, end - at));
    at = end + 1;
  }
  ASSERT_EQ(lines.size(), 6U) << plain;
  EXPECT_EQ(lines[0], "name,rank,step,time_ms,value");
  EXPECT_TRUE(lines[1].starts_with("\"a,\"\"x\"\"\",0,0,1") && lines[1].ends_with(",1e+300")) << lines[1];
  EXPECT_TRUE(lines[2].starts_with("b,0,7,") && lines[2].ends_with(",0.5")) << lines[2];
  EXPECT_TRUE(lines[3].starts_with("b,0,8,") && lines[3].ends_with(",NaN")) << lines[3];
  EXPECT_TRUE(lines[4].ends_with(",-Infinity")) << lines[4];
  EXPECT_TRUE(lines[5].ends_with(",0.30000000000000004")) << lines[5];
  const std::string before = setlocale(LC_ALL, nullptr);
  if (setlocale(LC_ALL, "de_DE.UTF-8") == nullptr) {
    driver_->EndRun("r", RunState::kCompleted, {});
    GTEST_SKIP() << "the locale de_DE.UTF-8 is not installed";
  }
  EXPECT_EQ(Csv(), plain);
  setlocale(LC_ALL, before.c_str());
  driver_->EndRun("r", RunState::kCompleted, {});
  EXPECT_EQ(Csv(), plain) << "folded";
  EXPECT_THAT(ListTree(Path("out")), ElementsAre("metrics.csv"));
  EXPECT_THROW(ExportCsv(driver_.get(), "none", Path("x.csv")), Error);
  EXPECT_FALSE(PathExists(Path("x.csv")));
}

TEST_F(MetricExportTest, TensorBoardFilesAreWhole) {
  Start();
  WriteFileAtomic(Path("cat.png"), kPng);
  WriteFileAtomic(Path("notes.txt"), "no picture");
  {
    const auto writer = driver_->OpenMetrics("r");
    writer->Append("train/loss", 0.5, 3);
    writer->Append("huge", 1e300, std::nullopt);
    writer->Image("cat", Path("cat.png"), "", 9);
    writer->Image("notes", Path("notes.txt"), "", std::nullopt);
  }
  driver_->EndRun("r", RunState::kCompleted, {});
  for (int time = 0; time < 2; ++time) ExportTensorBoard(driver_.get(), "r", Path("tb"));
  const auto files = ListTree(Path("tb"));
  ASSERT_EQ(files.size(), 1U) << "a second export replaces the first";
  EXPECT_THAT(files[0], HasSubstr("events.out.tfevents."));
  const auto records = Records(ReadFile(Path("tb/" + files[0])));
  ASSERT_EQ(records.size(), 4U);
  EXPECT_THAT(records[0], HasSubstr("brain.Event:2"));
  EXPECT_THAT(records[1], HasSubstr("huge"));
  EXPECT_THAT(records[2], HasSubstr("train/loss"));
  EXPECT_THAT(records[3], HasSubstr(kPng));
}

TEST(TensorBoardFile, NothingIsLeftWithoutFinish) {
  const TempDir directory;
  { TensorBoardFile(directory.path(), "events.out.tfevents.1", 1000).AddScalar("x", 1, 1, 1); }
  EXPECT_THAT(ListTree(directory.path()), ElementsAre());
}

TEST(ReadImageSize, OfEachFormat) {
  EXPECT_EQ(ReadImageSize(kPng).width, 1U);
  EXPECT_EQ(ReadImageSize(std::string("GIF89a\x05\0\x02\1\0", 11)).width, 5U);
  EXPECT_EQ(ReadImageSize(std::string("GIF89a\x05\0\x02\1\0", 11)).height, 258U);
  // Application data, a fill byte, then the frame header: 8 bits, 16 high, 32 wide.
  const std::string jpeg("\xFF\xD8\xFF\xE0\0\x04zz\xFF\xFF\xC2\0\x11\x08\0\x10\0\x20\x03xxxx", 23);
  EXPECT_EQ(ReadImageSize(jpeg).width, 32U);
  EXPECT_EQ(ReadImageSize(jpeg).height, 16U);
  for (size_t size = 0; size < jpeg.size(); ++size) ReadImageSize(std::string_view(jpeg).substr(0, size));
  for (const char *none : {"", "BM", "\xFF\xD8", "\xFF\xD8\xFF\xE0", "\x89PNG"}) {
    EXPECT_EQ(ReadImageSize(none).width, 0U) << none;
  }
}

}  // namespace
}  // namespace trainyard
