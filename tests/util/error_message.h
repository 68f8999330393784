// What the tests of errors share.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "util/error.h"

namespace trainyard {

// The message of the Error that `call` throws, which has to be of this status; "" when it throws none.
template <typename Call>
std::string MessageOf(const Call &call, Status status = Status::kInvalidArgument) {
  try {
    call();
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), status) << error.what();
    return error.what();
  }
  return "";
}

}  // namespace trainyard
