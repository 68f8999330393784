// Whether the repository that a source directory lies in has changes that are not committed. Git is asked while the run
// is prepared; a repository that is too large for the answer to come in time stays without one. Thread rule: one thread
// at a time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "util/fs.h"

namespace trainyard {

class GitStatus {
 public:
  // Starts git, when there is one.
  GitStatus(const std::string &directory, int64_t time_limit_ms);
  GitStatus(const GitStatus &) = delete;
  GitStatus &operator=(const GitStatus &) = delete;
  ~GitStatus();  // ends it when it still runs

  // Waits for the rest of the time. nullopt: not known (no git, no repository to git's mind, not in time).
  std::optional<bool> Wait();

 private:
  std::optional<bool> Collect(bool has_output);

  pid_t pid_ = 0;
  UniqueFd output_;
  const int64_t deadline_ms_;
};

}  // namespace trainyard
