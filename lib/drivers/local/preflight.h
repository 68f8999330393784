// What can be known of a job before it starts. Thread-safe.
#pragma once

#include <string>

#include "core/job.h"
#include "store/snapshot.h"
#include "store/store.h"

namespace trainyard {

// Makes every local path in the job absolute: the run starts in another directory.
void ResolvePaths(Job *job);

// Throws what would keep the job from starting: more than the compute has, source directory, program, data directories,
// weights, registered model.
void CheckBeforeSubmit(const Job &job, Store *store);
// The name of the Python that runs the job's script where no environment brings one: from the ranks' PATH. Error
// kNotFound when there is none.
std::string FindPython(const Job &job);

// How the job's source directory is taken.
SnapshotRequest SnapshotOf(const Job &job, Store *store);
// Takes it, and notes in `run` what is to be known of it: the snapshot, warnings, the git repository.
SnapshotManifest TakeSource(const SnapshotRequest &source, Store *store, RunRecord *run);

// Where model.weights of a training job comes from.
struct WeightsSource {
  enum class Kind { kNone, kFile, kUrl, kModel } kind = Kind::kNone;
  std::string path;         // kFile
  std::string url, sha256;  // kUrl; sha256 empty = not given
  std::string model;        // kModel
  int64_t version = 0;      // kModel; 0 = the latest
};
WeightsSource ParseWeights(const std::string &text);

// The file of a registered model that holds its weights: the only one, or the one that a training job writes. Error
// kNotFound.
std::string WeightsOfModel(const WeightsSource &source, Store *store);

}  // namespace trainyard
