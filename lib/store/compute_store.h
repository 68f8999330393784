// The computes of a workspace. Thread-safe; safe among processes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/compute.h"
#include "store/database.h"

namespace trainyard {

class ComputeStore {
 public:
  explicit ComputeStore(Database *database) : database_(database) {}

  // The compute of that name: the one that is there (`created` false), else this one.
  Compute GetOrCreate(const Compute &compute, bool *created);
  std::optional<Compute> Find(std::string_view name);
  std::vector<std::string> List();  // sorted
  // Error kNotFound; kBusy while runs of it have not ended.
  void Delete(std::string_view name);

 private:
  Database *database_;
};

}  // namespace trainyard
