// Computes of the local driver. No process stands for a compute: its nodes are simulated, and which of them are there
// follows from its settings, from the slots that runs hold, and from when each was used last.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>

#include "compute/machine.h"
#include "compute/ticket_line.h"
#include "drivers/local/local_driver.h"
#include "drivers/local/needs.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr int64_t kLookEveryMs = 50;

struct NodeCounts {
  int32_t current = 0, busy = 0;
};

bool IsHeld(const std::string &path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd.valid() && flock(fd.get(), LOCK_SH | LOCK_NB) != 0;
}

NodeCounts CountNodes(const Compute &compute, const Capacity &capacity) {
  // Nobody takes a slot while this one looks whether it is taken.
  const UniqueFd lock = TicketLine(capacity.Tickets()).Lock();
  const int64_t now = NowUnixMs();
  NodeCounts counts;
  for (size_t i = 0; i < capacity.nodes.size(); ++i) {
    bool busy = false;
    bool used_lately = false;
    for (int32_t slot = 0; slot < capacity.nodes[i].slots; ++slot) {
      const std::string path = capacity.Slots() + "/" + std::to_string(i) + "-" + std::to_string(slot);
      const auto info = Stat(path);
      if (!info || info->size == 0) continue;  // never used
      busy = busy || IsHeld(path);
      used_lately = used_lately || now - info->modified_ms < compute.idle_ms;
    }
    const bool kept = compute.kind == Compute::Kind::kMpi || static_cast<int32_t>(i) < compute.min_nodes;
    counts.busy += busy ? 1 : 0;
    counts.current += busy || used_lately || kept ? 1 : 0;
  }
  return counts;
}

}  // namespace

Compute LocalDriver::CreateCompute(const Compute &wanted) {
  Compute compute = wanted;
  compute.Check();
  if (compute.name == kLocalCompute) {
    throw Error(Status::kAlreadyExists, "compute 'local' is this machine, and always there: choose another name");
  }
  if (!compute.hostfile.empty()) compute.hostfile = AbsolutePath(compute.hostfile);
  CompleteCompute(&compute);
  bool created = false;
  const Compute there = store()->computes().GetOrCreate(compute, &created);
  const Json asked = compute.ToJson(), has = there.ToJson();
  for (const auto &[key, value] : has.Members()) {
    const auto other = asked.Find(key);
    if (other && *other == value) continue;
    throw Error(Status::kAlreadyExists,
                "compute '" + there.name + "' exists already with another '" + key + "': it has " + value.Dump() +
                    (other ? ", asked for is " + other->Dump() : "") + "; delete it first, or get it as it is",
                {{"compute", there.name}, {"key", key}});
  }
  return there;
}

Compute LocalDriver::GetCompute(const std::string &name) {
  return FindCompute(name, store().get());
}

std::vector<std::string> LocalDriver::ListComputes() {
  std::vector<std::string> names = store()->computes().List();
  names.emplace_back(kLocalCompute);
  std::sort(names.begin(), names.end());
  return names;
}

void LocalDriver::DeleteCompute(const std::string &name) {
  if (name == kLocalCompute) {
    throw Error::InvalidState("compute 'local' is this machine: it cannot be deleted");
  }
  // Runs whose supervisor has died are no reason to keep it.
  RunFilter live;
  live.limit = 10000;
  for (int32_t state = 0; state <= static_cast<int32_t>(RunState::kPaused); ++state) {
    if (!IsFinal(static_cast<RunState>(state))) live.states.push_back(static_cast<RunState>(state));
  }
  for (const RunRecord &run : store()->runs().List(live).runs) {
    if (run.compute == name) GetState(run.id);
  }
  store()->computes().Delete(name);
}

std::string LocalDriver::ComputeStatus(const std::string &name) {
  const Compute compute = GetCompute(name);
  const NodeCounts counts = CountNodes(compute, CapacityOf(compute, location_, false));
  Json nodes = Json::Object();
  nodes.Set("current", counts.current)
      .Set("busy", counts.busy)
      .Set("idle", counts.current - counts.busy)
      .Set("minimum", compute.min_nodes)
      .Set("maximum", compute.max_nodes);
  Json json = Json::Object();
  json.Set("name", name).Set("state", counts.current > 0 ? "Ready" : "Idle").Set("nodes", nodes);
  json.Set("settings", compute.ToJson());
  return json.DumpPretty();
}

void LocalDriver::WaitCompute(const std::string &name, int32_t min_nodes, int64_t timeout_ms) {
  const int64_t start = MonotonicMs();
  for (;;) {
    const Compute compute = GetCompute(name);
    const std::string wanted = std::to_string(min_nodes) + " node(s) of compute '" + name + "'";
    if (min_nodes > compute.max_nodes) {
      throw Error::InvalidArgument(wanted + " are wanted, and it has at most " + std::to_string(compute.max_nodes));
    }
    const NodeCounts counts = CountNodes(compute, CapacityOf(compute, location_, false));
    if (counts.current >= min_nodes) return;
    const int64_t waited = MonotonicMs() - start;
    if (timeout_ms >= 0 && waited >= timeout_ms) {
      throw Error(Status::kTimeout,
                  wanted + " were wanted within " + std::to_string(timeout_ms) + " ms, and there are " +
                      std::to_string(counts.current) +
                      ": nodes above min_nodes come when runs need them; raise min_nodes, or wait for fewer",
                  {{"wanted", std::to_string(min_nodes)}, {"got", std::to_string(counts.current)}});
    }
    usleep(static_cast<useconds_t>(kLookEveryMs * 1000));
  }
}

}  // namespace trainyard
