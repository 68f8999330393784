#include "util/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "util/boot.h"
#include "util/clock.h"
#include "util/fs.h"

namespace trainyard {
namespace {

using Milliseconds = std::chrono::milliseconds;

// Files of /proc have no size; a process that ends while it is read answers ESRCH. Either way: what could be read.
std::string ReadProcFile(const char *path) {
  const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
  std::string text;
  if (!fd.valid()) return text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t count = read(fd.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer.data(), static_cast<size_t>(count));
  }
}

// "<pid> (<name, may hold spaces and parentheses>) <state> <ppid> ... <14 utime> <15 stime> ... <22 start> <23 vsize>
// <24 rss pages>": counted from the last ')'.
std::optional<ProcessInfo> ParseStat(const std::string &text) {
  const size_t end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos || end_of_name + 2 >= text.size()) return std::nullopt;
  ProcessInfo info;
  info.pid = std::strtoll(text.c_str(), nullptr, 10);
  const char *cursor = text.c_str() + end_of_name + 2;
  info.state = *cursor++;
  static const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  for (int field = 4; field <= 24; ++field) {
    char *next = nullptr;
    const uint64_t number = std::strtoull(cursor, &next, 10);
    if (next == cursor) return std::nullopt;
    cursor = next;
    if (field == 4) info.parent = static_cast<int64_t>(number);
    if (field == 14 || field == 15) info.cpu_ticks += number;
    if (field == 22) info.start_time = static_cast<int64_t>(number);
    if (field == 24) info.resident_bytes = number * page_bytes;
  }
  return info;
}

bool IsDead(const ProcessInfo &info) {
  return info.state == 'Z' || info.state == 'X';
}

void SleepFor(Milliseconds duration) {
  timespec left{duration.count() / 1000, (duration.count() % 1000) * 1000000};
  while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
  }
}

// Where a process belongs by its own environment.
enum class Mark { kNone, kOurs, kForeign };

Mark MarkOf(int64_t pid, const ProcessTreeQuery &query) {
  const std::string path = "/proc/" + std::to_string(pid) + "/environ";
  const std::string environment = ReadProcFile(path.c_str());
  Mark mark = Mark::kNone;
  for (size_t start = 0; start < environment.size();) {
    size_t end = environment.find('\0', start);
    if (end == std::string::npos) end = environment.size();
    const std::string_view entry(environment.data() + start, end - start);
    start = end + 1;
    const size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = entry.substr(0, equals);
    const bool same_value = entry.substr(equals + 1) == query.value;
    if (!query.boundary_variable.empty() && name == query.boundary_variable && !same_value) return Mark::kForeign;
    if (!query.variable.empty() && name == query.variable) mark = same_value ? Mark::kOurs : Mark::kForeign;
  }
  return mark;
}

}  // namespace

std::optional<ProcessInfo> GetProcess(int64_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  return ParseStat(ReadProcFile(path.c_str()));
}

std::vector<ProcessInfo> ListProcesses() {
  std::vector<ProcessInfo> processes;
  DIR *directory = opendir("/proc");
  if (directory == nullptr) return processes;
  while (const dirent *entry = readdir(directory)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    if (auto info = GetProcess(std::strtoll(entry->d_name, nullptr, 10))) processes.push_back(*info);
  }
  closedir(directory);
  return processes;
}

bool IsProcessAlive(int64_t pid, int64_t start_time, const std::string &boot_id) {
  if (pid <= 0 || (!boot_id.empty() && boot_id != BootId())) return false;
  const auto info = GetProcess(pid);
  return info && info->start_time == start_time && !IsDead(*info);
}

std::optional<std::string> ProcessVariable(int64_t pid, const std::string &name) {
  const std::string environment = ReadProcFile(("/proc/" + std::to_string(pid) + "/environ").c_str());
  const std::string prefix = name + "=";
  for (size_t start = 0; start < environment.size();) {
    size_t end = environment.find('\0', start);
    if (end == std::string::npos) end = environment.size();
    if (environment.compare(start, prefix.size(), prefix) == 0) {
      return environment.substr(start + prefix.size(), end - start - prefix.size());
    }
    start = end + 1;
  }
  return std::nullopt;
}

