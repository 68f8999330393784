// The settings of a training job: one visible table (train_config_table.cc) of dotted keys with type, default, range
// and meaning; values by key; nested JSON in and out. Thread rule: a value.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "util/json.h"

namespace trainyard {

enum class SettingType { kBool, kInteger, kNumber, kString, kNumberList };

using SettingValue = std::variant<bool, int64_t, double, std::string, std::vector<double>>;

struct Setting {
  std::string_view key;  // "optimizer.lr"
  SettingType type;
  std::string_view default_json;  // as JSON: "0.001", "\"sgd\"", "[0.485,0.456,0.406]"
  double minimum, maximum;        // numbers only; integers are exact
  std::string_view choices;       // "sgd|adam"; empty = any
  std::string_view doc;
};

// Of model.mode feature without model.weights: said at submission and by the run.
inline constexpr char kRandomBackboneWarning[] = "no weights given: the frozen backbone is random; set model.weights";

class TrainConfig {
 public:
  // Every setting, in the order they are described.
  static std::span<const Setting> Settings();

  // All settings as a JSON array of {key, type, default, minimum, maximum, choices, doc}.
  static std::string DescribeJson();

  TrainConfig();  // every setting at its default

  // Throw Error::InvalidArgument: an unknown key (names the nearest), a wrong type, a value out of range.
  void SetBool(std::string_view key, bool value);
  void SetInteger(std::string_view key, int64_t value);
  void SetNumber(std::string_view key, double value);
  void SetString(std::string_view key, std::string_view value);
  void SetNumberList(std::string_view key, std::vector<double> values);

  bool GetBool(std::string_view key) const;
  int64_t GetInteger(std::string_view key) const;
  double GetNumber(std::string_view key) const;
  const std::string &GetString(std::string_view key) const;
  const std::vector<double> &GetNumberList(std::string_view key) const;

  // loss.name, with the task's own in the place of `auto`.
  std::string_view LossName() const;

  // What a job needs before it can run: data is named, and what CheckTraining says. Throw Error::InvalidArgument.
  void CheckComplete() const;
  // The same of a ty_trainer, which is given its data later.
  void CheckTrainer() const;
  // Settings that are each fine alone fit together.
  void CheckTraining() const;

  Json ToJson() const;  // nested, every setting: {"optimizer":{"lr":0.001,...},...}
  // Nested JSON; keys left out keep their default. `where` names the place in errors ("job.train").
  static TrainConfig FromJson(const Json &json, std::string_view where);

 private:
  void CheckData() const;
  void CheckValidation(bool has_directory) const;
  void CheckTask() const;
  void CheckTransform() const;
  size_t IndexOf(std::string_view key, SettingType type) const;
  void Store(size_t index, SettingValue value);

  std::vector<SettingValue> values_;  // parallel to Settings()
};

}  // namespace trainyard
