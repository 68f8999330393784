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
#include <cerrno>

#include "core/run_id.h"
#include "launch/expand.h"
#include "launch/local/rank_process.h"
#include "util/boot.h"
#include "util/error.h"
#include "util/process.h"

namespace trainyard {
namespace {

constexpr uint64_t kWake = ~uint64_t{0};

// A full disk must not stop the rank: what cannot be written is left out, the evidence is kept all the same.
void AppendToLog(int log, const char *data, size_t size) {
  while (size > 0) {
    const ssize_t count = write(log, data, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    data += count;
    size -= static_cast<size_t>(count);
  }
}

}  // namespace

struct LocalLauncher::Rank {
  explicit Rank(size_t tail_lines) : tail(tail_lines) {}
  int32_t index = 0;  // in ranks_
  int32_t number = 0;
  std::string node;
  bool wrapped = false;  // the process here is a wrapper's, which tells of the rank's end by its exit code
  pid_t pid = 0;
  int64_t start_time = 0;
  UniqueFd pidfd;        // not valid on kernels before 5.3: exits are then polled for
  UniqueFd log;          // for what comes through the pipe
  UniqueFd stderr_read;  // closed at its end
  LineTail tail;
  std::optional<std::string> tail_at_kill;
  bool exited = false;
};

LocalLauncher::LocalLauncher() : LocalLauncher(Share{}, true) {}

LocalLauncher::LocalLauncher(Share share) : LocalLauncher(std::move(share), false) {}

LocalLauncher::LocalLauncher(Share share, bool whole_run) : share_(std::move(share)), whole_run_(whole_run) {
  exits_event_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  wake_event_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  if (!exits_event_.valid() || !wake_event_.valid() || !epoll_.valid()) {
    throw Error::FromErrno(errno, "make", "event descriptors");
  }
  // Grandchildren that detach themselves become children of this process: they stay in sight.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

LocalLauncher::~LocalLauncher() {
  if (LocalLauncher::live_ranks() > 0) LocalLauncher::Kill(std::chrono::milliseconds(0));
  StopPump();
}

void LocalLauncher::Start(const LaunchRequest &request) {
  run_id_ = request.run_id;
  if (whole_run_ && request.nodes.size() != 1) {
    throw Error(Status::kUnsupported,
                "the local launcher has one node; " + std::to_string(request.nodes.size()) + " were asked for");
  }
  const int32_t world_size = WorldSize(request);
  const int32_t count =
      share_.count > 0 ? share_.count : request.nodes[static_cast<size_t>(share_.node_rank)].process_count;
  for (int32_t i = 0; i < count; ++i) StartRank(request, share_.first_local_rank + i, world_size);
  Watch(wake_event_.get(), kWake);
  for (const auto &rank : ranks_) {
    if (rank->pidfd.valid()) Watch(rank->pidfd.get(), Token(*rank, kExit));
    Watch(rank->stderr_read.get(), Token(*rank, kStderr));
  }
  pump_ = std::thread([this] { Pump(); });
}

std::optional<RankExit> LocalLauncher::TakeExit() {
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

int32_t LocalLauncher::live_ranks() const {
  const std::lock_guard lock(mutex_);
  int32_t live = 0;
  for (const auto &rank : ranks_) live += rank->exited ? 0 : 1;
  return live;
}

std::string LocalLauncher::StderrTail(int32_t rank) const {
  const std::lock_guard lock(mutex_);
  for (const auto &candidate : ranks_) {
    if (candidate->number == rank) return candidate->tail.Text();
  }
  return "";
}

void LocalLauncher::SignalRanks(int signal, bool whole_group) {
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

void LocalLauncher::Freeze() {
  const std::lock_guard lock(mutex_);
  killing_ = true;
  for (const auto &rank : ranks_) {
    if (!rank->exited && !rank->tail_at_kill) rank->tail_at_kill = rank->tail.Text();
  }
}

KillReport LocalLauncher::Kill(std::chrono::milliseconds grace) {
  Freeze();
  const ProcessTreeQuery query = RunTreeQuery(run_id_, getpid());
  const KillReport report = KillProcesses([&] { return whole_run_ ? FindProcessTree(query) : Processes(); }, grace);
  if (report.left.empty()) StopPump();
  return report;
}

std::vector<ProcessInfo> LocalLauncher::Processes() const {
  return FindDescendants(getpid(), ListProcesses());
}

uint64_t LocalLauncher::Token(const Rank &rank, Kind kind) {
  return static_cast<uint64_t>(rank.index) * 2 + kind;
}

void LocalLauncher::StartRank(const LaunchRequest &request, int32_t local_rank, int32_t world_size) {
  auto rank = std::make_unique<Rank>(request.tail_lines);
  const int32_t number = FirstRank(request, share_.node_rank) + local_rank;
  rank->index = static_cast<int32_t>(ranks_.size());
  rank->number = number;
  const LaunchNode &node = request.nodes[static_cast<size_t>(share_.node_rank)];
  rank->node = node.name;
  rank->wrapped = !node.wrapper.empty();
  const std::string log = JoinPath(request.log_directory, StdLogName(number, world_size));
  // A pipe or link that a rank of the attempt before has put there is no log: opening it could wait for ever.
  const auto there = Stat(log, /*follow_symlinks=*/false);
  if (there && there->kind != FileInfo::Kind::kFile) RemoveTree(log);
  rank->log = OpenFile(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Error::FromErrno(errno, "make", "pipe to a rank");
  rank->stderr_read.Reset(ends[0]);
  const UniqueFd stderr_write(ends[1]);
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) throw Error::FromErrno(errno, "prepare", "pipe to a rank");

  RankCommand command;
  std::map<std::string, std::string> variables = share_.variables;
  variables.merge(RankVariables(request, share_.node_rank, local_rank));
  variables.insert(request.variables.begin(), request.variables.end());
  command.environment = ChildEnvironment(variables, request.unset);
  command.command = ExpandCommand(request.command, request.expand_from, command.environment);
  command.command.insert(command.command.begin(), node.wrapper.begin(), node.wrapper.end());
  command.working_directory = request.working_directory;
  command.log_fd = rank->log.get();
  command.stderr_fd = stderr_write.get();
  rank->pid = StartRankProcess(command);
  rank->start_time = ProcessStartTime(rank->pid);
  rank->pidfd.Reset(OpenPidfd(rank->pid));
  const std::lock_guard lock(mutex_);
  ranks_.push_back(std::move(rank));
}

void LocalLauncher::Watch(int fd, uint64_t token) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = token;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) throw Error::FromErrno(errno, "watch", "rank");
}

void LocalLauncher::StopPump() {
  if (!pump_.joinable()) return;
  stop_ = true;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t count = write(wake_event_.get(), &one, sizeof one);
  pump_.join();
}

// The thread. epoll gives ready descriptors in the order in which they became ready: the order of exits.
void LocalLauncher::Pump() {
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

void LocalLauncher::DrainStderr(Rank *rank) {
  std::array<char, 65536> buffer;
  while (rank->stderr_read.valid()) {
    const ssize_t count = read(rank->stderr_read.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return;
    if (count == 0) {
      rank->stderr_read.Reset();
      return;
    }
    AppendToLog(rank->log.get(), buffer.data(), static_cast<size_t>(count));
    const std::lock_guard lock(mutex_);
    rank->tail.Append({buffer.data(), static_cast<size_t>(count)});
  }
}

void LocalLauncher::CollectRank(Rank *rank) {
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
  const bool was_killed = exit.signal == SIGKILL || (rank->wrapped && exit.exit_code == 128 + SIGKILL);
  exit.out_of_memory = was_killed && !killing_ && oom_watch_.KilledSince();
  exit.stderr_tail = rank->tail_at_kill.value_or(rank->tail.Text());
  exits_.push_back(std::move(exit));
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t count = write(exits_event_.get(), &one, sizeof one);
}

// Grandchildren that came to us. Ranks among them are left for their own descriptor, which knows the order.
void LocalLauncher::CollectOrphans() {
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

std::unique_ptr<Launcher> MakeLocalLauncher() {
  return std::make_unique<LocalLauncher>();
}

}  // namespace trainyard
