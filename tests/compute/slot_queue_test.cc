// The queue among real processes: one per run, killed, canceled and ended in every order.
#include "compute/slot_queue.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "compute/machine.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

class SlotQueueTest : public testing::Test {
 protected:
  SlotQueueTest() {
    setenv("XDG_RUNTIME_DIR", directory_.path().c_str(), 1);
    machine_ = MachineDirectory();
  }
  ~SlotQueueTest() override {
    for (const pid_t pid : children_) End(pid);
  }

  // One node.
  Capacity Node(int32_t slots, int32_t gpus = 0) const {
    Capacity capacity{machine_, machine_, {{"node", "127.0.0.1", slots, {}}}};
    for (int32_t i = 0; i < gpus; ++i) {
      capacity.nodes[0].gpus.push_back({"gpu" + std::to_string(i), std::to_string(i), ""});
    }
    return capacity;
  }
  QueuedRun Run(const std::string &name, int32_t slots = 1, int32_t gpus = 0, int32_t priority = 0) const {
    QueuedRun run;
    run.id = name;
    run.ticket.priority = priority;
    run.ticket.demand.slots = slots;
    run.ticket.demand.gpus = gpus;
    return run;
  }
  QueuedRun Preemptible(QueuedRun run) const {
    run.yield_file = directory_.path() + "/yield-" + run.id;
    return run;
  }

