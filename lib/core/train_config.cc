#include "core/train_config.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/train_lists.h"
#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

using enum SettingType;

std::string_view TypeName(SettingType type) {
  switch (type) {
    case kBool:
      return "bool";
    case kInteger:
      return "integer";
    case kNumber:
      return "number";
    case kString:
      return "string";
    case kNumberList:
      return "number list";
  }
  return "unknown";
}

bool IsOneOf(std::string_view value, std::string_view choices) {
  const std::vector<std::string_view> parts = Split(choices, '|');
  return std::find(parts.begin(), parts.end(), value) != parts.end();
}

// "optimizer" of "optimizer.lr"; "" of "device".
std::string_view GroupOf(std::string_view key) {
  const size_t dot = key.find('.');
  return dot == std::string_view::npos ? std::string_view() : key.substr(0, dot);
}

[[noreturn]] void ThrowUnknownKey(std::string_view key, std::string_view where) {
  std::vector<std::string> keys;
  for (const Setting &setting : TrainConfig::Settings()) keys.emplace_back(setting.key);
  const std::string nearest = NearestOf(key, keys);
  const std::string hint =
      nearest.empty() ? "; ty_train_config_describe lists all" : ", did you mean '" + nearest + "'?";
  throw Error::InvalidArgument(
      "unknown setting '" + std::string(key) + "'" + (where.empty() ? "" : " in " + std::string(where)) + hint,
      {{"key", std::string(key)}, {"nearest", nearest}});
}

std::string BoundText(const Setting &setting) {
  if (std::isinf(setting.minimum) && std::isinf(setting.maximum)) return "a finite number";
  if (std::isinf(setting.maximum)) return "at least " + FormatDouble(setting.minimum);
  return "from " + FormatDouble(setting.minimum) + " to " + FormatDouble(setting.maximum);
}

void CheckRange(const Setting &setting, double value) {
  if (std::isfinite(value) && value >= setting.minimum && value <= setting.maximum) return;
  const std::string key(setting.key);
  throw Error::InvalidArgument("setting '" + key + "' must be " + BoundText(setting) + ", got " + FormatDouble(value),
                               {{"key", key}});
}

SettingValue ValueFromJson(const Setting &setting, const Json &json) {
  switch (setting.type) {
    case kBool:
      return json.AsBool();
    case kInteger:
      return json.AsInt64();
    case kNumber:
      return json.AsDouble();
    case kString:
      return json.AsString();
    case kNumberList:
      return json.AsDoubleList();
  }
  throw Error::Internal("setting without a type");
}

Json ValueToJson(const SettingValue &value) {
  return std::visit(
      [](const auto &v) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::vector<double>>) {
          Json list = Json::Array();
          for (double number : v) list.Append(number);
          return list;
        } else {
          return Json(v);
        }
      },
      value);
}

Json NumberOrNull(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

// The defaults are parsed once: a configuration is made for every job that is read.
const std::vector<SettingValue> &Defaults() {
  static const std::vector<SettingValue> values = [] {
    std::vector<SettingValue> parsed;
    for (const Setting &setting : TrainConfig::Settings()) {
      parsed.push_back(ValueFromJson(setting, Json::Parse(setting.default_json, setting.key)));
    }
    return parsed;
  }();
  return values;
}

}  // namespace

std::string TrainConfig::DescribeJson() {
  Json list = Json::Array();
  for (const Setting &setting : TrainConfig::Settings()) {
    const bool bounded = setting.type == kInteger || setting.type == kNumber || setting.type == kNumberList;
    Json choices = Json::Array();
    for (std::string_view choice : Split(setting.choices, '|')) choices.Append(choice);
    Json entry = Json::Object();
    entry.Set("key", setting.key)
        .Set("type", TypeName(setting.type))
        .Set("default", Json::Parse(setting.default_json, setting.key))
        .Set("minimum", bounded ? NumberOrNull(setting.minimum) : Json())
        .Set("maximum", bounded ? NumberOrNull(setting.maximum) : Json())
        .Set("choices", setting.choices.empty() ? Json() : choices)
        .Set("doc", setting.doc);
    list.Append(entry);
  }
  return list.DumpPretty();
}

TrainConfig::TrainConfig() : values_(Defaults()) {}

size_t TrainConfig::IndexOf(std::string_view key, SettingType type) const {
  for (size_t i = 0; i < TrainConfig::Settings().size(); ++i) {
    const Setting &setting = TrainConfig::Settings()[i];
    if (setting.key != key) continue;
    if (setting.type == type) return i;
    throw Error::InvalidArgument("setting '" + std::string(key) + "' is a " + std::string(TypeName(setting.type)) +
                                     ", not a " + std::string(TypeName(type)),
                                 {{"key", std::string(key)}});
  }
  ThrowUnknownKey(key, "");
}

