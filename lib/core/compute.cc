#include "core/compute.h"

#include <algorithm>
#include <cctype>

#include "util/error.h"

namespace trainyard {
namespace {

int32_t Int32(const Json &json, int32_t minimum, int32_t maximum) {
  return static_cast<int32_t>(json.AsInt64(minimum, maximum));
}

Compute::Kind KindFromText(const std::string &text) {
  if (text == "local") return Compute::Kind::kLocal;
  if (text == "mpi") return Compute::Kind::kMpi;
  throw Error::InvalidArgument("a compute's kind must be local or mpi, got '" + text + "'", {{"key", "kind"}});
}

bool IsLetterOrDigit(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

}  // namespace

void CheckComputeName(std::string_view name) {
  const bool letters = std::all_of(name.begin(), name.end(), [](char c) { return IsLetterOrDigit(c) || c == '-'; });
  if (!name.empty() && name.size() <= 32 && letters && std::isalpha(static_cast<unsigned char>(name[0])) != 0) return;
  throw Error::InvalidArgument("the compute name '" + std::string(name.substr(0, 64)) +
                               "' must be 1 to 32 of letters, digits and '-', starting with a letter");
}

void Compute::Check() const {
  CheckComputeName(name);
  if (min_nodes > max_nodes) {
    throw Error::InvalidArgument("compute '" + name + "' has at least " + std::to_string(min_nodes) +
                                 " nodes and at most " + std::to_string(max_nodes) + ": min_nodes is too large");
  }
  if (kind == Kind::kMpi && hostfile.empty()) {
    throw Error::InvalidArgument("compute '" + name + "' is of kind mpi and needs a hostfile", {{"key", "hostfile"}});
  }
  if (kind == Kind::kLocal && (!hostfile.empty() || !mpirun_options.empty())) {
    throw Error::InvalidArgument("compute '" + name +
                                 "' is of kind local: hostfile and mpirun_options are for kind mpi");
  }
}

Json Compute::ToJson() const {
  Json json = Json::Object();
  json.Set("kind", kind == Kind::kMpi ? "mpi" : "local").Set("size", size).Set("slots", slots).Set("gpus", gpus);
  json.Set("min_nodes", min_nodes).Set("max_nodes", max_nodes).Set("idle_ms", idle_ms);
  json.Set("low_priority", low_priority);
  if (kind == Kind::kMpi) json.Set("hostfile", hostfile).Set("mpirun_options", mpirun_options);
  return json;
}

Compute Compute::FromJson(std::string_view name, const Json &json) {
  json.CheckKeys({"kind", "size", "slots", "gpus", "min_nodes", "max_nodes", "idle_ms", "low_priority", "hostfile",
                  "mpirun_options"});
  Compute compute;
  compute.name = name;
  compute.kind = KindFromText(json.GetString("kind", "local"));
  compute.size = json.GetString("size", "");
  if (auto v = json.Find("slots")) compute.slots = Int32(*v, 1, kMaxSlots);
  if (auto v = json.Find("gpus")) compute.gpus = Int32(*v, 0, 1024);
  if (auto v = json.Find("max_nodes")) compute.max_nodes = Int32(*v, 1, kMaxNodes);
  if (auto v = json.Find("min_nodes")) compute.min_nodes = Int32(*v, 0, kMaxNodes);
  if (auto v = json.Find("idle_ms")) compute.idle_ms = v->AsInt64(0);
  compute.low_priority = json.GetBool("low_priority", false);
  compute.hostfile = json.GetString("hostfile", "");
  compute.mpirun_options = json.GetStringList("mpirun_options");
  compute.Check();
  return compute;
}

}  // namespace trainyard
