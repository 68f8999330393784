// Waking up when a run changes: one inotify instance and one thread for the whole process, started with the first
// subscription and with all signals blocked; adaptive polling (5 to 200 ms) where inotify is missing or exhausted.
// Thread-safe; a Subscription may be waited on by one thread while others poll its descriptor. In a forked child
// everything answers Error kForked.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "store/layout.h"

namespace trainyard {

class Subscription {
 public:
  ~Subscription();
  Subscription(const Subscription &) = delete;
  Subscription &operator=(const Subscription &) = delete;

  // Readable (POLLIN) while something may have changed since Clear.
  int fd() const;
  // Call before looking at the run: what changes from here on makes fd() readable again.
  void Clear();
  // Makes fd() readable now.
  void Wake();
  // True when something may have changed; false after `timeout_ms` (-1 = no limit).
  bool Wait(int64_t timeout_ms);
  // Called on the watcher's thread each time the descriptor becomes readable, and once soon after it was set; empty =
  // nothing is called. When this returns, the one set before no longer runs. It must not destroy the Subscription.
  void SetWake(std::function<void()> wake);
  bool polling() const;  // no inotify for this one

  struct State;  // in watcher.cc

 private:
  friend std::unique_ptr<Subscription> WatchRun(const RunLayout &run);
  Subscription() = default;
  std::shared_ptr<State> state_;
};

// Changes of the run's record, logs and journals.
std::unique_ptr<Subscription> WatchRun(const RunLayout &run);

// Tests only: inotify answers ENOSPC from now on.
void SetInotifyExhaustedForTest(bool exhausted);

}  // namespace trainyard
