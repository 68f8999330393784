// How many processes on how many nodes, and who starts them. Thread rule: a value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "util/json.h"

namespace trainyard {

struct Distribution {
  enum class Kind : int32_t {
    kMpi = 0,            // mpirun starts every process
    kPyTorch = 1,        // every process is started with torch.distributed's variables
    kPyTorchPerNode = 2  // one command per node, which starts the processes itself (torchrun)
  };
  static constexpr int32_t kMaxProcesses = 1024;
  static constexpr int32_t kMaxNodes = 128;

  Kind kind = Kind::kPyTorch;
  int32_t node_count = 1;
  int32_t process_count = 1;  // in all, of those that are started here: one per node for kPyTorchPerNode
  std::string backend;        // "nccl", "gloo"; empty = the script's own choice
  int32_t master_port = 0;    // 0 = 6105 when it is free, else another one
  int32_t max_restarts = 0;   // of the whole group after a failure, before retries count

  int32_t processes_per_node() const { return process_count / node_count; }

  // Checked; the messages name the counts and what to change.
  static Distribution Mpi(int32_t node_count, int32_t process_count_per_node);
  static Distribution PyTorch(int32_t process_count, int32_t node_count);  // process_count 0 = node_count
  static Distribution PyTorchPerNode(int32_t node_count);
  void SetBackend(std::string_view name);  // "Nccl" or "Gloo" in any case, or empty
  void SetMasterPort(int32_t port);
  void SetMaxRestarts(int32_t count);

  // {"type", "node_count", "process_count" (of pytorch: in all) or "process_count_per_node" (of mpi), "backend",
  // "master_port", "max_restarts"}; what has its default is left out.
  Json ToJson() const;
  static Distribution FromJson(const Json &json);
};

}  // namespace trainyard
