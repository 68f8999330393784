#include "runner/run_beat.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>

#include "drivers/local/settle.h"
#include "util/clock.h"

namespace trainyard {
namespace {

constexpr int64_t kPollMs = 500;      // between looks where there is no inotify
constexpr int64_t kInterruptMs = 20;  // between signals to a thread that may not have been blocked yet

void Add(int fd) {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t count = write(fd, &one, sizeof one);
}

void Drain(int fd) {
  char buffer[4096];
  while (read(fd, buffer, sizeof buffer) > 0) {
  }
}

}  // namespace

RunBeat::RunBeat(const RunLayout &run) : run_(run) {
  heartbeat_.Reset(open(run.Heartbeat().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  inotify_.Reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (inotify_.valid() &&
      inotify_add_watch(inotify_.get(), run.Control().c_str(), IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE) < 0) {
    inotify_.Reset();
  }
  wake_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  changed_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  struct sigaction action {};
  action.sa_handler = [](int) {};  // without SA_RESTART: all it does is to interrupt
  sigaction(SIGUSR1, &action, nullptr);
  Look();
  thread_ = std::thread([this] { Loop(); });
}

RunBeat::~RunBeat() {
  quit_ = true;
  Add(wake_.get());
  thread_.join();
}

void RunBeat::Clear() {
  Drain(changed_.get());
}

void RunBeat::Look() {
  if (!stop_ && access(run_.StopFile().c_str(), F_OK) == 0) {
    stop_ = true;
    Add(changed_.get());
  }
  if (!cancel_ && access(run_.CancelFile().c_str(), F_OK) == 0) {
    cancel_ = true;
    Add(changed_.get());
  }
  const std::lock_guard lock(mutex_);
  if (!preempt_ && access(run_.PreemptFile().c_str(), F_OK) == 0) {
    preempt_ = true;
    Add(changed_.get());
  }
}

void RunBeat::Preempted() {
  const std::lock_guard lock(mutex_);
  RemoveFile(run_.PreemptFile());
  preempt_ = false;
}

void RunBeat::CallLater(int64_t delay_ms, std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    later_ = std::move(work);
    later_ms_ = MonotonicMs() + delay_ms;
  }
  Add(wake_.get());
}

int64_t RunBeat::DoLater() {
  const std::lock_guard lock(mutex_);
  if (!later_) return INT64_MAX;
  if (MonotonicMs() < later_ms_) return later_ms_;
  later_();
  later_ = nullptr;
  return INT64_MAX;
}

void RunBeat::Loop() {
  uint64_t count = ReadHeartbeat(run_).count;
  int64_t next_beat = MonotonicMs();
  while (!quit_) {
    const int64_t now = MonotonicMs();
    if (now >= next_beat) {
      if (heartbeat_.valid()) WriteHeartbeat(heartbeat_.get(), ++count);
      next_beat = now + kEveryMs;
    }
    Look();
    int64_t timeout = std::min(next_beat, DoLater()) - now;
    if (!inotify_.valid()) timeout = std::min(timeout, kPollMs);
    if ((cancel_ || stop_) && blocked_) {
      pthread_kill(blocked_thread_, SIGUSR1);
      timeout = kInterruptMs;
    }
    pollfd entries[2] = {{wake_.get(), POLLIN, 0}, {inotify_.get(), POLLIN, 0}};
    poll(entries, inotify_.valid() ? 2 : 1, static_cast<int>(std::max<int64_t>(0, timeout)));
    if (entries[0].revents != 0) Drain(wake_.get());
    if (inotify_.valid()) Drain(inotify_.get());
  }
}

RunBeat::Interruptible::Interruptible(RunBeat *beat) : beat_(beat) {
  beat_->blocked_thread_ = pthread_self();
  beat_->blocked_ = true;
  if (beat_->cancel_ || beat_->stop_) Add(beat_->wake_.get());
}

RunBeat::Interruptible::~Interruptible() {
  beat_->blocked_ = false;
}

}  // namespace trainyard
