// What torchrun and its older names leave on standard error when one of the processes they started fails: which rank,
// how, and what that rank had printed itself. Their own exit code is always 1. Thread-safe.
//
//   [rank2]: Traceback (most recent call last): ...             (torch 2.3 and newer mark a rank's traceback)
//   ... ChildFailedError:
//   Failures:
//     rank      : 3 (local_rank: 1)
//     exitcode  : -15 (pid: 25127)                              (a signal is negative)
//   Root Cause (first observed failure):
//     rank      : 2 (local_rank: 0)
//     exitcode  : 1 (pid: 25124)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "launch/blame.h"

namespace trainyard {

struct WorkerFailure {
  int32_t rank = 0;
  std::optional<int32_t> exit_code;  // unset = ended by `signal`
  int32_t signal = 0;
  Evidence evidence = Evidence::kNone;
  std::string own_text;  // what it had printed, as far as that is marked
};

// The worker to blame in such a report: one with a fault of its own on record, else the one that ended first. nullopt
// when the text holds no report.
std::optional<WorkerFailure> BlamedWorker(std::string_view stderr_tail);

// Takes torch's "[rank2]: " from the beginning of a line; `rank` is set when it was there.
std::string_view WithoutRankMark(std::string_view line, std::optional<int32_t> *rank = nullptr);

}  // namespace trainyard
