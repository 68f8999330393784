// How ranks use an environment. Thread rule: a value that belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "launch/launcher.h"
#include "util/fs.h"

namespace trainyard {

// How containers are started: lib/runner/environment/container.h.
struct ContainerRun;

struct PreparedEnvironment {
  std::string kind = "system";                    // the row of Kinds()
  std::string python;                             // for scripts; empty = what the machine has
  std::vector<std::string> path;                  // in front of the ranks' PATH
  std::map<std::string, std::string> variables;   // of the ranks; the job's own win
  std::shared_ptr<const ContainerRun> container;  // none = ranks are processes of this machine
  UniqueFd in_use;                                // shared lock: nobody removes or remakes it meanwhile

  // PATH, and a container around the ranks' command that has the GPUs of their node and no others, and at most
  // `memory_bytes` of memory (0 = no limit). `read_only` are paths outside the run's directory that ranks read
  // (inputs); in a container they are where they are here.
  void Apply(const std::string &run_directory, const std::vector<std::string> &read_only, uint64_t memory_bytes,
             LaunchRequest *request) const;
  // After the ranks of a run have ended: removes what the container engine still has of them.
  void CleanUp(const std::string &run_id) const;
};

}  // namespace trainyard
