#include "store/event_stream.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "store/watcher.h"
#include "store_fixture.h"

namespace trainyard {
namespace {

using enum RunState;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitizer = true;
#else
constexpr bool kSanitizer = false;
#endif

std::string Describe(const Event &event) {
  switch (event.kind) {
    case kEventState:
      return std::string(RunStateName(event.state));
    case kEventLog:
      return "log" + std::to_string(event.rank) + ":" + event.text;
    case kEventMetric:
      return event.name + "@" + std::to_string(event.step) + event.text;
    default:
      return "progress:" + event.text;
  }
}

class EventStreamTest : public StoreTest {
 protected:
  void Log(std::string_view text, int rank = 0, int count = 1) {
    AppendFile(store().RunPaths("r1").StdLog(rank, count), text);
  }
  std::vector<std::string> Drain(EventReader *reader) {
    std::vector<std::string> all;
    while (const auto event = reader->Next()) all.push_back(Describe(*event));
    return all;
  }
  std::unique_ptr<EventReader> Open(std::string_view cursor = {}, uint32_t mask = kEventAll) {
    return std::make_unique<EventReader>(shared(), "r1", cursor, mask);
  }
  using Strings = std::vector<std::string>;
};

TEST_F(EventStreamTest, TellsEverythingOnceAndEndsWithTheFinalState) {
  MakeRun("r1", {});
  const auto reader = Open();
  EXPECT_EQ(Drain(reader.get()), Strings{"NotStarted"});
  store().runs().Transition("r1", kRunning);
  Log("one\ntw");
  EXPECT_EQ(Drain(reader.get()), (Strings{"Running", "log0:one"}));
  Log("o\r\n\n");
  JournalWriter writer(JournalDir("r1"), 0, 0);
  writer.Append("loss", 1);
  writer.Progress("{}");
  writer.Append("loss", 2);
  EXPECT_EQ(Drain(reader.get()), (Strings{"log0:two", "log0:", "loss@0", "progress:{}", "loss@1"}));
  EXPECT_EQ(Drain(reader.get()), Strings{});
  EXPECT_FALSE(reader->ended());
  Log("no end");
  writer.Append("loss", 3);
  writer.Close();
  EXPECT_EQ(Drain(reader.get()), Strings{"loss@2"});
  store().metrics().Fold("r1", true);
  store().runs().Transition("r1", kCompleted);
  EXPECT_EQ(Drain(reader.get()), (Strings{"log0:no end", "Completed"}));
  EXPECT_TRUE(reader->ended());
  EXPECT_EQ(reader->Next(), std::nullopt);
  const auto again = Open(reader->cursor());
  EXPECT_EQ(Drain(again.get()), Strings{});
  EXPECT_TRUE(again->ended());
}

// From every place, before and after folding, exactly what was left comes.
TEST_F(EventStreamTest, CursorsGoOnAnywhereAlsoAfterFolding) {
  MakeRun("r1");
  {
    JournalWriter writer(JournalDir("r1"), 0, 0, {8192});
    JournalWriter second(JournalDir("r1"), 1, 0, {8192});
    const std::vector<double> batch(7, 1.0);
    for (int i = 0; i < 60; ++i) {
      writer.Append("a", i);
      writer.AppendBatch("b", batch);
      if (i % 7 == 0) writer.Record(MetricKind::kRow, "rows", R"({"i":)" + std::to_string(i) + "}");
      if (i % 20 == 0) writer.Progress("{\"i\":" + std::to_string(i) + "}");
      second.Append("c", i);
      Log("line " + std::to_string(i) + "\n");
    }
  }
  ASSERT_GT(ListSegments(JournalDir("r1")).size(), 2u);
  const auto collect = [&](const std::string &cursor, Strings *cursors) {
    const auto reader = Open(cursor);
    std::map<std::string, Strings> by_source;
    while (const auto event = reader->Next()) {
      const char *source = event->kind == kEventState ? "s"
                           : event->kind == kEventLog ? "l"
                           : event->rank == 0         ? "0"
                                                      : "1";
      by_source[source].push_back(Describe(*event));
      if (cursors != nullptr) cursors->push_back(reader->cursor());
    }
    return by_source;
  };
  const auto tail_matches = [](const std::map<std::string, Strings> &all, const std::map<std::string, Strings> &rest) {
    for (const auto &[source, events] : rest) {
      const Strings &whole = all.at(source);
      if (events.size() > whole.size() || !std::equal(events.rbegin(), events.rend(), whole.rbegin())) return false;
    }
    return true;
  };
  const auto count = [](const std::map<std::string, Strings> &all) {
    size_t total = 0;
    for (const auto &[source, events] : all) total += events.size();
    return total;
  };
  Strings cursors;
  const auto live = collect("", &cursors);
  ASSERT_EQ(count(live), 2 + 60 * 8 + 9 + 3 + 60 + 60u);
  for (size_t i = 0; i < cursors.size(); i += 13) {
    const auto rest = collect(cursors[i], nullptr);
    ASSERT_EQ(count(rest), cursors.size() - i - 1) << cursors[i];
    ASSERT_TRUE(tail_matches(live, rest)) << cursors[i];
  }
  store().metrics().Fold("r1", true);
  EXPECT_EQ(collect("", nullptr), live);
  for (size_t i = 0; i < cursors.size(); i += 13) {
    const auto rest = collect(cursors[i], nullptr);
    ASSERT_EQ(count(rest), cursors.size() - i - 1) << cursors[i];
    ASSERT_TRUE(tail_matches(live, rest)) << cursors[i];
  }
}

TEST_F(EventStreamTest, FoldingUnderAReaderLosesNothing) {
  MakeRun("r1");
  JournalWriter writer(JournalDir("r1"), 0, 0, {8192});
  const auto reader = Open({}, kEventMetric);
  int64_t next = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 100; ++i) writer.Append("x", 1);
    if (round % 3 != 0) store().metrics().Fold("r1", false);
    for (int i = 0; i < 90; ++i) {
      const auto event = reader->Next();
      ASSERT_TRUE(event);
      ASSERT_EQ(event->step, next++);
    }
  }
  writer.Close();
  store().metrics().Fold("r1", true);
  store().runs().Transition("r1", kCompleted);
  while (const auto event = reader->Next()) ASSERT_EQ(event->step, next++);
  EXPECT_EQ(next, 2000);
  EXPECT_TRUE(reader->ended());
}

