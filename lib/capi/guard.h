// The boundary between C++ and C: the only place where exceptions become statuses. Every public function that can fail
// is
//
//   ty_status ty_noun_verb(...) noexcept {
//     return guard(err, [&] { require(noun, "noun"); ... });
//   }
#pragma once

#include <new>
#include <string>
#include <utility>

#include "trainyard/error.h"
#include "util/error.h"

struct ty_error {
  trainyard::Status status = trainyard::Status::kInternal;
  std::string message;
  trainyard::Error::Details details;
};

namespace trainyard::capi {

// Of an error in bytes: a name that it repeats may be of any length, and hold anything (see PrintableLine).
inline constexpr size_t kMaxMessage = 4096;

// Turns the exception that is being handled into a status and, when asked for, an error. Never throws.
ty_status CurrentExceptionToStatus(ty_error **err) noexcept;

template <typename Body>
ty_status guard(ty_error **err, Body &&body) noexcept {
  if (err != nullptr) *err = nullptr;
  try {
    if constexpr (std::is_same_v<decltype(body()), ty_status>) {
      return body();
    } else {
      body();
      return TY_OK;
    }
  } catch (...) {
    return CurrentExceptionToStatus(err);
  }
}

// For getters without a status: `fallback` when something goes wrong.
template <typename Result, typename Body>
Result quiet(Result fallback, Body &&body) noexcept {
  try {
    return body();
  } catch (...) {
    return fallback;
  }
}

template <typename T>
void require(const T *pointer, const char *name) {
  if (pointer == nullptr) throw Error::InvalidArgument(std::string(name) + " must not be NULL", {{"argument", name}});
}

// The same for callbacks.
template <typename Result, typename... Args>
void require(Result (*callback)(Args...), const char *name) {
  if (callback == nullptr) require<void>(nullptr, name);
}

// An output: must be there, and is empty until the call succeeds.
template <typename T>
void require_out(T *out, const char *name) {
  require(out, name);
  *out = T{};
}

// An optional output.
template <typename T>
void clear_out(T *out) {
  if (out != nullptr) *out = T{};
}

}  // namespace trainyard::capi
