#include "engine_torch/parallel/control_line.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "engine_torch/parallel/lost_peer.h"
#include "util/error.h"

namespace trainyard {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using Bytes = ControlLine::Bytes;

constexpr uint32_t kMagic = 0x31795474;
enum Kind : uint32_t { kHello = 1, kQuestion, kAnswer, kLost, kDone };

struct Header {
  uint32_t magic, kind;
  uint64_t bytes;
};

constexpr int kLookEveryMs = 500;
constexpr milliseconds kRetry{50};
constexpr milliseconds kHelloPatience{5000};
constexpr milliseconds kClosePatience{30000};
// A process that is stopped must not stop the others' words to each other for ever.
constexpr int kSendSeconds = 10;

void SetOption(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof value);
}

void Prepare(int fd) {
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
  SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 25000);
  const timeval patience = {kSendSeconds, 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

// Whoever cannot be reached has gone: its end of the connection, which is read, says so, and perhaps why.
void Send(int fd, Kind kind, const Bytes &body) {
  const Header header = {kMagic, kind, body.size()};
  Bytes message(sizeof header + body.size());
  std::memcpy(message.data(), &header, sizeof header);
  if (!body.empty()) std::memcpy(message.data() + sizeof header, body.data(), body.size());
  for (size_t sent = 0; sent < message.size();) {
    const ssize_t count = send(fd, message.data() + sent, message.size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      // What is cut in the middle must not be gone on with.
      if (errno == EAGAIN) shutdown(fd, SHUT_RDWR);
      return;
    }
    sent += static_cast<size_t>(count);
  }
}

// All of `size` bytes until `deadline`.
bool ReadAll(int fd, void *data, size_t size, Clock::time_point deadline) {
  auto *to = static_cast<uint8_t *>(data);
  while (size > 0) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now()).count();
    pollfd entry = {fd, POLLIN, 0};
    if (left <= 0 || poll(&entry, 1, static_cast<int>(left)) <= 0) return false;
    const ssize_t count = recv(fd, to, size, 0);
    if (count <= 0) return false;
    to += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

// The rank that says hello; -1: it is none of ours.
int RankOf(int fd, Clock::time_point deadline) {
  Header header = {};
  int32_t rank = -1;
  if (!ReadAll(fd, &header, sizeof header, deadline) || header.magic != kMagic || header.kind != kHello ||
      header.bytes != sizeof rank || !ReadAll(fd, &rank, sizeof rank, deadline))
    return -1;
  return rank;
}

Bytes BytesOf(const void *data, size_t size) {
  const auto *from = static_cast<const uint8_t *>(data);
  return {from, from + size};
}

template <typename Value>
void Reduce(bool largest, const Bytes &from, Bytes *to) {
  for (size_t i = 0; i + sizeof(Value) <= to->size(); i += sizeof(Value)) {
    Value a, b;
    std::memcpy(&a, to->data() + i, sizeof a);
    std::memcpy(&b, from.data() + i, sizeof b);
    a = largest ? std::max(a, b) : static_cast<Value>(a + b);
    std::memcpy(to->data() + i, &a, sizeof a);
  }
}

void ReduceBy(ControlLine::Operation operation, const Bytes &from, Bytes *to) {
  using Operation = ControlLine::Operation;
  const bool largest = operation == Operation::kMaxDoubles || operation == Operation::kMaxIntegers;
  if (operation == Operation::kSumDoubles || operation == Operation::kMaxDoubles) {
    Reduce<double>(largest, from, to);
  } else {
    Reduce<int64_t>(largest, from, to);
  }
}

// One connection, or -1 with errno set.
UniqueFd ConnectOnce(const std::string &address, uint16_t port) {
  addrinfo hints = {}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    errno = EHOSTUNREACH;
    return UniqueFd();
  }
  UniqueFd fd;
  int reason = EHOSTUNREACH;
  for (const addrinfo *entry = found; entry != nullptr; entry = entry->ai_next) {
    fd = UniqueFd(socket(entry->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd.valid() && connect(fd.get(), entry->ai_addr, entry->ai_addrlen) == 0) break;
    reason = errno;
    fd.Reset();
  }
  freeaddrinfo(found);
  errno = reason;
  return fd;
}

}  // namespace

