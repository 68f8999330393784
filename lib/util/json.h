// JSON as a C++ value over cJSON: strict reading with errors that name the place, building, and three ways of writing.
// Where JSON itself is too narrow, values are strings in both directions: int64 beyond 2^53, NaN, Infinity, -Infinity.
// Nothing depends on the locale.
//
// A Json is a handle to one value of a shared tree: copying it copies the handle (cheap), and what is taken out of a
// tree keeps the whole tree alive. Clone() copies the tree. Thread rule: const functions of one tree may run
// concurrently.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct cJSON;

namespace trainyard {

enum class JsonType { kNull, kBool, kNumber, kString, kArray, kObject };

struct JsonLimits {
  size_t max_bytes = size_t{256} << 20;
  int max_depth = 200;
};

class Json {
 public:
  // Values. Objects and arrays start empty; a default Json is null.
  Json();
  Json(std::nullptr_t) : Json() {}
  Json(std::string_view value);
  Json(const std::string &value) : Json(std::string_view(value)) {}
  Json(const char *value) : Json(std::string_view(value)) {}
  template <std::same_as<bool> T>
  Json(T value) : Json(FromBool(value)) {}
  template <std::signed_integral T>
  Json(T value) : Json(FromInt64(value)) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) Json(T value) : Json(FromUint64(value)) {}
  template <std::floating_point T>
  Json(T value) : Json(FromDouble(value)) {}
  Json(const std::vector<std::string> &values);
  Json(const std::map<std::string, std::string> &values);
  static Json Object();
  static Json Array();

  // Strict RFC 8259: valid UTF-8, no duplicate keys, no NUL, nothing after the value. Throws Error::InvalidArgument
  // "<source_name>:<line>:<column>: <what>". `source_name` also starts the path in later errors ("job" ->
  // "job.resources").
  static Json Parse(std::string_view text, std::string_view source_name, const JsonLimits &limits = {});

  JsonType type() const;
  bool is_null() const { return type() == JsonType::kNull; }
  bool is_object() const { return type() == JsonType::kObject; }
  bool is_array() const { return type() == JsonType::kArray; }
  bool is_string() const { return type() == JsonType::kString; }
  // "job.resources.gpus", "job.command[2]"; for error messages.
  const std::string &path() const { return path_; }
  void set_path(std::string path) { path_ = std::move(path); }

  // The value itself. Each throws Error::InvalidArgument "<path> must be <a type>, got <type>".
  bool AsBool() const;
  int64_t AsInt64(int64_t minimum = std::numeric_limits<int64_t>::min(),
                  int64_t maximum = std::numeric_limits<int64_t>::max()) const;
  uint64_t AsUint64() const;
  double AsDouble() const;
  std::string AsString() const;
  std::vector<std::string> AsStringList() const;
  std::vector<double> AsDoubleList() const;
  std::map<std::string, std::string> AsStringMap() const;

  // Members of an object. Null counts as absent everywhere ("null = unset").
  bool Has(std::string_view key) const;
  std::optional<Json> Find(std::string_view key) const;
  Json Get(std::string_view key) const;  // throws when absent
  bool GetBool(std::string_view key) const { return Get(key).AsBool(); }
  int64_t GetInt64(std::string_view key) const { return Get(key).AsInt64(); }
  double GetDouble(std::string_view key) const { return Get(key).AsDouble(); }
  std::string GetString(std::string_view key) const { return Get(key).AsString(); }
  bool GetBool(std::string_view key, bool fallback) const;
  int64_t GetInt64(std::string_view key, int64_t fallback) const;
  double GetDouble(std::string_view key, double fallback) const;
  std::string GetString(std::string_view key, std::string_view fallback) const;
  std::vector<std::string> GetStringList(std::string_view key) const;           // absent = empty
  std::map<std::string, std::string> GetStringMap(std::string_view key) const;  // absent = empty

  // Number of members or elements; 0 for anything else.
  size_t size() const;
  // All of them in order; throws unless it is an array / an object.
  std::vector<Json> Items() const;
  std::vector<std::pair<std::string, Json>> Members() const;
  std::vector<std::string> Keys() const;
  // Throws for a member that is not in `known`: names it and the nearest known one.
  void CheckKeys(std::initializer_list<std::string_view> known) const;
  void CheckKeys(const std::vector<std::string> &known) const;

  // Building. Set replaces a member of the same key; both copy `value` unless it is a root nobody else holds. Throws
  // Error::Internal on a value of the wrong type.
  Json &Set(std::string_view key, Json value);
  Json &Append(Json value);
  Json &Remove(std::string_view key);
  Json &SetInt64(std::string_view key, int64_t value) { return Set(key, FromInt64(value)); }
  Json &SetDouble(std::string_view key, double value) { return Set(key, FromDouble(value)); }
  Json Clone() const;

  std::string Dump() const;        // one line, members in insertion order
  std::string DumpPretty() const;  // two spaces, final newline
  std::string Canonical() const;   // RFC 8785: what gets hashed

  bool operator==(const Json &other) const { return Canonical() == other.Canonical(); }

 private:
  struct Tree;
  Json(std::shared_ptr<Tree> tree, cJSON *node, std::string path);
  explicit Json(cJSON *root);
  static Json FromBool(bool value);
  static Json FromInt64(int64_t value);
  static Json FromUint64(uint64_t value);
  static Json FromDouble(double value);
  [[noreturn]] void WrongType(std::string_view wanted) const;
  std::string ChildPath(std::string_view key) const;

  std::shared_ptr<Tree> tree_;
  cJSON *node_ = nullptr;
  std::string path_;
};

}  // namespace trainyard
