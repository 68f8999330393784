#include "store/watcher.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"

namespace trainyard {
namespace {

constexpr int64_t kShortestPoll = 5, kLongestPoll = 200;  // ms
constexpr int64_t kGather = 2;                            // ms: events that come together wake once

// Global for tests: what a full machine does cannot be arranged otherwise.
std::atomic<bool> g_exhausted{false};

void Signal(int fd) {
  const uint64_t one = 1;
  if (write(fd, &one, sizeof one) < 0) errno = 0;  // full means readable already
}

void Drain(int fd) {
  uint64_t count = 0;
  if (read(fd, &count, sizeof count) < 0) errno = 0;  // empty is fine
}

UniqueFd MakeEventFd() {
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) throw Error::FromErrno(errno, "create", "eventfd");
  return UniqueFd(fd);
}

// What can be seen of a run without inotify, as one number.
uint64_t Fingerprint(const RunLayout &run) {
  uint64_t hash = 1469598103934665603u;
  const auto mix = [&](uint64_t value) { hash = (hash ^ value) * 1099511628211u; };
  const auto file = [&](const std::string &path) {
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) return;
    mix(info.st_ino);
    mix(static_cast<uint64_t>(info.st_size));
    mix(static_cast<uint64_t>(info.st_mtim.tv_sec));
    mix(static_cast<uint64_t>(info.st_mtim.tv_nsec));
  };
  file(run.Bell());
  for (const std::string &directory : {run.UserLogs(), run.Journal(), run.Control()}) {
    try {
      for (const DirEntry &entry : ListDir(directory)) file(directory + "/" + entry.name);
    } catch (const Error &) {
      mix(1);  // not there
    }
  }
  return hash;
}

class Hub;

}  // namespace

struct Subscription::State {
  RunLayout run{""};
  pid_t owner = getpid();
  UniqueFd event = MakeEventFd();
  std::shared_ptr<Hub> hub;
  // Set by whoever signals, taken back by Clear: the wake is called once for each time the descriptor becomes readable.
  std::atomic<bool> signalled{false};
  // Owned by the hub, under its mutex.
  std::shared_ptr<const std::function<void()>> wake;
  std::vector<int> watches;
  bool polled = false;
  uint64_t fingerprint = 0;
  int64_t interval = kShortestPoll;
  int64_t next_poll = 0;
};

namespace {

// The inotify instance and the thread that reads it. Lives as long as there are subscriptions.
class Hub {
 public:
  using State = Subscription::State;

  Hub() : inotify_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)), wake_(MakeEventFd()) {
    // The host's signals are the host's: this thread takes none.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      thread_ = std::thread([this] { Loop(); });
    } catch (...) {
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      throw;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  Hub(const Hub &) = delete;
  Hub &operator=(const Hub &) = delete;

  ~Hub() {
    stop_ = true;
    Signal(wake_.get());
    thread_.join();
  }

  void Add(State *state) {
    {
      std::lock_guard lock(mutex_);
      state->polled = !Watch(state);
      if (state->polled) {
        Unwatch(state);
        state->fingerprint = Fingerprint(state->run);
        polled_.insert(state);
      }
    }
    if (state->polled) Signal(wake_.get());
  }

  void Remove(State *state) {
    {
      std::lock_guard lock(mutex_);
      Unwatch(state);
      polled_.erase(state);
      woken_.erase(state);
      state->wake.reset();
    }
    WaitForCalls();
  }

  void SetWake(State *state, std::shared_ptr<const std::function<void()>> wake) {
    {
      std::lock_guard lock(mutex_);
      state->wake.swap(wake);
      // What has happened so far may have been waiting for somebody to be told.
      if (state->wake) woken_.insert(state);
    }
    Signal(wake_.get());
    WaitForCalls();
  }

 private:
  bool Watch(State *state) {
    if (!inotify_.valid() || g_exhausted) return false;
    constexpr uint32_t kMask = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR;
    for (const std::string &path :
         {state->run.Root(), state->run.UserLogs(), state->run.Journal(), state->run.Control()}) {
      const int watch = inotify_add_watch(inotify_.get(), path.c_str(), kMask);
      if (watch < 0) return false;
      watches_[watch].insert(state);
      state->watches.push_back(watch);
    }
    return true;
  }

  void Unwatch(State *state) {
    for (const int watch : state->watches) {
      const auto found = watches_.find(watch);
      if (found == watches_.end()) continue;
      found->second.erase(state);
      if (!found->second.empty()) continue;
      watches_.erase(found);
      inotify_rm_watch(inotify_.get(), watch);
    }
    state->watches.clear();
  }

  // Under the mutex.
  void Tell(State *state) {
    Signal(state->event.get());
    if (!state->signalled.exchange(true) && state->wake) woken_.insert(state);
  }

  // Without the mutex, so that a wake may use the library.
  void CallWakes() {
    std::lock_guard calling(calling_);
    std::vector<std::shared_ptr<const std::function<void()>>> wakes;
    {
      std::lock_guard lock(mutex_);
      for (const State *state : woken_) wakes.push_back(state->wake);
      woken_.clear();
    }
    for (const auto &wake : wakes) (*wake)();
  }

  // After this a wake that was taken back does not run any more (unless it is the wake itself that asks).
  void WaitForCalls() {
    if (std::this_thread::get_id() != thread_.get_id()) std::lock_guard calling(calling_);
  }

  void Loop() {
    while (!stop_) {
      std::array<pollfd, 2> fds = {pollfd{wake_.get(), POLLIN, 0}, pollfd{inotify_.get(), POLLIN, 0}};
      poll(fds.data(), inotify_.valid() ? 2 : 1, static_cast<int>(Timeout()));
      if (fds[0].revents != 0) Drain(wake_.get());
      if (stop_) break;
      if (fds[1].revents != 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(kGather));
        ReadEvents();
      }
      PollDue();
      CallWakes();
    }
  }

  int64_t Timeout() {
    std::lock_guard lock(mutex_);
    if (polled_.empty()) return -1;
    int64_t next = INT64_MAX;
    for (const State *state : polled_) next = std::min(next, state->next_poll);
    return std::clamp<int64_t>(next - MonotonicMs(), 0, kLongestPoll);
  }

  void ReadEvents() {
    alignas(inotify_event) std::array<char, 16384> buffer;
    std::lock_guard lock(mutex_);
    for (;;) {
      const ssize_t got = read(inotify_.get(), buffer.data(), buffer.size());
      if (got <= 0) return;
      for (ssize_t at = 0; at < got;) {
        inotify_event event;
        memcpy(&event, buffer.data() + at, sizeof event);
        const char *name = event.len > 0 ? buffer.data() + at + sizeof event : "";
        at += static_cast<ssize_t>(sizeof event) + event.len;
        if ((event.mask & IN_Q_OVERFLOW) != 0) {
          for (const auto &[watch, states] : watches_) {
            for (State *state : states) Tell(state);
          }
        }
        // The supervisor's heartbeat is for those who doubt it, not for everybody every second.
        if (strcmp(name, "heartbeat") == 0) continue;
        const auto found = watches_.find(event.wd);
        if (found == watches_.end()) continue;
        for (State *state : found->second) Tell(state);
      }
    }
  }

  void PollDue() {
    std::lock_guard lock(mutex_);
    const int64_t now = MonotonicMs();
    for (State *state : polled_) {
      if (state->next_poll > now) continue;
      const uint64_t fingerprint = Fingerprint(state->run);
      if (fingerprint != state->fingerprint) {
        state->fingerprint = fingerprint;
        state->interval = kShortestPoll;
        Tell(state);
      } else {
        state->interval = std::min(kLongestPoll, state->interval * 3 / 2 + 1);
      }
      state->next_poll = now + state->interval;
    }
  }

  UniqueFd inotify_;  // invalid where there is none
  UniqueFd wake_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::map<int, std::set<State *>> watches_;
  std::set<State *> polled_;
  std::set<State *> woken_;  // whose wake is to be called
  std::mutex calling_;       // held while wakes run; taken before mutex_
  std::thread thread_;
};

