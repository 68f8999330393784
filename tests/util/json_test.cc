#include "util/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <clocale>
#include <cmath>
#include <limits>

#include "util/error_message.h"
#include "util/text.h"

namespace trainyard {
namespace {

TEST(Json, ReadsValuesStrictly) {
  const Json json = Json::Parse(R"({"i":3,"d":1.5,"s":"x","b":true,"n":null,"l":["a","b"],"m":{"k":"v"}})", "job");
  EXPECT_EQ(json.GetInt64("i"), 3);
  EXPECT_EQ(json.GetDouble("d"), 1.5);
  EXPECT_EQ(json.GetString("s"), "x");
  EXPECT_TRUE(json.GetBool("b"));
  EXPECT_FALSE(json.Has("n"));
  EXPECT_EQ(json.GetInt64("n", 7), 7);
  EXPECT_EQ(json.GetStringList("l"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(json.GetStringMap("m").at("k"), "v");
  EXPECT_EQ(json.size(), 7u);
}

TEST(Json, ErrorsNameThePlace) {
  const Json json = Json::Parse(R"({"resources":{"gpus":"two","list":[1,{"x":1.5}]}})", "job");
  EXPECT_EQ(MessageOf([&] { json.Get("resources").GetInt64("gpus"); }),
            "job.resources.gpus must be an integer, got string 'two'");
  EXPECT_EQ(MessageOf([&] { json.Get("resources").Get("list").Items()[1].GetInt64("x"); }),
            "job.resources.list[1].x must be an integer, got 1.5");
  EXPECT_EQ(MessageOf([&] { json.GetString("name"); }), "job.name is missing");
  EXPECT_EQ(MessageOf([&] {
              json.Get("resources").CheckKeys({"gpu", "list"});
            }),
            "job.resources.gpus is not a known key, did you mean 'gpu'?");
  EXPECT_EQ(MessageOf([&] { Json::Parse("{\"a\":-1}", "/x/job.json").Get("a").AsInt64(0, 9); }),
            "/x/job.json: a must be 0 to 9, got -1");
}

TEST(Json, RefusesWhatIsNotJson) {
  const std::pair<std::string, const char *> cases[] = {
      {"", "t:1:1: unexpected end of the text"},
      {"{\n  \"a\": tru\n}", "t:2:8: expected a value"},
      {"[1,]", "t:1:4: expected a value"},
      {"{\"a\":1,}", "t:1:8: expected a member name in double quotes"},
      {"01", "t:1:2: a number must not start with 0"},
      {"1.", "t:1:3: expected a digit"},
      {"+1", "t:1:1: expected a value"},
      {"NaN", "t:1:1: expected a value"},
      {"\"\\u0000\"", "t:1:8: NUL is not allowed in a string"},
      {"\"\\ud800\"", "t:1:8: lone surrogate in a string"},
      {"\"\xff\"", "t:1:1: a string is not valid UTF-8"},
      {"\"a\nb\"", "t:1:3: control character in a string"},
      {"\"abc", "t:1:5: a string does not end"},
      {"1 2", "t:1:3: unexpected text after the value"},
      {"\xEF\xBB\xBF{}", "t:1:1: a byte order mark is not allowed"},
      {"{\"a\":1,\"a\":2}", "t: member 'a' is given twice"},
      {std::string(300, '['), "t:1:202: nested deeper than 200 levels"},
  };
  for (const auto &[text, message] : cases) EXPECT_EQ(MessageOf([&] { Json::Parse(text, "t"); }), message) << text;
  EXPECT_THAT(MessageOf([&] { Json::Parse("[1,2,3]", "t", {.max_bytes = 3, .max_depth = 9}); }),
              testing::HasSubstr("larger than"));
}

TEST(Json, NumbersThatJsonCannotHold) {
  Json json = Json::Object();
  json.SetInt64("big", INT64_MAX).SetInt64("low", INT64_MIN).SetInt64("small", -5).Set("u", UINT64_MAX);
  json.SetDouble("nan", std::nan("")).SetDouble("inf", std::numeric_limits<double>::infinity());
  const Json read = Json::Parse(json.Dump(), "x");
  EXPECT_EQ(
      json.Dump(),
      R"({"big":"9223372036854775807","low":"-9223372036854775808","small":-5,"u":"18446744073709551615","nan":"NaN","inf":"Infinity"})");
  EXPECT_EQ(read.GetInt64("big"), INT64_MAX);
  EXPECT_EQ(read.GetInt64("low"), INT64_MIN);
  EXPECT_EQ(read.Get("u").AsUint64(), UINT64_MAX);
  EXPECT_TRUE(std::isnan(read.GetDouble("nan")));
  EXPECT_TRUE(std::isinf(read.GetDouble("inf")));
  EXPECT_NE(MessageOf([&] { Json::Parse("9007199254740994", "x").AsInt64(); }), "");
  EXPECT_NE(MessageOf([&] { Json::Parse("\"1.5\"", "x").AsDouble(); }), "");
}

TEST(Json, BuildsAndShares) {
  Json inner = Json::Object().Set("x", 1);
  Json json =
      Json::Object().Set("a", inner).Set("b", Json::Array().Append(1.5).Append("s").Append(true).Append(nullptr));
  inner.Set("x", 2);  // the tree has its own copy
  EXPECT_EQ(json.Dump(), R"({"a":{"x":1},"b":[1.5,"s",true,null]})");
  EXPECT_EQ(json.DumpPretty(),
            "{\n  \"a\": {\n    \"x\": 1\n  },\n  \"b\": [\n    1.5,\n    \"s\",\n    true,\n    null\n  ]\n}\n");
  json.Set("a", 3).Remove("b");
  EXPECT_EQ(json.Dump(), R"({"a":3})");
  Json sub;
  {
    const Json parent = Json::Parse(R"({"k":{"v":[1]}})", "p");
    sub = parent.Get("k");
  }
  EXPECT_EQ(sub.Dump(), R"({"v":[1]})");  // outlives its parent's handle
  EXPECT_EQ(Json(std::string("a\0b\xff", 4)).AsString(),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
}

// The examples of RFC 8785.
TEST(Json, Canonical) {
  EXPECT_EQ(Json::Parse(R"({"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],)"
                        R"("string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]})",
                        "x")
                .Canonical(),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
            "\"string\":\"\u20ac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
  // Sorted by UTF-16 code units: a character above U+FFFF comes before U+FB33.
  EXPECT_EQ(
      Json::Parse(R"({"\ufb33":1,"\ud83d\ude00":2,"\u20ac":3,"\r":4,"1":5,"\u0080":6,"\u00f6":7})", "x").Canonical(),
      "{\"\\r\":4,\"1\":5,\"\u0080\":6,\"\u00f6\":7,\"\u20ac\":3,\"\U0001F600\":2,\"\uFB33\":1}");
}

TEST(Json, NumbersAsEcmaScriptWritesThem) {
  const std::pair<double, const char *> cases[] = {{0.0, "0"},
                                                   {-0.0, "0"},
                                                   {1, "1"},
                                                   {-1.5, "-1.5"},
                                                   {1e21, "1e+21"},
                                                   {1e20, "100000000000000000000"},
                                                   {123456789012345680000.0, "123456789012345680000"},
                                                   {1e-6, "0.000001"},
                                                   {1e-7, "1e-7"},
                                                   {0.1, "0.1"},
                                                   {5e-324, "5e-324"},
                                                   {1.7976931348623157e308, "1.7976931348623157e+308"},
                                                   {9007199254740992.0, "9007199254740992"},
                                                   {1.5e300, "1.5e+300"},
                                                   {100, "100"},
                                                   {12.345, "12.345"}};
  for (const auto &[value, text] : cases) EXPECT_EQ(FormatDouble(value), text);
}

TEST(Json, DoesNotDependOnTheLocale) {
  const char *set = setlocale(LC_ALL, "de_DE.UTF-8");
  EXPECT_EQ(Json::Parse("[1.5]", "x").Items()[0].AsDouble(), 1.5);
  EXPECT_EQ(Json(1.5).Dump(), "1.5");
  if (set != nullptr) setlocale(LC_ALL, "C");
}

}  // namespace
}  // namespace trainyard
