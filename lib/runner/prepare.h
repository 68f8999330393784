// Everything between the submit and the first instruction of the ranks, but for the queue. Thread-safe.
#pragma once

#include <functional>
#include <string>

#include "core/job.h"
#include "core/run.h"
#include "store/store.h"

namespace trainyard {

// The working directory: the snapshot, with outputs/ and logs/ as real directories.
void PrepareCode(const RunRecord &run, Store *store);

// Whether ResolveWeights may take long (a download).
bool NeedsDownload(const Job &job, Store *store);
// The weights of a training job as a local file: downloads into <workspace>/cache/downloads/<sha256>, takes registered
// models out of the store. Empty when the job names none. `go_on` false ends a download with Error kCanceled.
std::string ResolveWeights(const Job &job, Store *store, const std::function<bool()> &go_on);

}  // namespace trainyard
