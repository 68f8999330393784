// What the ranks of a run run on: its place in the queue, then the nodes, GPUs and CPUs it got, until they are given
// back. Thread rule: the supervisor's main thread.
#pragma once

#include <sched.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "compute/machine.h"
#include "compute/slot_queue.h"
#include "core/job.h"
#include "core/run.h"
#include "drivers/local/needs.h"
#include "launch/launcher.h"
#include "runner/run_beat.h"
#include "store/store.h"

namespace trainyard {

class RunPlace {
 public:
  // How long others wait for a run that was submitted before them and is still preparing, or launching its ranks.
  static constexpr int64_t kHoldMs = 5000;

  // `number`: the place that was taken at the submit; 0 = none was.
  RunPlace(const Job &job, const RunRecord &run, Store *store, uint64_t number, RunBeat *beat);
  RunPlace(const RunPlace &) = delete;
  RunPlace &operator=(const RunPlace &) = delete;
  ~RunPlace() { beat_->CallLater(0, nullptr); }

  // From now on runs submitted later wait for this one, for kHoldMs or until StepAside, which is for preparations that
  // are known to take long. The number is kept.
  void Hold();
  void StepAside() { queue_.StepAside(); }

  // Until it can start. `on_wait` is called once before it sleeps. False when the run is not wanted any more. The next
  // in line starts after Started, or kHoldMs later.
  bool Await(const std::function<void()> &on_wait);
  // The ranks are there and the record says so, or there will be none.
  void Started();
  // Lets others have everything, and stands in line again, where it stood before.
  void Yield();

  // As got, for the launcher.
  std::vector<LaunchNode> Nodes() const;
  // How mpirun reaches them; `hostfile` is written when they are other hosts.
  MpiOptions Mpi(const std::string &hostfile) const;
  std::vector<GpuDevice> Gpus() const;
  // Defaults of the ranks' environment that follow from what they got.
  std::map<std::string, std::string> Defaults() const;
  const std::string &machine_directory() const { return needs_.capacity.machine_directory; }

 private:
  void BindToCpus();
  int32_t processes_per_node() const { return job_.distribution ? job_.distribution->processes_per_node() : 1; }

  const Job &job_;
  RunBeat *beat_;
  const JobNeeds needs_;
  SlotQueue queue_;
  CpuLease cpus_;
  cpu_set_t all_cpus_{};  // before BindToCpus
};

// What says to the ranks of a node which GPUs are theirs.
std::map<std::string, std::string> GpuVariables(const std::vector<GpuDevice> &gpus);

}  // namespace trainyard