LineListener ListenForRanks() {
  LineListener listener;
  // Both IPv6 and IPv4, where the machine has both.
  listener.fd = UniqueFd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  socklen_t size = sizeof address;
  if (listener.fd.valid()) SetOption(listener.fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (!listener.fd.valid() || bind(listener.fd.get(), reinterpret_cast<const sockaddr *>(&address), size) != 0) {
    sockaddr_in old = {};
    old.sin_family = AF_INET;
    listener.fd = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!listener.fd.valid() || bind(listener.fd.get(), reinterpret_cast<const sockaddr *>(&old), sizeof old) != 0)
      throw Error::FromErrno(errno, "listen for the other ranks at a free port of", "this machine");
  }
  if (listen(listener.fd.get(), SOMAXCONN) != 0 ||
      getsockname(listener.fd.get(), reinterpret_cast<sockaddr *>(&address), &size) != 0)
    throw Error::FromErrno(errno, "listen for the other ranks at a free port of", "this machine");
  listener.port = ntohs(address.sin6_port);  // at the same place in both kinds of address
  return listener;
}

std::unique_ptr<ControlLine> ControlLine::Host(LineListener listener, int world_size, milliseconds patience) {
  std::unique_ptr<ControlLine> line(new ControlLine(0));
  line->asked_.resize(static_cast<size_t>(world_size));
  for (int rank = 1; rank < world_size; ++rank) {
    line->peers_.push_back(std::make_unique<Peer>());
    line->peers_.back()->rank = rank;
  }
  const Clock::time_point deadline = Clock::now() + patience;
  for (int missing = world_size - 1; missing > 0;) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now()).count();
    pollfd entry = {listener.fd.get(), POLLIN, 0};
    const int ready = left <= 0 ? 0 : poll(&entry, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      std::string names;
      for (const auto &peer : line->peers_) {
        if (!peer->fd.valid()) names += (names.empty() ? "" : ", ") + std::to_string(peer->rank);
      }
      ThrowRanksFailed("of the " + std::to_string(world_size) + " ranks these did not come within " +
                       std::to_string(patience.count() / 1000) + " s: " + names + "; their logs say why");
    }
    UniqueFd fd(accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.valid()) continue;
    Prepare(fd.get());
    const int rank = RankOf(fd.get(), std::min(deadline, Clock::now() + kHelloPatience));
    if (rank < 1 || rank >= world_size) continue;
    Peer &peer = *line->peers_[static_cast<size_t>(rank - 1)];
    if (peer.fd.valid()) ThrowRanksFailed("two processes say that they are rank " + std::to_string(rank));
    peer.fd = std::move(fd);
    --missing;
  }
  line->Start();
  return line;
}

std::unique_ptr<ControlLine> ControlLine::Join(const std::string &address, uint16_t port, int rank,
                                               milliseconds patience) {
  std::unique_ptr<ControlLine> line(new ControlLine(rank));
  line->peers_.push_back(std::make_unique<Peer>());
  const Clock::time_point deadline = Clock::now() + patience;
  UniqueFd &fd = line->peers_[0]->fd;
  for (;;) {
    fd = ConnectOnce(address, port);
    if (fd.valid()) break;
    const int reason = errno;
    if (Clock::now() >= deadline) {
      ThrowRanksFailed("rank " + std::to_string(rank) + " cannot reach rank 0 at " + address + ", port " +
                       std::to_string(port) + ": " + std::system_category().message(reason) +
                       "; the hosts of a run must reach each other at any port");
    }
    std::this_thread::sleep_for(kRetry);
  }
  Prepare(fd.get());
  const int32_t own = rank;
  Send(fd.get(), kHello, BytesOf(&own, sizeof own));
  line->Start();
  return line;
}

