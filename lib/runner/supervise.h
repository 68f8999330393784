// `trainyard-runner supervise`: one run from its submit to its final state. Thread rule: called once, by the main
// thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace trainyard {

struct SuperviseOptions {
  std::string workspace;
  std::string run_id;
  std::map<std::string, std::string> secrets;
  uint64_t place = 0;  // in the queue, as taken at the submit; 0 = none was
  int result_fd = -1;  // gets "ok ..." once the run is in our hands
};

// Returns the exit status of the process.
int Supervise(const SuperviseOptions &options);

}  // namespace trainyard
