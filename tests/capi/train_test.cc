// train.h: every setting that ty_train_config_describe lists goes in and comes out, in any locale.
#include <clocale>
#include <cmath>

#include "capi/api.h"
#include "util/json.h"

namespace trainyard_test {
namespace {

using trainyard::Json;

class TrainConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(ty_train_config_new(config.out(), err));
    Text text;
    ASSERT_OK(ty_train_config_describe(text.out(), err));
    settings = Json::Parse(text.str(), "settings").Items();
    ASSERT_GT(settings.size(), 25U);
  }

  Json Values(const ty_train_config *from) {
    Text text;
    EXPECT_OK(ty_train_config_to_json(from, text.out(), err));
    return Json::Parse(text.str(), "config");
  }
  // The value at a dotted key.
  static Json At(Json json, const std::string &key) {
    const size_t dot = key.find('.');
    if (dot == std::string::npos) return *json.Find(key);
    return *json.Find(key.substr(0, dot))->Find(key.substr(dot + 1));
  }

  // Sets `setting` to something that is not its default, by its own setter; answers what JSON must then hold.
  Json SetOther(const Json &setting) {
    const std::string key = setting.GetString("key", ""), type = setting.GetString("type", "");
    const Json fallback = *setting.Find("default");
    if (type == "bool") {
      EXPECT_OK(ty_train_config_set_bool(config, key.c_str(), fallback.AsBool() ? 0 : 1, err));
      return Json(!fallback.AsBool());
    }
    if (type == "integer") {
      const int64_t value = fallback.AsInt64() + 1;
      EXPECT_OK(ty_train_config_set_int(config, key.c_str(), value, err)) << key;
      return Json(value);
    }
    // Some settings are from 1 on.
    const auto least = setting.Find("minimum");
    const double offset = least && !least->is_null() && least->AsDouble() >= 1 ? 1 : 0;
    if (type == "number") {
      const double value = 0.12345678901234567 + offset;
      EXPECT_OK(ty_train_config_set_double(config, key.c_str(), value, err)) << key;
      return Json(value);
    }
    if (type == "string") {
      std::string value = "a 'value' \"with\" \\ \xC3\xA4";
      const auto choices = setting.Find("choices");
      if (choices) value = choices->Items().back().AsString();
      EXPECT_OK(ty_train_config_set_string(config, key.c_str(), value.c_str(), err)) << key;
      return Json(value);
    }
    EXPECT_EQ(type, "number list");
    const double values[] = {0.25 + offset, 1e-3 + offset, 3};
    EXPECT_OK(ty_train_config_set_doubles(config, key.c_str(), values, 3, err)) << key;
    Json list = Json::Array();
    for (const double value : values) list.Append(value);
    return list;
  }

  Config config;
  std::vector<Json> settings;
  Err err;
};

TEST_F(TrainConfigTest, EverySettingRoundTrips) {
  for (const Json &setting : settings) {
    const std::string key = setting.GetString("key", "");
    SCOPED_TRACE(key);
    EXPECT_GE(setting.GetString("doc", "").size(), 10U);
    EXPECT_EQ(At(Values(config), key).Dump(), setting.Find("default")->Dump()) << "default";
    const Json expected = SetOther(setting);
    EXPECT_EQ(At(Values(config), key).Dump(), expected.Dump());
  }
  Text json, again;
  ASSERT_OK(ty_train_config_to_json(config, json.out(), err));
  Config copy;
  ASSERT_OK(ty_train_config_from_json(json, copy.out(), err));
  ASSERT_OK(ty_train_config_to_json(copy, again.out(), err));
  EXPECT_EQ(json.str(), again.str());
}

