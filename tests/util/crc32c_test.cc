#include "util/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace trainyard {
namespace {

TEST(Crc32c, KnownValues) {
  EXPECT_EQ(Crc32c("123456789", 9), 0xE3069283U);
  EXPECT_EQ(Crc32c("", 0), 0U);
  const std::string zeros(32, '\0'), ones(32, '\xff');
  EXPECT_EQ(Crc32c(zeros.data(), zeros.size()), 0x8A9136AAU);  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(ones.data(), ones.size()), 0x62A8AB43U);
}

TEST(Crc32c, GoesOn) {
  EXPECT_EQ(Crc32c("6789", 4, Crc32c("12345", 5)), 0xE3069283U);
}

}  // namespace
}  // namespace trainyard
