// The supervisor's pulse: a thread that counts up runs/<id>/heartbeat every two seconds, whatever the rest of the
// supervisor is doing, and watches runs/<id>/control for requests (inotify, with a look at every beat in case it is
// exhausted). Thread-safe.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

#include "store/layout.h"
#include "util/fs.h"

namespace trainyard {

class RunBeat {
 public:
  static constexpr int64_t kEveryMs = 2000;

  explicit RunBeat(const RunLayout &run);
  RunBeat(const RunBeat &) = delete;
  RunBeat &operator=(const RunBeat &) = delete;
  ~RunBeat();

  bool cancel_requested() const { return cancel_; }
  bool stop_requested() const { return stop_; }
  // Either of the two: a run whose ranks have not started has nothing to end well, and is canceled.
  bool end_requested() const { return cancel_ || stop_; }
  // A run of higher priority wants the place of this one. Stays so until Preempted, which says that it has got it.
  bool preempt_requested() const { return preempt_; }
  void Preempted();
  // Readable once a request has come; stays so until Clear.
  int descriptor() const { return changed_.get(); }
  void Clear();

  // Calls `work` once on the beat's thread, `delay_ms` from now, instead of what was to be called before; nullptr: of
  // nothing. When it returns, nothing of before is being called any more.
  void CallLater(int64_t delay_ms, std::function<void()> work);

  // While one of these lives, a cancel or stop request interrupts the blocking system call its thread is in (EINTR).
  class Interruptible {
   public:
    explicit Interruptible(RunBeat *beat);
    Interruptible(const Interruptible &) = delete;
    Interruptible &operator=(const Interruptible &) = delete;
    ~Interruptible();

   private:
    RunBeat *beat_;
  };

 private:
  void Loop();
  void Look();
  // Does what is due; answers when to come back (MonotonicMs).
  int64_t DoLater();

  const RunLayout run_;
  UniqueFd heartbeat_, inotify_, wake_, changed_;
  std::atomic<bool> cancel_{false}, stop_{false}, preempt_{false}, quit_{false};
  std::mutex mutex_;             // for the next two, and the looks at the preempt file
  std::function<void()> later_;  // empty = nothing waits
  int64_t later_ms_ = 0;
  std::atomic<bool> blocked_{false};
  pthread_t blocked_thread_{};
  std::thread thread_;
};

}  // namespace trainyard
