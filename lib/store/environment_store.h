// The registered environments of a workspace: named, versioned definitions. Thread-safe; safe among processes: a
// version is the highest ever given to the name plus one, also after deletions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/environment.h"
#include "store/database.h"

namespace trainyard {

class EnvironmentStore {
 public:
  explicit EnvironmentStore(Database *database) : database_(database) {}

  // Returns the environment with its version. The password of the registry is not kept.
  Environment Register(const Environment &environment);
  std::optional<Environment> Find(std::string_view name, int64_t version = 0);  // 0 = the latest
  std::vector<std::string> Names();
  std::vector<int64_t> Versions(std::string_view name);  // ascending
  bool Delete(std::string_view name, int64_t version);   // false when it was not there

 private:
  Database *database_;
};

}  // namespace trainyard
