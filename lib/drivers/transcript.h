// What people see of a run while it runs, on a terminal or in a file: its id; the stages that take long enough to be
// told, with the log of an environment that is made for it; the log of one rank or of all as it grows; an execution
// summary. Logs are read by position, once. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "core/run_state.h"
#include "drivers/driver.h"

namespace trainyard {

// For `rank`: every rank, each line after "[<rank>] ".
inline constexpr int32_t kAllRanks = -2;

// Follows the run until it is final. `output` -1 writes nothing. Throws Error kNotFound when the run has no such rank,
// kIo when nobody reads any more; the run goes on.
RunState PrintTranscript(Driver *driver, const std::string &run_id, int output, int32_t rank = 0);

}  // namespace trainyard
