#include "launch/expand.h"

#include <gtest/gtest.h>

namespace trainyard {
namespace {

const std::vector<std::string> kEnvironment = {"RANK=3", "MASTER_ADDR=10.0.0.1", "EMPTY=", "A_1=x", "NESTED=$RANK"};

std::string Expand(const std::string &text) {
  return ExpandVariables(text, kEnvironment);
}

TEST(Expand, NamesBecomeValues) {
  EXPECT_EQ(Expand("$RANK"), "3");
  EXPECT_EQ(Expand("--node_rank=$RANK --addr=${MASTER_ADDR}:6105"), "--node_rank=3 --addr=10.0.0.1:6105");
  EXPECT_EQ(Expand("${RANK}0/$A_1/"), "30/x/");
  EXPECT_EQ(Expand("[$EMPTY]"), "[]");
  EXPECT_EQ(Expand("$RANK$RANK"), "33");
}

TEST(Expand, WhatIsNoNameOrNotSetStays) {
  for (const char *text : {"", "$", "a$", "$$", "$$RANK", "$5", "${", "${}", "${RANK", "${RANK:-1}", "$RANKS",
                           "$ABSENT/${ABSENT}", "cost: 5$ or $(x)", "\\x"}) {
    EXPECT_EQ(Expand(text), text);
  }
}

TEST(Expand, ValuesAreNotExpandedAgain) {
  EXPECT_EQ(Expand("$NESTED"), "$RANK");
}

TEST(Expand, FromAnIndexOn) {
  const std::vector<std::string> command = {"$RANK", "$RANK", "${RANK}"};
  EXPECT_EQ(ExpandCommand(command, 1, kEnvironment), (std::vector<std::string>{"$RANK", "3", "3"}));
  EXPECT_EQ(ExpandCommand(command, SIZE_MAX, kEnvironment), command);
}

}  // namespace
}  // namespace trainyard
