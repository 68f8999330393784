#include "compute/ticket_line.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "compute/machine.h"
#include "util/error.h"

namespace trainyard {
namespace {

bool IsFileAt(const UniqueFd &fd, const std::string &path) {
  struct stat own {
  }, there{};
  if (fstat(fd.get(), &own) != 0 || stat(path.c_str(), &there) != 0) return false;
  return own.st_dev == there.st_dev && own.st_ino == there.st_ino;
}

// Not left to the close: a process that was forked meanwhile may have the descriptor too.
void Unlock(const UniqueFd &fd) {
  if (fd.valid()) flock(fd.get(), LOCK_UN);
}

}  // namespace

UniqueFd TicketLine::Lock() const {
  return LockFile(directory_ + "/counter", LOCK_EX);
}

uint64_t TicketLine::NextNumber(const UniqueFd &lock) const {
  std::array<char, 32> text{};
  [[maybe_unused]] const ssize_t got = pread(lock.get(), text.data(), text.size() - 1, 0);
  const uint64_t number = std::strtoull(text.data(), nullptr, 10) + 1;
  const std::string next = std::to_string(number);
  if (pwrite(lock.get(), next.data(), next.size(), 0) != static_cast<ssize_t>(next.size())) {
    throw Error::FromErrno(errno, "write", directory_ + "/counter");
  }
  return number;
}

UniqueFd TicketLine::Hold(const Ticket &ticket) const {
  const std::string path = Path(ticket);
  UniqueFd fd = LockFile(path, LOCK_SH | LOCK_NB);
  if (fd.valid()) return fd;
  // Somebody has just found it dead, and waits for the line to remove it.
  RemoveFile(path);
  fd = LockFile(path, LOCK_SH | LOCK_NB);
  if (!fd.valid()) throw Error::Internal("cannot stand in line at '" + path + "'");
  return fd;
}

void TicketLine::Remove(const UniqueFd &fd, const Ticket &ticket) const {
  const std::string path = Path(ticket);
  if (IsFileAt(fd, path)) RemoveFile(path);
  Unlock(fd);
}

void TicketLine::DropDead(std::vector<Ticket> *tickets) const {
  std::erase_if(*tickets, [&](const Ticket &ticket) {
    const UniqueFd fd(open(Path(ticket).c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return true;
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return false;
    Remove(fd, ticket);
    return true;
  });
}

std::vector<Ticket> TicketLine::Ahead(const Ticket &ticket) const {
  std::vector<Ticket> ahead;
  for (const DirEntry &entry : ListDir(directory_)) {
    const auto other = Ticket::FromName(entry.name);
    if (other && *other < ticket) ahead.push_back(*other);
  }
  std::sort(ahead.begin(), ahead.end());
  return ahead;
}

SubmitPlace::SubmitPlace(const std::string &tickets_directory, const Ticket &ticket)
    : line_(tickets_directory), ticket_(ticket) {
  const UniqueFd lock = line_.Lock();
  ticket_.number = line_.NextNumber(lock);
  fd_ = line_.Hold(ticket_);
}

SubmitPlace::~SubmitPlace() {
  Unlock(fd_);
}

void SubmitPlace::Abandon() {
  const UniqueFd lock = line_.Lock();
  line_.Remove(fd_, ticket_);
  fd_.Reset();
}

}  // namespace trainyard
