// Reads Python pickles into plain values and executes nothing: an imported name stays a name, a call stays a record of
// what would have been called. Which names may occur is the caller's policy. Thread rule: free function and values; one
// PickleDocument may be read from many threads.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine_torch/weights/bytes.h"

namespace trainyard {

// One value. Pointers lead to other values of the same document; they may form cycles, so walkers bound their depth.
struct PickleValue {
  enum class Kind {
    kNone,
    kBool,          // integer
    kInt,           // integer
    kBigInt,        // text: little-endian two's complement, more than 8 bytes
    kFloat,         // real
    kString,        // text, UTF-8 as in the file
    kBytes,         // text
    kTuple,         // items
    kList,          // items
    kSet,           // items
    kDict,          // entries
    kGlobal,        // text: "module.name"
    kObject,        // callable(arguments), then state, items and entries added to it
    kPersistentId,  // items[0]: the id
  };
  using Entries = std::vector<std::pair<PickleValue *, PickleValue *>>;

  Kind kind = Kind::kNone;
  bool constructed = false;  // kObject: made by NEWOBJ (a class's __new__), not by calling `callable`
  bool known = false;        // kGlobal: the policy said kAllow
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<PickleValue *> items;
  Entries entries;
  PickleValue *callable = nullptr;
  PickleValue *arguments = nullptr;
  PickleValue *state = nullptr;

  bool Is(Kind other) const { return kind == other; }
  // The last value stored under a string key, or null.
  const PickleValue *Find(std::string_view key) const;
};

enum class GlobalVerdict {
  kAllow,
  kUnknown,  // becomes an inert name; the caller decides when the document is complete. Calling it is refused at once
  kRefuse,   // stops the reading
};
using GlobalPolicy = std::function<GlobalVerdict(std::string_view module, std::string_view name)>;

struct PickleDocument {
  std::deque<PickleValue> values;  // all of them, in the order they were made
  PickleValue *root = nullptr;
  size_t end = 0;  // offset of the first byte after its STOP opcode
};

// The error for a name that is not on the allow-list: names it, and says that nothing was executed.
Error RefusedGlobal(const std::string &global, const std::filesystem::path &path);

// Reads one pickle (protocols 0 to 5) that begins at `start`; bytes after its end are left alone. `path` is for
// messages. Throws kCorrupt (truncated, malformed, over a limit) or kUnsupported (a refused name or opcode).
PickleDocument ReadPickle(Bytes bytes, const std::filesystem::path &path, const GlobalPolicy &policy, size_t start = 0);

}  // namespace trainyard
