// mpirun's hostfile: one host a line, "<name or address> [slots=<n>] [max_slots=<n>] ...", "#" starts a comment. Thread
// rule: functions of values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

struct Host {
  std::string address;
  int32_t slots = 1;
};

// A host that is named on several lines has the sum of their slots. Throws Error::InvalidArgument with
// "<source_name>:<line>:" for what is no host line and for a host of more than 65536 slots, and when there is none.
std::vector<Host> ParseHostfile(std::string_view text, std::string_view source_name);

// The hosts that a job of so many nodes runs on: the first ones. Throws Error::InvalidArgument that says how many hosts
// there are and how many are wanted.
std::vector<Host> TakeHosts(const std::vector<Host> &hosts, int32_t node_count);

}  // namespace trainyard
