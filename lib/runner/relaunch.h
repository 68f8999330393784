// Whether the ranks of a run are started again after a failure. Thread rule: a value.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/job.h"
#include "core/run.h"

namespace trainyard {

class Relaunches {
 public:
  enum class Answer {
    kNo,
    kAgain,
    kOtherPort  // again, with another MASTER_PORT: somebody else had taken it
  };

  Relaunches(const Job &job, bool may_move_port)
      : retries_(job.retries),
        max_restarts_(job.distribution ? job.distribution->max_restarts : 0),
        may_move_port_(may_move_port) {}

  // Asked once after each failure. A taken port is not the job's fault: it costs none of its retries, but is forgiven
  // only once.
  Answer After(const RunError &error, bool port_taken) {
    if (port_taken && may_move_port_) {
      may_move_port_ = false;
      return Answer::kOtherPort;
    }
    const auto &never = retries_.never_on_exit_codes;
    if (error.exit_code && std::find(never.begin(), never.end(), *error.exit_code) != never.end()) return Answer::kNo;
    if (restarts_ < max_restarts_) {
      ++restarts_;
      return Answer::kAgain;
    }
    if (retried_ >= retries_.maximum) return Answer::kNo;
    ++retried_;
    restarts_ = 0;
    return Answer::kAgain;
  }

  // TORCHELASTIC_RESTART_COUNT: restarts since the start or the last retry.
  int32_t restarts() const { return restarts_; }

 private:
  Retries retries_;
  int32_t max_restarts_;
  bool may_move_port_;
  int32_t restarts_ = 0;
  int32_t retried_ = 0;
};

}  // namespace trainyard
