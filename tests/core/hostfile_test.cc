#include "core/hostfile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "util/error_message.h"

namespace trainyard {
namespace {

std::string Complaint(const std::string &text) {
  return MessageOf([&] { ParseHostfile(text, "hosts"); });
}

TEST(Hostfile, HostsAndTheirSlots) {
  const auto hosts =
      ParseHostfile("# my cluster\n\n node-a slots=4 max_slots=8\r\n10.77.0.2\t# one\nnode-a slots=2\n", "hosts");
  ASSERT_EQ(hosts.size(), 2u);
  EXPECT_EQ(hosts[0].address, "node-a");
  EXPECT_EQ(hosts[0].slots, 6);
  EXPECT_EQ(hosts[1].address, "10.77.0.2");
  EXPECT_EQ(hosts[1].slots, 1);
}

TEST(Hostfile, WhatIsNoneNamesTheLine) {
  EXPECT_EQ(Complaint("# nothing\n"), "hosts names no host");
  EXPECT_THAT(Complaint("a\nslots=4\n"), testing::HasSubstr("hosts:2: a line starts with a host"));
  EXPECT_THAT(Complaint("a\n\xff slots=1\n"), testing::HasSubstr("hosts:2: the host's name is not valid UTF-8"));
  EXPECT_THAT(Complaint("a slots = 4\n"), testing::HasSubstr("hosts:1: 'slots' must be like slots=4"));
  EXPECT_THAT(Complaint("a slots=0\n"), testing::HasSubstr("'slots=0'"));
}

TEST(Hostfile, TheSumOfSlotsHasALimit) {
  EXPECT_EQ(ParseHostfile("a slots=65535\na\n", "hosts")[0].slots, 65536);
  EXPECT_THAT(Complaint("a slots=65536\nb\na\n"),
              testing::HasSubstr("hosts:3: host 'a' has more than 65536 slots in all"));
  std::string many;
  for (int i = 0; i < 32768; ++i) many += "a slots=65536\n";  // 2^31 of them
  EXPECT_THAT(Complaint(many), testing::HasSubstr("hosts:2: host 'a' has more"));
}

TEST(Hostfile, AJobTakesTheFirst) {
  const auto hosts = ParseHostfile("a\nb\nc\n", "hosts");
  EXPECT_EQ(TakeHosts(hosts, 2).back().address, "b");
  try {
    TakeHosts(hosts, 4);
    FAIL();
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("wants 4 nodes and the hostfile has 3"));
  }
}

}  // namespace
}  // namespace trainyard
