// Training jobs of two ranks through the real runner, mpirun and engine.
#include <gmock/gmock.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>

#include "runner/run_fixture.h"
#include "util/error.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

class TrainingRanksTest : public RunTest {
 protected:
  void SetUp() override {
    if (std::system("command -v mpirun >/dev/null 2>&1") != 0)
      GTEST_SKIP() << "SKIP: no mpirun: sh scripts/setup.sh mpi";
    ASSERT_EQ(std::system((std::string(MAKE_IMAGES) + " --train 6 --val 3 " + images_).c_str()), 0);
  }
  // A backbone that stays in evaluation mode: exact, however the images are shared out.
  Job Training(int64_t epochs, int64_t batch_size, int32_t ranks) const {
    Job job;
    job.kind = RunKind::kTrain;
    job.train = TrainConfig();
    job.train->SetString("data.directory", images_);
    job.train->SetString("model.architecture", "resnet18");
    job.train->SetString("model.mode", "feature");
    job.train->SetInteger("model.cache_features", 1);
    job.train->SetString("device", "cpu");
    job.train->SetInteger("transform.resize", 72);
    job.train->SetInteger("transform.crop", 64);
    job.train->SetInteger("train.epochs", epochs);
    job.train->SetInteger("train.batch_size", batch_size);
    if (ranks > 1) job.distribution = Distribution::Mpi(1, ranks);
    return job;
  }
  std::string LogOf(const std::string &id, int32_t rank) const {
    return ReadFileIfExists(Paths(id).StdLog(rank, 2)).value_or("");
  }
  std::vector<double> Metric(const std::string &id, const std::string &name) {
    MetricQuery query;
    query.name = name;
    const MetricSeries series = driver_->QueryMetric(id, query);
    std::vector<double> values;
    for (const MetricPoint &point : series.points) values.push_back(point.value);
    EXPECT_TRUE(std::all_of(series.ranks.begin(), series.ranks.end(), [](int32_t rank) { return rank == 0; })) << name;
    return values;
  }
  // The training process of a rank, below mpirun's agent.
  static int64_t ProcessOf(const std::string &id, int32_t rank) {
    for (const ProcessInfo &process : ListProcesses()) {
      if (process.state == 'Z' || ProcessVariable(process.pid, kRunIdVariable) != id) continue;
      if (ProcessVariable(process.pid, "RANK") == std::to_string(rank)) return process.pid;
    }
    return 0;
  }
  void AwaitEpoch(const std::string &id) const {
    while (LogOf(id, 0).find("epoch 2/") == std::string::npos && !IsFinal(driver_->GetState(id))) usleep(2000);
  }

  const std::string images_ = directory_.path() + "/images";
};

TEST_F(TrainingRanksTest, TwoRanksHaveTheLossesOfOneWithTheDoubledBatch) {
  const RunRecord two = Run(Training(3, 3, 2));
  ASSERT_EQ(two.state, RunState::kCompleted) << two.error.message << "\n" << two.error.stderr_tail;
  const RunRecord one = Run(Training(3, 6, 1));
  ASSERT_EQ(one.state, RunState::kCompleted) << one.error.message;
  for (const char *name : {"train/loss", "train/accuracy", "val/loss", "val/accuracy", "best_val_accuracy"}) {
    const std::vector<double> got = Metric(two.id, name), expected = Metric(one.id, name);
    ASSERT_EQ(got.size(), expected.size()) << name;
    ASSERT_FALSE(got.empty()) << name;
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-5) << name << " of epoch " << i + 1;
  }
  EXPECT_THAT(LogOf(two.id, 0), HasSubstr("all 2 ranks have the same weights"));
  EXPECT_EQ(LogOf(two.id, 1), "");
  EXPECT_TRUE(PathExists(Paths(two.id).Root() + "/outputs/model.safetensors"));
  EXPECT_TRUE(PathExists(Paths(two.id).Root() + "/outputs/report.html"));
}

TEST_F(TrainingRanksTest, AKilledRankIsNamedAndLeavesNobody) {
  const std::string id = Submit(Training(1000000, 3, 2));
  AwaitEpoch(id);
  const int64_t process = ProcessOf(id, 1);
  ASSERT_GT(process, 0) << LogOf(id, 0);
  ASSERT_EQ(kill(static_cast<pid_t>(process), SIGKILL), 0);
  const RunRecord run = Finish(id);
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error.rank, 1) << run.error.message;
  EXPECT_EQ(run.error.signal, "SIGKILL") << run.error.message;
  EXPECT_EQ(ProcessesOf(id), 0u);
}

TEST_F(TrainingRanksTest, ARequestToStopEndsAllAtTheSameStep) {
  const std::string id = Submit(Training(1000000, 3, 2));
  AwaitEpoch(id);
  driver_->RequestStop(id);
  const RunRecord run = Finish(id);
  EXPECT_EQ(run.state, RunState::kCompleted) << run.error.message << "\n" << run.error.stderr_tail;
  EXPECT_THAT(LogOf(id, 0), HasSubstr("stopped as asked"));
  EXPECT_THAT(LogOf(id, 0), HasSubstr("all 2 ranks have the same weights"));
}

TEST_F(TrainingRanksTest, AFailureOfOneRankIsTheRuns) {
  // The first rank is the first to miss an image of its part; whichever it is, the error is the data's.
  WriteFileAtomic(images_ + "/train/bricks/zz.jpg", "no image");
  Job job = Training(1, 3, 2);
  job.train->SetString("data.bad_images", "fail");
  const RunRecord run = Run(job);
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error.code, "data") << run.error.message;
  EXPECT_THAT(run.error.message, HasSubstr("zz.jpg"));
}

TEST_F(TrainingRanksTest, OtherWaysToStartRanksAreRefused) {
  Job job = Training(1, 3, 1);
  job.distribution = Distribution::PyTorch(2, 1);
  try {
    Submit(job);
    FAIL() << "it was taken";
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), HasSubstr("ty_distribution_new_mpi"));
  }
}

}  // namespace
}  // namespace trainyard
