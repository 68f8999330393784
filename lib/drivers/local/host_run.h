// Runs that this process executes itself. The process holds the run's lock and is named in its record: when it ends
// without saying how the run ended, whoever looks next settles it (drivers/local/settle.h). Kept for the whole process,
// so that any handle to the run can log to it and end it, and freeing handles ends nothing. Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "store/journal.h"
#include "store/layout.h"
#include "util/fs.h"

namespace trainyard {

class HostRun {
 public:
  // Takes the lock; the run's directory must exist. Error kBusy when another process has it.
  static std::shared_ptr<HostRun> Begin(const RunLayout &run);
  // Null when this process does not execute the run.
  static std::shared_ptr<HostRun> Find(const RunLayout &run);

  HostRun(const HostRun &) = delete;
  HostRun &operator=(const HostRun &) = delete;

  // Closed when the run ends: later values are Error kInvalidState.
  const std::shared_ptr<JournalWriter> &journal() const { return journal_; }
  // Held by the thread that ends the run.
  std::mutex &ending() { return ending_; }
  // The run is final, or was never there: forgets it and lets the lock go.
  void End();

 private:
  HostRun(const RunLayout &run, UniqueFd lock);

  std::mutex ending_;
  UniqueFd lock_;
  std::shared_ptr<JournalWriter> journal_;
};

}  // namespace trainyard
