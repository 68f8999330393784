// For assertions on what a failure says.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>

#include "util/error.h"

namespace trainyard::testing {

// The Error that `body` throws, or nothing.
template <typename Body>
std::optional<Error> ErrorOf(Body body) {
  try {
    body();
  } catch (const Error &error) {
    return error;
  }
  return std::nullopt;
}

}  // namespace trainyard::testing

// The body fails with this status and its message holds each of the texts.
#define EXPECT_ERROR(expected_status, body, ...)                                                        \
  do {                                                                                                  \
    const auto error_ = ::trainyard::testing::ErrorOf([&] { (void)(body); });                           \
    ASSERT_TRUE(error_.has_value()) << "no error";                                                      \
    EXPECT_EQ(static_cast<int>(error_->status()), static_cast<int>(expected_status)) << error_->what(); \
    for (const std::string &text_ : std::initializer_list<std::string>{__VA_ARGS__}) {                  \
      EXPECT_THAT(error_->what(), ::testing::HasSubstr(text_));                                         \
    }                                                                                                   \
  } while (false)
