#include "runner/memory_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

namespace trainyard {
namespace {

constexpr size_t kBytes = size_t{64} << 20;

TEST(MemoryGuard, NamesWhatIsUsedAndWhatIsAllowed) {
  const MemoryGuard guard(uint64_t{100} << 20);
  EXPECT_FALSE(guard.Excess({}));
  EXPECT_THAT(guard.Message(uint64_t{150} << 20), testing::HasSubstr("use 150 MiB of memory"));
  EXPECT_THAT(guard.Message(uint64_t{150} << 20), testing::HasSubstr("allows 100 MiB"));
}

TEST(MemoryGuard, SharedPagesCountOnce) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "SKIP: ThreadSanitizer keeps shadow memory of each process's reads";
#endif
  // Workers of a data loader: forked from a process that has read its data.
  void *data = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(data, MAP_FAILED);
  std::memset(data, 1, kBytes);
  std::vector<ProcessInfo> processes = {*GetProcess(getpid())};
  std::vector<pid_t> workers;
  for (int i = 0; i < 3; ++i) {
    workers.push_back(fork());
    if (workers.back() == 0) {
      // Reads all of it, so that it is resident here too.
      volatile char sum = 0;
      for (size_t at = 0; at < kBytes; at += 4096) sum = static_cast<char>(sum + static_cast<char *>(data)[at]);
      for (;;) pause();
    }
  }
  for (const pid_t worker : workers) {
    while (GetProcess(worker)->resident_bytes < kBytes) usleep(1000);
    processes.push_back(*GetProcess(worker));
  }
  uint64_t resident = 0;
  for (const ProcessInfo &process : processes) resident += process.resident_bytes;
  EXPECT_GT(resident, 4 * kBytes);
  EXPECT_FALSE(MemoryGuard(3 * kBytes).Excess(processes)) << "pages of one mapping were counted several times";
  EXPECT_TRUE(MemoryGuard(kBytes / 2).Excess(processes));
  for (const pid_t worker : workers) {
    kill(worker, SIGKILL);
    waitpid(worker, nullptr, 0);
  }
  munmap(data, kBytes);
}

}  // namespace
}  // namespace trainyard
