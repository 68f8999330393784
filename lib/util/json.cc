#include "util/json.h"

#include <cjson/cJSON.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

#include "util/error.h"
#include "util/json_scan.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr double kMaxExact = 9007199254740992.0;  // 2^53

cJSON *Checked(cJSON *node) {
  if (node == nullptr) throw Error(Status::kOutOfMemory, "out of memory while building JSON");
  return node;
}

JsonType TypeOf(const cJSON *node) {
  switch (node->type & 0xFF) {
    case cJSON_False:
    case cJSON_True:
      return JsonType::kBool;
    case cJSON_Number:
      return JsonType::kNumber;
    case cJSON_String:
      return JsonType::kString;
    case cJSON_Array:
      return JsonType::kArray;
    case cJSON_Object:
      return JsonType::kObject;
    default:
      return JsonType::kNull;
  }
}

std::string_view TypeName(JsonType type) {
  constexpr std::string_view kNames[] = {"null", "boolean", "number", "string", "array", "object"};
  return kNames[static_cast<size_t>(type)];
}

// Names of one object twice are an error: which one counts is anybody's guess.
void CheckDuplicates(const cJSON *node, std::string_view source) {
  for (const cJSON *child = node->child; child != nullptr; child = child->next) CheckDuplicates(child, source);
  if (TypeOf(node) != JsonType::kObject || node->child == nullptr || node->child->next == nullptr) return;
  std::set<std::string_view> names;
  for (const cJSON *child = node->child; child != nullptr; child = child->next) {
    if (!names.insert(child->string).second) {
      throw Error::InvalidArgument(std::string(source) + ": member '" + child->string + "' is given twice");
    }
  }
}

void WriteString(std::string_view text, std::string *out) {
  out->push_back('"');
  for (char c : text) {
    switch (c) {
      case '"':
        *out += "\\\"";
        break;
      case '\\':
        *out += "\\\\";
        break;
      case '\b':
        *out += "\\b";
        break;
      case '\f':
        *out += "\\f";
        break;
      case '\n':
        *out += "\\n";
        break;
      case '\r':
        *out += "\\r";
        break;
      case '\t':
        *out += "\\t";
        break;
      default:
        if (static_cast<uint8_t>(c) < 0x20) {
          *out += "\\u00";
          out->push_back("0123456789abcdef"[c >> 4]);
          out->push_back("0123456789abcdef"[c & 15]);
        } else {
          out->push_back(c);
        }
    }
  }
  out->push_back('"');
}

// RFC 8785 sorts by UTF-16 code units: as bytes, except that characters above U+FFFF (surrogates, 0xD800...) come
// before U+E000 to U+FFFF.
bool Utf16Less(std::string_view a, std::string_view b) {
  const auto [x, y] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (y == b.end()) return false;
  if (x == a.end()) return true;
  const auto weight = [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte >= 0xF0 ? 0xEE - 0.5 : byte >= 0xEE ? byte : static_cast<double>(byte);
  };
  // The first differing byte decides unless both sides differ inside the same lead byte.
  return weight(*x) == weight(*y) ? static_cast<uint8_t>(*x) < static_cast<uint8_t>(*y) : weight(*x) < weight(*y);
}

struct Writer {
  bool pretty = false;
  bool sorted = false;
  std::string out = {};

  void Line(int depth) {
    if (!pretty) return;
    out.push_back('\n');
    out.append(static_cast<size_t>(depth) * 2, ' ');
  }

  void Children(const cJSON *node, int depth, char open, char close) {
    std::vector<const cJSON *> children;
    for (const cJSON *child = node->child; child != nullptr; child = child->next) children.push_back(child);
    if (sorted && open == '{') {
      std::sort(children.begin(), children.end(),
                [](const cJSON *a, const cJSON *b) { return Utf16Less(a->string, b->string); });
    }
    out.push_back(open);
    for (size_t i = 0; i < children.size(); ++i) {
      if (i > 0) out.push_back(',');
      Line(depth + 1);
      if (open == '{') {
        WriteString(children[i]->string, &out);
        out += pretty ? ": " : ":";
      }
      Value(children[i], depth + 1);
    }
    if (!children.empty()) Line(depth);
    out.push_back(close);
  }

