// run.h, metrics: logged by a rank that uses the library, by the host, and by the supervisor.
#include <algorithm>
#include <cmath>

#include "capi/api.h"

namespace trainyard_test {
namespace {

class MetricRunTest : public WorkspaceTest {
 protected:
  std::vector<double> Values(const TyRun &run, const char *name, const char *query = nullptr) {
    if (ty_run_get_metric(run, name, query, series.out(), err) != TY_OK) return {};
    const double *values = ty_metric_series_values(series);
    return {values, values + ty_metric_series_size(series)};
  }
  std::vector<std::string> Names(const TyRun &run) {
    List names;
    EXPECT_OK(ty_run_list_metrics(run, names.out(), err));
    return names.strings();
  }
  static std::string Rank(const std::string &arguments) {
    return std::string("exec '") + RANK_PROGRAM + "' " + arguments;
  }

  Series series;
};

TEST_F(MetricRunTest, ARankLogsWhatTheHostReadsMeanwhileAndAfter) {
  const TyRun run = Submit(Rank("metrics 1000 '" + (directory / "go") + "'"));
  ASSERT_TRUE(Until([&] { return !Log(run).empty(); }));
  EXPECT_EQ(Log(run), "logged " + std::string(ty_run_id(run)) + " tests\n");
  for (const char *when : {"running", "ended"}) {
    SCOPED_TRACE(when);
    ASSERT_EQ(Values(run, "loss").size(), 1000U) << err.message();
    EXPECT_EQ(ty_metric_series_total(series), 1000);
    for (int i = 0; i < 1000; ++i) {
      ASSERT_EQ(ty_metric_series_values(series)[i], 1.0 / (i + 1));
      ASSERT_EQ(ty_metric_series_steps(series)[i], i);
      ASSERT_EQ(ty_metric_series_ranks(series)[i], 0);
      ASSERT_GT(ty_metric_series_times(series)[i], 1600000000000);
    }
    EXPECT_EQ(Values(run, "loss", R"({"offset":998})"), (std::vector<double>{1.0 / 999, 1.0 / 1000}));
    EXPECT_EQ(ty_metric_series_total(series), 1000);
    EXPECT_EQ(Values(run, "loss", R"({"first_step":5,"last_step":6})"), (std::vector<double>{1.0 / 6, 1.0 / 7}));
    EXPECT_EQ(Values(run, "loss", R"({"offset":3,"limit":1})"), std::vector<double>{1.0 / 4});
    const std::vector<double> small = Values(run, "loss", R"({"downsample_to":10})");
    EXPECT_LE(small.size(), 10U);
    EXPECT_EQ(*std::max_element(small.begin(), small.end()), 1.0);
    double value = 0;
    EXPECT_OK(ty_run_get_metric_value(run, "loss", &value, err));
    EXPECT_EQ(value, 1.0 / 1000);
    EXPECT_EQ(ty_run_get_metric(run, "los", nullptr, series.out(), err), TY_ERR_NOT_FOUND);
    EXPECT_NE(err.message().find("'loss'"), std::string::npos) << err.message();
    EXPECT_EQ(ty_run_get_metric(run, "loss", R"({"ranks":1})", series.out(), err), TY_ERR_INVALID_ARGUMENT);
    EXPECT_EQ(series.get(), nullptr);
    EXPECT_EQ(ty_run_get_metric_value(run, "none", &value, err), TY_ERR_NOT_FOUND);
    WriteAll(directory / "go", "");
    EXPECT_EQ(Wait(run), TY_RUN_COMPLETED) << FailureOf(run);
  }
}

TEST_F(MetricRunTest, EveryRankHasItsOwnPoints) {
  const TyJob job = Shell(Rank("batch 5"), 3);
  const TyRun run = Complete(job);
  EXPECT_EQ(Values(run, "batch"), (std::vector<double>{0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4})) << err.message();
  EXPECT_EQ(ty_metric_series_ranks(series)[0], 0);
  EXPECT_EQ(ty_metric_series_ranks(series)[14], 2);
  EXPECT_EQ(Values(run, "batch", R"({"rank":1})").size(), 5U);
  ASSERT_EQ(ty_metric_series_size(series), 5U);
  EXPECT_EQ(ty_metric_series_ranks(series)[4], 1);
  EXPECT_EQ(ty_metric_series_steps(series)[4], 4);
}

TEST_F(MetricRunTest, TheHostMayLogWhileTheRunGoesOn) {
  const TyRun run = Submit("while [ ! -e '" + (directory / "go") + "' ]; do sleep 0.01; done");
  const double values[] = {1, NAN, INFINITY, -0.0};
  const int64_t steps[] = {10, 20, 20, 5};
  EXPECT_OK(ty_run_log_metrics(run, "odd \xE2\x82\xAC", values, steps, 4, err));
  EXPECT_OK(ty_run_log_metric(run, "single", 0.1, -1, err));
  EXPECT_OK(ty_run_log_metric(run, "single", 0.2, -1, err));
  EXPECT_OK(ty_run_log_metrics(run, "none", values, nullptr, 0, err));
  EXPECT_OK(ty_run_log_progress(run, R"({"step":1})", err));
  EXPECT_OK(ty_run_flush(run, err));
  EXPECT_EQ(ty_run_log_metric(run, "", 1, 0, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_log_metric(run, std::string(256, 'n').c_str(), 1, 0, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_log_metric(run, "\xff", 1, 0, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_log_metric(run, "x", 1, -2, err), TY_ERR_INVALID_ARGUMENT);
  const int64_t negative = -1;
  EXPECT_EQ(ty_run_log_metrics(run, "x", values, &negative, 1, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_log_progress(run, "[]", err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_log_progress(run, "{", err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_OK(ty_run_log_metric(run, std::string(255, 'n').c_str(), 1, 0, err));
  WriteAll(directory / "go", "");
  EXPECT_EQ(Wait(run), TY_RUN_COMPLETED);
  EXPECT_EQ(Values(run, "single"), (std::vector<double>{0.1, 0.2})) << err.message();
  EXPECT_EQ(ty_metric_series_steps(series)[1], 1);
  const std::vector<double> odd = Values(run, "odd \xE2\x82\xAC");
  ASSERT_EQ(odd.size(), 4U) << err.message();
  EXPECT_EQ(odd[0], 1);
  EXPECT_TRUE(std::isnan(odd[1]));
  EXPECT_TRUE(std::isinf(odd[2]));
  EXPECT_TRUE(std::signbit(odd[3]));
  // The run has ended.
  EXPECT_EQ(ty_run_log_metric(run, "late", 1, 0, err), TY_ERR_INVALID_STATE) << "through the handle that logged before";
  TyRun again;
  ASSERT_OK(ty_run_get(workspace, ty_run_id(run), again.out(), err));
  EXPECT_EQ(ty_run_log_metric(again, "late", 1, 0, err), TY_ERR_INVALID_STATE);
  EXPECT_EQ(ty_run_log_progress(again, "{}", err), TY_ERR_INVALID_STATE);
  const std::vector<std::string> names = Names(run);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(std::count(names.begin(), names.end(), "late"), 0);
}

// Nothing is lost when a rank is killed, from the moment the call returned.
TEST_F(MetricRunTest, AKilledRankLosesNothing) {
  const TyRun run = Submit(std::string("'") + RANK_PROGRAM +
                           "' metrics 1000 /none & while ! grep -q logged ../user_logs/std_log.txt; do sleep 0.01; "
                           "done; kill -9 $!; exit 4");
  EXPECT_EQ(Wait(run), TY_RUN_FAILED);
  EXPECT_EQ(Values(run, "loss").size(), 1000U) << err.message() << Log(run);
}

TEST_F(MetricRunTest, TheSupervisorRecordsMemoryAndCpu) {
  const TyRun run = Complete("sleep 1");
  const std::vector<std::string> names = Names(run);
  EXPECT_EQ(std::count(names.begin(), names.end(), "system/memory_bytes"), 1) << ::testing::PrintToString(names);
  ASSERT_GE(Values(run, "system/memory_bytes").size(), 1U);
  EXPECT_EQ(ty_metric_series_ranks(series)[0], TY_RANK_RUNNER);
  const double *values = ty_metric_series_values(series);
  EXPECT_GT(*std::max_element(values, values + ty_metric_series_size(series)), 0);
}

TEST_F(MetricRunTest, OutsideARunThereIsNone) {
  EXPECT_EQ(RunProgram({RANK_PROGRAM, "outside"}).text, "TY_ERR_NOT_FOUND\n");
  const TyRun run = Complete(Rank("outside"));
  EXPECT_EQ(Log(run), "TY_OK\n");
}

}  // namespace
}  // namespace trainyard_test
