// One thread's number of compute threads is its own.
#include "engine_torch/train/threads.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <thread>

namespace trainyard {
namespace {

TEST(ThreadsTest, WhatAnotherThreadSetsIsItsOwn) {
  int here = 0, first = 0;
  // A new thread: its first parallel operation is still to come.
  std::thread([&] {
    SetComputeThreads(3);
    std::thread([&] {
      SetComputeThreads(1);
      first = at::get_num_threads();
    }).join();
    at::parallel_for(0, 2, 1, [](int64_t, int64_t) {});
    here = at::get_num_threads();
  }).join();
  EXPECT_EQ(first, 1);
  EXPECT_EQ(here, 3);
}

}  // namespace
}  // namespace trainyard
