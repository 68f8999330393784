#include "launch/local/local_launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <deque>
#include <mutex>
#include <thread>

#include "core/run_id.h"
#include "launch/line_tail.h"
#include "launch/local/rank_process.h"
#include "launch/oom.h"
#include "util/boot.h"
#include "util/error.h"
#include "util/fs.h"

extern char **environ;

namespace trainyard {
namespace {

struct Rank {
  int32_t number = 0;
  std::string node;
  pid_t pid = 0;
  int64_t start_time = 0;
  UniqueFd pidfd;        // not valid on kernels before 5.3: exits are then polled for
  UniqueFd log;          // for what comes through the pipe
  UniqueFd stderr_read;  // closed at its end
  LineTail tail;
  std::optional<std::string> tail_at_kill;
  bool exited = false;
};

std::vector<std::string> MakeEnvironment(const LaunchRequest &request, std::map<std::string, std::string> variables) {
  variables.insert(request.variables.begin(), request.variables.end());
  std::vector<std::string> entries;
  for (char **entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text(*entry);
    const std::string name = text.substr(0, text.find('='));
    bool keep = variables.count(name) == 0;
    for (const std::string &unset : request.unset) keep = keep && unset != name;
    if (keep) entries.push_back(text);
  }
  for (const auto &[name, value] : variables) entries.push_back(name + "=" + value);
  return entries;
}

class LocalLauncher : public Launcher {
 public:
  LocalLauncher() {
    exits_event_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    wake_event_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
    if (!exits_event_.valid() || !wake_event_.valid() || !epoll_.valid()) {
      throw Error::FromErrno(errno, "make", "event descriptors");
    }
    // Grandchildren that detach themselves become children of this process: they stay in sight.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
  }

  ~LocalLauncher() override {
    if (LocalLauncher::live_ranks() > 0) LocalLauncher::Kill(std::chrono::milliseconds(0));
    StopPump();
  }

  void Start(const LaunchRequest &request) override {
    run_id_ = request.run_id;
    if (request.nodes.size() != 1) {
      throw Error(Status::kUnsupported,
                  "the local launcher has one node; " + std::to_string(request.nodes.size()) + " were asked for");
    }
    const int32_t world_size = request.nodes[0].process_count;
    for (int32_t rank = 0; rank < world_size; ++rank) StartRank(request, rank, world_size);
    Watch(wake_event_.get(), kWake);
    for (const auto &rank : ranks_) {
      if (rank->pidfd.valid()) Watch(rank->pidfd.get(), Token(*rank, kExit));
      Watch(rank->stderr_read.get(), Token(*rank, kStderr));
    }
    pump_ = std::thread([this] { Pump(); });
  }

  int descriptor() const override { return exits_event_.get(); }

  std::optional<RankExit> TakeExit() override {
    const std::lock_guard lock(mutex_);
    if (exits_.empty()) return std::nullopt;
    RankExit exit = std::move(exits_.front());
    exits_.pop_front();
    if (exits_.empty()) {
      uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = read(exits_event_.get(), &count, sizeof count);
    }
    return exit;
  }

  int32_t live_ranks() const override {
    const std::lock_guard lock(mutex_);
    int32_t live = 0;
    for (const auto &rank : ranks_) live += rank->exited ? 0 : 1;
    return live;
  }

  std::string StderrTail(int32_t rank) const override {
    const std::lock_guard lock(mutex_);
    return ranks_.at(static_cast<size_t>(rank))->tail.Text();
  }

  void SignalRanks(int signal, bool whole_group) override {
    const std::lock_guard lock(mutex_);
    for (const auto &rank : ranks_) {
      if (rank->exited) continue;
      // Not collected yet, so the number is still its own, and that of its group.
      if (whole_group) {
        kill(-rank->pid, signal);
      } else {
        SignalProcess(rank->pid, rank->start_time, signal);
      }
    }
  }

  KillReport Kill(std::chrono::milliseconds grace) override {
    {
      const std::lock_guard lock(mutex_);
      killing_ = true;
      for (const auto &rank : ranks_) {
        if (!rank->exited) rank->tail_at_kill = rank->tail.Text();
      }
    }
    const ProcessTreeQuery query = RunTreeQuery(run_id_, getpid());
    const KillReport report = KillProcesses([&] { return FindProcessTree(query); }, grace);
    if (report.left.empty()) StopPump();
    return report;
  }

  std::vector<ProcessInfo> Processes() const override { return FindDescendants(getpid(), ListProcesses()); }

 private:
  enum Kind : uint64_t { kExit = 0, kStderr = 1 };
  static constexpr uint64_t kWake = ~uint64_t{0};

  static uint64_t Token(const Rank &rank, Kind kind) { return static_cast<uint64_t>(rank.number) * 2 + kind; }

  void StartRank(const LaunchRequest &request, int32_t number, int32_t world_size) {
    auto rank = std::make_unique<Rank>();
    rank->number = number;
    rank->node = request.nodes[0].name;
    rank->log =
        OpenFile(JoinPath(request.log_directory, StdLogName(number, world_size)), O_WRONLY | O_CREAT | O_APPEND, 0600);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw Error::FromErrno(errno, "make", "pipe to a rank");
    rank->stderr_read.Reset(ends[0]);
    const UniqueFd stderr_write(ends[1]);
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) throw Error::FromErrno(errno, "prepare", "pipe to a rank");

