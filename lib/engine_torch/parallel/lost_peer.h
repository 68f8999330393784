// How ranks say that they can do no more for want of another one. Thread rule: functions.
#pragma once

#include <string>

#include "util/error.h"

namespace trainyard {

// In words by which whoever looks for the rank to blame knows that it is another one (launch/blame.cc).
inline constexpr const char *kLostPeer = "a peer rank ended, or the network failed: ";

// The run's error code is "ranks".
[[noreturn]] inline void ThrowRanksFailed(const std::string &what) {
  throw Error(Status::kEngine, what, {{"code", "ranks"}});
}

}  // namespace trainyard