// Global because one process may have few inotify instances, and one is enough. A forked child starts its own: the
// parent's thread is not there and its mutex may be held for ever.
struct HubSlot {
  pid_t owner = getpid();
  std::mutex mutex;
  std::weak_ptr<Hub> hub;
};
std::atomic<HubSlot *> g_slot{nullptr};

std::shared_ptr<Hub> GetHub() {
  HubSlot *slot = g_slot.load(std::memory_order_acquire);
  if (slot == nullptr || slot->owner != getpid()) {
    auto fresh = std::make_unique<HubSlot>();
    // Never freed: another thread may be just about to use it.
    if (g_slot.compare_exchange_strong(slot, fresh.get(), std::memory_order_acq_rel)) slot = fresh.release();
  }
  std::lock_guard lock(slot->mutex);
  auto hub = slot->hub.lock();
  if (!hub) {
    hub = std::make_shared<Hub>();
    slot->hub = hub;
  }
  return hub;
}

void CheckOwner(pid_t owner) {
  if (getpid() != owner) {
    throw Error(Status::kForked, "this process was forked from the one that watches the run: watch it again here");
  }
}

}  // namespace

std::unique_ptr<Subscription> WatchRun(const RunLayout &run) {
  auto subscription = std::unique_ptr<Subscription>(new Subscription());
  subscription->state_ = std::make_shared<Subscription::State>();
  subscription->state_->run = run;
  subscription->state_->hub = GetHub();
  subscription->state_->hub->Add(subscription->state_.get());
  return subscription;
}

Subscription::~Subscription() {
  if (!state_ || !state_->hub) return;
  if (getpid() != state_->owner) {
    // The thread is the parent's; joining it here would wait for ever. The child's copy is given up.
    static_cast<void>(std::make_unique<std::shared_ptr<Hub>>(std::move(state_->hub)).release());
    return;  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): meant
  }
  state_->hub->Remove(state_.get());
}

int Subscription::fd() const {
  CheckOwner(state_->owner);
  return state_->event.get();
}

void Subscription::Clear() {
  CheckOwner(state_->owner);
  state_->signalled = false;
  Drain(state_->event.get());
}

void Subscription::Wake() {
  CheckOwner(state_->owner);
  Signal(state_->event.get());
}

bool Subscription::Wait(int64_t timeout_ms) {
  CheckOwner(state_->owner);
  const int64_t end = timeout_ms < 0 ? INT64_MAX : MonotonicMs() + timeout_ms;
  for (;;) {
    pollfd fd = {state_->event.get(), POLLIN, 0};
    const int64_t left = timeout_ms < 0 ? -1 : std::clamp<int64_t>(end - MonotonicMs(), 0, INT32_MAX);
    const int ready = poll(&fd, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) throw Error::FromErrno(errno, "wait for changes of", state_->run.Root());
    if (timeout_ms >= 0 && MonotonicMs() >= end) return false;
  }
}

void Subscription::SetWake(std::function<void()> wake) {
  CheckOwner(state_->owner);
  state_->hub->SetWake(state_.get(), wake ? std::make_shared<const std::function<void()>>(std::move(wake)) : nullptr);
}

bool Subscription::polling() const {
  return state_->polled;
}

void SetInotifyExhaustedForTest(bool exhausted) {
  g_exhausted = exhausted;
}

}  // namespace trainyard
