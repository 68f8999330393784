#include "runner/slot_queue.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr int kSlotPollMs = 1000;

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

UniqueFd LockFile(const std::string &path, int operation) {
  UniqueFd fd = OpenFile(path, O_RDWR | O_CREAT);
  while (flock(fd.get(), operation) != 0) {
    if (errno == EINTR) continue;
    return UniqueFd();
  }
  return fd;
}

std::string TicketName(uint64_t number) {
  std::array<char, 32> name;
  std::snprintf(name.data(), name.size(), "t-%020llu", static_cast<unsigned long long>(number));
  return name.data();
}

}  // namespace

std::string SlotDirectory() {
  std::vector<std::string> bases;
  // Nothing else runs in the supervisor that could change the environment.
  if (const char *runtime = std::getenv("XDG_RUNTIME_DIR"); runtime != nullptr && runtime[0] == '/') {  // NOLINT
    bases.push_back(std::string(runtime) + "/trainyard");
  }
  const std::string user = std::to_string(getuid());
  bases.push_back("/run/user/" + user + "/trainyard");
  bases.push_back("/tmp/trainyard-" + user);
  for (const std::string &base : bases) {
    if (!MakePrivate(base)) continue;
    for (const char *part : {"/slots", "/tickets", "/ports"}) MakeDirs(base + part);
    return base;
  }
  throw Error::FromErrno(errno, "make", bases.back());
}

int32_t LocalSlotCount() {
  if (const char *text = std::getenv("TRAINYARD_LOCAL_SLOTS")) {  // NOLINT(concurrency-mt-unsafe)
    const auto count = ParseInt64(text);
    if (!count || *count < 1 || *count > 100000) {
      throw Error::InvalidArgument("TRAINYARD_LOCAL_SLOTS must be a number from 1 to 100000, got '" +
                                   std::string(text) + "'");
    }
    return static_cast<int32_t>(*count);
  }
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) return std::max(1, CPU_COUNT(&cpus));
  return std::max<int32_t>(1, static_cast<int32_t>(sysconf(_SC_NPROCESSORS_ONLN)));
}

SlotQueue::SlotQueue(std::string directory, int32_t slots) : directory_(std::move(directory)), slots_(slots) {}

void SlotQueue::Release() {
  files_.clear();
}

UniqueFd SlotQueue::TakeTicket(uint64_t *number, std::string *path) {
  const std::string tickets = directory_ + "/tickets";
  const UniqueFd counter = LockFile(tickets + "/counter", LOCK_EX);
  std::array<char, 32> text{};
  [[maybe_unused]] const ssize_t got = pread(counter.get(), text.data(), text.size() - 1, 0);
  *number = std::strtoull(text.data(), nullptr, 10) + 1;
  const std::string next = std::to_string(*number);
  if (pwrite(counter.get(), next.data(), next.size(), 0) != static_cast<ssize_t>(next.size())) {
    throw Error::FromErrno(errno, "write", tickets + "/counter");
  }
  // Nobody lists tickets between the creation and the lock of this one without holding the counter; whoever comes later
  // has a later number and may only look at it, which waits for the lock.
  *path = tickets + "/" + TicketName(*number);
  return LockFile(*path, LOCK_EX);
}

std::optional<std::string> SlotQueue::TicketBefore(uint64_t number) const {
  const std::string own = TicketName(number);
  std::string nearest;
  for (const DirEntry &entry : ListDir(directory_ + "/tickets")) {
    if (entry.name.starts_with("t-") && entry.name < own && entry.name > nearest) nearest = entry.name;
  }
  if (nearest.empty()) return std::nullopt;
  return directory_ + "/tickets/" + nearest;
}

bool SlotQueue::TakeSlots(int32_t count) {
  // Opened once: the close of each failed attempt would wake whoever watches the directory, this object included.
  while (static_cast<int32_t>(files_.size()) < slots_) {
    files_.push_back({OpenFile(directory_ + "/slots/" + std::to_string(files_.size()), O_RDWR | O_CREAT), false});
  }
  int32_t held = 0;
  for (SlotFile &file : files_) {
    if (!file.held && held < count) file.held = flock(file.fd.get(), LOCK_EX | LOCK_NB) == 0;
    if (file.held) ++held;
  }
  return held >= count;
}

bool SlotQueue::WaitForSlots(int32_t count, const Wait &wait, bool *told) {
  if (TakeSlots(count)) return true;
  const UniqueFd inotify(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const bool watching =
      inotify.valid() && inotify_add_watch(inotify.get(), (directory_ + "/slots").c_str(), IN_CLOSE_WRITE) >= 0;
  for (;;) {
    // The kernel reports the close of a slot's file shortly before it gives the lock back.
    for (int attempt = 0; attempt < 5; ++attempt) {
      if (TakeSlots(count)) return true;
      if (*told) usleep(1000);
    }
    if (!*told) wait.on_wait();
    *told = true;
    pollfd entry{watching ? inotify.get() : -1, POLLIN, 0};
    poll(&entry, 1, kSlotPollMs);
    char buffer[4096];
    while (watching && read(inotify.get(), buffer, sizeof buffer) > 0) {
    }
    if (wait.canceled()) return false;
  }
}

bool SlotQueue::Acquire(int32_t count, const Wait &wait) {
  count = std::clamp(count, 1, slots_);
  uint64_t number = 0;
  std::string path;
  const UniqueFd ticket = TakeTicket(&number, &path);
  bool told = false;
  bool acquired = false;
  for (;;) {
    const auto before = TicketBefore(number);
    if (!before) {
      acquired = WaitForSlots(count, wait, &told);
      break;
    }
    const UniqueFd fd(open(before->c_str(), O_RDWR | O_CLOEXEC));
    if (!fd.valid()) continue;  // it went between the list and here
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (!told) wait.on_wait();
      told = true;
      if (wait.canceled()) break;
      if (flock(fd.get(), LOCK_EX) != 0) {
        if (wait.canceled()) break;
        continue;
      }
    }
    RemoveFile(*before);  // its owner has got its slots, or is dead
  }
  // What is not held is closed only now, with the ticket: it wakes the next in line once at most.
  std::erase_if(files_, [&](const SlotFile &file) { return !acquired || !file.held; });
  RemoveFile(path);
  return acquired;
}

}  // namespace trainyard
