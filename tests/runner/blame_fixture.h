// The rank to blame when it leaves last: rank 2 breaks, its victims end at once, it ends two seconds later. Many times,
// several at once; TRAINYARD_BLAME_RUNS says how often.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "runner/run_fixture.h"
#include "util/text.h"

namespace trainyard {

// `Fixture` is a RunTest.
template <typename Fixture>
class BlameFixture : public Fixture {
 protected:
  static constexpr int32_t kAtOnce = 10;

  using Fixture::Fixture;
  void SetUp() override {
    Fixture::SetUp();
    setenv("TRAINYARD_LOCAL_SLOTS", std::to_string(4 * kAtOnce).c_str(), 1);
  }

  // In `usual` runs; `job` makes the job of each by its number.
  void ExpectRankTwoNamed(const char *launcher, int32_t usual, const std::function<Job(int32_t)> &job) {
    const int32_t wanted = Runs(usual);
    int32_t named = 0;
    for (int32_t done = 0; done < wanted;) {
      std::vector<std::string> ids;
      for (int32_t i = 0; i < std::min(kAtOnce, wanted - done); ++i) ids.push_back(this->Submit(job(done + i)));
      for (const std::string &id : ids) {
        const RunRecord run = this->Finish(id);
        const bool right = run.state == RunState::kFailed && run.error.rank == 2 &&
                           run.error.message.find("ValueError: bad batch") != std::string::npos;
        named += right ? 1 : 0;
        if (!right) std::printf("run %s: rank %d, %s\n", id.c_str(), run.error.rank, run.error.message.c_str());
        EXPECT_EQ(this->ProcessesOf(id), 0u);
      }
      done += static_cast<int32_t>(ids.size());
    }
    std::printf("%s: rank 2 named %d times of %d\n", launcher, named, wanted);
    EXPECT_GE(named * 100, wanted * 99);
  }

 private:
  static int32_t Runs(int32_t usual) {
    const char *text = std::getenv("TRAINYARD_BLAME_RUNS");
    if (text != nullptr) return static_cast<int32_t>(ParseInt64(text).value_or(usual));
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return std::min(usual, 10);  // they look for other faults
#else
    return usual;
#endif
  }
};

}  // namespace trainyard
