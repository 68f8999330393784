#include "core/train_config.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

using enum SettingType;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kMaxInt = 9007199254740991.0;  // 2^53 - 1

// clang-format off
constexpr Setting kSettings[] = {
    // key                       type         default      min   max      choices
    {"data.directory",           kString,     "\"\"",      0,    0,       "",
     "Directory with one folder `train` and one folder `val` (or `validation`), each with one folder per class."},
    {"data.train_directory",     kString,     "\"\"",      0,    0,       "",
     "Training images, one folder per class; instead of data.directory."},
    {"data.validation_directory", kString,    "\"\"",      0,    0,       "",
     "Validation images, one folder per class; instead of data.directory."},
    {"data.bad_images",          kString,     "\"skip\"",  0,    0,       "skip|fail",
     "What an unreadable image does: it is named, counted and left out, or the run fails."},
    {"data.workers",             kInteger,    "0",         0,    256,     "",
     "Threads that decode and transform images; 0 = as many as there are CPUs. Results do not depend on it."},
    {"data.cache",               kString,     "\"auto\"",  0,    0,       "auto|memory|none",
     "Keep decoded images in memory after the first epoch: always, never, or when they fit into a quarter of the free memory."},
    {"transform.resize",         kInteger,    "256",       1,    8192,    "",
     "Evaluation: the shorter side is resized to this many pixels."},
    {"transform.crop",           kInteger,    "224",       1,    8192,    "",
     "Side of the square that the model sees, in pixels: centre crop for evaluation, random resized crop for training."},
    {"transform.augment",        kBool,       "true",      0,    0,       "",
     "Training uses RandomResizedCrop and RandomHorizontalFlip; false: the evaluation transform."},
    {"transform.scale_minimum",  kNumber,     "0.08",      0.0001, 1,     "",
     "RandomResizedCrop: smallest share of the image's area."},
    {"transform.mean",           kNumberList, "[0.485,0.456,0.406]", -kInf, kInf, "",
     "Subtracted from each channel of the pixels in 0..1 (red, green, blue). The default is ImageNet's."},
    {"transform.std",            kNumberList, "[0.229,0.224,0.225]", 1e-12, kInf, "",
     "Each channel is divided by it. The default is ImageNet's."},
    {"model.architecture",       kString,     "\"resnet18\"", 0, 0,       "squeezenet1_1|resnet18|resnet34|resnet50",
     "The network; parameter names are torchvision's."},
    {"model.weights",            kString,     "\"\"",      0,    0,       "",
     "Weights to start from: a .safetensors, .pth or TorchScript file, https://...#<sha256>, or model:NAME[:VERSION] of the workspace. Empty: random."},
    {"model.mode",               kString,     "\"finetune\"", 0, 0,       "finetune|feature",
     "Train all parameters, or only the head on a frozen backbone."},
    {"train.epochs",             kInteger,    "25",        1,    1000000, "", "Passes over the training images."},
    {"train.batch_size",         kInteger,    "4",         1,    65536,   "", "Images per step."},
    {"train.seed",               kInteger,    "0",         0,    kMaxInt, "", "Everything random is derived from it."},
    {"train.nan_policy",         kString,     "\"fail\"",  0,    0,       "fail|skip",
     "A loss that is not a finite number fails the run, or the step is left out and counted."},
    {"train.log_every_steps",    kInteger,    "10",        1,    1000000, "", "Steps between two points of the metric `train/loss_step` and between progress reports."},
    {"evaluate.batch_size",      kInteger,    "32",        1,    65536,   "", "Images per evaluation step."},
    {"optimizer.name",           kString,     "\"sgd\"",   0,    0,       "sgd", "The optimizer."},
    {"optimizer.lr",             kNumber,     "0.001",     0,    kInf,    "", "Learning rate at the start."},
    {"optimizer.momentum",       kNumber,     "0.9",       0,    1,       "", "Momentum of SGD."},
    {"optimizer.weight_decay",   kNumber,     "0",         0,    kInf,    "", "L2 penalty."},
    {"schedule.name",            kString,     "\"step\"",  0,    0,       "step|constant", "How the learning rate changes after each epoch."},
    {"schedule.step_size",       kInteger,    "7",         1,    1000000, "", "step: every so many epochs the rate is multiplied by schedule.gamma."},
    {"schedule.gamma",           kNumber,     "0.1",       0,    kInf,    "", "step: the factor."},
    {"checkpoint.every_epochs",  kInteger,    "1",         0,    1000000, "", "Epochs between checkpoints; 0 = none."},
    {"checkpoint.keep",          kInteger,    "1",         1,    1000,    "", "How many checkpoints are kept."},
    {"device",                   kString,     "\"auto\"",  0,    0,       "", "auto (a GPU when there is one), cpu, cuda or cuda:N."},
    {"threads",                  kInteger,    "0",         0,    1024,    "", "CPU threads of one step; 0 = as many as there are CPUs."},
};
// clang-format on

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
  for (const Setting &setting : kSettings) keys.emplace_back(setting.key);
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
    for (const Setting &setting : kSettings) {
      parsed.push_back(ValueFromJson(setting, Json::Parse(setting.default_json, setting.key)));
    }
    return parsed;
  }();
  return values;
}

}  // namespace

