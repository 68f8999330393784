// The code of a failure ("data", "weights", "nan_loss", ...), which becomes the run's error code. It travels as the
// detail "code" of an Error. Thread rule: functions, no state.
#pragma once

#include <string>
#include <utility>

#include "util/error.h"

namespace trainyard {

inline Error WithCode(const Error &error, const std::string &code) {
  Error::Details details = error.details();
  details.emplace("code", code);  // the innermost one stays
  return {error.status(), error.what(), std::move(details)};
}

// Runs `body`; an Error that leaves it without a code gets this one.
template <typename Body>
auto CodeFailures(const char *code, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const Error &error) {
    throw WithCode(error, code);
  }
}

}  // namespace trainyard
