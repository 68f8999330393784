// Deleting what is no longer wanted, in bulk. Look first (dry run), then delete. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/store.h"

namespace trainyard {

struct PruneRequest {
  bool dry_run = true;
  // Runs that ended before this time (0 = none); models made by them stay. A run goes with its descendants, once all of
  // them have ended: their last end counts.
  int64_t runs_ended_before_ms = 0;
  // Of each experiment the newest ended runs that stay, descendants not counted; a run goes when this or its age says
  // so. -1 = all stay.
  int64_t runs_to_keep = -1;
  std::string experiment;               // only runs of this experiment; empty = any
  int32_t model_versions_to_keep = -1;  // of each name, the newest; -1 = all
  int64_t environments_unused_before_ms = 0;
  bool objects = true;  // objects that nothing refers to any more (after the rest)
  int64_t object_grace_ms = ObjectStore::kGraceMs;
};

struct PruneReport {
  struct Part {
    int64_t count = 0;
    uint64_t bytes = 0;
    std::vector<std::string> names;  // run ids, "model:version", environment hashes, object hashes
  };
  Part runs, models, environments, objects;
};

PruneReport Prune(Store *store, const PruneRequest &request);

}  // namespace trainyard
