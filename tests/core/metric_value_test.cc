#include "core/metric_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "util/error_message.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

// What is wrong with a value; "" when nothing is.
std::string Refused(MetricKind kind, const std::string &json) {
  return MessageOf([&] { CheckMetricValue(kind, "m", json); });
}

std::string Repeat(size_t count, const std::string &text) {
  std::string all;
  for (size_t i = 0; i < count; ++i) all += (i == 0 ? "" : ",") + text;
  return all;
}

std::string Columns(size_t count) {
  std::string json;
  for (size_t i = 0; i < count; ++i) json += (i == 0 ? "{" : ",") + ("\"c" + std::to_string(i)) + "\":1";
  return json + "}";
}

MetricEntry Number(double value) {
  return {0, MetricKind::kScalar, {0, 0, value}, ""};
}
MetricEntry Value(MetricKind kind, const std::string &json) {
  return {0, kind, {}, CheckMetricValue(kind, "m", json)};
}

TEST(MetricKind, NamesAndNumbersGoBothWays) {
  for (int32_t number = 0; number < 10; ++number) {
    const auto kind = MetricKindFromNumber(number);
    ASSERT_TRUE(kind);
    EXPECT_EQ(MetricKindFromName(MetricKindName(*kind)), kind);
  }
  EXPECT_EQ(MetricKindFromNumber(10), std::nullopt);
  EXPECT_EQ(MetricKindFromNumber(-1), std::nullopt);
  EXPECT_EQ(MetricKindFromName("numbers"), std::nullopt);
  EXPECT_EQ(MetricKindName(static_cast<MetricKind>(99)), "unknown");
}

TEST(CheckMetricValue, ListsHaveALimit) {
  EXPECT_EQ(CheckMetricValue(MetricKind::kList, "m", R"( [1, "a", true, null, "NaN"] )"), R"([1,"a",true,null,"NaN"])");
  EXPECT_EQ(Refused(MetricKind::kList, "[]"), "");
  EXPECT_EQ(Refused(MetricKind::kList, "[" + Repeat(250, "1") + "]"), "");
  EXPECT_THAT(Refused(MetricKind::kList, "[" + Repeat(251, "1") + "]"), HasSubstr("at most 250 entries"));
  EXPECT_THAT(Refused(MetricKind::kList, "{}"), HasSubstr("JSON array"));
  EXPECT_THAT(Refused(MetricKind::kList, "[[1]]"), HasSubstr("value[0] must be a number"));
  EXPECT_THAT(Refused(MetricKind::kList, "[\"" + std::string(5000, 'x') + "\"]"), HasSubstr("at most 4096 bytes"));
  EXPECT_THAT(Refused(MetricKind::kList, "[1"), HasSubstr("value:1:"));
  EXPECT_THAT(Refused(MetricKind::kList, "[\"" + std::string(2 << 20, 'x') + "\"]"), HasSubstr("1048576 bytes"));
}

TEST(CheckMetricValue, RowsAndTablesHaveLimits) {
  EXPECT_EQ(Refused(MetricKind::kRow, R"({"a":1,"b":"x","c":null})"), "");
  EXPECT_EQ(Refused(MetricKind::kRow, Columns(15)), "");
  EXPECT_THAT(Refused(MetricKind::kRow, Columns(16)), HasSubstr("at most 15 columns, got 16"));
  EXPECT_THAT(Refused(MetricKind::kRow, "{}"), HasSubstr("at least one column"));
  EXPECT_THAT(Refused(MetricKind::kRow, R"({"a":[1]})"), HasSubstr("value.a must be a number"));
  EXPECT_THAT(Refused(MetricKind::kRow, "{\"" + std::string(256, 'c') + "\":1}"), HasSubstr("at most 255 bytes"));
  EXPECT_THAT(Refused(MetricKind::kRow, R"({"":1})"), HasSubstr("name of a column is empty"));
  EXPECT_THAT(Refused(MetricKind::kRow, "[]"), HasSubstr("JSON object"));
  EXPECT_EQ(Refused(MetricKind::kTable, R"({"a":[1,2],"b":["x",null]})"), "");
  EXPECT_THAT(Refused(MetricKind::kTable, R"({"a":[1,2],"b":[1]})"),
              HasSubstr("'b' has 1 values, the first one has 2"));
  EXPECT_THAT(Refused(MetricKind::kTable, R"({"a":1})"), HasSubstr("must be an array"));
  EXPECT_THAT(Refused(MetricKind::kTable, "{\"a\":[" + Repeat(251, "1") + "]}"), HasSubstr("at most 250 rows"));
}

