// Puts a job's inputs in place and their paths where the job names them. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/job.h"
#include "store/store.h"
#include "util/fs.h"

namespace trainyard {

struct FetchedInputs {
  std::vector<std::string> read_only;         // paths outside the run's directory that ranks read
  std::map<std::string, std::string> sha256;  // of what URLs without a hash gave, by the input's name
  std::vector<UniqueFd> in_use;               // of the shared data, as long as ranks may read it
};

// Whether FetchInputs may take long.
bool NeedsFetch(const Job &job);

// <run>/inputs/NAME becomes a link to the data, or the run's own copy of it. In `job`: the variables of each input are
// set, ${{inputs.NAME}} and whole texts that are references to a datastore become paths. All nodes of a run see the
// run's directory, so once is enough for all of them. `go_on` false ends it with Error kCanceled.
FetchedInputs FetchInputs(Job *job, Store *store, const std::string &run_id, const std::function<bool()> &go_on);

}  // namespace trainyard
