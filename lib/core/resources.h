// What a job asks of the machines it runs on. Thread rule: a value.
#pragma once

#include <cstdint>
#include <optional>

#include "core/train_config.h"
#include "util/json.h"

namespace trainyard {

struct Resources {
  static constexpr int32_t kMaxGpus = 1024, kMaxCpus = 65536, kMaxPriority = 1000000;

  std::optional<int32_t> gpus;                     // on each node; unset: see GpusFor
  bool share_gpus = false;                         // together with other runs that share theirs
  int32_t cpus = 0;                                // on each node; 0 = no demand
  uint64_t memory_bytes = 0;                       // on each node; 0 = no limit
  int32_t priority = 0;                            // higher first
  bool preemptible = false;                        // may be interrupted for a run of higher priority
  int64_t time_limit_ms = int64_t{30} * 86400000;  // of the ranks, from Running on; 30 days

  // Throws Error::InvalidArgument.
  void Check() const;

  Json ToJson() const;
  static Resources FromJson(const Json &json);
};

// The GPUs that a job gets on each node where a node has `there`: what it asks for. A job that says nothing gets none,
// but a training job (`train`) gets what its device needs: none for cpu, one for cuda, N+1 for cuda:N, and for auto one
// when there is any, so that where it trains does not depend on who else is running. Of several ranks on a node
// (`processes`) each needs one, and for auto they get them where there is one for each.
int32_t GpusFor(const Resources &resources, const TrainConfig *train, int32_t there, int32_t processes = 1);

// A training job's device and the GPUs asked for must fit together. Throws Error::InvalidArgument.
void CheckDevice(const Resources &resources, const TrainConfig &train);

}  // namespace trainyard
