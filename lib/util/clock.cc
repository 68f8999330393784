#include "util/clock.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <shared_mutex>

namespace trainyard {
namespace {

// Global because the clock is asked from everywhere; only tests set it.
std::atomic<bool> g_fake{false};
std::shared_mutex g_mutex;
std::function<int64_t()> g_clock;

int64_t Nanoseconds(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

}  // namespace

int64_t NowUnixMs() {
  if (g_fake.load(std::memory_order_acquire)) {
    std::shared_lock lock(g_mutex);
    if (g_clock) return g_clock();
  }
  return Nanoseconds(CLOCK_REALTIME) / 1000000;
}

int64_t MonotonicMs() {
  return Nanoseconds(CLOCK_MONOTONIC) / 1000000;
}
int64_t MonotonicNs() {
  return Nanoseconds(CLOCK_MONOTONIC);
}

std::string FormatUtc(int64_t unix_ms) {
  int64_t seconds = unix_ms / 1000;
  int64_t milliseconds = unix_ms % 1000;
  if (milliseconds < 0) {
    milliseconds += 1000;
    --seconds;
  }
  const time_t when = seconds;
  tm parts{};
  gmtime_r(&when, &parts);
  std::array<char, 96> text;
  snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1,
           parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, static_cast<int>(milliseconds));
  return text.data();
}

void SetWallClockForTest(std::function<int64_t()> clock) {
  std::unique_lock lock(g_mutex);
  g_clock = std::move(clock);
  g_fake.store(static_cast<bool>(g_clock), std::memory_order_release);
}

}  // namespace trainyard
