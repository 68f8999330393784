#include "drivers/local/needs.h"

#include <algorithm>

#include "compute/machine.h"
#include "core/hostfile.h"
#include "util/boot.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hash.h"
#include "util/text.h"

namespace trainyard {
namespace {

int32_t ProcessesPerNode(const Job &job) {
  return job.distribution ? job.distribution->processes_per_node() : 1;
}

// The simulated nodes of a compute share the machine's GPUs out, in order.
std::vector<GpuDevice> GpusOfNode(const Compute &compute, int32_t node, const std::vector<GpuDevice> &machine) {
  const auto first = static_cast<size_t>(node) * static_cast<size_t>(compute.gpus);
  const size_t last = std::min(machine.size(), first + static_cast<size_t>(compute.gpus));
  if (first >= last) return {};
  return {machine.begin() + static_cast<std::ptrdiff_t>(first), machine.begin() + static_cast<std::ptrdiff_t>(last)};
}

// Of another host nothing is known but the number.
std::vector<GpuDevice> GpusOfHost(const Compute &compute, const std::string &address) {
  std::vector<GpuDevice> gpus;
  for (int32_t i = 0; i < compute.gpus; ++i) gpus.push_back({address + "-" + std::to_string(i), std::to_string(i), ""});
  return gpus;
}

std::vector<Host> HostsOf(const Compute &compute) {
  return ParseHostfile(ReadFile(compute.hostfile, 1 << 20), compute.hostfile);
}

// A run that looks for its place holds a descriptor for each slot and GPU of the compute.
void CheckPlaces(const Compute &compute, int64_t places) {
  const int64_t most = MostPlaces();
  if (places <= most) return;
  const std::string how =
      compute.name == kLocalCompute ? "set TRAINYARD_LOCAL_SLOTS to fewer" : "make it with fewer slots, GPUs or nodes";
  throw Error::InvalidArgument("compute '" + compute.name + "' has " + std::to_string(places) +
                                   " slots and GPUs on all of its nodes, and a run can have " + std::to_string(most) +
                                   " of them open: " + how + ", or raise the limit of open files (ulimit -Hn)",
                               {{"compute", compute.name}, {"key", "slots"}});
}

int64_t PlacesOf(const Capacity &capacity) {
  int64_t places = 0;
  for (const QueueNode &node : capacity.nodes) places += node.slots + static_cast<int64_t>(node.gpus.size());
  return places;
}

int32_t GpusPerNode(const Job &job, int32_t there) {
  return GpusFor(job.resources, job.train ? &*job.train : nullptr, there, ProcessesPerNode(job));
}

bool MayGetGpus(const Job &job) {
  return GpusPerNode(job, Resources::kMaxGpus) > 0;
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

Compute FindCompute(const std::string &name, Store *store) {
  if (name == kLocalCompute) {
    Compute local;
    local.name = name;
    local.slots = LocalSlotCount();
    local.gpus = static_cast<int32_t>(ListGpus().size());
    local.min_nodes = local.max_nodes = 1;
    return local;
  }
  if (auto compute = store->computes().Find(name)) return *std::move(compute);
  std::vector<std::string> names = store->computes().List();
  names.emplace_back(kLocalCompute);
  throw Error::NotFound(
      "compute '" + name + "' is not known" + DidYouMean(name, names) + "; known are: " + Join(names, ", "),
      {{"compute", name}});
}

void CompleteCompute(Compute *compute) {
  if (compute->kind == Compute::Kind::kMpi) {
    int64_t places = 0;
    const std::vector<Host> hosts = HostsOf(*compute);
    for (const Host &host : hosts) places += int64_t{host.slots} + compute->gpus;
    CheckPlaces(*compute, places);
    compute->min_nodes = compute->max_nodes = static_cast<int32_t>(hosts.size());
    return;
  }
  const int64_t wanted = int64_t{compute->gpus} * compute->max_nodes;
  const auto there = static_cast<int64_t>(compute->gpus > 0 ? ListGpus().size() : 0);
  if (wanted > there) {
    throw Error::InvalidArgument("compute '" + compute->name + "' would have " + std::to_string(compute->gpus) +
                                     " GPU(s) on each of " + std::to_string(compute->max_nodes) +
                                     " nodes, and this machine has " + std::to_string(there),
                                 {{"key", "gpus"}});
  }
  CheckPlaces(*compute, (int64_t{compute->slots} + compute->gpus) * compute->max_nodes);
}

Capacity CapacityOf(const Compute &compute, const std::string &workspace, bool with_gpus) {
  Capacity capacity;
  capacity.machine_directory = MachineDirectory();
  if (compute.name == kLocalCompute) {
    capacity.directory = capacity.machine_directory;
    capacity.nodes = {{HostName(), "127.0.0.1", compute.slots, with_gpus ? ListGpus() : std::vector<GpuDevice>()}};
    return capacity;
  }
  capacity.directory =
      capacity.machine_directory + "/computes/" + Sha256Hex(workspace).substr(0, 16) + "-" + compute.name;
  MakeDirs(capacity.Tickets());
  MakeDirs(capacity.Slots());
  if (compute.kind == Compute::Kind::kMpi) {
    for (const Host &host : HostsOf(compute)) {
      capacity.nodes.push_back({host.address, host.address, host.slots, GpusOfHost(compute, host.address)});
    }
    return capacity;
  }
  const std::vector<GpuDevice> gpus = with_gpus && compute.gpus > 0 ? ListGpus() : std::vector<GpuDevice>();
  for (int32_t i = 0; i < compute.max_nodes; ++i) {
    capacity.nodes.push_back({compute.name + "-" + std::to_string(i), "127.0.0." + std::to_string(i + 1), compute.slots,
                              GpusOfNode(compute, i, gpus)});
  }
  return capacity;
}

JobNeeds NeedsOf(const Job &job, Store *store) {
  JobNeeds needs;
  const Resources &resources = job.resources;
  needs.compute = FindCompute(job.compute, store);
  needs.capacity = CapacityOf(needs.compute, store->layout().Root(), MayGetGpus(job));
  needs.node_count = job.distribution ? job.distribution->node_count : 1;
  auto gpus = static_cast<int32_t>(needs.capacity.nodes[0].gpus.size());
  if (job.compute == kLocalCompute) gpus /= needs.node_count;  // the one machine stands for all of them
  needs.gpus_per_node = GpusPerNode(job, gpus);
  needs.ticket.priority = resources.priority;
  // A slot is a place for one process, or for one CPU of those asked for.
  Demand &demand = needs.ticket.demand;
  demand.nodes = needs.node_count;
  demand.slots = std::max(ProcessesPerNode(job), resources.cpus);
  demand.gpus = needs.gpus_per_node;
  if (job.compute == kLocalCompute) demand = {1, demand.nodes * demand.slots, demand.nodes * demand.gpus, false};
  demand.share_gpus = needs.gpus_per_node > 0 && resources.share_gpus;
  return needs;
}

void CheckNeeds(const Job &job, const JobNeeds &needs) {
  CheckPlaces(needs.compute, PlacesOf(needs.capacity));
  const bool mpi = job.distribution && job.distribution->kind == Distribution::Kind::kMpi;
  if (needs.compute.kind == Compute::Kind::kMpi && !mpi) {
    throw Error::InvalidArgument("the processes on compute '" + job.compute +
                                     "' are started by mpirun: give the job a distribution of ty_distribution_new_mpi",
                                 {{"compute", job.compute}});
  }
  if (job.compute != kLocalCompute) {
    const auto there = static_cast<int32_t>(needs.capacity.nodes.size());
    if (needs.node_count > there) {
      throw Error::InvalidArgument("the job asks for " + std::to_string(needs.node_count) + " nodes, and compute '" +
                                       job.compute + "' has at most " + std::to_string(there),
                                   {{"compute", job.compute}});
    }
    CheckCount(job, 1, "GPU(s) on a node", "ty_job_set_gpus", static_cast<uint64_t>(needs.gpus_per_node),
               static_cast<uint64_t>(needs.compute.gpus));
    CheckCount(job, 1, "CPU(s) on a node", "ty_job_set_cpus", static_cast<uint64_t>(job.resources.cpus),
               static_cast<uint64_t>(MostSlots(needs.capacity)));
    if (needs.compute.kind == Compute::Kind::kMpi) return;
  }
  uint64_t gpus = 0;
  for (const QueueNode &node : needs.capacity.nodes) gpus += node.gpus.size();
  CheckCount(job, needs.node_count, "GPU(s)", "ty_job_set_gpus", static_cast<uint64_t>(needs.gpus_per_node), gpus);
  CheckCount(job, needs.node_count, "CPU(s)", "ty_job_set_cpus", static_cast<uint64_t>(job.resources.cpus),
             UsableCpus().size());
  CheckCount(job, needs.node_count, "bytes of memory", "ty_job_set_memory", job.resources.memory_bytes, MemoryBytes());
}

std::vector<std::string> JobWarnings(const Job &job, const JobNeeds &needs) {
  std::vector<std::string> warnings;
  const int32_t processes = ProcessesPerNode(job);
  if (needs.gpus_per_node > 0 && processes > needs.gpus_per_node) {
    warnings.push_back(std::to_string(processes) + " processes on each node share " +
                       std::to_string(needs.gpus_per_node) + " GPU(s): a process for each GPU is usual");
  }
  if (job.train && job.train->GetString("model.mode") == "feature" && job.train->GetString("model.weights").empty()) {
    warnings.emplace_back(kRandomBackboneWarning);
  }
  return warnings;
}

}  // namespace trainyard
