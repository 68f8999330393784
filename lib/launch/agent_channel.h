// Messages between a launcher and its agents (launch/agent.h): JSON objects over a connected stream socket, each as
// four bytes of length (little-endian) and the text. Both sides are of one build. Thread rule: one thread at a time.
#pragma once

#include <optional>
#include <string>

#include "util/fs.h"
#include "util/json.h"

namespace trainyard {

class AgentChannel {
 public:
  explicit AgentChannel(UniqueFd socket) : socket_(std::move(socket)) {}

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
  std::string buffer_;
  bool closed_ = false;
};

}  // namespace trainyard