  void Value(const cJSON *node, int depth) {
    switch (TypeOf(node)) {
      case JsonType::kNull:
        out += "null";
        break;
      case JsonType::kBool:
        out += cJSON_IsTrue(node) != 0 ? "true" : "false";
        break;
      case JsonType::kNumber:
        out += FormatDouble(node->valuedouble);
        break;
      case JsonType::kString:
        WriteString(node->valuestring, &out);
        break;
      case JsonType::kArray:
        Children(node, depth, '[', ']');
        break;
      case JsonType::kObject:
        Children(node, depth, '{', '}');
        break;
    }
  }
};

std::string CheckedText(std::string_view text) {
  // C strings inside: a NUL would cut the text. Invalid bytes would make a document that nobody can read.
  if (text.find('\0') != std::string_view::npos || !IsValidUtf8(text)) return SanitizeUtf8(text);
  return std::string(text);
}

}  // namespace

struct Json::Tree {
  explicit Tree(cJSON *node) : root(node) {}
  Tree(const Tree &) = delete;
  Tree &operator=(const Tree &) = delete;
  ~Tree() { cJSON_Delete(root); }
  cJSON *root;
};

Json::Json(std::shared_ptr<Tree> tree, cJSON *node, std::string path)
    : tree_(std::move(tree)), node_(node), path_(std::move(path)) {}
Json::Json(cJSON *root) : node_(Checked(root)) {
  // Nobody owns `root` until the tree is there.
  std::unique_ptr<cJSON, void (*)(cJSON *)> owner(root, &cJSON_Delete);
  tree_ = std::make_shared<Tree>(root);
  static_cast<void>(owner.release());
}
Json::Json() : Json(cJSON_CreateNull()) {}
Json::Json(std::string_view value) : Json(cJSON_CreateString(CheckedText(value).c_str())) {}
Json::Json(const std::vector<std::string> &values) : Json(cJSON_CreateArray()) {
  for (const std::string &value : values) Append(value);
}
Json::Json(const std::map<std::string, std::string> &values) : Json(cJSON_CreateObject()) {
  for (const auto &[key, value] : values) Set(key, value);
}
Json Json::Object() {
  return Json(cJSON_CreateObject());
}
Json Json::Array() {
  return Json(cJSON_CreateArray());
}
Json Json::FromBool(bool value) {
  return Json(cJSON_CreateBool(value ? 1 : 0));
}

Json Json::FromInt64(int64_t value) {
  if (std::abs(static_cast<double>(value)) >= kMaxExact) return Json(std::to_string(value));
  return Json(cJSON_CreateNumber(static_cast<double>(value)));
}

Json Json::FromUint64(uint64_t value) {
  if (static_cast<double>(value) >= kMaxExact) return Json(std::to_string(value));
  return Json(cJSON_CreateNumber(static_cast<double>(value)));
}

Json Json::FromDouble(double value) {
  if (!std::isfinite(value)) return Json(FormatDouble(value));
  return Json(cJSON_CreateNumber(value));
}

Json Json::Parse(std::string_view text, std::string_view source_name, const JsonLimits &limits) {
  if (text.size() > limits.max_bytes) {
    throw Error::InvalidArgument(std::string(source_name) + ": larger than " + std::to_string(limits.max_bytes) +
                                 " bytes");
  }
  CheckJsonText(text, source_name, limits.max_depth);
  cJSON *root = cJSON_ParseWithLength(text.data(), text.size());
  if (root == nullptr) throw Error::InvalidArgument(std::string(source_name) + ": cannot be read as JSON");
  Json json(root);
  json.path_ = source_name;
  CheckDuplicates(root, source_name);
  return json;
}

JsonType Json::type() const {
  return TypeOf(node_);
}

void Json::WrongType(std::string_view wanted) const {
  std::string got(TypeName(type()));
  if (type() == JsonType::kNumber) got = FormatDouble(node_->valuedouble);
  if (type() == JsonType::kString && wanted != "a string") {
    got = "string '" + std::string(TruncateUtf8(node_->valuestring, 40)) + "'";
  }
  const std::string name = path_.empty() ? "the value" : path_;
  throw Error::InvalidArgument(name + " must be " + std::string(wanted) + ", got " + got, {{"key", path_}});
}

