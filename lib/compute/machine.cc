#include "compute/machine.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>

#include "core/compute.h"
#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr int64_t kOtherFiles = 128;

// Ours alone, or nothing: in /tmp anybody may have made a directory of that name.
bool MakePrivate(const std::string &path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return false;
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return false;
  if (!S_ISDIR(info.st_mode) || info.st_uid != getuid()) {
    throw Error(Status::kPermission,
                "'" + path + "' is not a directory of this user: remove it, or set XDG_RUNTIME_DIR", {{"path", path}});
  }
  return (info.st_mode & 077) == 0 || chmod(path.c_str(), 0700) == 0;
}

// A limit in a file of a control group; "max" and absent files are none.
uint64_t ReadLimit(const std::string &path) {
  std::ifstream file(path);
  std::string text;
  file >> text;
  const auto limit = ParseInt64(text);
  return limit && *limit > 0 ? static_cast<uint64_t>(*limit) : UINT64_MAX;
}

}  // namespace

UniqueFd LockFile(const std::string &path, int operation) {
  UniqueFd fd = OpenFile(path, O_RDWR | O_CREAT);
  while (flock(fd.get(), operation) != 0) {
    if (errno == EINTR) continue;
    return UniqueFd();
  }
  return fd;
}

std::string MachineDirectory() {
  std::vector<std::string> bases;
  // Nothing here changes the environment.
  if (const char *runtime = std::getenv("XDG_RUNTIME_DIR"); runtime != nullptr && runtime[0] == '/') {  // NOLINT
    bases.push_back(std::string(runtime) + "/trainyard");
  }
  const std::string user = std::to_string(getuid());
  bases.push_back("/run/user/" + user + "/trainyard");
  bases.push_back("/tmp/trainyard-" + user);
  for (const std::string &base : bases) {
    if (!MakePrivate(base)) continue;
    for (const char *part : {"/slots", "/tickets", "/computes", "/gpus", "/cpus", "/ports"}) MakeDirs(base + part);
    return base;
  }
  throw Error::FromErrno(errno, "make", bases.back());
}

int64_t MostPlaces() {
  constexpr int64_t kMost = Compute::kMaxSlots;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max > rlim_t{kMost + kOtherFiles}) return kMost;
  return std::max<int64_t>(1, static_cast<int64_t>(limit.rlim_max) - kOtherFiles);
}

int32_t LocalSlotCount() {
  if (const char *text = std::getenv("TRAINYARD_LOCAL_SLOTS")) {  // NOLINT(concurrency-mt-unsafe)
    const auto count = ParseInt64(text);
    if (!count || *count < 1 || *count > Compute::kMaxSlots) {
      throw Error::InvalidArgument("TRAINYARD_LOCAL_SLOTS must be a number from 1 to " +
                                   std::to_string(Compute::kMaxSlots) + ", got '" + std::string(text) + "'");
    }
    return static_cast<int32_t>(*count);
  }
  return static_cast<int32_t>(UsableCpus().size());
}

std::vector<int32_t> UsableCpus() {
  std::vector<int32_t> usable;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) {
    for (int32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &cpus)) usable.push_back(cpu);
    }
  }
  if (!usable.empty()) return usable;
  // More CPUs than a cpu_set_t holds, or no such call.
  const auto online = std::max<int32_t>(1, static_cast<int32_t>(sysconf(_SC_NPROCESSORS_ONLN)));
  for (int32_t cpu = 0; cpu < online; ++cpu) usable.push_back(cpu);
  return usable;
}

uint64_t MemoryBytes() {
  uint64_t bytes = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  // Lines "<id>:<controllers>:<path>", controllers empty for version 2.
  while (std::getline(groups, line)) {
    const size_t second = line.find(':', line.find(':') + 1);
    if (second == std::string::npos) continue;
    const std::string path = line.substr(second + 1);
    bytes = std::min({bytes, ReadLimit("/sys/fs/cgroup" + path + "/memory.max"),
                      ReadLimit("/sys/fs/cgroup/memory" + path + "/memory.limit_in_bytes")});
  }
  return bytes;
}

CpuLease LeaseCpus(const std::string &machine_directory, int32_t count) {
  CpuLease lease;
  const auto wanted = static_cast<size_t>(std::max(0, count));
  const std::vector<int32_t> usable = UsableCpus();
  std::vector<int32_t> taken;
  for (const int32_t cpu : usable) {
    if (lease.cpus.size() == wanted) break;
    UniqueFd fd = LockFile(machine_directory + "/cpus/" + std::to_string(cpu), LOCK_EX | LOCK_NB);
    if (!fd.valid()) {
      taken.push_back(cpu);
      continue;
    }
    lease.cpus.push_back(cpu);
    lease.locks.push_back(std::move(fd));
  }
  for (size_t i = 0; i < taken.size() && lease.cpus.size() < wanted; ++i) {
    lease.cpus.push_back(taken[i]);
    lease.exclusive = false;
  }
  std::sort(lease.cpus.begin(), lease.cpus.end());
  return lease;
}

}  // namespace trainyard
