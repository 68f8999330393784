#include "core/distribution.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

using Kind = Distribution::Kind;

constexpr std::array<std::pair<Kind, const char *>, 3> kKindNames = {
    std::pair{Kind::kMpi, "mpi"}, std::pair{Kind::kPyTorch, "pytorch"},
    std::pair{Kind::kPyTorchPerNode, "pytorch_per_node"}};
constexpr int32_t kLastPort = 65535;

void CheckRange(const char *name, int64_t value, int64_t minimum, int64_t maximum) {
  if (value >= minimum && value <= maximum) return;
  throw Error::InvalidArgument("the " + std::string(name) + " must be from " + std::to_string(minimum) + " to " +
                               std::to_string(maximum) + ", got " + std::to_string(value));
}

Distribution Make(Kind kind, int32_t node_count, int32_t process_count) {
  Distribution distribution;
  distribution.kind = kind;
  distribution.node_count = node_count;
  distribution.process_count = process_count;
  return distribution;
}

int32_t Int32(const Json &json, std::string_view key, int32_t fallback) {
  const auto value = json.Find(key);
  if (!value) return fallback;
  return static_cast<int32_t>(value->AsInt64(std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()));
}

Kind KindFromJson(const Json &json) {
  const std::string name = json.GetString("type");
  for (const auto &[kind, known] : kKindNames) {
    if (name == known) return kind;
  }
  throw Error::InvalidArgument(json.path() + ".type must be 'mpi', 'pytorch' or 'pytorch_per_node', got '" + name + "'",
                               {{"key", json.path() + ".type"}});
}

}  // namespace

Distribution Distribution::Mpi(int32_t node_count, int32_t process_count_per_node) {
  CheckRange("node count", node_count, 1, kMaxNodes);
  CheckRange("process count per node", process_count_per_node, 1, kMaxProcesses);
  CheckRange("number of processes (nodes times processes per node)", int64_t{node_count} * process_count_per_node, 1,
             kMaxProcesses);
  return Make(Kind::kMpi, node_count, node_count * process_count_per_node);
}

Distribution Distribution::PyTorch(int32_t process_count, int32_t node_count) {
  CheckRange("node count", node_count, 1, kMaxNodes);
  if (process_count == 0) process_count = node_count;
  CheckRange("process count", process_count, 1, kMaxProcesses);
  if (process_count % node_count != 0) {
    const int32_t lower = process_count / node_count * node_count;
    const std::string nearest = (lower > 0 ? std::to_string(lower) + " or " : "") + std::to_string(lower + node_count);
    throw Error::InvalidArgument("the process count is the total of all nodes: " + std::to_string(process_count) +
                                 " processes cannot be spread evenly over " + std::to_string(node_count) +
                                 " nodes; take " + nearest);
  }
  return Make(Kind::kPyTorch, node_count, process_count);
}

Distribution Distribution::PyTorchPerNode(int32_t node_count) {
  CheckRange("node count", node_count, 1, kMaxNodes);
  return Make(Kind::kPyTorchPerNode, node_count, node_count);
}

void Distribution::SetBackend(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (!lower.empty() && lower != "nccl" && lower != "gloo") {
    throw Error::InvalidArgument("the backend must be 'nccl' or 'gloo', got '" + std::string(name) + "'");
  }
  if (!lower.empty() && kind == Kind::kMpi) {
    throw Error::InvalidArgument("an MPI distribution takes no backend: its processes talk through MPI");
  }
  backend = lower;
}

void Distribution::SetMasterPort(int32_t port) {
  CheckRange("master port (0 = chosen when the run starts)", port, 0, kLastPort);
  master_port = port;
}

void Distribution::SetMaxRestarts(int32_t count) {
  CheckRange("number of restarts", count, 0, std::numeric_limits<int32_t>::max());
  max_restarts = count;
}

Json Distribution::ToJson() const {
  Json json = Json::Object();
  for (const auto &[known, name] : kKindNames) {
    if (known == kind) json.Set("type", name);
  }
  json.Set("node_count", node_count);
  if (kind == Kind::kMpi) json.Set("process_count_per_node", processes_per_node());
  if (kind == Kind::kPyTorch) json.Set("process_count", process_count);
  if (!backend.empty()) json.Set("backend", backend);
  if (master_port != 0) json.Set("master_port", master_port);
  if (max_restarts != 0) json.Set("max_restarts", max_restarts);
  return json;
}

Distribution Distribution::FromJson(const Json &json) {
  const Kind kind = KindFromJson(json);
  const int32_t node_count = Int32(json, "node_count", 1);
  Distribution distribution;
  switch (kind) {
    case Kind::kMpi:
      json.CheckKeys({"type", "node_count", "process_count_per_node", "backend", "master_port", "max_restarts"});
      distribution = Mpi(node_count, Int32(json, "process_count_per_node", 1));
      break;
    case Kind::kPyTorch:
      json.CheckKeys({"type", "node_count", "process_count", "backend", "master_port", "max_restarts"});
      distribution = PyTorch(Int32(json, "process_count", 0), node_count);
      break;
    case Kind::kPyTorchPerNode:
      json.CheckKeys({"type", "node_count", "backend", "master_port", "max_restarts"});
      distribution = PyTorchPerNode(node_count);
      break;
  }
  distribution.SetBackend(json.GetString("backend", ""));
  distribution.SetMasterPort(Int32(json, "master_port", 0));
  distribution.SetMaxRestarts(Int32(json, "max_restarts", 0));
  return distribution;
}

}  // namespace trainyard