std::string Json::ChildPath(std::string_view key) const {
  if (path_.empty()) return std::string(key);
  // "job.resources", but "/path/to/job.json: resources".
  const bool file = path_.find('/') != std::string::npos && path_.find(": ") == std::string::npos;
  return path_ + (file ? ": " : ".") + std::string(key);
}

bool Json::AsBool() const {
  if (type() != JsonType::kBool) WrongType("true or false");
  return cJSON_IsTrue(node_) != 0;
}

int64_t Json::AsInt64(int64_t minimum, int64_t maximum) const {
  std::optional<int64_t> value;
  if (type() == JsonType::kNumber) {
    const double number = node_->valuedouble;
    if (std::abs(number) <= kMaxExact && number == std::floor(number)) value = static_cast<int64_t>(number);
  } else if (type() == JsonType::kString) {
    value = ParseInt64(node_->valuestring);
  }
  if (!value) WrongType("an integer");
  if (*value < minimum || *value > maximum) {
    throw Error::InvalidArgument((path_.empty() ? "the value" : path_) + " must be " + std::to_string(minimum) +
                                     " to " + std::to_string(maximum) + ", got " + std::to_string(*value),
                                 {{"key", path_}});
  }
  return *value;
}

uint64_t Json::AsUint64() const {
  if (type() == JsonType::kString) {
    const std::string_view text = node_->valuestring;
    if (text.size() == 19 || text.size() == 20) {
      // May be above int64.
      uint64_t value = 0;
      bool good = text <= "18446744073709551615" || text.size() == 19;
      for (char c : text) {
        good = good && c >= '0' && c <= '9';
        value = value * 10 + static_cast<uint64_t>(c - '0');
      }
      if (good) return value;
    }
  }
  const int64_t value = AsInt64();
  if (value < 0) WrongType("an integer of at least 0");
  return static_cast<uint64_t>(value);
}

double Json::AsDouble() const {
  if (type() == JsonType::kNumber) return node_->valuedouble;
  if (type() == JsonType::kString) {
    const std::string_view text = node_->valuestring;
    // Only what a number cannot say: "1.5" stays a string.
    if (text == "NaN" || text == "Infinity" || text == "-Infinity") return *ParseDouble(text);
  }
  WrongType("a number");
}

std::string Json::AsString() const {
  if (type() != JsonType::kString) WrongType("a string");
  return node_->valuestring;
}

std::vector<std::string> Json::AsStringList() const {
  std::vector<std::string> values;
  for (const Json &item : Items()) values.push_back(item.AsString());
  return values;
}

std::vector<double> Json::AsDoubleList() const {
  std::vector<double> values;
  for (const Json &item : Items()) values.push_back(item.AsDouble());
  return values;
}

std::map<std::string, std::string> Json::AsStringMap() const {
  std::map<std::string, std::string> values;
  for (const auto &[key, value] : Members()) values[key] = value.AsString();
  return values;
}

std::optional<Json> Json::Find(std::string_view key) const {
  if (type() != JsonType::kObject) WrongType("an object");
  for (cJSON *child = node_->child; child != nullptr; child = child->next) {
    if (child->string == key) {
      if (TypeOf(child) == JsonType::kNull) return std::nullopt;
      return Json(tree_, child, ChildPath(key));
    }
  }
  return std::nullopt;
}

bool Json::Has(std::string_view key) const {
  return Find(key).has_value();
}

Json Json::Get(std::string_view key) const {
  auto found = Find(key);
  if (!found) throw Error::InvalidArgument(ChildPath(key) + " is missing", {{"key", ChildPath(key)}});
  return *std::move(found);
}

bool Json::GetBool(std::string_view key, bool fallback) const {
  const auto found = Find(key);
  return found ? found->AsBool() : fallback;
}
int64_t Json::GetInt64(std::string_view key, int64_t fallback) const {
  const auto found = Find(key);
  return found ? found->AsInt64() : fallback;
}
double Json::GetDouble(std::string_view key, double fallback) const {
  const auto found = Find(key);
  return found ? found->AsDouble() : fallback;
}
std::string Json::GetString(std::string_view key, std::string_view fallback) const {
  const auto found = Find(key);
  return found ? found->AsString() : std::string(fallback);
}
std::vector<std::string> Json::GetStringList(std::string_view key) const {
  const auto found = Find(key);
  return found ? found->AsStringList() : std::vector<std::string>();
}
std::map<std::string, std::string> Json::GetStringMap(std::string_view key) const {
  const auto found = Find(key);
  return found ? found->AsStringMap() : std::map<std::string, std::string>();
}