ControlLine::~ControlLine() {
  GiveUp();
  Stop();
}

void ControlLine::Start() {
  wake_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
  if (!wake_.valid()) throw Error::FromErrno(errno, "make", "an eventfd");
  thread_ = std::thread([this] { Run(); });
}

void ControlLine::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t count = write(wake_.get(), &one, sizeof one);
  if (thread_.joinable()) thread_.join();
}

void ControlLine::Watch(std::function<std::string()> look, std::function<void()> on_failure) {
  const std::lock_guard lock(mutex_);
  look_ = std::move(look);
  on_failure_ = std::move(on_failure);
}

uint64_t ControlLine::Ask(Operation operation, const Bytes &values) {
  if (values.size() > kMostBytes) throw Error::Internal("a question of that size is none for the ranks' line");
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) ThrowRanksFailed(failure_);
  if (rank_ == 0) {
    asked_[0].push_back({operation, values});
    Combine();
  } else {
    Bytes body = BytesOf(&operation, sizeof operation);
    body.insert(body.end(), values.begin(), values.end());
    Send(peers_[0]->fd.get(), kQuestion, body);
  }
  return next_question_++;
}

Bytes ControlLine::Answer(uint64_t question) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return answers_.contains(question) || !failure_.empty(); });
  const auto found = answers_.find(question);
  if (found == answers_.end()) ThrowRanksFailed(failure_);
  Bytes answer = std::move(found->second);
  answers_.erase(found);
  return answer;
}

void ControlLine::Close() {
  Answer(Ask(Operation::kSumIntegers, {}));
  std::unique_lock lock(mutex_);
  TellAll(kDone, {});
  // Whoever left with words of the other unread would take its own last words back.
  changed_.wait_for(lock, kClosePatience, [&] { return AllDone() || !failure_.empty(); });
  if (!failure_.empty()) ThrowRanksFailed(failure_);
  closed_ = true;
  lock.unlock();
  Stop();
}

void ControlLine::GiveUp() {
  const std::lock_guard lock(mutex_);
  if (closed_ || !failure_.empty()) return;
  failure_ = "this rank has given up";
  told_ = true;
  const std::string text = "rank " + std::to_string(rank_) + " has given up, and says why in its own log";
  TellAll(kLost, BytesOf(text.data(), text.size()));
  changed_.notify_all();
}

std::string ControlLine::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

std::string ControlLine::AwaitFailure(milliseconds patience) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, patience, [&] { return !failure_.empty(); });
  return failure_;
}

// The functions below are called with mutex_ held, but for Run, Look and Receive.

void ControlLine::TellAll(uint32_t kind, const Bytes &body) {
  for (const auto &peer : peers_) {
    if (peer->fd.valid()) Send(peer->fd.get(), static_cast<Kind>(kind), body);
  }
}

bool ControlLine::AllDone() const {
  return std::all_of(peers_.begin(), peers_.end(), [](const auto &peer) { return peer->done; });
}

void ControlLine::Fail(const std::string &what) {
  if (closed_ || !failure_.empty()) return;
  failure_ = kLostPeer + what;
  TellAll(kLost, BytesOf(what.data(), what.size()));
  changed_.notify_all();
}

void ControlLine::Arrived(Bytes answer) {
  answers_[next_answer_++] = std::move(answer);
  changed_.notify_all();
}