TEST_F(EventStreamTest, LongAndBadLines) {
  MakeRun("r1", {});
  std::string text(65535, 'a');
  text += "\xC3\xA9" + std::string(70000, 'b') + "\n" + "bad \xFF byte\n" + std::string("nul \0 byte\n", 11);
  Log(text);
  const auto reader = Open({}, kEventLog);
  const auto lines = Drain(reader.get());
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0], "log0:" + std::string(65535, 'a'));  // no character is cut
  EXPECT_EQ(lines[1], "log0:\xC3\xA9" + std::string(65534, 'b'));
  EXPECT_EQ(lines[2], "log0:" + std::string(70000 - 65534, 'b'));
  EXPECT_EQ(lines[3], "log0:bad \xEF\xBF\xBD byte");
  EXPECT_EQ(lines[4], "log0:nul \xEF\xBF\xBD byte");
}

TEST_F(EventStreamTest, PiecesOfALineSayThatItGoesOn) {
  MakeRun("r1", {});
  Log(std::string(140000, 'a') + "\nb\n" + std::string(65536, 'c') + "\n");
  const auto reader = Open({}, kEventLog);
  std::vector<bool> continued;
  while (const auto event = reader->Next()) continued.push_back(event->continued);
  EXPECT_EQ(continued, (std::vector<bool>{true, true, false, false, false}));
}

TEST_F(EventStreamTest, ALogThatItsRankEmptiesIsReadAnew) {
  MakeRun("r1", {});
  Log("one\ntwo\n");
  const auto reader = Open({}, kEventLog);
  EXPECT_EQ(Drain(reader.get()), (Strings{"log0:one", "log0:two"}));
  ASSERT_EQ(truncate(store().RunPaths("r1").StdLog(0, 1).c_str(), 0), 0);
  Log("new\n");
  EXPECT_EQ(Drain(reader.get()), Strings{"log0:new"});
}

TEST_F(EventStreamTest, APipeInTheLogsPlaceIsNotWaitedFor) {
  MakeRun("r1", {});
  Log("one\n");
  const auto reader = Open({}, kEventLog);
  EXPECT_EQ(Drain(reader.get()), Strings{"log0:one"});
  const std::string path = store().RunPaths("r1").StdLog(0, 1);
  RemoveFile(path);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(Drain(reader.get()), Strings{});
  EXPECT_EQ(Drain(Open({}, kEventLog).get()), Strings{});
}

TEST_F(EventStreamTest, EachRankHasItsLog) {
  RunRecord run = Record("r1");
  run.rank_count = 3;
  store().runs().Create(run);
  Log("x\n", 2, 3);
  Log("y\n", 0, 3);
  const auto reader = Open({}, kEventLog);
  EXPECT_EQ(Drain(reader.get()), (Strings{"log0:y", "log2:x"}));
}

