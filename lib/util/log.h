// The library's own log: nothing is written unless the host sets a sink. Thread-safe; no lock is held while the sink
// runs, so it may still be called once more by another thread just after it was replaced.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace trainyard {

enum class LogLevel : int32_t { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };

using LogSink = std::function<void(LogLevel, const std::string &message)>;

// Messages below `minimum` are dropped before they are formatted; an empty sink turns the log off.
void SetLogSink(LogSink sink, LogLevel minimum = LogLevel::kInfo);
bool LogEnabled(LogLevel level);
void Log(LogLevel level, const std::string &message);

}  // namespace trainyard
