#include "launch/mpi/agent_address.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "util/clock.h"
#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr int kConnectMs = 2000;

// A host that is gone without a word is noticed after about twenty seconds; small messages go at once.
void Tune(int socket) {
  const int yes = 1, idle = 10, interval = 5, count = 2;
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

std::vector<std::string> OwnAddresses() {
  std::vector<std::string> found;
  ifaddrs *list = nullptr;
  if (getifaddrs(&list) != 0) return found;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, &freeifaddrs);
  for (const ifaddrs *entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET) continue;
    if ((entry->ifa_flags & IFF_UP) == 0 || (entry->ifa_flags & IFF_LOOPBACK) != 0) continue;
    std::array<char, INET_ADDRSTRLEN> text{};
    const auto *address = reinterpret_cast<const sockaddr_in *>(entry->ifa_addr);
    if (inet_ntop(AF_INET, &address->sin_addr, text.data(), text.size()) != nullptr) found.emplace_back(text.data());
  }
  return found;
}

// Not valid when nobody answers in time.
UniqueFd Connect(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return UniqueFd();
  const auto port = ParseInt64(address.substr(colon + 1));
  sockaddr_in where{};
  where.sin_family = AF_INET;
  if (!port || inet_pton(AF_INET, std::string(address.substr(0, colon)).c_str(), &where.sin_addr) != 1) {
    return UniqueFd();
  }
  where.sin_port = htons(static_cast<uint16_t>(*port));
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return fd;
  if (connect(fd.get(), reinterpret_cast<const sockaddr *>(&where), sizeof where) != 0) {
    if (errno != EINPROGRESS) return UniqueFd();
    pollfd entry{fd.get(), POLLOUT, 0};
    int error = 0;
    socklen_t size = sizeof error;
    if (poll(&entry, 1, kConnectMs) != 1) return UniqueFd();
    if (getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return UniqueFd();
  }
  fcntl(fd.get(), F_SETFL, 0);  // from now on it waits
  Tune(fd.get());
  return fd;
}

}  // namespace

AgentListener::AgentListener(bool other_hosts)
    : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(other_hosts ? INADDR_ANY : INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (!socket_.valid() || bind(socket_.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0 ||
      listen(socket_.get(), SOMAXCONN) != 0 ||
      getsockname(socket_.get(), reinterpret_cast<sockaddr *>(&address), &size) != 0) {
    throw Error::FromErrno(errno, "listen on", "a TCP port");
  }
  const std::string port = ":" + std::to_string(ntohs(address.sin_port));
  if (other_hosts) {
    for (const std::string &own : OwnAddresses()) addresses_ += (addresses_.empty() ? "" : ",") + own + port;
  }
  if (addresses_.empty()) addresses_ = "127.0.0.1" + port;
}

UniqueFd AgentListener::Accept() {
  UniqueFd fd(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (fd.valid()) Tune(fd.get());
  return fd;
}

UniqueFd ConnectToLauncher(const std::string &addresses, int64_t patience_ms) {
  const int64_t deadline = MonotonicMs() + patience_ms;
  for (;;) {
    for (const std::string_view address : Split(addresses, ',')) {
      UniqueFd fd = Connect(address);
      if (fd.valid()) return fd;
    }
    if (MonotonicMs() >= deadline) {
      throw Error(Status::kNetwork, "cannot reach the supervisor of the run at " + addresses +
                                        ": TCP connections from this host to it must be possible");
    }
    usleep(100000);
  }
}

}  // namespace trainyard
