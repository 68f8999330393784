// Names: run ids, experiments, models, log files. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trainyard {

// "<experiment slug>_<utc seconds>_<10 base32>": at most 64 of [a-z0-9_-], valid for Azure ML and MLflow too.
std::string MakeRunId(std::string_view experiment, int64_t now_ms);

// Where a rank's output goes: std_log.txt of a run with one rank, std_log_<rank>.txt otherwise.
std::string StdLogName(int32_t rank, int32_t rank_count);

// Throw Error::InvalidArgument that says which characters are allowed.
void CheckRunId(std::string_view id);
void CheckExperimentName(
    std::string_view name);  // 1 to 250 of letters, digits, '-', '_', '.', starting with a letter or digit
void CheckModelName(std::string_view name);                            // the same rule
void CheckRegistryName(std::string_view what, std::string_view name);  // the same rule; `what` is for the message

}  // namespace trainyard