TEST_F(EventStreamTest, MasksAndBadCursors) {
  MakeRun("r1");
  Log("x\n");
  EXPECT_EQ(Drain(Open({}, kEventState).get()), (Strings{"NotStarted", "Running"}));
  for (const char *bad :
       {"x", "1;r2;s1", "1;r1", "1;r1;q", "1;r1;s-1", "1;r1;l0", "1;r1;j0.0:1:2:3", "1;r1;;", "2;r1;s1"}) {
    EXPECT_EQ(StatusOf([&] { Open(bad); }), Status::kInvalidArgument) << bad;
  }
  EXPECT_EQ(StatusOf([&] { EventReader reader(shared(), "none", {}, kEventAll); }), Status::kNotFound);
  store().runs().Transition("r1", kFailed);
  const auto metrics_only = Open({}, kEventMetric);
  EXPECT_EQ(Drain(metrics_only.get()), Strings{});
  EXPECT_TRUE(metrics_only->ended());
}

class WatcherTest : public EventStreamTest, public testing::WithParamInterface<bool> {
 protected:
  WatcherTest() { SetInotifyExhaustedForTest(GetParam()); }
  ~WatcherTest() override { SetInotifyExhaustedForTest(false); }
};

INSTANTIATE_TEST_SUITE_P(Ways, WatcherTest, testing::Bool(),
                         [](const auto &info) { return info.param ? "Polling" : "Inotify"; });

TEST_P(WatcherTest, WakesForStatesLogsAndMetrics) {
  MakeRun("r1", {});
  const auto subscription = WatchRun(store().RunPaths("r1"));
  EXPECT_EQ(subscription->polling(), GetParam());
  const auto reader = Open();
  JournalWriter writer(JournalDir("r1"), 0, 0);
  writer.Append("x", 0);
  const auto expect_wake = [&](const char *what, const std::function<void()> &change) {
    do {
      subscription->Clear();
      while (reader->Next()) {
      }
    } while (subscription->Wait(60));  // quiet now
    change();
    bool seen = false;
    while (!seen && subscription->Wait(20000)) {
      subscription->Clear();
      seen = reader->Next().has_value();
    }
    EXPECT_TRUE(seen) << what;
  };
  expect_wake("state", [&] { store().runs().Transition("r1", kRunning); });
  expect_wake("log", [&] { Log("hello\n"); });
  expect_wake("metric", [&] { writer.Append("x", 1); });
  expect_wake("metric again", [&] { writer.Append("x", 2); });
  expect_wake("another writer", [&] { JournalWriter(JournalDir("r1"), 1, 0).Append("y", 1); });
  subscription->Wake();
  pollfd fd{subscription->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&fd, 1, 0), 1);
  EXPECT_EQ(poll(&fd, 1, 0), 1);  // level-triggered
}

TEST_P(WatcherTest, ManySubscriptionsComeAndGo) {
  for (int i = 0; i < 8; ++i) MakeRun("r" + std::to_string(i));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        const std::string id = "r" + std::to_string((t + i) % 8);
        const auto mine = WatchRun(store().RunPaths(id));
        const auto other = WatchRun(store().RunPaths("r0"));
        store().runs().RingBell(id);
        EXPECT_TRUE(mine->Wait(20000));
      }
    });
  }
  for (std::thread &thread : threads) thread.join();
}

TEST_P(WatcherTest, AForkedChildIsRefusedAndMayWatchAnew) {
  // Its allocator may be locked for ever in the child of a process with threads.
  if (kSanitizer) GTEST_SKIP() << "SKIP: forks beside a thread, which sanitizers cannot";
  MakeRun("r1");
  const auto subscription = WatchRun(store().RunPaths("r1"));
  const RunLayout layout = store().RunPaths("r1");
  EXPECT_EQ(InChild([&] {
              if (StatusOf([&] { subscription->Wait(0); }) != Status::kForked) return 1;
              const auto own = WatchRun(layout);
              AppendFile(layout.StdLog(0, 1), "x\n");
              return own->Wait(20000) ? 7 : 2;
            }),
            7);
}

TEST_P(WatcherTest, TheThreadTakesNoSignals) {
  MakeRun("r1");
  const auto subscription = WatchRun(store().RunPaths("r1"));
  int threads = 0;
  for (const DirEntry &entry : ListDir("/proc/self/task")) {
    if (entry.name == std::to_string(getpid())) continue;
    const std::string status = ReadFile("/proc/self/task/" + entry.name + "/status");
    const uint64_t blocked = std::stoull(status.substr(status.find("SigBlk:") + 7, 20), nullptr, 16);
    if ((blocked & (1u << (SIGCHLD - 1))) != 0 && (blocked & (1u << (SIGTERM - 1))) != 0) ++threads;
  }
  EXPECT_GE(threads, 1);
}

}  // namespace
}  // namespace trainyard
