// What a training job tells its host: metrics, progress at most five times a second, log lines. Thread rule: the
// trainer's thread.
#pragma once

#include <cstdint>
#include <string>

#include "engine/engine.h"
#include "util/log.h"

namespace trainyard {

struct Progress {
  int64_t epoch = 0;  // from 1
  int64_t epochs = 0;
  int64_t step = 0;  // of this phase, done
  int64_t steps = 0;
  const char *phase = "train";  // "train" or "val"
  double loss = 0;
  double accuracy = 0;  // NaN: there is none
  double images_per_second = 0;
  int64_t time_left_ms = -1;  // -1: not known yet
};

// What the host wants of a job that runs (engine/engine.h).
enum class StopRequest { kNone, kFinish, kLeave };

class Reporter {
 public:
  // Of several ranks the first reports for all; the others tell only what is theirs alone (LogOwn).
  explicit Reporter(const ty_engine_host *host) : host_(host), leads_(host->rank == 0) {}

  void Metric(const char *name, int64_t step, double value) const;
  void Log(LogLevel level, const std::string &message) const;
  void LogOwn(LogLevel level, const std::string &message) const;
  // True when the last report is old enough for another; filling in a Progress is then worth it.
  bool ProgressDue() const;
  void Report(const Progress &progress);
  StopRequest Wanted() const;

 private:
  const ty_engine_host *host_;
  const bool leads_;
  int64_t last_ms_ = 0;
};

// 1234567 -> "1,234,567".
std::string WithCommas(int64_t value);
// Four digits after the point, or as many as `digits`.
std::string Fixed(double value, int digits = 4);
// "12 s", "3 min 20 s", "2 h 5 min".
std::string Duration(double seconds);

}  // namespace trainyard
