// What is told when MPI cannot be had, or is had already.
#include "engine_torch/parallel/mpi_collective.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "util/error.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

TEST(MpiCollective, WhatIsMissingIsNamed) {
  const auto message = [](const std::string &plugin) -> std::string {
    try {
      OpenCollective(0, 2, c10::kCPU, plugin);
    } catch (const Error &error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message("/nowhere/libtrainyard_torch_mpi.so"),
              HasSubstr("'/nowhere/libtrainyard_torch_mpi.so' is not there"));
  EXPECT_THAT(message("/proc/self/exe"), HasSubstr("MPI cannot be loaded"));
  EXPECT_THAT(message(TRAINYARD_MPI_PLUGIN), HasSubstr("uses MPI already"));
}

}  // namespace
}  // namespace trainyard
