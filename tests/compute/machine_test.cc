#include "compute/machine.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/error.h"

namespace trainyard {
namespace {

class MachineTest : public testing::Test {
 protected:
  MachineTest() { setenv("XDG_RUNTIME_DIR", directory_.path().c_str(), 1); }
  TempDir directory_;
};

TEST_F(MachineTest, DirectoryIsPrivateAndOurs) {
  const std::string path = MachineDirectory();
  EXPECT_EQ(path, directory_.path() + "/trainyard");
  EXPECT_EQ(Stat(path)->mode & 077, 0U);
  RemoveTree(path);
  WriteFileAtomic(path, "in the way");
  EXPECT_THROW(MachineDirectory(), Error);
}

TEST_F(MachineTest, SlotsAreTheCpusUnlessSaid) {
  unsetenv("TRAINYARD_LOCAL_SLOTS");
  EXPECT_EQ(LocalSlotCount(), static_cast<int32_t>(UsableCpus().size()));
  setenv("TRAINYARD_LOCAL_SLOTS", "3", 1);
  EXPECT_EQ(LocalSlotCount(), 3);
  setenv("TRAINYARD_LOCAL_SLOTS", "many", 1);
  EXPECT_THROW(LocalSlotCount(), Error);
  unsetenv("TRAINYARD_LOCAL_SLOTS");
  EXPECT_GT(MemoryBytes(), uint64_t{1} << 20);
}

TEST_F(MachineTest, SlotsAreNoMoreThanFilesCanBeOpen) {
  EXPECT_LE(MostPlaces(), 100000);
  EXPECT_GE(MostPlaces(), 1);
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{1024, 1024};
    _exit(setrlimit(RLIMIT_NOFILE, &limit) == 0 && MostPlaces() == 1024 - 128 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(MachineTest, CpusAreLeasedOnceWhileThereAreOthers) {
  const std::string machine = MachineDirectory();
  const auto all = static_cast<int32_t>(UsableCpus().size());
  const CpuLease first = LeaseCpus(machine, 1);
  ASSERT_EQ(first.cpus.size(), 1U);
  EXPECT_TRUE(first.exclusive);
  const CpuLease rest = LeaseCpus(machine, all);
  EXPECT_EQ(rest.cpus, UsableCpus());
  EXPECT_FALSE(rest.exclusive) << "the first one's is among them";
  if (all > 1) {
    const CpuLease none = LeaseCpus(machine, 0);
    EXPECT_TRUE(none.cpus.empty());
  }
}

}  // namespace
}  // namespace trainyard
