#include "core/run_id.h"

#include <gtest/gtest.h>

#include <set>

#include "util/error.h"

namespace trainyard {
namespace {

TEST(RunId, IsSlugTimeAndRandom) {
  const std::string id = MakeRunId("My Experiment/1", 1700000000123);
  EXPECT_EQ(id.substr(0, id.size() - 10), "my-experiment-1_1700000000_");
  EXPECT_NO_THROW(CheckRunId(id));
}

TEST(RunId, StaysWithinSixtyFourBytesAndUnique) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = MakeRunId(std::string(250, 'x'), 1700000000123);
    EXPECT_EQ(id.size(), 64U);
    EXPECT_NO_THROW(CheckRunId(id));
    seen.insert(id);
  }
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(RunId, RefusesWhatIsNoPath) {
  for (const char *id : {"", "a/b", "..", "A", "a b", "a.b"}) EXPECT_THROW(CheckRunId(id), Error) << id;
  EXPECT_THROW(CheckRunId(std::string(65, 'a')), Error);
}

TEST(Names, OneRuleForExperimentsAndModels) {
  for (const char *name : {"a", "resnet18", "Fine-Tune_2.1", "0"}) {
    EXPECT_NO_THROW(CheckExperimentName(name)) << name;
    EXPECT_NO_THROW(CheckModelName(name)) << name;
  }
  for (const char *name : {"", ".hidden", "-x", "a/b", "a b", "\xc3\xa9"}) {
    EXPECT_THROW(CheckExperimentName(name), Error) << name;
    EXPECT_THROW(CheckModelName(name), Error) << name;
  }
}

}  // namespace
}  // namespace trainyard
