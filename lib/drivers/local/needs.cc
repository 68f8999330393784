#include "drivers/local/needs.h"

#include <algorithm>

#include "compute/machine.h"
#include "util/boot.h"
#include "util/error.h"

namespace trainyard {
namespace {

int32_t ProcessesPerNode(const Job &job) {
  return job.distribution ? job.distribution->processes_per_node() : 1;
}

// This machine, as one node.
Capacity LocalCapacity(bool with_gpus) {
  Capacity capacity;
  capacity.machine_directory = MachineDirectory();
  capacity.directory = capacity.machine_directory;
  capacity.nodes = {{HostName(), "127.0.0.1", LocalSlotCount(), with_gpus ? ListGpus() : std::vector<GpuDevice>()}};
  return capacity;
}

bool MayGetGpus(const Job &job) {
  return GpusFor(job.resources, job.train ? &*job.train : nullptr, 1) > 0;
}

std::string OnEach(int32_t nodes) {
  return nodes == 1 ? "" : " on each of " + std::to_string(nodes) + " nodes";
}

void CheckCount(const Job &job, int32_t nodes, const char *what, const char *setter, uint64_t asked, uint64_t there) {
  if (asked * static_cast<uint64_t>(nodes) <= there) return;
  throw Error::InvalidArgument(
      "the job asks for " + std::to_string(asked) + " " + what + OnEach(nodes) + ", and compute '" + job.compute +
          "' has " + std::to_string(there) + ": ask for less with " + setter,
      {{"compute", job.compute}, {"asked", std::to_string(asked)}, {"there", std::to_string(there)}});
}

}  // namespace

JobNeeds NeedsOf(const Job &job, Store * /*store*/) {
  JobNeeds needs;
  const Resources &resources = job.resources;
  needs.capacity = LocalCapacity(MayGetGpus(job));
  needs.node_count = job.distribution ? job.distribution->node_count : 1;
  const auto gpus = static_cast<int32_t>(needs.capacity.nodes[0].gpus.size());
  needs.gpus_per_node = GpusFor(resources, job.train ? &*job.train : nullptr, gpus);
  needs.ticket.priority = resources.priority;
  // A slot is a place for one process, or for one CPU of those asked for.
  needs.ticket.demand.slots = needs.node_count * std::max(ProcessesPerNode(job), resources.cpus);
  needs.ticket.demand.gpus = needs.node_count * needs.gpus_per_node;
  needs.ticket.demand.share_gpus = needs.gpus_per_node > 0 && resources.share_gpus;
  return needs;
}

void CheckNeeds(const Job &job, const JobNeeds &needs) {
  const auto gpus = static_cast<uint64_t>(needs.capacity.nodes[0].gpus.size());
  CheckCount(job, needs.node_count, "GPU(s)", "ty_job_set_gpus", static_cast<uint64_t>(needs.gpus_per_node), gpus);
  CheckCount(job, needs.node_count, "CPU(s)", "ty_job_set_cpus", static_cast<uint64_t>(job.resources.cpus),
             UsableCpus().size());
  CheckCount(job, needs.node_count, "bytes of memory", "ty_job_set_memory", job.resources.memory_bytes, MemoryBytes());
}

std::vector<std::string> NeedsWarnings(const Job &job, const JobNeeds &needs) {
  std::vector<std::string> warnings;
  const int32_t processes = ProcessesPerNode(job);
  if (needs.gpus_per_node > 0 && processes > needs.gpus_per_node) {
    warnings.push_back(std::to_string(processes) + " processes on each node share " +
                       std::to_string(needs.gpus_per_node) + " GPU(s): a process for each GPU is usual");
  }
  return warnings;
}

}  // namespace trainyard