void TrainConfig::Store(size_t index, SettingValue value) {
  const Setting &setting = Settings()[index];
  if (const auto *integer = std::get_if<int64_t>(&value)) CheckRange(setting, static_cast<double>(*integer));
  if (const auto *number = std::get_if<double>(&value)) CheckRange(setting, *number);
  if (const auto *numbers = std::get_if<std::vector<double>>(&value)) {
    for (double number : *numbers) CheckRange(setting, number);
    // One number per colour channel.
    if (setting.key.starts_with("transform.") && numbers->size() != 3) {
      throw Error::InvalidArgument(
          "setting '" + std::string(setting.key) + "' must have 3 numbers, got " + std::to_string(numbers->size()),
          {{"key", std::string(setting.key)}});
    }
  }
  if (const auto *text = std::get_if<std::string>(&value)) {
    if (!setting.choices.empty() && !IsOneOf(*text, setting.choices)) {
      std::vector<std::string> choices;
      for (std::string_view choice : Split(setting.choices, '|')) choices.emplace_back(choice);
      throw Error::InvalidArgument("setting '" + std::string(setting.key) + "' must be one of " + Join(choices, ", ") +
                                       ", got '" + *text + "'" + DidYouMean(*text, choices),
                                   {{"key", std::string(setting.key)}});
    }
  }
  values_[index] = std::move(value);
}

void TrainConfig::SetBool(std::string_view key, bool value) {
  Store(IndexOf(key, kBool), value);
}

void TrainConfig::SetInteger(std::string_view key, int64_t value) {
  for (const Setting &setting : TrainConfig::Settings()) {
    if (setting.key == key && setting.type == kNumber) return SetNumber(key, static_cast<double>(value));
  }
  Store(IndexOf(key, kInteger), value);
}

void TrainConfig::SetNumber(std::string_view key, double value) {
  Store(IndexOf(key, kNumber), value);
}

void TrainConfig::SetString(std::string_view key, std::string_view value) {
  Store(IndexOf(key, kString), std::string(value));
}

void TrainConfig::SetNumberList(std::string_view key, std::vector<double> values) {
  Store(IndexOf(key, kNumberList), std::move(values));
}

bool TrainConfig::GetBool(std::string_view key) const {
  return std::get<bool>(values_[IndexOf(key, kBool)]);
}

int64_t TrainConfig::GetInteger(std::string_view key) const {
  return std::get<int64_t>(values_[IndexOf(key, kInteger)]);
}

double TrainConfig::GetNumber(std::string_view key) const {
  return std::get<double>(values_[IndexOf(key, kNumber)]);
}

const std::string &TrainConfig::GetString(std::string_view key) const {
  return std::get<std::string>(values_[IndexOf(key, kString)]);
}

const std::vector<double> &TrainConfig::GetNumberList(std::string_view key) const {
  return std::get<std::vector<double>>(values_[IndexOf(key, kNumberList)]);
}

namespace {

bool IsDevice(std::string_view name) {
  if (name == "auto" || name == "cpu" || name == "cuda") return true;
  const auto number = name.starts_with("cuda:") ? ParseInt64(name.substr(5)) : std::nullopt;
  return number && *number >= 0 && *number < 1024;
}

// Networks whose shape is told by settings.
bool IsForArrays(std::string_view architecture) {
  return architecture == "mlp" || architecture == "sequential";
}

}  // namespace

std::string_view TrainConfig::LossName() const {
  const std::string &name = GetString("loss.name"), &task = GetString("task");
  if (name != "auto") return name;
  return task == "multilabel" ? "bce" : task == "regression" ? "mse" : "cross_entropy";
}

