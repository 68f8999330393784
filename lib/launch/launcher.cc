#include "launch/launcher.h"

#include "core/run_id.h"
#include "launch/local/local_launcher.h"
#include "launch/local/nodes_launcher.h"
#include "launch/mpi/mpi_launcher.h"
#include "util/error.h"
#include "util/fs.h"

namespace trainyard {
namespace {

// Every way to start ranks.
constexpr LauncherRow kLaunchers[] = {
    {"local", &MakeLocalLauncher},  // one node: this process is its supervisor
    {"nodes", &MakeNodesLauncher},  // several simulated nodes of this machine
    {"mpi", &MakeMpiLauncher},      // Open MPI's mpirun, here or on several hosts
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

int32_t FirstRank(const LaunchRequest &request, int32_t node_rank) {
  int32_t rank = 0;
  for (int32_t node = 0; node < node_rank; ++node) rank += request.nodes[static_cast<size_t>(node)].process_count;
  return rank;
}

int32_t WorldSize(const LaunchRequest &request) {
  return FirstRank(request, static_cast<int32_t>(request.nodes.size()));
}

std::map<std::string, std::string> RankVariables(const LaunchRequest &request, int32_t node_rank, int32_t local_rank) {
  const int32_t number = FirstRank(request, node_rank) + local_rank;
  const std::string rank = std::to_string(number);
  const std::string node = std::to_string(node_rank);
  const std::string port = std::to_string(request.master_port);
  std::string addresses;
  for (const LaunchNode &entry : request.nodes) addresses += (addresses.empty() ? "" : ";") + entry.address;
  std::map<std::string, std::string> variables = {
      {"RANK", rank},
      {"LOCAL_RANK", std::to_string(local_rank)},
      {"NODE_RANK", node},
      {"GROUP_RANK", node},
      {"WORLD_SIZE", std::to_string(WorldSize(request))},
      {"LOCAL_WORLD_SIZE", std::to_string(request.nodes[static_cast<size_t>(node_rank)].process_count)},
      {"MASTER_ADDR", request.master_address},
      {"MASTER_PORT", port},
      {"AZ_BATCH_MASTER_NODE", request.master_address + ":" + port},
      {"AZ_BATCH_NODE_LIST", addresses},
      {"AZ_BATCH_IS_CURRENT_NODE_MASTER", node_rank == 0 ? "true" : "false"},
      {"AZ_BATCHAI_TASK_INDEX", rank},
      {"AZUREML_PROCESS_NAME", WorldSize(request) == 1 ? "main" : "rank_" + rank},
      {"AZUREML_DRIVERLOG_PATH", JoinPath(request.log_directory, StdLogName(number, WorldSize(request)))},
  };
  const auto &own = request.nodes[static_cast<size_t>(node_rank)].variables;
  variables.insert(own.begin(), own.end());
  return variables;
}

std::vector<std::string> RankVariableNames() {
  return {"RANK",
          "LOCAL_RANK",
          "NODE_RANK",
          "GROUP_RANK",
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
          "TRAINYARD_BACKEND",
          "AZUREML_*",
          "AZURE_ML_INPUT_*",
          "AZ_BATCH*",
          "TORCHELASTIC_*",
          "OMPI_COMM_WORLD_*",
          "OMPI_UNIVERSE_SIZE",
          "OMPI_APP_CTX_NUM_PROCS",
          "OMPI_FILE_LOCATION",
          "OMPI_FIRST_RANKS",
          "OMPI_NUM_APP_CTX",
          "OMPI_COMMAND",
          "OMPI_MCA_orte_*",
          "OMPI_MCA_ess*",
          "OMPI_MCA_pmix",
          "OMPI_MCA_initial_wdir",
          "OMPI_MCA_mpi_oversubscribe",
          "PMIX_*",
          "MLFLOW_RUN_ID"};
}

ProcessTreeQuery RunTreeQuery(const std::string &run_id, int64_t root) {
  return {root, kRunIdVariable, run_id, kSupervisorVariable};
}

}  // namespace trainyard