  // A process that waits for its turn, writes its name into the order file, and goes when the file "go-<name>" is
  // there.
  pid_t Start(const Capacity &capacity, const QueuedRun &run) {
    const std::string &name = run.id;
    const pid_t pid = fork();
    if (pid == 0) {
      SlotQueue queue(capacity, run);
      SlotQueue::Wait wait{[] { return false; }, [&] { AppendFile(Waits(), name + "\n"); }};
      if (!queue.Acquire(wait)) _exit(1);
      std::string gpus;
      for (const GpuDevice &gpu : queue.grant().nodes[0].gpus) gpus += " " + gpu.id;
      AppendFile(directory_.path() + "/gpus", name + gpus + "\n");
      AppendFile(Order(), name + "\n");
      while (PathExists(directory_.path() + "/slow-" + name)) usleep(1000);
      queue.Started();
      while (!PathExists(directory_.path() + "/go-" + name)) usleep(1000);
      queue.Release();
      _exit(0);
    }
    children_.push_back(pid);
    // In line, or through already.
    while (!Has(Waits(), name) && !Has(Order(), name)) usleep(500);
    return pid;
  }
  pid_t Start(const std::string &name, int32_t slots, int32_t count = 1) {
    return Start(Node(slots), Run(name, count));
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
  size_t Tickets() const { return ListDir(machine_ + "/tickets").size(); }

  TempDir directory_;
  std::string machine_;
  std::vector<pid_t> children_;
};

const SlotQueue::Wait kNoWait{[] { return false; }, [] { FAIL() << "waited"; }};

TEST_F(SlotQueueTest, FreeSlotsAreTakenAtOnce) {
  SlotQueue first(Node(2), Run("first")), second(Node(2), Run("second"));
  EXPECT_TRUE(first.Acquire(kNoWait));
  first.Started();
  EXPECT_TRUE(second.Acquire(kNoWait));
  second.Started();
  first.Release();
  EXPECT_TRUE(first.Acquire(kNoWait));
  EXPECT_EQ(first.grant().nodes.at(0).slots, 1);
  EXPECT_EQ(Tickets(), 1u);  // the counter
}

TEST_F(SlotQueueTest, MoreThanThereAreMeansAll) {
  SlotQueue queue(Node(2), Run("wide", 100));
  EXPECT_TRUE(queue.Acquire(kNoWait));
  EXPECT_EQ(queue.grant().nodes.at(0).slots, 2);
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
  EXPECT_EQ(Lines(Order()), names);
}

TEST_F(SlotQueueTest, WhileOneStartsTheNextDoesNot) {
  WriteFileAtomic(directory_.path() + "/slow-first", "");
  const pid_t first = Start("first", 3);
  // All of them are in line, and have slots, before the first says that it has started.
  for (const char *name : {"second", "third"}) {
    const pid_t pid = fork();
    if (pid == 0) {
      SlotQueue queue(Node(3), Run(name));
      if (queue.Acquire({[] { return false; }, [] {}})) AppendFile(Order(), std::string(name) + "\n");
      _exit(0);
    }
    children_.push_back(pid);
    const size_t in_line = children_.size();  // and the counter, and not the first, which has left the line
    while (Tickets() < in_line) usleep(500);
  }
  usleep(20000);
  EXPECT_EQ(Lines(Order()), std::vector<std::string>{"first"});
  // A killed one lets them pass as well.
  End(first);
  AwaitOrder(3);
  EXPECT_EQ(Lines(Order()), (std::vector<std::string>{"first", "second", "third"}));
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
  SlotQueue queue(Node(1), Run("me"));
  EXPECT_FALSE(queue.Acquire({[] { return canceled.load(); }, [&] { AppendFile(Waits(), "me\n"); }}));
  done = true;
  interrupter.join();
  EXPECT_EQ(Tickets(), 2u);  // the counter and the head
  Go("holder");
  AwaitOrder(2);
}

TEST_F(SlotQueueTest, HigherPriorityIsFirstAndEqualsKeepTheirOrder) {
  Start(Node(1), Run("holder"));
  Start(Node(1), Run("low", 1, 0, -1));
  Start(Node(1), Run("first"));
  Start(Node(1), Run("second"));
  Start(Node(1), Run("high", 1, 0, 5));
  const std::vector<std::string> expected = {"holder", "high", "first", "second", "low"};
  for (size_t i = 0; i < expected.size(); ++i) {
    AwaitOrder(i + 1);
    Go(expected[i]);
  }
  EXPECT_EQ(Lines(Order()), expected);
}

TEST_F(SlotQueueTest, WideRunsOfASmallNodeTakeTurnsWithNarrowOnes) {
  // None of them starves: each comes when it is its turn.
  const std::vector<std::string> names = {"wide0", "narrow0", "wide1", "narrow1", "narrow2", "wide2"};
  for (const std::string &name : names) Start(name, 2, name[0] == 'w' ? 2 : 1);
  for (const std::string &name : names) {
    while (!Has(Order(), name)) usleep(1000);
    Go(name);
  }
  const std::vector<std::string> order = Lines(Order());
  EXPECT_EQ(order[0], "wide0");
  EXPECT_EQ(order[1], "narrow0");
  EXPECT_EQ(order[2], "wide1");
  EXPECT_EQ(order[5], "wide2");
}

TEST_F(SlotQueueTest, AGpuIsNeverGivenTwiceAndComesBackFromAKilledRun) {
  const pid_t a = Start(Node(8, 2), Run("a", 1, 1));
  Start(Node(8, 2), Run("b", 1, 1));
  Start(Node(8, 2), Run("c", 1, 2));
  Start(Node(8, 2), Run("d", 1, 1));  // would fit as soon as one is free, but does not pass c
  EXPECT_EQ(Lines(directory_.path() + "/gpus"), (std::vector<std::string>{"a gpu0", "b gpu1"}));
  End(a);
  Go("b");
  AwaitOrder(3);
  EXPECT_EQ(Lines(directory_.path() + "/gpus").back(), "c gpu0 gpu1");
  Go("c");
  AwaitOrder(4);
  EXPECT_EQ(Lines(directory_.path() + "/gpus").back(), "d gpu0");
}

TEST_F(SlotQueueTest, GpusAreSharedOnlyWhenAsked) {
  QueuedRun first = Run("first", 1, 1), second = Run("second", 1, 1), alone = Run("alone", 1, 1);
  first.ticket.demand.share_gpus = second.ticket.demand.share_gpus = true;
  Start(Node(8, 1), first);
  Start(Node(8, 1), second);
  AwaitOrder(2);
  Start(Node(8, 1), alone);
  EXPECT_FALSE(Has(Order(), "alone"));
  Go("first");
  Go("second");
  AwaitOrder(3);
}

TEST_F(SlotQueueTest, RunsWithoutGpusPassThoseThatWaitForOne) {
  Start(Node(3, 1), Run("holder", 1, 1));
  Start(Node(3, 1), Run("gpu0", 1, 1));
  Start(Node(3, 1), Run("gpu1", 1, 1));
  Start(Node(3, 1), Run("cpu0"));
  AwaitOrder(2);
  EXPECT_TRUE(Has(Order(), "cpu0"));
  // The last slot is the one that gpu0 will need.
  Start(Node(3, 1), Run("cpu1"));
  Go("holder");
  AwaitOrder(3);
  EXPECT_EQ(Lines(Order()).back(), "gpu0");
  usleep(20000);
  EXPECT_FALSE(Has(Order(), "cpu1")) << "the slot that is free now is gpu1's";
  Go("gpu0");
  AwaitOrder(5);
}

TEST_F(SlotQueueTest, TheOrderIsThatOfTheSubmits) {
  Ticket ticket;
  SubmitPlace first(machine_ + "/tickets", ticket), second(machine_ + "/tickets", ticket);
  EXPECT_LT(first.number(), second.number());
  QueuedRun early = Run("early"), late = Run("late");
  early.ticket.number = first.number();
  late.ticket.number = second.number();
  // The later one is ready first.
  Start(Node(1), late);
  EXPECT_FALSE(Has(Order(), "late"));
  Start(Node(1), early);
  EXPECT_TRUE(Has(Order(), "early"));
  first.Abandon();
  Go("early");
  AwaitOrder(2);
  second.Abandon();
}

TEST_F(SlotQueueTest, APlaceThatIsLeftIsPassedAndTakenAgain) {
  Start(Node(1), Run("holder"));
  QueuedRun slow = Run("slow");
  slow.ticket.number = 2;  // as submitted
  SlotQueue queue(Node(1), slow);
  queue.Hold();
  WriteFileAtomic(machine_ + "/tickets/counter", "2");
  Start(Node(1), Run("second"));
  queue.StepAside();
  Go("holder");
  AwaitOrder(2);
  EXPECT_EQ(Lines(Order()).back(), "second");
  Start(Node(1), Run("third"));
  queue.Hold();
  Go("second");
  EXPECT_TRUE(queue.Acquire({[] { return false; }, [] {}}));
  EXPECT_FALSE(Has(Order(), "third"));
  queue.Release();
  AwaitOrder(3);
}

TEST_F(SlotQueueTest, OnlyPreemptibleRunsOfLowerPriorityAreAskedForRoom) {
  Start(Node(3), Preemptible(Run("low0", 1, 0, -5)));
  Start(Node(3), Preemptible(Run("low1", 1, 0, -5)));
  Start(Node(3), Run("fixed", 1, 0, -9));
  Start(Node(3), Run("equal", 1, 0, -5));
  usleep(50000);
  EXPECT_FALSE(PathExists(directory_.path() + "/yield-low1"));
  Start(Node(3), Run("high"));
  while (!PathExists(directory_.path() + "/yield-low1")) usleep(1000);
  EXPECT_FALSE(PathExists(directory_.path() + "/yield-low0")) << "one is enough";
  Go("low1");
  AwaitOrder(4);
  EXPECT_EQ(Lines(Order()).back(), "high");
}

TEST_F(SlotQueueTest, SeveralNodesAreTakenTogether) {
  Capacity capacity{machine_, machine_, {{"n0", "127.0.0.1", 2, {}}, {"n1", "127.0.0.2", 2, {}}}};
  QueuedRun narrow = Run("narrow"), wide = Run("wide", 2), next = Run("next");
  wide.ticket.demand.nodes = 2;
  Start(capacity, narrow);
  Start(capacity, wide);
  Start(capacity, next);
  EXPECT_EQ(Lines(Order()), std::vector<std::string>{"narrow"});
  Go("narrow");
  AwaitOrder(2);
  EXPECT_EQ(Lines(Order()).back(), "wide");
  Go("wide");
  AwaitOrder(3);
}

}  // namespace
}  // namespace trainyard
