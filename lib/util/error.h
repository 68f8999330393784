// The one exception type of the library. Thrown anywhere below the C boundary; lib/capi turns it into a ty_status and a
// ty_error. Thread rule: a value, no shared state.
#pragma once

#include <cerrno>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

namespace trainyard {

// The numbers are the public ty_status numbers (include/trainyard/error.h); lib/capi/error.cc asserts that they agree.
enum class Status : int32_t {
  kOk = 0,
  kInvalidArgument = 1,
  kNotFound = 2,
  kAlreadyExists = 3,
  kInvalidState = 4,
  kIo = 5,
  kNoSpace = 6,
  kPermission = 7,
  kCorrupt = 8,
  kUnsupported = 9,
  kVersion = 10,
  kBusy = 11,
  kTimeout = 12,
  kCanceled = 13,
  kNetwork = 14,
  kEngine = 15,
  kRuntime = 16,
  kOutOfMemory = 17,
  kForked = 18,
  kInternal = 19,
  kRunFailed = 20,
};

// A failure that says what, where and what to do next, in one line.
class Error : public std::runtime_error {
 public:
  using Details = std::map<std::string, std::string>;  // "path", "run_id", "key", "http_status", ...

  Error(Status status, const std::string &message, Details details = {})
      : std::runtime_error(message), status_(status), details_(std::move(details)) {}

  static Error InvalidArgument(const std::string &message, Details details = {}) {
    return {Status::kInvalidArgument, message, std::move(details)};
  }
  static Error NotFound(const std::string &message, Details details = {}) {
    return {Status::kNotFound, message, std::move(details)};
  }
  static Error InvalidState(const std::string &message, Details details = {}) {
    return {Status::kInvalidState, message, std::move(details)};
  }
  static Error Corrupt(const std::string &message, Details details = {}) {
    return {Status::kCorrupt, message, std::move(details)};
  }
  static Error Internal(const std::string &message, Details details = {}) {
    return {Status::kInternal, message, std::move(details)};
  }
  // From errno: "cannot <action> '<path>': <reason>"; picks kNotFound, kPermission, kNoSpace or kIo by the number.
  static Error FromErrno(int number, const std::string &action, const std::string &path);

  Status status() const { return status_; }
  const Details &details() const { return details_; }

 private:
  Status status_;
  Details details_;
};

}  // namespace trainyard