TEST_F(TrainConfigTest, UnknownKeysNameTheNearest) {
  EXPECT_EQ(ty_train_config_set_double(config, "optimizer.lrr", 1, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("'optimizer.lr'"), std::string::npos) << err.message();
  EXPECT_EQ(err.detail("key"), "optimizer.lrr");
  EXPECT_EQ(ty_train_config_set_int(config, "train.epoch", 1, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("'train.epochs'"), std::string::npos) << err.message();
  EXPECT_EQ(ty_train_config_set_string(config, "", "x", err), TY_ERR_INVALID_ARGUMENT);
  Config other;
  EXPECT_EQ(ty_train_config_from_json(R"({"optimizer":{"momentun":0.5}})", other.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("'optimizer.momentum'"), std::string::npos) << err.message();
  EXPECT_EQ(other.get(), nullptr);
}

TEST_F(TrainConfigTest, RangesTypesAndChoicesAreKept) {
  for (const Json &setting : settings) {
    const std::string key = setting.GetString("key", ""), type = setting.GetString("type", "");
    const Json before = At(Values(config), key);
    SCOPED_TRACE(key);
    const auto minimum = setting.Find("minimum"), maximum = setting.Find("maximum");
    if (type == "integer") {
      EXPECT_EQ(ty_train_config_set_int(config, key.c_str(), minimum->AsInt64() - 1, err), TY_ERR_INVALID_ARGUMENT);
      EXPECT_EQ(ty_train_config_set_int(config, key.c_str(), maximum->AsInt64() + 1, err), TY_ERR_INVALID_ARGUMENT);
      EXPECT_EQ(ty_train_config_set_double(config, key.c_str(), 1.5, err), TY_ERR_INVALID_ARGUMENT);
      EXPECT_EQ(ty_train_config_set_string(config, key.c_str(), "1", err), TY_ERR_INVALID_ARGUMENT);
    }
    if (type == "number") {
      EXPECT_EQ(ty_train_config_set_double(config, key.c_str(), NAN, err), TY_ERR_INVALID_ARGUMENT);
      EXPECT_EQ(ty_train_config_set_double(config, key.c_str(), HUGE_VAL, err), TY_ERR_INVALID_ARGUMENT);
      EXPECT_EQ(ty_train_config_set_double(config, key.c_str(), -1, err), TY_ERR_INVALID_ARGUMENT);
    }
    if (type == "number list") {
      const double few[] = {1, 2};  // one for each colour is wanted
      if (key.rfind("transform.", 0) == 0) {
        EXPECT_EQ(ty_train_config_set_doubles(config, key.c_str(), few, 2, err), TY_ERR_INVALID_ARGUMENT);
      }
      const double bad[] = {1, NAN, 2};
      EXPECT_EQ(ty_train_config_set_doubles(config, key.c_str(), bad, 3, err), TY_ERR_INVALID_ARGUMENT);
    }
    if (type == "string" && setting.Has("choices")) {
      EXPECT_EQ(ty_train_config_set_string(config, key.c_str(), "no such choice", err), TY_ERR_INVALID_ARGUMENT);
      EXPECT_EQ(err.detail("key"), key);
    }
    EXPECT_EQ(At(Values(config), key).Dump(), before.Dump()) << "a refused value was kept";
  }
  // A whole number is a number.
  EXPECT_OK(ty_train_config_set_int(config, "optimizer.lr", 1, err));
  EXPECT_OK(ty_train_config_set_int(config, "train.seed", 9007199254740991, err));
  EXPECT_EQ(At(Values(config), "train.seed").AsInt64(), 9007199254740991);
}

TEST_F(TrainConfigTest, BadJsonIsNamed) {
  Config other;
  for (const char *json : {"", "{", "[]", "null", "{\"train\":{\"epochs\":\"many\"}}", "{\"train\":{\"epochs\":1.5}}",
                           "{\"device\":3}", "{\"train\":{\"epochs\":1,\"epochs\":2}}", "{} x"}) {
    EXPECT_EQ(ty_train_config_from_json(json, other.out(), err), TY_ERR_INVALID_ARGUMENT) << json;
    EXPECT_EQ(err.message().find('\n'), std::string::npos) << err.message();
    EXPECT_EQ(other.get(), nullptr);
  }
  EXPECT_OK(ty_train_config_from_json("{}", other.out(), err));
}

// 0.5 is 0.5 also where people write 0,5.
TEST_F(TrainConfigTest, TheLocaleDoesNotMatter) {
  TempDirectory locales;
  // Made here when the system has none.
  for (const char *name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"}) {
    if (setlocale(LC_ALL, name) != nullptr) break;
  }
  if (std::string(localeconv()->decimal_point) != ",") {
    RunProgram({"localedef", "--no-archive", "-i", "de_DE", "-f", "UTF-8", locales / "de_DE.UTF-8"});
    ASSERT_EQ(setenv("LOCPATH", locales.path().c_str(), 1), 0);
    setlocale(LC_ALL, "de_DE.UTF-8");
  }
  if (std::string(localeconv()->decimal_point) != ",")
    GTEST_SKIP() << "SKIP: no locale with a decimal comma is installed (package locales)";
  ASSERT_OK(ty_train_config_set_double(config, "optimizer.lr", 0.5, err));
  EXPECT_EQ(At(Values(config), "optimizer.lr").AsDouble(), 0.5);
  Text json;
  EXPECT_OK(ty_train_config_to_json(config, json.out(), err));
  EXPECT_NE(json.str().find("0.5"), std::string::npos);
  Config copy;
  EXPECT_OK(ty_train_config_from_json(json, copy.out(), err));
  EXPECT_EQ(At(Values(copy), "optimizer.momentum").AsDouble(), 0.9);
  EXPECT_EQ(ty_train_config_set_double(config, "optimizer.momentum", 1.5, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("1.5"), std::string::npos) << err.message();
  setlocale(LC_ALL, "C");
}

}  // namespace
}  // namespace trainyard_test
