// How ranks find each other that nobody's MPI has brought together: the first one opens a store (LibTorch's TCPStore)
// at MASTER_ADDR and MASTER_PORT, which every launcher sets, and tells there where its line is. Thread rule: functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include <torch/csrc/distributed/c10d/Store.hpp>

#include "engine_torch/parallel/control_line.h"

namespace trainyard {

struct MeetingPlace {
  std::string address;
  uint16_t port = 0;
};
// Of the environment. Throws Error kInvalidState that says what is missing.
MeetingPlace PlaceOfMeeting();

struct Meeting {
  c10::intrusive_ptr<c10d::Store> store;
  std::unique_ptr<ControlLine> line;
};
// Waits for all ranks, each for `patience` at most. Throws Error kEngine when they do not find each other.
Meeting MeetOtherRanks(int rank, int world_size, const MeetingPlace &place,
                       std::chrono::milliseconds patience = std::chrono::minutes(5));

}  // namespace trainyard
