// The report as a browser shows it: drawn, complete, without complaints, without a request, at all widths and in both
// schemes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <set>

#include "engine_torch/report/browser.h"
#include "engine_torch/report/sample_reports.h"
#include "engine_torch/report/thumbnail.h"
#include "util/url.h"

namespace trainyard::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using Colour = std::array<int, 3>;

constexpr Colour kBlue = {11, 99, 165};      // the style sheet's, light
constexpr Colour kOrange = {184, 67, 0};     // the same
constexpr Colour kPicture = {250, 20, 200};  // in no other place of the page

size_t CountOf(const std::string &text, const std::string &part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

Colour At(const image::Image &picture, int x, int y) {
  const uint8_t *pixel =
      picture.rgb.data() + (static_cast<size_t>(y) * static_cast<size_t>(picture.width) + static_cast<size_t>(x)) * 3;
  return {pixel[0], pixel[1], pixel[2]};
}

int64_t PixelsNear(const image::Image &picture, const Colour &colour, int tolerance) {
  int64_t count = 0;
  for (int y = 0; y < picture.height; ++y) {
    for (int x = 0; x < picture.width; ++x) {
      const Colour pixel = At(picture, x, y);
      bool near = true;
      for (size_t c = 0; c < 3; ++c) near = near && std::abs(pixel[c] - colour[c]) <= tolerance;
      count += near ? 1 : 0;
    }
  }
  return count;
}

// Whom the browser asks on its own behalf, whatever page is open: the time, updates.
bool IsOfTheBrowser(const std::string &url) {
  const std::string host = HostOfUrl(url);
  return host.ends_with(".google.com") || host.ends_with(".googleapis.com") || host.ends_with(".gvt1.com");
}

// URLs that the network log has of the page.
std::set<std::string> Requests(const Visit &visit) {
  std::set<std::string> urls;
  for (const char *scheme : {"http://", "https://", "ws://", "ftp://"}) {
    const std::string start = std::string("\"url\":\"") + scheme;
    for (size_t at = visit.requests.find(start); at != std::string::npos; at = visit.requests.find(start, at + 1)) {
      const std::string url = visit.requests.substr(at + 7, visit.requests.find('"', at + 7) - at - 7);
      if (!IsOfTheBrowser(url)) urls.insert(url);
    }
  }
  return urls;
}

class ReportBrowser : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::string program = Browser::Find();
    if (program.empty()) {
      why_not_ = "no chromium in PATH: sh scripts/setup.sh browser installs it";
      return;
    }
    browser_ = std::make_unique<Browser>(program);
    const TempDir directory;
    const std::string path = JoinPath(directory.path(), "start.html");
    WriteFileAtomic(path, "<!DOCTYPE html><title>start</title><p>it starts</p>");
    const Visit visit = browser_->Open(path, 400, 300);
    if (visit.dom.find("it starts") == std::string::npos) {
      why_not_ = program + " does not start: " + std::string(Trim(visit.log.substr(0, 300)));
    }
  }
  static void TearDownTestSuite() { browser_.reset(); }

  void SetUp() override {
    if (!why_not_.empty()) GTEST_SKIP() << why_not_;
  }

  std::string Write(const std::string &name, const std::string &text) {
    const std::string path = JoinPath(directory_.path(), name);
    WriteFileAtomic(path, text);
    return path;
  }

  std::string WritePicture() {
    image::Image picture;
    picture.Reset(320, 240);
    for (size_t i = 0; i < picture.rgb.size(); ++i) picture.rgb[i] = static_cast<uint8_t>(kPicture[i % 3]);
    return Write("picture.jpg", EncodeJpeg(picture, 95));
  }

  static void ExpectQuiet(const Visit &visit) {
    EXPECT_TRUE(visit.ended_well) << visit.log;
    EXPECT_THAT(visit.Console(), IsEmpty());
    EXPECT_THAT(Requests(visit), IsEmpty());
  }

  static std::unique_ptr<Browser> browser_;
  static std::string why_not_;
  TempDir directory_;
};

std::unique_ptr<Browser> ReportBrowser::browser_;
std::string ReportBrowser::why_not_;

// Else the tests below would prove nothing.
TEST_F(ReportBrowser, TheTestSeesWhatIsWrong) {
  const Visit visit = browser_->Open(Write("wrong.html",
                                           "<!DOCTYPE html><title>wrong</title><body style='background:#fff'>"
                                           "<img src='http://report.invalid/x.png'>"
                                           "<script>console.error('an error')</script>"),
                                     400, 300);
  EXPECT_THAT(visit.Console(), Not(IsEmpty()));
  EXPECT_THAT(Requests(visit), ElementsAre("http://report.invalid/x.png"));
  EXPECT_EQ(PixelsNear(visit.picture, kBlue, 12), 0);
}

