// Who may start, and who has to make room: the rules of the queue, without files or clocks. Thread rule: values and
// functions.
//
// Runs wait in line: higher priority first, then in the order of their submits. A run starts when it fits beside what
// runs. Nobody starts while somebody ahead of it could use the same slots, however few it needs itself, so a wide run
// is not starved by narrow ones. The one exception: runs ahead that have slots and wait for GPUs alone let those pass
// that need no GPU, as long as their own slots stay free for them.
//
// A run that cannot start although it is next may take the place of preemptible runs of lower priority: the fewest that
// are enough, lowest priority first, latest submit first.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

// What a run needs, at the same time.
struct Demand {
  int32_t nodes = 1;
  int32_t slots = 1;  // on each node
  int32_t gpus = 0;   // on each node
  bool share_gpus = false;

  bool operator==(const Demand &) const = default;
};

// A place in line. As text it is the name of its file, and names sort as places do:
// "t-<1000000 - priority, 7 digits>-<number, 20 digits>-<nodes>x<slots>x<gpus>", with an 's' at the end for shared
// GPUs.
struct Ticket {
  int32_t priority = 0;
  uint64_t number = 0;  // of the submit, growing
  Demand demand;

  std::strong_ordering operator<=>(const Ticket &other) const {
    if (priority != other.priority) return other.priority <=> priority;
    return number <=> other.number;
  }
  bool operator==(const Ticket &) const = default;

  std::string Name() const;
  static std::optional<Ticket> FromName(std::string_view name);
};

// Runs that ask for GPUs and runs that do not are two lines: each waits behind its own kind first.
inline bool SameLine(const Demand &a, const Demand &b) {
  return (a.gpus > 0) == (b.gpus > 0);
}

// What is free on one node. A GPU that only sharing runs use is free for one more of them.
struct FreeNode {
  int32_t slots = 0;
  int32_t gpus = 0;
  int32_t shared_gpus = 0;
};

// The nodes that `demand` gets, the first that have enough, taken out of `free`; nothing when there are not enough.
std::optional<std::vector<int32_t>> Place(const Demand &demand, std::vector<FreeNode> *free);

// The nodes for `own`, when it may start now; `ahead` are those before it in line, in order.
std::optional<std::vector<int32_t>> PlaceBehind(std::span<const Ticket> ahead, const Demand &own,
                                                std::vector<FreeNode> free);

// A run that could be interrupted, and what that would free.
struct Victim {
  int32_t priority = 0;
  uint64_t number = 0;
  std::vector<FreeNode> frees;  // by node, as many as there are nodes
};

// Which of `running` (indexes) have to go so that `own` can start; empty when even all of them are not enough.
std::vector<size_t> ChooseVictims(std::span<const Ticket> ahead, const Ticket &own, const std::vector<FreeNode> &free,
                                  const std::vector<Victim> &running);

}  // namespace trainyard
