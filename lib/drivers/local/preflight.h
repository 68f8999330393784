// What can be known of a job before it starts. Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/job.h"
#include "store/snapshot.h"
#include "store/store.h"
#include "util/error.h"

namespace trainyard {

// The settings of a training that name its data: directories, a manifest, or arrays (a file or a directory); or
// ${{inputs.NAME}} and a path below it.
inline constexpr const char kManifestKey[] = "data.manifest";
inline constexpr const char kArraysKey[] = "data.arrays";
inline constexpr const char *kDataPaths[] = {"data.directory", "data.train_directory", "data.validation_directory",
                                             kManifestKey, kArraysKey};

// Makes every local path in the job absolute: the run starts in another directory.
void ResolvePaths(Job *job);

// Throws what would keep the job from starting: more than the compute has, source directory, program, data directories,
// weights, registered model.
void CheckBeforeSubmit(const Job &job, Store *store);
// The name of the Python that runs the job's script where no environment brings one: from the ranks' PATH. Error
// kNotFound when there is none.
std::string FindPython(const Job &job);

// A text with ${{inputs.NAME}} as a path; nullopt when the input is fetched when the run starts. Error kInvalidArgument
// for an input that the job does not have.
std::optional<std::string> PathInInputs(const Job &job, const std::string &text);
// Puts paths in the place of inputs in a training's settings. False: some of its data is fetched when the run starts.
bool FindTrainingData(Job *job);

// Makes the sources of the job's inputs mean the same wherever and whenever the run starts, and finds their locations.
// Answers what is wrong with them, and with the datastores that the job's texts name: all of it, not the first alone.
std::vector<Error> SettleInputs(Job *job, Store *store);
// Throws them as one, with the status of the first; nothing when there are none.
void ThrowAll(const std::vector<Error> &problems);

// How the job's source directory is taken.
SnapshotRequest SnapshotOf(const Job &job, Store *store);
// Takes it, and notes in `run` what is to be known of it: the snapshot, warnings, the git repository.
SnapshotManifest TakeSource(const SnapshotRequest &source, Store *store, RunRecord *run);

// A weights URL with credentials is not kept: the supervisor gets it beside the secrets, under this name.
inline constexpr char kWeightsUrlSecret[] = "trainyard.weights_url";

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
