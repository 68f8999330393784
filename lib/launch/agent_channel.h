// Messages between a launcher and its agents (launch/agent.h): JSON objects over a connected stream socket, each as
// four bytes of length (little-endian) and the text. Both sides are of one build; whoever sends
// anything else is taken for gone. Thread rule: one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "util/fs.h"
#include "util/json.h"

namespace trainyard {

// {"type": type}, to be filled.
Json AgentMessage(const char *type);

class AgentChannel {
 public:
  static constexpr uint32_t kLargest = 64U << 20;
  // `largest`: of what is accepted, in bytes; little from those who have not said yet who they are.
  explicit AgentChannel(UniqueFd socket, uint32_t largest = kLargest) : socket_(std::move(socket)), largest_(largest) {}
  void set_largest(uint32_t largest) { largest_ = largest; }

  int descriptor() const { return socket_.get(); }
  // Waits until the other side has room for it. A side that is gone is noticed by Receive.
  void Send(const Json &message);
  // The next message, without waiting. nullopt: none is complete yet, or the other side is gone (`closed`).
  std::optional<Json> Receive();
  // The same, waiting up to `timeout_ms`.
  std::optional<Json> Receive(int timeout_ms);
  // Nothing more will come.
  bool closed() const { return closed_; }

 private:
  std::optional<Json> TakeMessage();

  UniqueFd socket_;
  uint32_t largest_;
  std::string buffer_;
  bool closed_ = false;
  bool broken_ = false;  // what came is no message
};

}  // namespace trainyard
