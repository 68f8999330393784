#include "core/records_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/metric_value.h"
#include "util/error_message.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

TEST(RunToJson, UnknownTimesAreNullAndTheErrorIsThere) {
  RunRecord run;
  run.id = "x_1_a";
  run.experiment = "x";
  run.state = RunState::kFailed;
  run.created_ms = 5;
  run.error.code = "exit_code";
  run.error.message = "rank 2 ended with exit code 7";
  run.error.rank = 2;
  run.error.exit_code = 7;
  run.job_json = R"({"kind":"command"})";
  const Json json = Json::Parse(RunToJson(run).Dump(), "run");
  EXPECT_EQ(json.GetString("state"), "Failed");
  EXPECT_FALSE(json.Has("ended_ms"));  // null = unset
  EXPECT_THAT(RunToJson(run).Dump(), HasSubstr("\"ended_ms\":null"));
  EXPECT_EQ(json.Get("error").GetInt64("exit_code"), 7);
  EXPECT_EQ(json.Get("job").GetString("kind"), "command");
}

TEST(RunFilter, ReadsEveryCondition) {
  const RunFilter filter = RunFilterFromJson(
      R"({"experiment":"e","states":["Running","Queued"],"kinds":["host"],"tag":"k","property":{"p":"v","q":null},)"
      R"("parent":"r","created_from_ms":1,"created_to_ms":2})");
  EXPECT_EQ(filter.experiment, "e");
  EXPECT_EQ(filter.states, (std::vector<RunState>{RunState::kRunning, RunState::kQueued}));
  EXPECT_EQ(filter.kinds, std::vector<RunKind>{RunKind::kHost});
  ASSERT_EQ(filter.tags.size(), 1U);
  EXPECT_EQ(filter.tags[0].key, "k");
  EXPECT_EQ(filter.tags[0].value, std::nullopt);
  ASSERT_EQ(filter.properties.size(), 2U);
  EXPECT_EQ(filter.properties[0].value, "v");
  EXPECT_EQ(filter.properties[1].value, std::nullopt);
  EXPECT_FALSE(filter.top_level);
  EXPECT_TRUE(RunFilterFromJson("").top_level);
  EXPECT_TRUE(RunFilterFromJson("{}").top_level);
  EXPECT_FALSE(RunFilterFromJson(R"({"include_children":true})").top_level);
  EXPECT_FALSE(RunFilterFromJson(R"({"ancestor":"r"})").top_level);
  EXPECT_EQ(filter.parent_id, "r");
  EXPECT_EQ(filter.created_to_ms, 2);
}

TEST(RunFilter, NamesWhatIsWrong) {
  const auto message = [](const char *text) { return MessageOf([&] { RunFilterFromJson(text); }); };
  EXPECT_THAT(message(R"({"states":["running"]})"), HasSubstr("did you mean 'Running'?"));
  EXPECT_THAT(message(R"({"tags":"x"})"), HasSubstr("'tag'"));
  EXPECT_THAT(message(R"({"tag":{"a":1}})"), HasSubstr("filter.tag.a"));
  EXPECT_THAT(message(R"({"kinds":["trian"]})"), HasSubstr("did you mean 'train'?"));
}

TEST(Lineage, NamesTheData) {
  RunRecord run;
  run.id = "r";
  run.job_json =
      R"({"arguments":["--to","azureml://datastores/s/paths/out"],"variables":{"D":"azureml://datastores/s/paths/d"},
    "inputs":{"set":{"source":"azureml:set:2","mode":"link","location":"/data/set"},
              "url":{"source":"https://host/a","mode":"link","location":"https://host/a"}}})";
  run.properties["trainyard.input.url.sha256"] = "abc";
  const Json lineage = LineageOf(run);
  EXPECT_EQ(lineage.Get("inputs").Get("set").GetString("source"), "azureml:set:2");
  EXPECT_EQ(lineage.Get("inputs").Get("set").GetString("location"), "/data/set");
  EXPECT_EQ(lineage.Get("inputs").Get("url").GetString("sha256"), "abc");
  EXPECT_THAT(lineage.Get("data").GetStringList("references"),
              testing::ElementsAre("azureml://datastores/s/paths/d", "azureml://datastores/s/paths/out"));
}

TEST(MetricQuery, ReadsEveryCondition) {
  const MetricQuery query =
      MetricQueryFromJson(R"({"rank":1,"first_step":2,"last_step":3,"offset":4,"limit":5,"downsample_to":6})");
  EXPECT_EQ(query.rank, 1);
  EXPECT_EQ(query.first_step, 2);
  EXPECT_EQ(query.last_step, 3);
  EXPECT_EQ(query.offset, 4);
  EXPECT_EQ(query.limit, 5);
  EXPECT_EQ(query.downsample_to, 6);
  EXPECT_EQ(MetricQueryFromJson("").rank, std::nullopt);
  EXPECT_THROW(MetricQueryFromJson(R"({"limit":0})"), Error);
}

}  // namespace
}  // namespace trainyard