std::span<const Setting> TrainConfig::Settings() {
  return kSettings;
}

std::string TrainConfig::DescribeJson() {
  Json list = Json::Array();
  for (const Setting &setting : kSettings) {
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
  for (size_t i = 0; i < std::size(kSettings); ++i) {
    const Setting &setting = kSettings[i];
    if (setting.key != key) continue;
    if (setting.type == type) return i;
    throw Error::InvalidArgument("setting '" + std::string(key) + "' is a " + std::string(TypeName(setting.type)) +
                                     ", not a " + std::string(TypeName(type)),
                                 {{"key", std::string(key)}});
  }
  ThrowUnknownKey(key, "");
}

void TrainConfig::Store(size_t index, SettingValue value) {
  const Setting &setting = kSettings[index];
  if (const auto *integer = std::get_if<int64_t>(&value)) CheckRange(setting, static_cast<double>(*integer));
  if (const auto *number = std::get_if<double>(&value)) CheckRange(setting, *number);
  if (const auto *numbers = std::get_if<std::vector<double>>(&value)) {
    for (double number : *numbers) CheckRange(setting, number);
    // The lists there are hold one number per colour channel.
    if (numbers->size() != 3) {
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
  for (const Setting &setting : kSettings) {
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

}  // namespace

void TrainConfig::CheckComplete() const {
  if (const std::string &device = GetString("device"); !IsDevice(device)) {
    throw Error::InvalidArgument("setting 'device' must be auto, cpu, cuda or cuda:N, got '" + device + "'",
                                 {{"key", "device"}});
  }
  const bool whole = !GetString("data.directory").empty();
  const bool parts = !GetString("data.train_directory").empty() || !GetString("data.validation_directory").empty();
  if (whole && parts) {
    throw Error::InvalidArgument(
        "set either 'data.directory' or both 'data.train_directory' and 'data.validation_directory', not all of them");
  }
  if (!whole && (GetString("data.train_directory").empty() || GetString("data.validation_directory").empty())) {
    throw Error::InvalidArgument(
        "no training data: set 'data.directory' (with folders train and val), or 'data.train_directory' and "
        "'data.validation_directory'",
        {{"key", "data.directory"}});
  }
  if (GetInteger("transform.crop") > GetInteger("transform.resize")) {
    throw Error::InvalidArgument("'transform.crop' must not be larger than 'transform.resize'",
                                 {{"key", "transform.crop"}});
  }
}

Json TrainConfig::ToJson() const {
  Json root = Json::Object();
  std::map<std::string, Json, std::less<>> groups;
  for (size_t i = 0; i < values_.size(); ++i) {
    const std::string_view key = kSettings[i].key, group = GroupOf(key);
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
    for (size_t i = 0; i < std::size(kSettings); ++i) {
      if (kSettings[i].key == key) return config.Store(i, ValueFromJson(kSettings[i], value));
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