// One way of naming the data, and something to validate with.
void TrainConfig::CheckData() const {
  const bool whole = !GetString("data.directory").empty(), manifest = !GetString("data.manifest").empty();
  const bool train = !GetString("data.train_directory").empty(),
             validation = !GetString("data.validation_directory").empty();
  const bool arrays = !GetString("data.arrays").empty();
  if (arrays && (manifest || whole || train || validation)) {
    throw Error::InvalidArgument(
        "set either 'data.arrays' or images ('data.manifest' or directories): a job learns from one of them",
        {{"key", "data.arrays"}});
  }
  if (manifest && (whole || train || validation)) {
    throw Error::InvalidArgument("set either 'data.manifest' or directories of images, not both",
                                 {{"key", "data.manifest"}});
  }
  if (whole && (train || validation)) {
    throw Error::InvalidArgument(
        "set either 'data.directory' or both 'data.train_directory' and 'data.validation_directory', not all of them");
  }
  CheckValidation(validation);
  const bool fraction = GetNumber("data.validation_fraction") > 0;
  if (!whole && !manifest && !arrays && (!train || (!validation && !fraction))) {
    throw Error::InvalidArgument(
        "no training data: set 'data.directory' (with folders train and val), 'data.train_directory' and "
        "'data.validation_directory' (or 'data.validation_fraction'), 'data.manifest' or 'data.arrays'",
        {{"key", "data.directory"}});
  }
}

void TrainConfig::CheckValidation(bool has_directory) const {
  const double fraction = GetNumber("data.validation_fraction");
  if (fraction == 1) {
    throw Error::InvalidArgument("setting 'data.validation_fraction' must be below 1: no image would be left to learn",
                                 {{"key", "data.validation_fraction"}});
  }
  if (fraction > 0 && has_directory) {
    throw Error::InvalidArgument(
        "'data.validation_directory' has the validation images, and 'data.validation_fraction' would take training "
        "images: set one of them",
        {{"key", "data.validation_fraction"}});
  }
}

// Task, data, model and loss of a job fit together.
void TrainConfig::CheckTask() const {
  const std::string &task = GetString("task"), &architecture = GetString("model.architecture");
  const bool arrays = !GetString("data.arrays").empty();
  if (IsForArrays(architecture) && !arrays) {
    throw Error::InvalidArgument(
        "setting 'model.architecture' " + architecture + " is for arrays: set 'data.arrays', or a network for images",
        {{"key", "model.architecture"}});
  }
  if (task != "classification" && GetString("data.manifest").empty() && !arrays) {
    throw Error::InvalidArgument("setting 'task' is " + task +
                                     ", which needs 'data.manifest' or 'data.arrays': a folder tells one class of its "
                                     "images",
                                 {{"key", "task"}});
  }
  const std::string_view losses = task == "multilabel"   ? "bce"
                                  : task == "regression" ? "mse|l1|huber"
                                                         : "cross_entropy";
  if (!IsOneOf(LossName(), losses)) {
    std::vector<std::string> names;
    for (const std::string_view name : Split(losses, '|')) names.emplace_back(name);
    throw Error::InvalidArgument("setting 'loss.name' is " + std::string(LossName()) + ", and 'task' " + task +
                                     ", which learns by " + Join(names, ", ") +
                                     ": change one of them, or set loss.name auto",
                                 {{"key", "loss.name"}});
  }
}

void TrainConfig::CheckComplete() const {
  CheckData();
  CheckTask();
  CheckTraining();
  if (GetString("data.arrays").empty()) CheckTransform();
}

void TrainConfig::CheckTrainer() const {
  CheckTraining();
  const std::string &architecture = GetString("model.architecture");
  if (!IsForArrays(architecture) || GetInteger("model.inputs") > 0) return;
  throw Error::InvalidArgument(
      "setting 'model.inputs' must say how many values a sample of model.architecture " + architecture + " has",
      {{"key", "model.inputs"}});
}

void TrainConfig::CheckTransform() const {
  const auto refuse = [](const std::string &key, const std::string &message) {
    throw Error::InvalidArgument("'" + key + "' " + message, {{"key", key}});
  };
  if (GetInteger("transform.crop") > GetInteger("transform.resize")) {
    refuse("transform.crop", "must not be larger than 'transform.resize'");
  }
  for (const char *range : {"scale", "ratio", "erasing_scale", "erasing_ratio"}) {
    const std::string low = "transform." + std::string(range) + "_minimum",
                      high = "transform." + std::string(range) + "_maximum";
    if (GetNumber(low) > GetNumber(high)) {
      refuse(low, "must not be larger than '" + high + "', got " + FormatDouble(GetNumber(low)) + " and " +
                      FormatDouble(GetNumber(high)));
    }
  }
  for (const double value : GetNumberList("transform.rotation_fill")) {
    if (value != std::floor(value)) {
      refuse("transform.rotation_fill", "must have whole numbers, got " + FormatDouble(value));
    }
  }
  if (GetBool("transform.augment")) return;
  for (const char *key :
       {"transform.vertical_flip", "transform.brightness", "transform.contrast", "transform.saturation",
        "transform.hue", "transform.rotation_degrees", "transform.grayscale", "transform.erasing"}) {
    if (GetNumber(key) != 0) refuse(key, "does nothing with 'transform.augment' false: set one of them");
  }
}

