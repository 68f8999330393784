#include "util/log.h"

#include <atomic>
#include <memory>
#include <mutex>

namespace trainyard {
namespace {

constexpr int32_t kOff = 100;

// Global because messages come from everywhere in the library and the host sets one sink for all of it.
std::mutex g_mutex;
std::shared_ptr<const LogSink> g_sink;
std::atomic<int32_t> g_minimum{kOff};

}  // namespace

void SetLogSink(LogSink sink, LogLevel minimum) {
  auto fresh = sink ? std::make_shared<const LogSink>(std::move(sink)) : nullptr;
  std::shared_ptr<const LogSink> old;  // destroyed after the lock is gone: its destructor may be the host's
  {
    std::lock_guard lock(g_mutex);
    old = std::move(g_sink);
    g_sink = fresh;
    g_minimum.store(fresh ? static_cast<int32_t>(minimum) : kOff, std::memory_order_relaxed);
  }
}

bool LogEnabled(LogLevel level) {
  return static_cast<int32_t>(level) >= g_minimum.load(std::memory_order_relaxed);
}

void Log(LogLevel level, const std::string &message) {
  if (!LogEnabled(level)) return;
  std::shared_ptr<const LogSink> sink;
  {
    std::lock_guard lock(g_mutex);
    sink = g_sink;
  }
  if (sink) (*sink)(level, message);
}

}  // namespace trainyard
