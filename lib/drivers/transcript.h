// What people see of a run while it runs, on a terminal or in a file: its id, the log of its first rank as it grows, an
// execution summary. Thread-safe.
#pragma once

#include <string>

#include "core/run_state.h"
#include "drivers/driver.h"

namespace trainyard {

// Follows the run until it is final. `output` -1 writes nothing. Throws Error kIo when nobody reads any more; the run
// goes on.
RunState PrintTranscript(Driver *driver, const std::string &run_id, int output);

}  // namespace trainyard