TEST(CheckMetricValue, StandardResultsAreChecked) {
  const std::string matrix =
      R"({"schema_type":"confusion_matrix","schema_version":"v1","data":{"class_labels":["a",1],"matrix":[[1,2],[3,4]]}})";
  EXPECT_EQ(Refused(MetricKind::kConfusionMatrix, matrix), "");
  EXPECT_THAT(Refused(MetricKind::kResiduals, matrix), HasSubstr("'schema_type' must be 'residuals'"));
  const auto with = [](const std::string &type, const std::string &data) {
    return R"({"schema_type":")" + type + R"(","schema_version":"v1","data":)" + data + "}";
  };
  const auto confusion = [&](const std::string &data) {
    return Refused(MetricKind::kConfusionMatrix, with("confusion_matrix", data));
  };
  EXPECT_THAT(confusion(R"({"matrix":[[1]]})"), HasSubstr("'class_labels'"));
  EXPECT_THAT(confusion(R"({"class_labels":["a","b"],"matrix":[[1,2]]})"), HasSubstr("2 rows"));
  EXPECT_THAT(confusion(R"({"class_labels":["a","b"],"matrix":[[1,2],[1]]})"), HasSubstr("matrix[1] must have 2"));
  EXPECT_THAT(confusion(R"({"class_labels":["a"],"matrix":[["x"]]})"), HasSubstr("must be a number"));
  EXPECT_THAT(confusion("[]"), HasSubstr("'data' must be an object"));
  EXPECT_THAT(Refused(MetricKind::kConfusionMatrix, R"({"schema_type":"confusion_matrix","data":{}})"),
              HasSubstr("schema_version"));
  EXPECT_THAT(Refused(MetricKind::kConfusionMatrix, R"({"schema_typ":"x"})"), HasSubstr("schema_type"));
  const std::string tables =
      R"({"class_labels":["0","1"],"probability_tables":[[[1,2,3,4],[5,6,7,8]],[[1,2,3,4],[5,6,7,8]]],)"
      R"("probability_thresholds":[0.2,0.8],"percentile_tables":[[[1,2,3,4]],[[1,2,3,4]]],"percentile_thresholds":[0.5]})";
  EXPECT_EQ(Refused(MetricKind::kAccuracyTable, with("accuracy_table", tables)), "");
  EXPECT_THAT(Refused(MetricKind::kAccuracyTable, with("accuracy_table", R"({"class_labels":["0"]})")),
              HasSubstr("probability_tables"));
  EXPECT_EQ(Refused(MetricKind::kPredictions,
                    with("predictions",
                         R"({"bin_edges":[0,1,2],"bin_averages":[1,2],"bin_errors":[0,0],"bin_counts":[3,4]})")),
            "");
  EXPECT_THAT(
      Refused(MetricKind::kPredictions,
              with("predictions", R"({"bin_edges":[0,1,2],"bin_averages":[1],"bin_errors":[0],"bin_counts":[3]})")),
      HasSubstr("one number more than 'bin_averages'"));
  EXPECT_EQ(Refused(MetricKind::kResiduals, with("residuals", R"({"bin_edges":[0,1,2],"bin_counts":[3,4]})")), "");
  EXPECT_THAT(Refused(MetricKind::kResiduals, with("residuals", R"({"bin_edges":[0,1,2]})")),
              HasSubstr("'bin_counts'"));
}

TEST(CheckMetricText, HasALimit) {
  EXPECT_EQ(CheckMetricText("m", "a\"b"), R"("a\"b")");
  EXPECT_THROW(CheckMetricText("m", std::string(65537, 'x')), Error);
  EXPECT_THROW(CheckMetricText("m", "\xff"), Error);
  EXPECT_THROW(MakeMetricImage("m", "images/x", std::string(1025, 'x')), Error);
}

