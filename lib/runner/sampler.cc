#include "runner/sampler.h"

#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

namespace trainyard {
namespace {

double Seconds(const timeval &time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

// Of all that has ended and was collected, and of what lives: grows only, so short processes are not missed.
double CpuSeconds(const std::vector<ProcessInfo> &processes) {
  static const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  rusage ended{};
  getrusage(RUSAGE_CHILDREN, &ended);
  double seconds = Seconds(ended.ru_utime) + Seconds(ended.ru_stime);
  for (const ProcessInfo &process : processes) seconds += static_cast<double>(process.cpu_ticks) / ticks_per_second;
  return seconds;
}

uint64_t LargestEnded() {
  rusage ended{};
  getrusage(RUSAGE_CHILDREN, &ended);
  return static_cast<uint64_t>(ended.ru_maxrss) << 10;
}

uint64_t HostMemoryInUse() {
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  uint64_t kilobytes = 0, total = 0;
  while (file >> name >> kilobytes) {
    std::getline(file, unit);
    if (name == "MemTotal:") total = kilobytes;
    if (name == "MemAvailable:") return (total - kilobytes) * 1024;
  }
  return 0;
}

JournalOptions SmallJournal() {
  JournalOptions options;
  options.segment_bytes = 256 << 10;
  return options;
}

}  // namespace

Sampler::Sampler(const std::string &journal_directory, int32_t attempt, std::vector<GpuDevice> run_gpus)
    : journal_(journal_directory, -1, attempt, SmallJournal()), run_gpus_(std::move(run_gpus)) {
  last_time_ms_ = MonotonicMs();
  last_cpu_seconds_ = CpuSeconds({});
}

void Sampler::Append(const char *name, double value) {
  try {
    journal_.Append(name, value, step_);
  } catch (const Error &error) {
    if (!failed_) Log(LogLevel::kWarning, std::string("cannot record ") + name + ": " + error.what());
    failed_ = true;
  }
}

void Sampler::Sample(const std::vector<ProcessInfo> &processes) {
  const int64_t now = MonotonicMs();
  const double cpu_seconds = CpuSeconds(processes);
  const double elapsed = static_cast<double>(std::max<int64_t>(1, now - last_time_ms_)) / 1000;
  uint64_t resident = 0;
  for (const ProcessInfo &process : processes) resident += process.resident_bytes;
  Append("system/cpu_percent", std::max(0.0, cpu_seconds - last_cpu_seconds_) / elapsed * 100);
  // Not the zero of a process that has just been started, nor of the last sample, which comes when all have ended.
  if (resident > 0) {
    has_memory_ = true;
    Append("system/memory_bytes", static_cast<double>(resident));
  }
  Append("system/host_memory_bytes", static_cast<double>(HostMemoryInUse()));
  if (!gpus_opened_) {
    gpus_opened_ = true;
    gpus_ = GpuMonitor::Open(run_gpus_);
  }
  if (const auto gpu = gpus_ ? gpus_->Sample() : std::nullopt) {
    Append("system/gpu_utilization_percent", gpu->utilization_percent);
    Append("system/gpu_memory_bytes", static_cast<double>(gpu->memory_bytes));
  }
  ++step_;
  last_time_ms_ = now;
  last_cpu_seconds_ = cpu_seconds;
}

void Sampler::Close() {
  // Of a run too short to be seen at work: the largest process that was collected.
  if (!has_memory_) Append("system/memory_bytes", static_cast<double>(LargestEnded()));
  journal_.Close();
}

}  // namespace trainyard
