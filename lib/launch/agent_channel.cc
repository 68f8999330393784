#include "launch/agent_channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include "util/clock.h"
#include "util/error.h"

namespace trainyard {
namespace {

constexpr size_t kHeader = 4;

uint32_t ReadLength(const std::string &buffer) {
  uint32_t length = 0;
  for (size_t i = 0; i < kHeader; ++i) length |= uint32_t{static_cast<unsigned char>(buffer[i])} << (8 * i);
  return length;
}

}  // namespace

Json AgentMessage(const char *type) {
  Json message = Json::Object();
  message.Set("type", type);
  return message;
}

void AgentChannel::Send(const Json &message) {
  const std::string text = message.Dump();
  if (text.size() > kLargest) throw Error::Internal("a message to an agent is too long");
  std::string frame;
  for (size_t i = 0; i < kHeader; ++i) frame.push_back(static_cast<char>(text.size() >> (8 * i)));
  frame += text;
  for (size_t sent = 0; sent < frame.size() && socket_.valid();) {
    const ssize_t count = send(socket_.get(), frame.data() + sent, frame.size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return;  // what it has sent before it went is still to be read
    sent += static_cast<size_t>(count);
  }
}

std::optional<Json> AgentChannel::TakeMessage() {
  if (buffer_.size() < kHeader) return std::nullopt;
  const uint32_t length = ReadLength(buffer_);
  if (length > largest_) {
    closed_ = broken_ = true;
    return std::nullopt;
  }
  if (buffer_.size() < kHeader + length) return std::nullopt;
  try {
    Json message = Json::Parse(std::string_view(buffer_).substr(kHeader, length), "message");
    buffer_.erase(0, kHeader + length);
    return message;
  } catch (const Error &) {
    closed_ = broken_ = true;
    return std::nullopt;
  }
}

std::optional<Json> AgentChannel::Receive() {
  for (;;) {
    if (!broken_) {
      if (auto message = TakeMessage()) return message;
    }
    if (closed_) return std::nullopt;
    std::array<char, 65536> data;
    const ssize_t count = recv(socket_.get(), data.data(), data.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return std::nullopt;
    if (count <= 0) {
      closed_ = true;
      return std::nullopt;
    }
    buffer_.append(data.data(), static_cast<size_t>(count));
  }
}

std::optional<Json> AgentChannel::Receive(int timeout_ms) {
  const int64_t deadline = MonotonicMs() + timeout_ms;
  for (;;) {
    if (auto message = Receive()) return message;
    const int64_t left = deadline - MonotonicMs();
    if (closed_ || left <= 0) return std::nullopt;
    pollfd entry{socket_.get(), POLLIN, 0};
    poll(&entry, 1, static_cast<int>(left));
  }
}

}  // namespace trainyard
