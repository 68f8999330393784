#include "core/queue_rules.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "core/resources.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr size_t kPriorityDigits = 7, kNumberDigits = 20;

bool Fits(const Demand &demand, const FreeNode &node) {
  if (node.slots < demand.slots) return false;
  return node.gpus + (demand.share_gpus ? node.shared_gpus : 0) >= demand.gpus;
}

std::vector<FreeNode> With(std::vector<FreeNode> free, const std::vector<FreeNode> &more) {
  for (size_t i = 0; i < free.size() && i < more.size(); ++i) {
    free[i].slots += more[i].slots;
    free[i].gpus += more[i].gpus;
    free[i].shared_gpus += more[i].shared_gpus;
  }
  return free;
}

}  // namespace

std::string Ticket::Name() const {
  std::array<char, 128> name;
  std::snprintf(name.data(), name.size(), "t-%07d-%020llu-%dx%dx%d%s", Resources::kMaxPriority - priority,
                static_cast<unsigned long long>(number), demand.nodes, demand.slots, demand.gpus,
                demand.share_gpus ? "s" : "");
  return name.data();
}

std::optional<Ticket> Ticket::FromName(std::string_view name) {
  const std::vector<std::string_view> parts = Split(name, '-');
  if (parts.size() != 4 || parts[0] != "t" || parts[1].size() != kPriorityDigits || parts[2].size() != kNumberDigits) {
    return std::nullopt;
  }
  Ticket ticket;
  std::string_view sizes = parts[3];
  if (sizes.ends_with('s')) {
    ticket.demand.share_gpus = true;
    sizes.remove_suffix(1);
  }
  const std::vector<std::string_view> counts = Split(sizes, 'x');
  std::array<int64_t, 5> numbers{};
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (i >= 2 && counts.size() != 3) return std::nullopt;
    const auto number = ParseInt64(i < 2 ? parts[i + 1] : counts[i - 2]);
    if (!number || *number < 0 || (i != 1 && *number > INT32_MAX)) return std::nullopt;
    numbers[i] = *number;
  }
  ticket.priority = Resources::kMaxPriority - static_cast<int32_t>(numbers[0]);
  ticket.number = static_cast<uint64_t>(numbers[1]);
  ticket.demand.nodes = static_cast<int32_t>(numbers[2]);
  ticket.demand.slots = static_cast<int32_t>(numbers[3]);
  ticket.demand.gpus = static_cast<int32_t>(numbers[4]);
  return ticket;
}

std::optional<std::vector<int32_t>> Place(const Demand &demand, std::vector<FreeNode> *free) {
  std::vector<int32_t> chosen;
  for (size_t i = 0; i < free->size() && static_cast<int32_t>(chosen.size()) < demand.nodes; ++i) {
    if (Fits(demand, (*free)[i])) chosen.push_back(static_cast<int32_t>(i));
  }
  if (static_cast<int32_t>(chosen.size()) < demand.nodes) return std::nullopt;
  for (const int32_t index : chosen) {
    FreeNode &node = (*free)[static_cast<size_t>(index)];
    node.slots -= demand.slots;
    const int32_t unused = std::min(node.gpus, demand.gpus);
    node.gpus -= unused;
    // One that is shared already stays free for others that share.
    if (demand.share_gpus) node.shared_gpus += unused;
  }
  return chosen;
}

std::optional<std::vector<int32_t>> PlaceBehind(std::span<const Ticket> ahead, const Demand &own,
                                                std::vector<FreeNode> free) {
  bool gpus_taken = false;  // somebody ahead waits for GPUs: so does everybody of that line behind it
  for (const Ticket &other : ahead) {
    if (other.demand.gpus > 0 && gpus_taken) continue;
    if (Place(other.demand, &free)) continue;
    Demand without_gpus = other.demand;
    without_gpus.gpus = 0;
    if (other.demand.gpus == 0 || !Place(without_gpus, &free)) return std::nullopt;
    gpus_taken = true;
  }
  if (own.gpus > 0 && gpus_taken) return std::nullopt;
  return Place(own, &free);
}

std::vector<size_t> ChooseVictims(std::span<const Ticket> ahead, const Ticket &own, const std::vector<FreeNode> &free,
                                  const std::vector<Victim> &running) {
  std::vector<size_t> order;
  for (size_t i = 0; i < running.size(); ++i) {
    if (running[i].priority < own.priority) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (running[a].priority != running[b].priority) return running[a].priority < running[b].priority;
    return running[a].number > running[b].number;
  });
  const auto enough = [&](const std::vector<size_t> &chosen) {
    std::vector<FreeNode> then = free;
    for (const size_t index : chosen) then = With(std::move(then), running[index].frees);
    return PlaceBehind(ahead, own.demand, std::move(then)).has_value();
  };
  std::vector<size_t> chosen;
  for (const size_t index : order) {
    if (enough(chosen)) break;
    chosen.push_back(index);
  }
  if (!enough(chosen)) return {};
  // Those that turned out not to help stay.
  for (size_t i = 0; i < chosen.size();) {
    std::vector<size_t> fewer = chosen;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    if (enough(fewer)) {
      chosen = std::move(fewer);
    } else {
      ++i;
    }
  }
  return chosen;
}

}  // namespace trainyard
