// metric.h: logged by a rank that uses the library, by the host, and by the supervisor.
#include <algorithm>
#include <cmath>

#include "capi/api.h"
#include "util/json.h"

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

// Values of every kind, from a rank that is killed without warning after it logged them.
TEST_F(MetricRunTest, RecordsSurviveAKill) {
  WriteAll(directory / "cat.png", "not really a picture");
  const TyRun run = Submit(std::string("'") + RANK_PROGRAM + "' records '" + (directory / "cat.png") +
                           "' /none & while ! grep -q logged ../user_logs/std_log.txt; do sleep 0.01; done; "
                           "kill -9 $!; exit 4");
  EXPECT_EQ(Wait(run), TY_RUN_FAILED);
  Text text;
  ASSERT_OK(ty_run_get_metrics_json(run, nullptr, text.out(), err));
  const auto all = trainyard::Json::Parse(text.str(), "metrics");
  EXPECT_EQ(all.size(), 10U) << text.str();
  EXPECT_EQ(all.GetDouble("loss"), 0.5);
  EXPECT_EQ(all.GetString("note"), "from a rank");
  EXPECT_EQ(all.Get("list").Dump(), R"([1,2,"x"])");
  EXPECT_EQ(all.Get("row").Dump(), R"({"a":[1,2],"b":["x",null]})");
  EXPECT_EQ(all.Get("table").Dump(), R"({"c":[1,2],"d":[3,4]})");
  EXPECT_EQ(all.Get("matrix").Get("data").Get("matrix").Dump(), "[[5]]");
  for (const char *name : {"accuracy", "predictions", "residuals"}) {
    EXPECT_EQ(all.Get(name).GetString("schema_version"), "v1") << name;
  }
  const std::string image = all.GetString("image");
  EXPECT_TRUE(image.starts_with("images/image_") && image.ends_with(".png")) << image;
  EXPECT_OK(ty_run_download_file(run, image.c_str(), (directory / "back.png").c_str(), err));
  EXPECT_EQ(ReadAll(directory / "back.png"), "not really a picture");
  List files;
  EXPECT_OK(ty_run_list_files(run, "images/", files.out(), err));
  EXPECT_EQ(files.strings(), std::vector<std::string>{image});
  ASSERT_OK(ty_run_get_metrics_json(run, R"({"name":"image","details":true})", text.out(), err));
  const auto value = trainyard::Json::Parse(text.str(), "metrics").Get("image").Get("values").Items().at(0);
  EXPECT_EQ(value.Get("value").GetString("caption"), "a caption");
  EXPECT_EQ(value.GetInt64("step"), 3);
  ASSERT_OK(ty_run_get_metrics_json(run, R"({"kinds":["text","list"]})", text.out(), err));
  EXPECT_EQ(text.str(), R"({"list":[1,2,"x"],"note":"from a rank"})");
  ASSERT_OK(ty_run_get_metrics_json(run, R"({"rank":-1,"prefix":"system/host"})", text.out(), err));
  EXPECT_NE(text.str().find("system/host_memory_bytes"), std::string::npos) << text.str();
  ASSERT_OK(ty_run_list_metrics_json(run, text.out(), err));
  EXPECT_NE(text.str().find(R"("name":"table","kind":"table","count":1)"), std::string::npos) << text.str();
  EXPECT_EQ(ty_run_get_metrics_json(run, R"({"kind":"text"})", text.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_OK(ty_run_get_metric(run, "note", nullptr, series.out(), err));
  EXPECT_EQ(ty_metric_series_size(series), 0U) << "no numbers";
}

TEST_F(MetricRunTest, LimitsAreErrorsThatNameThem) {
  TyRun run;
  ASSERT_OK(ty_run_start(workspace, "tests", nullptr, run.out(), err));
  std::string list = "[0";
  for (int i = 0; i < 250; ++i) list += ",1";
  EXPECT_EQ(ty_run_log_list(run, "m", (list + "]").c_str(), -1, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("at most 250 entries"), std::string::npos) << err.message();
  EXPECT_EQ(ty_run_log_row(run, "m", R"({"a":[1]})", -1, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_log_text(run, "m", std::string(65537, 'x').c_str(), -1, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_log_text(run, std::string(256, 'n').c_str(), "x", -1, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_log_text(run, "m", "x", -2, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_log_image(run, "m", (directory / "none.png").c_str(), nullptr, -1, err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_run_log_residuals(run, "m", "{}", -1, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_OK(ty_run_log_metric(run, "number", 1, -1, err));
  EXPECT_EQ(ty_run_log_row(run, "number", R"({"a":1})", -1, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("another kind"), std::string::npos) << err.message();
  EXPECT_OK(ty_run_complete(run, err));
  EXPECT_EQ(Names(run), std::vector<std::string>{"number"});
  List files;
  EXPECT_OK(ty_run_list_files(run, "images/", files.out(), err));
  EXPECT_EQ(files.strings(), std::vector<std::string>{});
  EXPECT_STREQ(ty_metric_kind_name(TY_METRIC_CONFUSION_MATRIX), "confusion_matrix");
  EXPECT_STREQ(ty_metric_kind_name(77), "unknown");
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
