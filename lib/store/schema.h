// Tables of the database. Values; thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "store/database.h"

namespace trainyard {

inline constexpr int64_t kSchemaFormat = 1;
// The oldest library formats that may read and write a database of ours.
inline constexpr int64_t kSchemaMinReader = 1;
inline constexpr int64_t kSchemaMinWriter = 1;

// Everything, for a new database.
extern const char kSchema[];
// From each older format to the next; additive.
const std::vector<Migration> &SchemaMigrations();

}  // namespace trainyard