std::vector<ProcessInfo> FindDescendants(int64_t root, const std::vector<ProcessInfo> &all) {
  std::unordered_multimap<int64_t, const ProcessInfo *> by_parent;
  for (const ProcessInfo &info : all) by_parent.emplace(info.parent, &info);
  std::vector<ProcessInfo> found;
  std::vector<int64_t> parents = {root};
  std::unordered_set<int64_t> seen = {root};
  while (!parents.empty()) {
    const auto [first, last] = by_parent.equal_range(parents.back());
    parents.pop_back();
    for (auto child = first; child != last; ++child) {
      // The list was not read in one instant: a number used again could close a circle.
      if (!seen.insert(child->second->pid).second) continue;
      parents.push_back(child->second->pid);
      if (!IsDead(*child->second)) found.push_back(*child->second);
    }
  }
  return found;
}

std::vector<ProcessInfo> FindProcessTree(const ProcessTreeQuery &query) {
  const std::vector<ProcessInfo> all = ListProcesses();
  std::unordered_multimap<int64_t, const ProcessInfo *> by_parent;
  std::unordered_map<int64_t, Mark> marks;
  std::vector<int64_t> parents;
  const int64_t self = getpid();
  for (const ProcessInfo &info : all) {
    by_parent.emplace(info.parent, &info);
    const Mark mark = IsDead(info) ? Mark::kNone : MarkOf(info.pid, query);
    marks[info.pid] = mark;
    if (mark == Mark::kOurs && info.pid != self) parents.push_back(info.pid);
  }
  if (query.root > 0) parents.push_back(query.root);
  std::unordered_set<int64_t> ours(parents.begin(), parents.end());
  while (!parents.empty()) {
    const auto [first, last] = by_parent.equal_range(parents.back());
    parents.pop_back();
    for (auto child = first; child != last; ++child) {
      const int64_t pid = child->second->pid;
      if (pid == self || marks[pid] == Mark::kForeign || !ours.insert(pid).second) continue;
      parents.push_back(pid);
    }
  }
  std::vector<ProcessInfo> found;
  for (const ProcessInfo &info : all) {
    if (info.pid != query.root && ours.count(info.pid) != 0 && !IsDead(info)) found.push_back(info);
  }
  return found;
}

// The C library's header declares pidfd_open for C only.
int OpenPidfd(int64_t pid) {
  return static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0));
}

bool SignalProcess(int64_t pid, int64_t start_time, int signal) {
  // The descriptor pins the number; only then is the start compared, so that a process which took over the number is
  // never hit.
  const UniqueFd pidfd(OpenPidfd(pid));
  if (!pidfd.valid() && errno == ESRCH) return false;
  const auto info = GetProcess(pid);
  if (!info || info->start_time != start_time || IsDead(*info)) return false;
  if (pidfd.valid()) return syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0;
  return kill(static_cast<pid_t>(pid), signal) == 0;  // a kernel before 5.3
}

KillReport KillProcesses(const std::function<std::vector<ProcessInfo>()> &find, Milliseconds grace,
                         Milliseconds patience) {
  using Key = std::pair<int64_t, int64_t>;
  std::set<Key> seen;
  std::set<Key> asked;  // got their SIGTERM
  KillReport report;
  const int64_t start = MonotonicMs();
  Milliseconds pause{1};
  for (;;) {
    report.left = find();
    const int64_t elapsed = MonotonicMs() - start;
    const bool kill_now = elapsed >= grace.count();
    if (report.left.empty() || elapsed >= (grace + patience).count()) break;
    for (const ProcessInfo &info : report.left) {
      const Key key{info.pid, info.start_time};
      seen.insert(key);
      if (kill_now) {
        SignalProcess(info.pid, info.start_time, SIGKILL);
      } else if (asked.insert(key).second) {
        SignalProcess(info.pid, info.start_time, SIGTERM);
        SignalProcess(info.pid, info.start_time, SIGCONT);  // a stopped process would not see the first one
      }
    }
    SleepFor(kill_now ? Milliseconds{2} : pause);
    pause = std::min(pause * 2, Milliseconds{50});
  }
  for (const ProcessInfo &info : report.left) seen.erase({info.pid, info.start_time});
  report.ended = static_cast<int64_t>(seen.size());
  return report;
}

std::string SignalName(int signal) {
  const char *name = sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

}  // namespace trainyard
