#include "util/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "util/error.h"
#include "util/fs.h"
#include "util/hash.h"

namespace trainyard {
namespace {

class DownloadTest : public testing::Test {
 protected:
  DownloadTest() : source_(directory_.path() + "/source"), target_(directory_.path() + "/target") {
    content_.resize(300000);
    for (size_t i = 0; i < content_.size(); ++i) content_[i] = static_cast<char>(i * 7 + i / 256);
    WriteFileAtomic(source_, content_);
    options_.sha256 = Sha256Hex(content_);
    options_.attempts = 1;
  }
  Status StatusOf(const std::string &url) {
    try {
      DownloadFile(url, target_, options_);
    } catch (const Error &error) {
      message_ = error.what();
      return error.status();
    }
    return Status::kOk;
  }

  TempDir directory_;
  const std::string source_, target_;
  std::string content_, message_;
  DownloadOptions options_;
};

TEST_F(DownloadTest, FetchesAndChecks) {
  EXPECT_EQ(StatusOf("file://" + source_), Status::kOk);
  EXPECT_EQ(ReadFile(target_), content_);
  EXPECT_FALSE(PathExists(target_ + ".part"));
}

TEST_F(DownloadTest, ContinuesWhatIsThere) {
  WriteFileAtomic(target_ + ".part", content_.substr(0, 100000));
  EXPECT_EQ(StatusOf("file://" + source_), Status::kOk);
  EXPECT_EQ(ReadFile(target_), content_);
}

TEST_F(DownloadTest, WrongChecksumLeavesNothing) {
  options_.sha256 = Sha256Hex("something else");
  EXPECT_EQ(StatusOf("file://" + source_), Status::kCorrupt);
  EXPECT_THAT(message_, testing::HasSubstr(options_.sha256));
  EXPECT_FALSE(PathExists(target_));
  EXPECT_FALSE(PathExists(target_ + ".part"));
}

TEST_F(DownloadTest, SaysWhatIsWrong) {
  EXPECT_EQ(StatusOf("file:///does/not/exist"), Status::kNotFound);
  EXPECT_EQ(StatusOf("gopher://127.0.0.1/x"), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf("http://127.0.0.1:1/x"), Status::kNetwork);  // nobody listens on port 1
  options_.sha256 = "abc";
  EXPECT_EQ(StatusOf("file://" + source_), Status::kInvalidArgument);
  EXPECT_FALSE(PathExists(target_));
}

}  // namespace
}  // namespace trainyard
