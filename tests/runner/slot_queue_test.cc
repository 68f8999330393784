#include "runner/slot_queue.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

class SlotQueueTest : public testing::Test {
 protected:
  SlotQueueTest() {
    setenv("XDG_RUNTIME_DIR", directory_.path().c_str(), 1);
    slots_ = SlotDirectory();
  }
  ~SlotQueueTest() override {
    for (const pid_t pid : children_) End(pid);
  }

  // A process that waits for its turn, writes its name into the order file, and goes when the file "go-<name>" is
  // there.
  pid_t Start(const std::string &name, int32_t slots, int32_t count = 1) {
    const pid_t pid = fork();
    if (pid == 0) {
      SlotQueue queue(slots_, slots);
      SlotQueue::Wait wait{[] { return false; }, [&] { AppendFile(Waits(), name + "\n"); }};
      if (!queue.Acquire(count, wait)) _exit(1);
      AppendFile(Order(), name + "\n");
      while (!PathExists(directory_.path() + "/go-" + name)) usleep(1000);
      queue.Release();
      _exit(0);
    }
    children_.push_back(pid);
    // In line, or through already.
    while (!Has(Waits(), name) && !Has(Order(), name)) usleep(500);
    return pid;
  }
  void Go(const std::string &name) { WriteFileAtomic(directory_.path() + "/go-" + name, ""); }
  static void End(pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  std::string Order() const { return directory_.path() + "/order"; }
  std::string Waits() const { return directory_.path() + "/waits"; }
  static std::vector<std::string> Lines(const std::string &path) {
    const std::string text = ReadFileIfExists(path).value_or("");
    std::vector<std::string> lines;
    for (const std::string_view line : Split(Trim(text), '\n')) lines.emplace_back(line);
    return lines;
  }
  static bool Has(const std::string &path, const std::string &name) {
    const std::vector<std::string> lines = Lines(path);
    return std::find(lines.begin(), lines.end(), name) != lines.end();
  }
  void AwaitOrder(size_t count) {
    while (Lines(Order()).size() < count) usleep(1000);
  }
  size_t Tickets() const { return ListDir(slots_ + "/tickets").size(); }

  TempDir directory_;
  std::string slots_;
  std::vector<pid_t> children_;
};

TEST_F(SlotQueueTest, FreeSlotsAreTakenAtOnce) {
  SlotQueue first(slots_, 2), second(slots_, 2);
  SlotQueue::Wait wait{[] { return false; }, [] { FAIL() << "waited"; }};
  EXPECT_TRUE(first.Acquire(1, wait));
  EXPECT_TRUE(second.Acquire(1, wait));
  first.Release();
  EXPECT_TRUE(first.Acquire(1, wait));
  EXPECT_EQ(Tickets(), 1u);  // the counter
}

TEST_F(SlotQueueTest, MoreThanThereAreMeansAll) {
  SlotQueue queue(slots_, 2);
  EXPECT_TRUE(queue.Acquire(100, {[] { return false; }, [] { FAIL() << "waited"; }}));
}

TEST_F(SlotQueueTest, EightThroughTwoSlotsInOrder) {
  std::vector<std::string> names;
  for (int i = 0; i < 8; ++i) {
    names.push_back("run" + std::to_string(i));
    Start(names.back(), 2);
  }
  for (size_t i = 0; i < names.size(); ++i) {
    AwaitOrder(std::min(names.size(), i + 2));
    Go(names[i]);
  }
  for (const pid_t pid : children_) {
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
  }
  children_.clear();
  // The first two may be noted in either order.
  const std::vector<std::string> order = Lines(Order());
  EXPECT_EQ(std::vector<std::string>(order.begin() + 2, order.end()),
            std::vector<std::string>(names.begin() + 2, names.end()));
}

TEST_F(SlotQueueTest, WideRunIsNotOvertaken) {
  Start("narrow0", 2);
  Start("wide", 2, 2);
  Start("narrow1", 2);
  Go("narrow0");
  AwaitOrder(2);
  EXPECT_EQ(Lines(Order()), (std::vector<std::string>{"narrow0", "wide"}));
  Go("wide");
  AwaitOrder(3);
}

TEST_F(SlotQueueTest, KilledHolderAndKilledHeadGiveWay) {
  const pid_t holder = Start("holder", 1);
  const pid_t head = Start("head", 1);
  const pid_t second = Start("second", 1);
  Start("third", 1);
  End(head);
  End(second);
  End(holder);
  AwaitOrder(2);
  EXPECT_EQ(Lines(Order()), (std::vector<std::string>{"holder", "third"}));
}

TEST_F(SlotQueueTest, CanceledWaiterLeavesTheLine) {
  Start("holder", 1);
  Start("head", 1);
  static std::atomic<bool> canceled{false};
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigaction(SIGUSR1, &action, nullptr);
  std::atomic<bool> done{false};
  const pthread_t self = pthread_self();
  std::thread interrupter([&] {
    while (Lines(Waits()).size() < 2) usleep(1000);
    canceled = true;
    while (!done) {
      pthread_kill(self, SIGUSR1);
      usleep(5000);
    }
  });
  SlotQueue queue(slots_, 1);
  EXPECT_FALSE(queue.Acquire(1, {[] { return canceled.load(); }, [&] { AppendFile(Waits(), "me\n"); }}));
  done = true;
  interrupter.join();
  EXPECT_EQ(Tickets(), 2u);  // the counter and the head
  Go("holder");
  AwaitOrder(2);
}

}  // namespace
}  // namespace trainyard