size_t Json::size() const {
  size_t count = 0;
  if (!is_array() && !is_object()) return 0;
  for (const cJSON *child = node_->child; child != nullptr; child = child->next) ++count;
  return count;
}

std::vector<Json> Json::Items() const {
  if (!is_array()) WrongType("an array");
  std::vector<Json> items;
  for (cJSON *child = node_->child; child != nullptr; child = child->next) {
    items.push_back(Json(tree_, child, path_ + "[" + std::to_string(items.size()) + "]"));
  }
  return items;
}

std::vector<std::pair<std::string, Json>> Json::Members() const {
  if (!is_object()) WrongType("an object");
  std::vector<std::pair<std::string, Json>> members;
  for (cJSON *child = node_->child; child != nullptr; child = child->next) {
    members.emplace_back(child->string, Json(tree_, child, ChildPath(child->string)));
  }
  return members;
}

std::vector<std::string> Json::Keys() const {
  if (!is_object()) WrongType("an object");
  std::vector<std::string> keys;
  for (const cJSON *child = node_->child; child != nullptr; child = child->next) keys.emplace_back(child->string);
  return keys;
}

void Json::CheckKeys(std::initializer_list<std::string_view> known) const {
  CheckKeys(std::vector<std::string>(known.begin(), known.end()));
}

void Json::CheckKeys(const std::vector<std::string> &known) const {
  for (const std::string &key : Keys()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    throw Error::InvalidArgument(ChildPath(key) + " is not a known key" + DidYouMean(key, known),
                                 {{"key", ChildPath(key)}});
  }
}

namespace {

cJSON *Detached(const cJSON *node) {
  return Checked(cJSON_Duplicate(node, 1));
}

}  // namespace

Json Json::Clone() const {
  Json copy(Detached(node_));
  copy.path_ = path_;
  return copy;
}

// The value is taken over when nobody else holds it, so it comes by value.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
Json &Json::Set(std::string_view key, Json value) {
  if (!is_object()) throw Error::Internal("a member was set on a JSON value that is no object");
  const std::string name = CheckedText(key);
  cJSON *node = value.node_;
  if (value.tree_.use_count() == 1 && value.tree_->root == node) {
    value.tree_->root = nullptr;
  } else {
    node = Detached(node);
  }
  const bool done = cJSON_GetObjectItemCaseSensitive(node_, name.c_str()) != nullptr
                        ? cJSON_ReplaceItemInObjectCaseSensitive(node_, name.c_str(), node) != 0
                        : cJSON_AddItemToObject(node_, name.c_str(), node) != 0;
  if (!done) {
    cJSON_Delete(node);
    throw Error(Status::kOutOfMemory, "out of memory while building JSON");
  }
  return *this;
}

// NOLINTNEXTLINE(performance-unnecessary-value-param)
Json &Json::Append(Json value) {
  if (!is_array()) throw Error::Internal("an element was appended to a JSON value that is no array");
  cJSON *node = value.node_;
  if (value.tree_.use_count() == 1 && value.tree_->root == node) {
    value.tree_->root = nullptr;
  } else {
    node = Detached(node);
  }
  cJSON_AddItemToArray(node_, node);
  return *this;
}

Json &Json::Remove(std::string_view key) {
  if (is_object()) cJSON_DeleteItemFromObjectCaseSensitive(node_, std::string(key).c_str());
  return *this;
}

std::string Json::Dump() const {
  Writer writer;
  writer.Value(node_, 0);
  return std::move(writer.out);
}

std::string Json::DumpPretty() const {
  Writer writer{.pretty = true};
  writer.Value(node_, 0);
  return std::move(writer.out) + "\n";
}

std::string Json::Canonical() const {
  Writer writer{.sorted = true};
  writer.Value(node_, 0);
  return std::move(writer.out);
}

}  // namespace trainyard
