#include "launch/launcher.h"

#include "launch/local/local_launcher.h"
#include "util/error.h"

namespace trainyard {
namespace {

// Every way to start ranks.
constexpr LauncherRow kLaunchers[] = {
    {"local", &MakeLocalLauncher},
};

}  // namespace

std::span<const LauncherRow> Launchers() {
  return kLaunchers;
}

std::unique_ptr<Launcher> MakeLauncher(std::string_view name) {
  std::string known;
  for (const LauncherRow &row : kLaunchers) {
    if (row.name == name) return row.make();
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  throw Error(Status::kUnsupported, "no launcher '" + std::string(name) + "'; known are: " + known);
}

std::map<std::string, std::string> RankVariables(const LaunchRequest &request, int32_t node_rank, int32_t local_rank) {
  int32_t world_size = 0;
  int32_t rank = local_rank;
  for (size_t i = 0; i < request.nodes.size(); ++i) {
    world_size += request.nodes[i].process_count;
    if (static_cast<int32_t>(i) < node_rank) rank += request.nodes[i].process_count;
  }
  return {
      {"RANK", std::to_string(rank)},
      {"LOCAL_RANK", std::to_string(local_rank)},
      {"NODE_RANK", std::to_string(node_rank)},
      {"WORLD_SIZE", std::to_string(world_size)},
      {"LOCAL_WORLD_SIZE", std::to_string(request.nodes[static_cast<size_t>(node_rank)].process_count)},
      {"MASTER_ADDR", request.master_address},
      {"MASTER_PORT", std::to_string(request.master_port)},
  };
}

std::vector<std::string> RankVariableNames() {
  return {"RANK",
          "LOCAL_RANK",
          "NODE_RANK",
          "WORLD_SIZE",
          "LOCAL_WORLD_SIZE",
          "MASTER_ADDR",
          "MASTER_PORT",
          kRunIdVariable,
          kSupervisorVariable,
          "TRAINYARD_WORKSPACE",
          "TRAINYARD_EXPERIMENT",
          "TRAINYARD_JOURNAL_DIR",
          "TRAINYARD_ATTEMPT",
          "TRAINYARD_RUN_DIR",
          "TRAINYARD_LIBRARY",
          "AZUREML_*",
          "MLFLOW_RUN_ID"};
}

ProcessTreeQuery RunTreeQuery(const std::string &run_id, int64_t root) {
  return {root, kRunIdVariable, run_id, kSupervisorVariable};
}

}  // namespace trainyard
