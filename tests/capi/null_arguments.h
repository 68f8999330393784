// A table of functions with valid arguments for each, and what it takes to call each of them with NULL in the place of
// one argument after the other.
#pragma once

#include <cstring>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "capi/api.h"
#include "capi/handles.h"

namespace trainyard_test {

enum class Kind {
  kRequired,     // NULL is an error
  kAny,          // NULL means something, or it is no pointer
  kOut,          // written by the call; NULL is an error
  kOptionalOut,  // written by the call unless it is NULL
};

template <typename T>
struct Arg {
  const char *name;
  T value;
  Kind kind;
};

template <typename T>
Arg<T> In(const char *name, T value) {
  return {name, value, Kind::kRequired};
}
template <typename T>
Arg<T> Any(T value) {
  return {"", value, Kind::kAny};
}
template <typename T>
Arg<T *> Out(const char *name, T *place) {
  return {name, place, Kind::kOut};
}
template <typename T>
Arg<T *> OptionalOut(T *place) {
  return {"", place, Kind::kOptionalOut};
}

// What must not survive in an output.
template <typename T>
void Spoil(const Arg<T> &arg) {
  if constexpr (std::is_pointer_v<T>) {
    using Value = std::remove_pointer_t<T>;
    if (arg.kind != Kind::kOut && arg.kind != Kind::kOptionalOut) return;
    if (arg.value == nullptr) return;
    if constexpr (std::is_pointer_v<Value>) *arg.value = reinterpret_cast<Value>(1);
    if constexpr (std::is_arithmetic_v<Value> && !std::is_const_v<Value>) *arg.value = Value{77};
  }
}

template <typename T>
void ExpectEmpty(const Arg<T> &arg) {
  if constexpr (std::is_pointer_v<T>) {
    using Value = std::remove_pointer_t<T>;
    if (arg.kind != Kind::kOut && arg.kind != Kind::kOptionalOut) return;
    if (arg.value == nullptr) return;
    if constexpr (std::is_pointer_v<Value>) {
      EXPECT_EQ(*arg.value, nullptr);
    }
    if constexpr (std::is_arithmetic_v<Value>) {
      // A descriptor that is none is -1.
      EXPECT_EQ(*arg.value, std::strcmp(arg.name, "out_fd") == 0 ? Value(-1) : Value{});
    }
  }
}

// Handles that belong to the process that made them.
template <typename T>
constexpr bool kBound = false;
template <>
constexpr bool kBound<ty_workspace *> = true;
template <>
constexpr bool kBound<const ty_workspace *> = true;
template <>
constexpr bool kBound<ty_run *> = true;
template <>
constexpr bool kBound<ty_event_stream *> = true;
template <>
constexpr bool kBound<ty_model *> = true;
template <>
constexpr bool kBound<ty_compute *> = true;
template <>
constexpr bool kBound<ty_predictor *> = true;

struct Function {
  std::string name;
  bool bound = false;                // takes a handle that belongs to the process
  std::function<void()> check_null;  // every pointer argument
  std::function<ty_status()> call;   // with valid arguments
};

template <size_t I, typename F, typename... T>
void CheckOneNull(const std::string &name, F function, std::tuple<Arg<T>...> args) {
  auto &arg = std::get<I>(args);
  if constexpr (std::is_pointer_v<decltype(arg.value)>) {
    if (arg.kind != Kind::kRequired && arg.kind != Kind::kOut) return;
    SCOPED_TRACE(name + " with " + arg.name + " = NULL");
    arg.value = nullptr;
    std::apply([](const auto &...all) { (Spoil(all), ...); }, args);
    auto *error = reinterpret_cast<ty_error *>(1);
    const auto call = [&](ty_error **err) {
      return std::apply([&](const auto &...all) { return function(all.value..., err); }, args);
    };
    EXPECT_EQ(call(&error), TY_ERR_INVALID_ARGUMENT);
    EXPECT_EQ(ty_error_status(error), TY_ERR_INVALID_ARGUMENT);
    EXPECT_NE(std::string(ty_error_message(error)).find(std::string(arg.name) + " must not be NULL"), std::string::npos)
        << ty_error_message(error);
    EXPECT_STREQ(ty_error_detail(error, "argument"), arg.name);
    std::apply([](const auto &...all) { (ExpectEmpty(all), ...); }, args);
    ty_error_free(error);
    EXPECT_EQ(call(nullptr), TY_ERR_INVALID_ARGUMENT);
  }
}

class Table {
 public:
  template <typename F, typename... T>
  void Add(const char *name, F function, Arg<T>... args) {
    const std::tuple<Arg<T>...> all(args...);
    Function row;
    row.name = name;
    row.bound = (kBound<T> || ...);
    row.check_null = [=] {
      [&]<size_t... I>(std::index_sequence<I...>) {
        (CheckOneNull<I>(name, function, all), ...);
      }
      (std::index_sequence_for<T...>{});
    };
    row.call = [=] { return function(args.value..., nullptr); };
    functions.push_back(std::move(row));
  }
  // A function without a status: `check` calls it with NULL.
  void AddPlain(const char *name, std::function<void()> check) {
    functions.push_back({name, false, std::move(check), nullptr});
  }

  std::vector<Function> functions;
};

}  // namespace trainyard_test
