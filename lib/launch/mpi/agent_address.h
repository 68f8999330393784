// How the agents of MPI processes find their launcher: TCP addresses and a token, in two variables that mpirun hands
// on. Thread rule: one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "util/fs.h"

namespace trainyard {

inline constexpr char kAgentAddressesVariable[] = "TRAINYARD_AGENT_ADDRESSES";
inline constexpr char kAgentTokenVariable[] = "TRAINYARD_AGENT_TOKEN";

class AgentListener {
 public:
  // On the loopback interface alone, or on all for agents of other hosts.
  explicit AgentListener(bool other_hosts);
  int descriptor() const { return socket_.get(); }
  // The next connection that has come; not valid when none has.
  UniqueFd Accept();
  // "<IPv4 address>:<port>", separated by commas: the ones to try, in this order.
  const std::string &addresses() const { return addresses_; }

 private:
  UniqueFd socket_;
  std::string addresses_;
};

// Tries all addresses, again and again for `patience_ms`. Throws Error kNetwork.
UniqueFd ConnectToLauncher(const std::string &addresses, int64_t patience_ms);

}  // namespace trainyard
