#include "runner/run_place.h"

#include <algorithm>
#include <cstdlib>

#include "util/fs.h"
#include "util/log.h"

namespace trainyard {
namespace {

QueuedRun Queued(const Job &job, const RunRecord &run, const JobNeeds &needs, Store *store, uint64_t number) {
  QueuedRun queued;
  queued.ticket = needs.ticket;
  queued.ticket.number = number;
  queued.id = run.id;
  if (job.resources.preemptible || needs.compute.low_priority)
    queued.yield_file = store->RunPaths(run.id).PreemptFile();
  return queued;
}

const char *Inherited(const char *name) {
  return std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here changes the environment
}

}  // namespace

std::map<std::string, std::string> GpuVariables(const std::vector<GpuDevice> &gpus) {
  std::string visible, ids;
  for (const GpuDevice &gpu : gpus) {
    visible += (visible.empty() ? "" : ",") + gpu.visible;
    ids += (ids.empty() ? "" : ",") + gpu.id;
  }
  // A run that one of the ranks submits is not bound to what this run has got.
  const char *outer = Inherited(kOuterGpusVariable);
  if (outer == nullptr) outer = Inherited("CUDA_VISIBLE_DEVICES");
  std::map<std::string, std::string> variables = {{"CUDA_VISIBLE_DEVICES", visible},
                                                  {"NVIDIA_VISIBLE_DEVICES", gpus.empty() ? "void" : ids},
                                                  {kOuterGpusVariable, outer == nullptr ? "all" : outer}};
  // The order that NVML's numbers are in; CUDA's own is by speed.
  if (!gpus.empty()) variables["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID";
  return variables;
}

RunPlace::RunPlace(const Job &job, const RunRecord &run, Store *store, uint64_t number, RunBeat *beat)
    : job_(job),
      beat_(beat),
      needs_(NeedsOf(job, store)),
      queue_(needs_.capacity, Queued(job, run, needs_, store, number)) {
  for (const std::string &warning : JobWarnings(job, needs_)) Log(LogLevel::kWarning, warning);
  CPU_ZERO(&all_cpus_);
  if (sched_getaffinity(0, sizeof all_cpus_, &all_cpus_) != 0) CPU_ZERO(&all_cpus_);
}

void RunPlace::Hold() {
  queue_.Hold();
  beat_->CallLater(kHoldMs, [this] { queue_.StepAside(); });
}

bool RunPlace::Await(const std::function<void()> &on_wait) {
  beat_->CallLater(0, nullptr);  // no stepping aside any more
  const RunBeat::Interruptible interruptible(beat_);
  SlotQueue::Wait wait;
  wait.canceled = [this] { return beat_->end_requested(); };
  wait.on_wait = on_wait;
  if (!queue_.Acquire(wait)) return false;
  if (wait.canceled()) {
    queue_.Release();
    return false;
  }
  beat_->CallLater(kHoldMs, [this] { queue_.Started(); });
  BindToCpus();
  return true;
}

void RunPlace::Started() {
  beat_->CallLater(0, nullptr);
  queue_.Started();
}

// This thread: the ranks that it starts are bound with it.
void RunPlace::BindToCpus() {
  const int32_t count = job_.resources.cpus * needs_.node_count;
  if (count == 0) return;
  cpus_ = LeaseCpus(needs_.capacity.machine_directory, count);
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int32_t cpu : cpus_.cpus) CPU_SET(static_cast<size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) Log(LogLevel::kWarning, "cannot bind the run to its CPUs");
  if (!cpus_.exclusive) Log(LogLevel::kInfo, "other runs are bound to some of this run's CPUs");
}

void RunPlace::Yield() {
  queue_.Hold();
  if (!cpus_.cpus.empty() && CPU_COUNT(&all_cpus_) > 0) sched_setaffinity(0, sizeof all_cpus_, &all_cpus_);
  cpus_ = {};
  queue_.Release();
}

std::vector<LaunchNode> RunPlace::Nodes() const {
  const std::vector<Grant::Node> &granted = queue_.grant().nodes;
  std::vector<LaunchNode> nodes;
  if (needs_.node_count == static_cast<int32_t>(granted.size())) {
    for (const Grant::Node &node : granted) {
      nodes.push_back({node.name, node.address, processes_per_node(), GpuVariables(node.gpus)});
    }
    return nodes;
  }
  // One machine that stands for several nodes: each has its share.
  const std::vector<GpuDevice> &gpus = granted.at(0).gpus;
  for (int32_t i = 0; i < needs_.node_count; ++i) {
    const auto first = gpus.begin() + static_cast<std::ptrdiff_t>(i) * needs_.gpus_per_node;
    nodes.push_back({"node" + std::to_string(i), "127.0.0." + std::to_string(i + 1), processes_per_node(),
                     GpuVariables({first, first + needs_.gpus_per_node})});
  }
  return nodes;
}

MpiOptions RunPlace::Mpi(const std::string &hostfile) const {
  MpiOptions mpi;
  if (needs_.compute.kind != Compute::Kind::kMpi) return mpi;
  mpi.hostfile = hostfile;
  mpi.options = needs_.compute.mpirun_options;
  std::string text;
  for (const Grant::Node &node : queue_.grant().nodes) {
    text += node.address + " slots=" + std::to_string(processes_per_node()) + "\n";
  }
  WriteFileAtomic(hostfile, text);
  return mpi;
}

std::vector<GpuDevice> RunPlace::Gpus() const {
  std::vector<GpuDevice> gpus;
  for (const Grant::Node &node : queue_.grant().nodes) gpus.insert(gpus.end(), node.gpus.begin(), node.gpus.end());
  return gpus;
}

std::map<std::string, std::string> RunPlace::Defaults() const {
  if (job_.resources.cpus == 0 || Inherited("OMP_NUM_THREADS") != nullptr) return {};
  return {{"OMP_NUM_THREADS", std::to_string(std::max(1, job_.resources.cpus / processes_per_node()))}};
}

}  // namespace trainyard
