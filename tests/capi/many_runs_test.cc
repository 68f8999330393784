// Many runs at once, as several hosts submit and follow them: none is lost, each starts when it is its turn, and no
// line of a log is missed.
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>

#include <algorithm>

#include "capi/api.h"
#include "util/fs.h"
#include "util/json.h"

namespace trainyard_test {
namespace {

using trainyard::Json;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kShare = 5;  // of all that: sanitizers make each supervisor large and slow
#else
constexpr size_t kShare = 1;
#endif

class ManyRunsTest : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    setenv("XDG_RUNTIME_DIR", directory.path().c_str(), 1);
  }
  void TearDown() override { unsetenv("TRAINYARD_LOCAL_SLOTS"); }
  static void Slots(size_t count) { setenv("TRAINYARD_LOCAL_SLOTS", std::to_string(count).c_str(), 1); }

  // All runs of the workspace, in the order of their submits.
  std::vector<Json> Records() {
    Text newest_first;
    EXPECT_OK(ty_workspace_list_runs_json(workspace, nullptr, 10000, nullptr, newest_first.out(), nullptr, err));
    std::vector<Json> records = Json::Parse(newest_first.str(), "runs").Items();
    std::reverse(records.begin(), records.end());
    return records;
  }
};

TEST_F(ManyRunsTest, ThoseOfFourHostsStartInTheOrderOfTheirSubmits) {
  constexpr size_t kHosts = 4, kEach = 50 / kShare;
  Slots(2);
  std::vector<std::thread> threads;
  std::vector<Output> outputs(kHosts);
  for (size_t i = 0; i < kHosts; ++i) {
    threads.emplace_back([&, i] {
      outputs[i] = RunProgram(
          {OTHER_PROCESS, "submit-many", WorkspacePath(), "host" + std::to_string(i), std::to_string(kEach)});
    });
  }
  for (std::thread &thread : threads) thread.join();
  for (const Output &output : outputs) EXPECT_EQ(output.text, std::to_string(kEach) + "\n") << output.status;

  const std::vector<Json> runs = Records();
  ASSERT_EQ(runs.size(), kHosts * kEach);
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string id = runs[i].GetString("id");
    EXPECT_EQ(runs[i].GetString("state"), "Completed") << id;
    const int64_t started = runs[i].GetInt64("started_ms");
    if (i > 0) {
      EXPECT_GE(started, runs[i - 1].GetInt64("started_ms")) << id << " overtook " << runs[i - 1].GetString("id");
    }
    const auto at_once = std::count_if(runs.begin(), runs.end(), [&](const Json &other) {
      return other.GetInt64("started_ms") <= started && started < other.GetInt64("ended_ms");
    });
    EXPECT_LE(at_once, 2) << id << " had no slot";
  }
}

// From the submit on somebody stands in line for a run, without a gap between the host and the run's supervisor: what
// nobody holds is taken for dead, and others pass.
TEST_F(ManyRunsTest, WhoHasSubmittedStandsInLine) {
  Slots(1);
  TyRun first = Submit("exec sleep 60");
  ASSERT_TRUE(Until([&] {
    ty_run_state state = TY_RUN_NOT_STARTED;
    EXPECT_OK(ty_run_get_state(first, &state, err));
    return state == TY_RUN_RUNNING;
  }));
  const std::string line = directory.path() + "/trainyard/tickets";
  std::vector<TyRun> waiting;
  for (size_t i = 1; i <= 10; ++i) {
    waiting.push_back(Submit("true"));
    size_t held = 0;
    for (const trainyard::DirEntry &entry : trainyard::ListDir(line)) {
      if (!entry.name.starts_with("t-")) continue;
      const trainyard::UniqueFd fd(open((line + "/" + entry.name).c_str(), O_RDONLY | O_CLOEXEC));
      if (fd.valid() && flock(fd.get(), LOCK_EX | LOCK_NB) != 0) ++held;
    }
    EXPECT_EQ(held, i) << "right after a submit";
  }
  for (TyRun &run : waiting) EXPECT_OK(ty_run_cancel(run, err));
  EXPECT_OK(ty_run_cancel(first, err));
  for (TyRun &run : waiting) EXPECT_EQ(Wait(run), TY_RUN_CANCELED);
}

TEST_F(ManyRunsTest, AHostThatFollowsFiftyOfThemMissesNoLine) {
  constexpr size_t kRuns = 50 / kShare, kLines = 1000;
  Slots(kRuns);
  struct Followed {
    TyRun run;
    Stream stream;
    size_t lines = 0;
  };
  std::vector<Followed> followed(kRuns);
  std::vector<pollfd> descriptors(kRuns);
  for (size_t i = 0; i < kRuns; ++i) {
    followed[i].run = Submit(std::string("exec " RANK_PROGRAM " lines ") + std::to_string(kLines));
    ASSERT_OK(ty_run_events(followed[i].run, nullptr, TY_EVENT_LOG, followed[i].stream.out(), err));
    descriptors[i].events = POLLIN;
    ASSERT_OK(ty_event_stream_fd(followed[i].stream, &descriptors[i].fd, err));
  }
  for (size_t open = kRuns; open > 0;) {
    ASSERT_GT(poll(descriptors.data(), descriptors.size(), 60000), 0) << open << " streams say nothing and do not end";
    for (size_t i = 0; i < kRuns; ++i) {
      if (descriptors[i].revents == 0) continue;
      const ty_event *event = nullptr;
      ty_status status = TY_OK;
      while ((status = ty_event_stream_next(followed[i].stream, 0, &event, err)) == TY_OK && event != nullptr) {
        ASSERT_EQ(event->text, std::to_string(++followed[i].lines)) << "of run " << i;
      }
      if (status == TY_OK) continue;
      EXPECT_EQ(status, TY_END) << err.message();
      descriptors[i].fd = -1;  // poll passes it
      --open;
    }
  }
  for (const Followed &one : followed) EXPECT_EQ(one.lines, kLines);
}

}  // namespace
}  // namespace trainyard_test
