// Ranks in containers: the engine (podman or docker), images made of an environment, the command that starts a rank in
// one. Thread-safe.
//
// The engine is the first of these that works: TRAINYARD_CONTAINER_ENGINE (program and options, as in "podman
// --storage-driver vfs"); "engine" of <workspace>/container.json {"engine": [...], "run_options": [...]}; the rows of
// container_engine.cc. TRAINYARD_CONTAINER_RUN_OPTIONS or "run_options" are added to its run and build commands.
// Whether one works is found by running a program of 200 bytes in an image made of nothing else; the answer is kept in
// <workspace>/environments/container_engine.json until the machine is started again or the settings change.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launch/launcher.h"
#include "runner/environment/build_tools.h"
#include "store/layout.h"

namespace trainyard {

struct ContainerEngine {
  std::vector<std::string> command;      // program and its own options
  std::vector<std::string> run_options;  // of run and build
  bool is_podman() const;
};

struct ContainerRun {
  ContainerEngine engine;
  std::string image, shm_size;
  std::vector<std::string> arguments;  // the environment's
};

// Throws Error kUnsupported with each engine's own words.
ContainerEngine FindContainerEngine(const Layout &workspace, BuildTools *tools);

struct ContainerShare {
  std::string run_directory;           // there as here, for reading and writing
  std::vector<std::string> read_only;  // there as here
  std::vector<std::string> gpus;       // numbers in PCI order, or ids of MIG parts; no others are seen inside
  uint64_t memory_bytes = 0;           // 0 = no limit
};
// What is put in front of a rank's command: same paths, same user, the variables of the request and of the launcher by
// name, so that no value is in a command line.
std::vector<std::string> ContainerCommand(const ContainerRun &container, const ContainerShare &share,
                                          const LaunchRequest &request);
void RemoveContainers(const ContainerRun &container, const std::string &run_id);

}  // namespace trainyard
