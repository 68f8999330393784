// Two ranks by way of a process group: this program starts itself twice, with the variables that launchers set.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "engine_torch/parallel/store_group.h"
#include "engine_torch/parallel/two_ranks.h"

namespace trainyard {
namespace {

Ranks *ranks = nullptr;

// Bytes: what the host asks goes over the line, tensors by the group.
constexpr size_t kMostOnLine = 64;

int StartBoth(char **argv) {
  const std::string port = std::to_string(ListenForRanks().port);  // free a moment ago
  pid_t children[2];
  for (int rank = 0; rank < 2; ++rank) {
    children[rank] = fork();
    if (children[rank] != 0) continue;
    setenv("RANK", std::to_string(rank).c_str(), 1);
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    setenv("MASTER_PORT", port.c_str(), 1);
    execv("/proc/self/exe", argv);
    _exit(127);
  }
  int failures = 0;
  for (const pid_t child : children) {
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) ++failures;
  }
  return failures == 0 ? 0 : 1;
}

int RunRank(int rank) {
  Meeting meeting = MeetOtherRanks(rank, 2, PlaceOfMeeting());
  Ranks two(OpenGroupCollective(rank, 2, c10::kCPU, std::move(meeting), MakeStoreGroup(rank, 2), kMostOnLine));
  ranks = &two;
  if (!two.leads()) testing::GTEST_FLAG(output) = "";  // one file of results
  const int result = RUN_ALL_TESTS();
  const bool failed = two.Any(result != 0);
  two.Close();
  return failed ? 1 : 0;
}

}  // namespace

Ranks &TwoRanks() {
  return *ranks;
}

}  // namespace trainyard

int main(int argc, char **argv) {
  const char *rank = std::getenv("RANK");
  if (rank == nullptr) return trainyard::StartBoth(argv);
  testing::InitGoogleTest(&argc, argv);
  at::set_num_threads(1);
  try {
    return trainyard::RunRank(std::atoi(rank));
  } catch (const std::exception &error) {
    std::fprintf(stderr, "rank %s: %s\n", rank, error.what());
    return 1;
  }
}
