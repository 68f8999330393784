// CPU, memory and GPU use of a run, as metrics in the supervisor's own journal (rank -1):
//   system/cpu_percent               of the run's processes; 100 = one CPU
//   system/memory_bytes              resident memory of the run's processes, shared pages counted in each
//   system/host_memory_bytes         in use on the machine (total less available)
//   system/gpu_utilization_percent   mean over the run's GPUs     system/gpu_memory_bytes  sum over them
// Thread rule: one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "compute/gpu.h"
#include "store/journal.h"
#include "util/process.h"

namespace trainyard {

class Sampler {
 public:
  Sampler(const std::string &journal_directory, int32_t attempt, std::vector<GpuDevice> run_gpus);

  // `processes` of the run that live now. Errors are logged, once: a full disk must not end the run.
  void Sample(const std::vector<ProcessInfo> &processes);
  void Close();

 private:
  void Append(const char *name, double value);

  JournalWriter journal_;
  const std::vector<GpuDevice> run_gpus_;
  std::unique_ptr<GpuMonitor> gpus_;
  bool gpus_opened_ = false;
  bool failed_ = false;
  bool has_memory_ = false;
  int64_t step_ = 0;
  int64_t last_time_ms_ = 0;
  double last_cpu_seconds_ = 0;
};

}  // namespace trainyard
