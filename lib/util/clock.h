// Time. Wall time is for records and may jump; anything that measures a duration uses MonotonicMs. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace trainyard {

int64_t NowUnixMs();
int64_t MonotonicMs();
int64_t MonotonicNs();
// "2026-11-21T04:21:02.123Z"; never depends on locale or time zone.
std::string FormatUtc(int64_t unix_ms);

// Tests only: what NowUnixMs answers; nullptr = the real clock. Waits for calls under way.
void SetWallClockForTest(std::function<int64_t()> clock);

}  // namespace trainyard