// Of the first rank: answers what all have asked.
void ControlLine::Combine() {
  while (std::all_of(asked_.begin(), asked_.end(), [](const auto &asked) { return !asked.empty(); })) {
    Question first = std::move(asked_[0].front());
    asked_[0].pop_front();
    for (size_t rank = 1; rank < asked_.size(); ++rank) {
      const Question other = std::move(asked_[rank].front());
      asked_[rank].pop_front();
      if (other.operation != first.operation || other.values.size() != first.values.size())
        return Fail("rank " + std::to_string(rank) + " asks what the others do not");
      ReduceBy(first.operation, other.values, &first.values);
    }
    TellAll(kAnswer, first.values);
    Arrived(std::move(first.values));
  }
}

void ControlLine::Take(Peer *peer, uint32_t kind, Bytes body) {
  switch (kind) {
    case kQuestion: {
      Question question = {};
      if (rank_ != 0 || body.size() < sizeof question.operation) break;
      std::memcpy(&question.operation, body.data(), sizeof question.operation);
      question.values.assign(body.begin() + sizeof question.operation, body.end());
      asked_[static_cast<size_t>(peer->rank)].push_back(std::move(question));
      return Combine();
    }
    case kAnswer:
      return Arrived(std::move(body));
    case kLost:
      peer->done = true;
      return Fail(std::string(body.begin(), body.end()));
    case kDone:
      peer->done = true;
      changed_.notify_all();
      return;
    default:
      break;
  }
  Fail("rank " + std::to_string(peer->rank) + " sends what is no message");
}

void ControlLine::Receive(Peer *peer) {
  uint8_t block[1 << 16];
  const ssize_t count = recv(peer->fd.get(), block, sizeof block, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  const std::lock_guard lock(mutex_);
  if (count <= 0) {
    if (!peer->done) Fail("rank " + std::to_string(peer->rank) + " has gone without a word");
    peer->done = true;
    peer->fd.Reset();
    changed_.notify_all();
    return;
  }
  Bytes &received = peer->received;
  received.insert(received.end(), block, block + count);
  size_t taken = 0;
  Header header = {};
  while (received.size() - taken >= sizeof header) {
    std::memcpy(&header, received.data() + taken, sizeof header);
    if (header.magic != kMagic || header.bytes > kMostBytes + sizeof(Operation)) {
      peer->done = true;
      peer->fd.Reset();
      return Fail("rank " + std::to_string(peer->rank) + " sends what is no message");
    }
    const size_t size = sizeof header + static_cast<size_t>(header.bytes);
    if (received.size() - taken < size) break;
    const auto body = received.begin() + static_cast<std::ptrdiff_t>(taken);
    Take(peer, header.kind, Bytes(body + sizeof header, body + static_cast<std::ptrdiff_t>(size)));
    taken += size;
  }
  received.erase(received.begin(), received.begin() + static_cast<std::ptrdiff_t>(taken));
}

// False: the thread is to end.
bool ControlLine::Look() {
  std::function<std::string()> look;
  std::function<void()> on_failure;
  {
    const std::lock_guard lock(mutex_);
    if (stop_) return false;
    if (failure_.empty()) look = look_;
  }
  if (look) {
    const std::string what = look();
    const std::lock_guard lock(mutex_);
    if (!what.empty()) Fail(what);
  }
  {
    const std::lock_guard lock(mutex_);
    if (!failure_.empty() && !told_ && on_failure_) {
      told_ = true;
      on_failure = on_failure_;
    }
  }
  if (on_failure) on_failure();
  return true;
}

void ControlLine::Run() {
  pthread_setname_np(pthread_self(), "ty_ranks");
  while (Look()) {
    std::vector<pollfd> entries = {{wake_.get(), POLLIN, 0}};
    std::vector<Peer *> open;
    for (const auto &peer : peers_) {
      if (!peer->fd.valid()) continue;
      entries.push_back({peer->fd.get(), POLLIN, 0});
      open.push_back(peer.get());
    }
    if (poll(entries.data(), entries.size(), kLookEveryMs) <= 0) continue;
    for (size_t i = 0; i < open.size(); ++i) {
      if (entries[i + 1].revents != 0) Receive(open[i]);
    }
  }
}

}  // namespace trainyard