    RankCommand command;
    command.command = request.command;
    command.working_directory = request.working_directory;
    command.environment = MakeEnvironment(request, RankVariables(request, 0, number));
    command.log_fd = rank->log.get();
    command.stderr_fd = stderr_write.get();
    rank->pid = StartRankProcess(command);
    rank->start_time = ProcessStartTime(rank->pid);
    rank->pidfd.Reset(OpenPidfd(rank->pid));
    const std::lock_guard lock(mutex_);
    ranks_.push_back(std::move(rank));
  }

  void Watch(int fd, uint64_t token) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = token;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) throw Error::FromErrno(errno, "watch", "rank");
  }

  void StopPump() {
    if (!pump_.joinable()) return;
    stop_ = true;
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t count = write(wake_event_.get(), &one, sizeof one);
    pump_.join();
  }

  // The thread. epoll gives ready descriptors in the order in which they became ready: the order of exits.
  void Pump() {
    bool have_pidfds = true;
    for (const auto &rank : ranks_) have_pidfds = have_pidfds && rank->pidfd.valid();
    for (;;) {
      std::array<epoll_event, 16> events;
      const int timeout_ms = have_pidfds ? 1000 : 20;
      const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
      for (int i = 0; i < count; ++i) {
        const uint64_t token = events[static_cast<size_t>(i)].data.u64;
        if (token == kWake) continue;
        Rank &rank = *ranks_[token / 2];
        if (token % 2 == kStderr) {
          DrainStderr(&rank);
        } else {
          CollectRank(&rank);
        }
      }
      CollectOrphans();
      if (stop_) break;
    }
    for (const auto &rank : ranks_) {
      DrainStderr(rank.get());
      if (!rank->exited) CollectRank(rank.get());
    }
  }

  void DrainStderr(Rank *rank) {
    std::array<char, 65536> buffer;
    while (rank->stderr_read.valid()) {
      const ssize_t count = read(rank->stderr_read.get(), buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return;
      if (count == 0) {
        rank->stderr_read.Reset();
        return;
      }
      AppendToLog(*rank, buffer.data(), static_cast<size_t>(count));
      const std::lock_guard lock(mutex_);
      rank->tail.Append({buffer.data(), static_cast<size_t>(count)});
    }
  }

  // A full disk must not stop the rank: what cannot be written is left out, the evidence is kept all the same.
  static void AppendToLog(const Rank &rank, const char *data, size_t size) {
    while (size > 0) {
      const ssize_t count = write(rank.log.get(), data, size);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return;
      data += count;
      size -= static_cast<size_t>(count);
    }
  }

  void CollectRank(Rank *rank) {
    siginfo_t info{};
    while (waitid(P_PID, static_cast<id_t>(rank->pid), &info, WEXITED | WNOHANG) < 0 && errno == EINTR) {
    }
    if (info.si_pid != rank->pid) return;
    if (rank->pidfd.valid()) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, rank->pidfd.get(), nullptr);
    DrainStderr(rank);
    RankExit exit;
    exit.rank = rank->number;
    exit.node = rank->node;
    if (info.si_code == CLD_EXITED) {
      exit.exit_code = info.si_status;
    } else {
      exit.signal = info.si_status;
    }
    const std::lock_guard lock(mutex_);
    rank->exited = true;
    exit.order = next_order_++;
    exit.after_kill = killing_;
    exit.out_of_memory = exit.signal == SIGKILL && !killing_ && oom_watch_.KilledSince();
    exit.stderr_tail = rank->tail_at_kill.value_or(rank->tail.Text());
    exits_.push_back(std::move(exit));
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t count = write(exits_event_.get(), &one, sizeof one);
  }

  // Grandchildren that came to us. Ranks among them are left for their own descriptor, which knows the order.
  void CollectOrphans() {
    for (;;) {
      siginfo_t info{};
      if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) return;
      Rank *rank = nullptr;
      for (const auto &candidate : ranks_) {
        if (candidate->pid == info.si_pid && !candidate->exited) rank = candidate.get();
      }
      if (rank != nullptr && rank->pidfd.valid()) return;
      if (rank != nullptr) {
        CollectRank(rank);
      } else {
        waitpid(info.si_pid, nullptr, WNOHANG);
      }
    }
  }

  std::string run_id_;
  UniqueFd exits_event_, wake_event_, epoll_;
  std::thread pump_;
  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;                  // all below
  std::vector<std::unique_ptr<Rank>> ranks_;  // does not change once the pump runs
  std::deque<RankExit> exits_;
  int64_t next_order_ = 0;
  bool killing_ = false;
  OomWatch oom_watch_;
};

}  // namespace

std::unique_ptr<Launcher> MakeLocalLauncher() {
  return std::make_unique<LocalLauncher>();
}

}  // namespace trainyard
