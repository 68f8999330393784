#include "launch/line_tail.h"

#include <gtest/gtest.h>

namespace trainyard {
namespace {

TEST(LineTailTest, KeepsTheLastLines) {
  LineTail tail(3, 100);
  tail.Append("a\nb\n");
  EXPECT_EQ(tail.Text(), "a\nb");
  tail.Append("c\nd");
  tail.Append("e\nf");
  EXPECT_EQ(tail.Text(), "c\nde\nf");
  tail.Append("\n");
  EXPECT_EQ(tail.Text(), "c\nde\nf");
}

TEST(LineTailTest, ProgressBarIsOneLine) {
  LineTail tail(3, 100);
  for (int i = 0; i < 1000; ++i) tail.Append("\r" + std::to_string(i) + "%");
  EXPECT_EQ(tail.Text(), "999%");
  tail.Append("\r\ndone\r\n");
  EXPECT_EQ(tail.Text(), "999%\ndone");
}

TEST(LineTailTest, MemoryIsBounded) {
  LineTail tail(2, 10);
  tail.Append(std::string(100000, 'x') + "\n" + std::string(100000, 'y'));
  EXPECT_EQ(tail.Text(), "xxxxxxxxxx\nyyyyyyyyyy");
}

}  // namespace
}  // namespace trainyard
