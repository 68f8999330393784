#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "engine_torch/parallel/two_ranks.h"

namespace trainyard {
namespace {

Ranks *ranks = nullptr;

}  // namespace

Ranks &TwoRanks() {
  return *ranks;
}

}  // namespace trainyard

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  const char *rank = std::getenv("OMPI_COMM_WORLD_RANK");
  if (rank == nullptr) {
    std::fprintf(stderr, "start this with mpirun -np 2\n");
    return 2;
  }
  at::set_num_threads(1);
  try {
    trainyard::Ranks two(trainyard::OpenCollective(std::atoi(rank), 2, c10::kCPU, TRAINYARD_MPI_PLUGIN));
    trainyard::ranks = &two;
    if (!two.leads()) testing::GTEST_FLAG(output) = "";  // one file of results
    const int result = RUN_ALL_TESTS();
    const bool failed = two.Any(result != 0);
    two.Close();
    return failed ? 1 : 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "rank %s: %s\n", rank, error.what());
    return 1;
  }
}
