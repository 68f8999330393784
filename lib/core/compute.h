// Where jobs run: "local", which is this machine and always there, and the computes that a workspace has by name.
// Thread rule: values and functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "util/json.h"

namespace trainyard {

inline constexpr char kLocalCompute[] = "local";

struct Compute {
  enum class Kind : int32_t {
    kLocal = 0,  // nodes that are simulated on this machine
    kMpi = 1     // the hosts of a hostfile; mpirun starts the processes there
  };
  static constexpr int32_t kMaxNodes = 128;
  static constexpr int32_t kMaxSlots = 100000;

  std::string name;
  Kind kind = Kind::kLocal;
  std::string size;                       // what such a machine is called elsewhere; for people
  int32_t slots = 1;                      // of each node: processes, or CPUs asked for, at a time
  int32_t gpus = 0;                       // of each node
  int32_t min_nodes = 0, max_nodes = 1;   // kMpi: the number of hosts
  int64_t idle_ms = int64_t{30} * 60000;  // after which a node above min_nodes goes
  bool low_priority = false;              // its runs are preemptible
  std::string hostfile;                   // kMpi: absolute
  std::vector<std::string> mpirun_options;

  // Throws Error::InvalidArgument.
  void Check() const;
  // Without the name.
  Json ToJson() const;
  static Compute FromJson(std::string_view name, const Json &json);
};

// 1 to 32 of letters, digits and '-', starting with a letter. Throws Error::InvalidArgument.
void CheckComputeName(std::string_view name);

}  // namespace trainyard