TEST(MetricValueToJson, OnceIsTheValueOftenIsAList) {
  EXPECT_EQ(MetricValueToJson({}).Dump(), "null");
  EXPECT_EQ(MetricValueToJson({Number(0.5)}).Dump(), "0.5");
  EXPECT_EQ(MetricValueToJson({Number(0.5), Number(2)}).Dump(), "[0.5,2]");
  EXPECT_EQ(MetricValueToJson({Number(std::nan("")), Number(-std::numeric_limits<double>::infinity())}).Dump(),
            R"(["NaN","-Infinity"])");
  EXPECT_EQ(MetricValueToJson({{0, MetricKind::kText, {}, "\"a\""}}).Dump(), "\"a\"");
  EXPECT_EQ(MetricValueToJson({Number(1), {0, MetricKind::kText, {}, "\"a\""}}).Dump(), R"([1,"a"])");
  EXPECT_EQ(MetricValueToJson({Value(MetricKind::kList, "[1,2]")}).Dump(), "[1,2]");
  EXPECT_EQ(MetricValueToJson({Value(MetricKind::kList, "[1]"), Number(3), Value(MetricKind::kList, "[4,5]")}).Dump(),
            "[1,3,4,5]");
}

TEST(MetricValueToJson, RowsBecomeColumns) {
  EXPECT_EQ(MetricValueToJson({Value(MetricKind::kRow, R"({"a":1,"b":2})")}).Dump(), R"({"a":1,"b":2})");
  EXPECT_EQ(MetricValueToJson({Value(MetricKind::kRow, R"({"a":1,"b":2})"), Value(MetricKind::kRow, R"({"b":3,"c":4})"),
                               Value(MetricKind::kTable, R"({"a":[5,6],"c":[7,8]})")})
                .Dump(),
            R"({"a":[1,null,5,6],"b":[2,3,null,null],"c":[null,4,7,8]})");
  EXPECT_EQ(MetricValueToJson({Value(MetricKind::kTable, R"({"a":[1,2]})")}).Dump(), R"({"a":[1,2]})");
}

TEST(MetricValueToJson, OtherKindsStayWhole) {
  const MetricEntry image{0, MetricKind::kImage, {}, MakeMetricImage("m", "images/x.png", "a cat")};
  EXPECT_EQ(MetricValueToJson({image}).Dump(), R"("images/x.png")");
  EXPECT_EQ(MetricValueToJson({image, image}).Dump(), R"(["images/x.png","images/x.png"])");
  EXPECT_THAT(MetricDetailsToJson({image}).Dump(), HasSubstr(R"("value":{"path":"images/x.png","caption":"a cat"})"));
  const auto residuals =
      Value(MetricKind::kResiduals,
            R"({"schema_type":"residuals","schema_version":"v1","data":{"bin_edges":[0,1],"bin_counts":[2]}})");
  EXPECT_EQ(MetricValueToJson({residuals}).GetString("schema_type"), "residuals");
  // Two processes may disagree about a name; nothing is dropped.
  EXPECT_EQ(
      MetricValueToJson({Number(1), Value(MetricKind::kRow, R"({"a":1})"), Value(MetricKind::kList, "[2,3]")}).Dump(),
      R"([1,{"a":1},[2,3]])");
  // A damaged journal is shown as it is.
  EXPECT_EQ(MetricValueToJson({{0, MetricKind::kRow, {}, "{broken"}, {0, MetricKind::kText, {}, "{broken"}}).Dump(),
            R"(["{broken","{broken"])");
}

TEST(MetricValuesQuery, ReadsEveryCondition) {
  const MetricValuesQuery query = MetricValuesQueryFromJson(
      R"({"name":"n","prefix":"p","kinds":["row","table"],"rank":-1,"first_step":2,"last_step":3,"limit":4,)"
      R"("recursive":true,"details":true})");
  EXPECT_EQ(query.name, "n");
  EXPECT_EQ(query.prefix, "p");
  EXPECT_EQ(query.kinds, (std::vector<MetricKind>{MetricKind::kRow, MetricKind::kTable}));
  EXPECT_EQ(query.rank, -1);
  EXPECT_EQ(query.first_step, 2);
  EXPECT_EQ(query.last_step, 3);
  EXPECT_EQ(query.limit, 4);
  EXPECT_TRUE(query.recursive && query.details);
  EXPECT_THROW(MetricValuesQueryFromJson(R"({"kinds":["rows"]})"), Error);
  EXPECT_THROW(MetricValuesQueryFromJson(R"({"nam":"x"})"), Error);
}

}  // namespace
}  // namespace trainyard
