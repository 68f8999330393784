// A rank may say that the run has failed (ty_run_fail) and then end with exit code 0. Thread-safe.
#pragma once

#include <optional>

#include "core/run.h"
#include "store/layout.h"

namespace trainyard {

// What the lowest rank that said so gave as the reason; nullopt when none did.
std::optional<RunError> DeclaredFailure(const RunLayout &run);

}  // namespace trainyard