void TrainConfig::CheckTraining() const {
  const auto refuse = [](const char *key, const std::string &message) {
    throw Error::InvalidArgument("setting '" + std::string(key) + "' " + message, {{"key", key}});
  };
  if (const std::string &device = GetString("device"); !IsDevice(device)) {
    refuse("device", "must be auto, cpu, cuda or cuda:N, got '" + device + "'");
  }
  const std::string &architecture = GetString("model.architecture");
  const std::string loss(LossName());
  if (architecture == "sequential" && GetString("model.layers").empty()) {
    refuse("model.layers", "must list the layers of model.architecture sequential");
  }
  for (const double width : GetNumberList("model.hidden")) {
    if (width != std::floor(width)) refuse("model.hidden", "must have whole numbers, got " + FormatDouble(width));
  }
  if (loss != "cross_entropy" && (GetNumber("loss.label_smoothing") != 0 || !GetString("loss.class_weights").empty())) {
    refuse("loss.name", "must be cross_entropy with label smoothing or class weights, got '" + loss + "'");
  }
  if (GetInteger("model.cache_features") > 0 && GetString("model.mode") != "feature") {
    refuse("model.cache_features", "needs model.mode feature: a backbone that changes has no features to keep");
  }
  ParsePatterns(GetString("model.freeze"), "model.freeze");
  ParseFactors(GetString("optimizer.lr_factors"), "optimizer.lr_factors");
  ParseClassWeights(GetString("loss.class_weights"), "loss.class_weights");
  const std::string &optimizer = GetString("optimizer.name"), &schedule = GetString("schedule.name");
  if (GetBool("optimizer.nesterov") && (optimizer != "sgd" || GetNumber("optimizer.momentum") == 0)) {
    refuse("optimizer.nesterov", "needs optimizer.name sgd with a momentum above 0");
  }
  if (GetInteger("train.micro_batch_size") > GetInteger("train.batch_size")) {
    refuse("train.micro_batch_size", "must not be larger than train.batch_size, of which it is a part");
  }
  if (GetBool("train.sync_batch_norm") && GetInteger("train.micro_batch_size") > 0) {
    refuse("train.micro_batch_size", "does not go with train.sync_batch_norm: ranks would wait for parts others lack");
  }
  if (schedule == "multistep" && GetNumberList("schedule.milestones").empty()) {
    refuse("schedule.milestones", "must name the epochs after which the rate changes, as schedule.name is multistep");
  }
  if (schedule == "onecycle" && GetInteger("schedule.warmup_steps") > 0) {
    refuse("schedule.warmup_steps", "does not go with schedule.name onecycle, which has its own rise");
  }
  if (GetString("train.nan_policy") == "rollback" && GetInteger("checkpoint.every_epochs") == 0 &&
      GetInteger("checkpoint.every_steps") == 0) {
    refuse("train.nan_policy", "rollback needs checkpoints: set checkpoint.every_epochs or checkpoint.every_steps");
  }
  for (const char *key : {"optimizer.beta1", "optimizer.beta2", "train.ema_decay"}) {
    if (GetNumber(key) == 1) refuse(key, "must be below 1");
  }
}

Json TrainConfig::ToJson() const {
  Json root = Json::Object();
  std::map<std::string, Json, std::less<>> groups;
  for (size_t i = 0; i < values_.size(); ++i) {
    const std::string_view key = TrainConfig::Settings()[i].key, group = GroupOf(key);
    if (group.empty()) {
      root.Set(key, ValueToJson(values_[i]));
      continue;
    }
    auto place = groups.try_emplace(std::string(group), Json::Object()).first;
    place->second.Set(key.substr(group.size() + 1), ValueToJson(values_[i]));
  }
  for (auto &[name, members] : groups) root.Set(name, members);
  return root;
}

TrainConfig TrainConfig::FromJson(const Json &json, std::string_view where) {
  TrainConfig config;
  const auto store = [&](const std::string &key, const Json &value) {
    for (size_t i = 0; i < TrainConfig::Settings().size(); ++i) {
      if (TrainConfig::Settings()[i].key == key)
        return config.Store(i, ValueFromJson(TrainConfig::Settings()[i], value));
    }
    ThrowUnknownKey(key, where);
  };
  for (const auto &[name, member] : json.Members()) {
    if (!member.is_object()) {
      store(name, member);
      continue;
    }
    for (const auto &[key, value] : member.Members()) store(name + "." + key, value);
  }
  return config;
}

}  // namespace trainyard
