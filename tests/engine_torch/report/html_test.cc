#include "engine_torch/report/html.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "util/text.h"

namespace trainyard::report {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

TEST(ReportHtml, MarkupInNamesStaysText) {
  EXPECT_EQ(Escape("<script>alert(\"x\" & 'y')</script>"),
            "&lt;script&gt;alert(&quot;x&quot; &amp; &#39;y&#39;)&lt;/script&gt;");
  EXPECT_EQ(Escape("&amp;"), "&amp;amp;");
  EXPECT_EQ(Escape("gr\u00fcn \u732b \U0001F41D"), "gr\u00fcn \u732b \U0001F41D");
}

TEST(ReportHtml, WhatIsNoTextIsShown) {
  EXPECT_EQ(Escape("a\x1b[1mb\rc\x7f"), "a\u241b[1mb\u240dc\u2421");
  EXPECT_EQ(Escape("line 1\n\tline 2"), "line 1\n\tline 2");
  EXPECT_EQ(Escape(std::string_view("a\0b", 3)), "a\uFFFDb");
  EXPECT_EQ(Escape("\xFF\xC0<"), "\uFFFD\uFFFD&lt;");
  EXPECT_EQ(Escape("\uFFFE\uFFFF\uFFFD\uFEFF"), "\uFFFD\uFFFD\uFFFD\uFEFF");
  for (int byte = 1; byte < 256; ++byte) EXPECT_TRUE(IsValidUtf8(Escape(std::string(1, static_cast<char>(byte)))));
}

TEST(ReportHtml, LongNamesKeepTheirEnds) {
  EXPECT_EQ(Shorten("short", 5), "short");
  EXPECT_EQ(Shorten("abcdefghijkl", 9), "abcdef\u2026jkl");
  std::string bees;
  for (int i = 0; i < 100; ++i) bees += "\U0001F41D";
  for (size_t max = 6; max < 30; ++max) {
    const std::string shortened = Shorten(bees, max);
    EXPECT_TRUE(IsValidUtf8(shortened)) << max;
    EXPECT_LE(shortened.size(), max + 3);  // the ellipsis
    EXPECT_NE(shortened.find("\u2026"), std::string::npos);
  }
}

TEST(ReportHtml, Numbers) {
  EXPECT_EQ(Number(0.123456), "0.1235");
  EXPECT_EQ(Number(1234.56), "1235");
  EXPECT_EQ(Number(0.001), "0.001");
  EXPECT_EQ(Number(1.5e-7), "1.5e-7");
  EXPECT_EQ(Number(0), "0");
  EXPECT_EQ(Number(0.30000000000000004), "0.3");
  EXPECT_EQ(Number(kNan), "\u2013");
  EXPECT_EQ(Number(-kInf), "-\u221e");
  EXPECT_EQ(Fixed(2.345, 1), "2.3");
  EXPECT_EQ(Count(1234567), "1,234,567");
  EXPECT_EQ(Count(-123), "-123");
  EXPECT_EQ(Count(999), "999");
}

TEST(ReportHtml, SharesDoNotClaimAllOrNothing) {
  EXPECT_EQ(Percent(0.9412), "94.1%");
  EXPECT_EQ(Percent(1), "100%");
  EXPECT_EQ(Percent(0), "0%");
  EXPECT_EQ(Percent(0.99999), ">99.9%");
  EXPECT_EQ(Percent(0.00001), "<0.1%");
  EXPECT_EQ(Percent(0.9994), "99.9%");
  EXPECT_EQ(Percent(0.0006), "0.1%");
  EXPECT_EQ(Percent(kNan), "\u2013");
}

TEST(ReportHtml, Durations) {
  EXPECT_EQ(Duration(0), "0 s");
  EXPECT_EQ(Duration(0.0001), "<1 ms");
  EXPECT_EQ(Duration(0.123), "123 ms");
  EXPECT_EQ(Duration(0.99), "1.0 s");
  EXPECT_EQ(Duration(9.97), "10 s");
  EXPECT_EQ(Duration(59.6), "1 min 0 s");
  EXPECT_EQ(Duration(200), "3 min 20 s");
  EXPECT_EQ(Duration(7500), "2 h 5 min");
  EXPECT_EQ(Duration(kNan), "\u2013");
}

}  // namespace
}  // namespace trainyard::report