TEST_F(ReportBrowser, CurvesMatrixAndPicturesAreDrawn) {
  const std::string path = JoinPath(directory_.path(), "report.html");
  WriteReport(path, TutorialReport({WritePicture()}));
  const Visit visit = browser_->Open(path, 1200, 2400);
  ExpectQuiet(visit);
  EXPECT_EQ(CountOf(visit.dom, "<svg "), 3u);
  EXPECT_EQ(CountOf(visit.dom, "<path class=\"line c0\" d=\"M"), 3u);
  EXPECT_EQ(CountOf(visit.dom, "<path class=\"line c1\" d=\"M"), 2u);
  EXPECT_EQ(CountOf(visit.dom, "<td class=\"hit\""), 2u);
  EXPECT_EQ(CountOf(visit.dom, "<td class=\"miss\""), 2u);
  EXPECT_EQ(CountOf(visit.dom, "<img "), 8u);
  ASSERT_EQ(visit.picture.width, 1200);
  EXPECT_EQ(At(visit.picture, 3, 3), (Colour{255, 255, 255}));
  EXPECT_GT(PixelsNear(visit.picture, kBlue, 12), 500);    // lines of training
  EXPECT_GT(PixelsNear(visit.picture, kOrange, 12), 300);  // lines of validation
  EXPECT_GT(PixelsNear(visit.picture, kPicture, 12), 8 * 100 * 75);
}

TEST_F(ReportBrowser, TheSchemeOfTheReaderIsFollowed) {
  const std::string path = JoinPath(directory_.path(), "report.html");
  WriteReport(path, TutorialReport({}));
  const Visit visit = browser_->Open(path, 1200, 1200, {"--blink-settings=preferredColorScheme=0"});
  ExpectQuiet(visit);
  ASSERT_EQ(visit.picture.width, 1200);
  const Colour page = At(visit.picture, 3, 3);
  for (const int channel : page) EXPECT_LT(channel, 50);
  EXPECT_GT(PixelsNear(visit.picture, {228, 233, 239}, 12), 300);  // text
  EXPECT_EQ(PixelsNear(visit.picture, {255, 255, 255}, 2), 0);
}

// A window of a phone's width: a frame in a page of ours, which may measure it.
TEST_F(ReportBrowser, APhoneNeedsNoSidewaysScrolling) {
  for (const TrainingReport &report : {TutorialReport({WritePicture()}), LargeReport(30, 200, 5, {}),
                                       LargeReport(200, 3000, 5, {}), HostileReport(), FailedReport()}) {
    WriteReport(JoinPath(directory_.path(), "report.html"), report);
    const std::string frame = Write(
        "frame.html",
        "<!DOCTYPE html><title>frame</title><iframe id='f' src='report.html' "
        "style='width:360px;height:3000px;border:0'>"
        "</iframe><p id='p'></p><script>window.onload = () => { const d = document.getElementById('f').contentDocument;"
        "const e = d.documentElement; document.getElementById('p').textContent = `measured ${e.scrollWidth} of "
        "${e.clientWidth}, lines ${d.querySelectorAll('.line').length}, title ${d.title}`; };</script>");
    const Visit visit = browser_->Open(frame, 800, 600, {"--allow-file-access-from-files"});
    ExpectQuiet(visit);
    EXPECT_THAT(visit.dom, HasSubstr("measured 360 of 360, lines ")) << report.name;
    EXPECT_THAT(visit.dom, Not(HasSubstr("title owned")));
  }
}

TEST_F(ReportBrowser, HostileNamesStayText) {
  const std::string path = JoinPath(directory_.path(), "report.html");
  WriteReport(path, HostileReport());
  const Visit visit = browser_->Open(path, 1200, 1200);
  ExpectQuiet(visit);
  EXPECT_THAT(visit.dom, HasSubstr("&lt;script&gt;document.title='owned'&lt;/script&gt;"));
  EXPECT_THAT(visit.dom, Not(HasSubstr("<script")));
  EXPECT_THAT(visit.dom, Not(HasSubstr("<title>owned")));
  EXPECT_THAT(visit.dom, HasSubstr("<td class=\"hit\""));
}

// If something did get through, the page's policy would stop it.
TEST_F(ReportBrowser, ThePolicyForbidsScriptsAndRequests) {
  std::string html = RenderReport(TutorialReport({}));
  const std::string end = "</main>";
  html.insert(html.find(end),
              "<img src='http://report.invalid/x.png' alt=''/><script>document.title = 'owned'</script>"
              "<p onclick='1'></p>");
  const Visit visit = browser_->Open(Write("report.html", html), 1200, 800);
  EXPECT_THAT(visit.Console(), Not(IsEmpty()));
  EXPECT_THAT(Requests(visit), IsEmpty());
  EXPECT_THAT(visit.dom, Not(HasSubstr("<title>owned")));
}

}  // namespace
}  // namespace trainyard::report
