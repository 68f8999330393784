// event.h: nothing is lost, in order, by cursor, with a descriptor and a callback.
#include <poll.h>

#include <atomic>
#include <map>

#include "capi/api.h"

namespace trainyard_test {
namespace {

struct Told {
  int32_t kind = 0;
  int32_t rank = 0;
  ty_run_state state = 0;
  std::string text, name;
  int64_t step = 0;
  double value = 0;
};

class EventRunTest : public WorkspaceTest {
 protected:
  Stream Follow(const TyRun &run, int32_t mask = TY_EVENT_ALL, const char *cursor = nullptr) {
    Stream stream;
    EXPECT_OK(ty_run_events(run, cursor, mask, stream.out(), err));
    return stream;
  }
  // The next event; `kind` 0 = none within the time, -1 = the end.
  Told Next(const Stream &stream, int64_t timeout_ms = TY_WAIT_FOREVER) {
    const ty_event *event = reinterpret_cast<const ty_event *>(1);
    const ty_status status = ty_event_stream_next(stream, timeout_ms, &event, err);
    Told told;
    if (status == TY_END) told.kind = -1;
    if (status != TY_OK || event == nullptr) {
      EXPECT_TRUE(status == TY_OK || status == TY_END) << err.message();
      EXPECT_EQ(event, nullptr);
      return told;
    }
    EXPECT_EQ(event->struct_size, sizeof(ty_event));
    EXPECT_GT(event->time_ms, 1600000000000);
    EXPECT_EQ(event->text_size, std::string(event->text, event->text_size).size());
    EXPECT_EQ(event->text[event->text_size], '\0');
    return {event->kind, event->rank, event->state, std::string(event->text, event->text_size),
            event->name, event->step, event->value};
  }
  std::vector<Told> Rest(const Stream &stream) {
    std::vector<Told> all;
    for (Told told = Next(stream); told.kind > 0; told = Next(stream)) all.push_back(told);
    return all;
  }
  std::vector<std::string> Texts(const std::vector<Told> &all, int32_t kind) {
    std::vector<std::string> texts;
    for (const Told &told : all) {
      if (told.kind == kind) texts.push_back(told.text);
    }
    return texts;
  }
  static std::vector<std::string> Numbers(int from, int to) {
    std::vector<std::string> numbers;
    for (int i = from; i <= to; ++i) numbers.push_back(std::to_string(i));
    return numbers;
  }
};

TEST_F(EventRunTest, EveryLineIsToldOnceInOrder) {
  const TyRun run = Submit("seq 1 20000");
  const Stream stream = Follow(run);
  const std::vector<Told> all = Rest(stream);
  EXPECT_EQ(Texts(all, TY_EVENT_LOG), Numbers(1, 20000));
  EXPECT_EQ(all.back().kind, TY_EVENT_STATE) << "the final state comes last";
  EXPECT_EQ(all.back().state, TY_RUN_COMPLETED);
  EXPECT_EQ(all.back().text, "Completed");
  EXPECT_EQ(Next(stream).kind, -1);
  EXPECT_EQ(Next(stream, 0).kind, -1) << "the end stays the end";
  EXPECT_EQ(Texts(Rest(Follow(run, TY_EVENT_LOG)), TY_EVENT_LOG), Numbers(1, 20000)) << "after the run, only logs";
}

TEST_F(EventRunTest, StatesComeInOrder) {
  const TyRun run = Submit("true");
  std::vector<std::string> states = Texts(Rest(Follow(run, TY_EVENT_STATE)), TY_EVENT_STATE);
  ASSERT_GE(states.size(), 4U);
  EXPECT_EQ(states.back(), "Completed");
  const std::vector<std::string> order = {"NotStarted", "Starting",   "Preparing", "Queued",
                                          "Running",    "Finalizing", "Completed"};
  size_t place = 0;
  for (const std::string &state : states) {
    const auto found = std::find(order.begin() + static_cast<std::ptrdiff_t>(place), order.end(), state);
    ASSERT_NE(found, order.end()) << state << " in " << ::testing::PrintToString(states);
    place = static_cast<size_t>(found - order.begin());
  }
  EXPECT_EQ(std::count(states.begin(), states.end(), "Running"), 1);
}

TEST_F(EventRunTest, MetricsAndProgressOfARank) {
  const TyRun run = Submit(std::string("'") + RANK_PROGRAM + "' metrics 1000");
  std::vector<Told> points, progress;
  for (const Told &told : Rest(Follow(run, TY_EVENT_METRIC | TY_EVENT_PROGRESS))) {
    if (told.kind == TY_EVENT_METRIC && told.name == "loss") points.push_back(told);
    if (told.kind == TY_EVENT_PROGRESS) progress.push_back(told);
    EXPECT_TRUE(told.kind == TY_EVENT_METRIC || told.kind == TY_EVENT_PROGRESS) << told.kind;
  }
  ASSERT_EQ(points.size(), 1000U);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(points[i].step, i);
    ASSERT_EQ(points[i].value, 1.0 / (i + 1));
    ASSERT_EQ(points[i].rank, 0);
  }
  ASSERT_EQ(progress.size(), 10U);
  EXPECT_EQ(progress[3].text, R"({"step":300,"steps":1000})");
}

TEST_F(EventRunTest, ACursorGoesOnInAnotherProcess) {
  const TyRun run = Submit("seq 1 500; while [ ! -e '" + (directory / "go") + "' ]; do sleep 0.01; done; seq 501 1000");
  Stream stream = Follow(run, TY_EVENT_LOG);
  for (int i = 1; i <= 123; ++i) ASSERT_EQ(Next(stream).text, std::to_string(i));
  Text cursor;
  ASSERT_OK(ty_event_stream_cursor(stream, cursor.out(), err));
  stream.reset();
  WriteAll(directory / "go", "");
  const Output output = RunProgram({OTHER_PROCESS, "lines", WorkspacePath(), ty_run_id(run), cursor.str()});
  std::string expected;
  for (const std::string &number : Numbers(124, 1000)) expected += number + "\n";
  EXPECT_EQ(output.text, expected);
  // And here, after the end and with other kinds.
  EXPECT_EQ(Texts(Rest(Follow(run, TY_EVENT_ALL, cursor)), TY_EVENT_LOG), Numbers(124, 1000));
}

TEST_F(EventRunTest, WrongCursorsAndMasksAreRefused) {
  const TyRun run = Complete("echo x"), other = Complete("echo y");
  Stream stream = Follow(run);
  Next(stream);
  Text cursor;
  ASSERT_OK(ty_event_stream_cursor(stream, cursor.out(), err));
  for (const char *text : {"x", "1:2:3", "{}", "99999999999999999999"}) {
    EXPECT_EQ(ty_run_events(run, text, TY_EVENT_ALL, stream.out(), err), TY_ERR_INVALID_ARGUMENT) << text;
  }
  EXPECT_EQ(ty_run_events(other, cursor, TY_EVENT_ALL, stream.out(), err), TY_ERR_INVALID_ARGUMENT);
  for (const int32_t mask : {0, 16, -1, 31}) {
    EXPECT_EQ(ty_run_events(run, nullptr, mask, stream.out(), err), TY_ERR_INVALID_ARGUMENT) << mask;
    EXPECT_EQ(stream.get(), nullptr);
  }
  EXPECT_OK(ty_run_events(run, "", TY_EVENT_ALL, stream.out(), err));
  const ty_event *event = nullptr;
  EXPECT_EQ(ty_event_stream_next(stream, -2, &event, err), TY_ERR_INVALID_ARGUMENT);
}

TEST_F(EventRunTest, OddLinesStayReadable) {
  const TyRun run =
      Complete(R"(printf 'crlf\r\n\nb\377d\na\000b\n'; head -c 200000 /dev/zero | tr '\0' x; printf '\nlast')");
  const std::vector<std::string> lines = Texts(Rest(Follow(run, TY_EVENT_LOG)), TY_EVENT_LOG);
  ASSERT_GE(lines.size(), 7U);
  EXPECT_EQ(lines[0], "crlf");
  EXPECT_EQ(lines[1], "");
  EXPECT_EQ(lines[2],
            "b\xEF\xBF\xBD"
            "d");
  EXPECT_EQ(lines[3].size(), std::string("a?b").size() + (lines[3].find('\0') == std::string::npos ? 2 : 0))
      << lines[3];
  size_t length = 0;
  for (size_t i = 4; i + 1 < lines.size(); ++i) length += lines[i].size();
  EXPECT_EQ(length, 200000U);
  EXPECT_EQ(lines.back(), "last");
}

TEST_F(EventRunTest, TheDescriptorTellsWhenToLook) {
  const TyRun run = Submit("echo one; while [ ! -e '" + (directory / "go") + "' ]; do sleep 0.01; done; echo two");
  const Stream stream = Follow(run, TY_EVENT_LOG);
  int32_t fd = -1;
  ASSERT_OK(ty_event_stream_fd(stream, &fd, err));
  ASSERT_GE(fd, 0);
  pollfd entry{fd, POLLIN, 0};
  // Only waiting on the descriptor, never in the call.
  const auto next = [&] {
    Told told;
    while (told.kind == 0) {
      EXPECT_EQ(poll(&entry, 1, 60000), 1);
      if (entry.revents == 0) break;
      told = Next(stream, 0);
    }
    return told;
  };
  EXPECT_EQ(next().text, "one");
  // Quiet in the end: nothing happens in the run but its supervisor's heartbeat.
  EXPECT_TRUE(Until([&] {
    EXPECT_EQ(Next(stream, 0).kind, 0);
    return poll(&entry, 1, 100) == 0;
  }));
  WriteAll(directory / "go", "");
  EXPECT_EQ(next().text, "two");
  EXPECT_EQ(next().kind, -1);
  EXPECT_EQ(poll(&entry, 1, 0), 1) << "the end is something to be told";
}

struct Waker {
  std::atomic<int> woken{0}, destroyed{0};
};

TEST_F(EventRunTest, TheCallbackWakes) {
  Waker waker, second;
  const auto wake = [](void *data) { ++static_cast<Waker *>(data)->woken; };
  const auto destroy = [](void *data) { ++static_cast<Waker *>(data)->destroyed; };
  const TyRun run = Submit("while [ ! -e '" + (directory / "go") + "' ]; do sleep 0.01; done; echo two");
  Stream stream = Follow(run);
  ASSERT_OK(ty_event_stream_set_wake(stream, wake, &waker, destroy, err));
  while (Next(stream, 0).kind > 0) {
  }
  WriteAll(directory / "go", "");
  bool ended = false;
  int seen = 0;
  EXPECT_TRUE(Until([&] {
    if (waker.woken == seen) return false;
    seen = waker.woken;
    Told told = Next(stream, 0);
    while (told.kind > 0) told = Next(stream, 0);
    ended = told.kind == -1;
    return ended;
  }));
  EXPECT_EQ(waker.destroyed, 0);
  ASSERT_OK(ty_event_stream_set_wake(stream, wake, &second, destroy, err));
  EXPECT_EQ(waker.destroyed, 1);
  stream.reset();
  EXPECT_EQ(waker.destroyed, 1);
  EXPECT_EQ(second.destroyed, 1);
  Waker none;
  EXPECT_EQ(ty_event_stream_set_wake(nullptr, wake, &none, destroy, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(none.destroyed, 1);
}

TEST_F(EventRunTest, ReadersAreIndependentAndMayBeSlow) {
  const TyRun run = Submit("i=0; while [ $i -lt 200 ]; do echo $i; i=$((i+1)); sleep 0.002; done");
  std::vector<std::thread> threads;
  std::vector<std::vector<std::string>> read(4);
  for (size_t number = 0; number < read.size(); ++number) {
    threads.emplace_back([&, number] {
      ty_event_stream *stream = nullptr;
      if (ty_run_events(run, nullptr, TY_EVENT_LOG, &stream, nullptr) != TY_OK) return;
      const ty_event *event = nullptr;
      while (ty_event_stream_next(stream, TY_WAIT_FOREVER, &event, nullptr) == TY_OK) {
        read[number].emplace_back(event->text);
        if (number == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      ty_event_stream_free(stream);
    });
  }
  for (std::thread &thread : threads) thread.join();
  for (const auto &lines : read) EXPECT_EQ(lines, Numbers(0, 199));
}

TEST_F(EventRunTest, RanksAreTold) {
  const TyJob job = Shell("for i in 1 2 3; do echo $RANK $i; done", 3);
  const TyRun run = Submit(job);
  std::map<int32_t, std::vector<std::string>> lines;
  for (const Told &told : Rest(Follow(run, TY_EVENT_LOG))) lines[told.rank].push_back(told.text);
  for (int32_t rank = 0; rank < 3; ++rank) {
    const std::string number = std::to_string(rank);
    EXPECT_EQ(lines[rank], (std::vector<std::string>{number + " 1", number + " 2", number + " 3"}));
  }
}

TEST_F(EventRunTest, ADeletedRunEndsTheStream) {
  const TyRun run = Complete("seq 1 10");
  const Stream stream = Follow(run);
  Next(stream);
  EXPECT_OK(ty_run_delete(run, err));
  ty_status status = TY_OK;
  const ty_event *event = nullptr;
  for (int i = 0; i < 100 && status == TY_OK; ++i) status = ty_event_stream_next(stream, 100, &event, err);
  EXPECT_TRUE(status == TY_ERR_NOT_FOUND || status == TY_END) << ty_status_name(status) << err.message();
}

TEST_F(EventRunTest, TheTimeoutIsKept) {
  const TyRun run = Submit("sleep 600");
  const Stream stream = Follow(run, TY_EVENT_LOG);
  EXPECT_EQ(Next(stream, 0).kind, 0);
  EXPECT_EQ(Next(stream, 50).kind, 0);
  EXPECT_OK(ty_run_cancel(run, err));
  EXPECT_EQ(Next(stream).kind, -1);
}

}  // namespace
}  // namespace trainyard_test
