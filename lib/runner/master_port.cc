#include "runner/master_port.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>

#include <cerrno>

#include "util/error.h"

namespace trainyard {
namespace {

constexpr int32_t kPorts = 2000;

bool IsPortFree(int32_t port) {
  for (const int family : {AF_INET6, AF_INET}) {
    const UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.valid()) continue;
    const int yes = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    int result = 0;
    if (family == AF_INET6) {
      sockaddr_in6 address{};
      address.sin6_family = AF_INET6;
      address.sin6_port = htons(static_cast<uint16_t>(port));
      setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
      result = bind(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address);
    } else {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(static_cast<uint16_t>(port));
      result = bind(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address);
    }
    if (result != 0 && errno == EADDRINUSE) return false;
    if (result == 0 && listen(fd.get(), 1) != 0 && errno == EADDRINUSE) return false;
  }
  return true;
}

Error PortInUse(const std::string &message) {
  return {Status::kBusy, message, {{"code", "port_in_use"}}};
}

}  // namespace

MasterPort::MasterPort(std::string directory, int32_t wanted) : directory_(std::move(directory)), wanted_(wanted) {
  if (wanted_ == 0) {
    Move();
  } else if (!Take(wanted_)) {
    throw PortInUse("MASTER_PORT " + std::to_string(wanted_) +
                    " is in use on this machine: set another one, or none to have a free one chosen");
  }
}

void MasterPort::Move() {
  for (int32_t port = kFirst; port < kFirst + kPorts; ++port) {
    if (port != number_ && Take(port)) return;
  }
  throw PortInUse("no free port for MASTER_PORT between " + std::to_string(kFirst) + " and " +
                  std::to_string(kFirst + kPorts - 1));
}

bool MasterPort::Take(int32_t port) {
  UniqueFd fd = OpenFile(directory_ + "/ports/" + std::to_string(port), O_RDWR | O_CREAT);
  while (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EINTR) return false;
  }
  if (!IsPortFree(port)) return false;
  lock_ = std::move(fd);
  number_ = port;
  return true;
}

}  // namespace trainyard
