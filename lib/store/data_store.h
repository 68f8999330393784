// Datastores, named directories of a workspace, and data assets, named and versioned references to data. Thread-safe;
// safe among processes: a version never changes, and is the highest ever given to the name plus one.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/data_reference.h"
#include "store/database.h"

namespace trainyard {

class DataStore {
 public:
  // Is always there; in the workspace itself, made when it is first used.
  static constexpr char kDefaultDatastore[] = "workspaceblobstore";

  explicit DataStore(Database *database) : database_(database) {}

  // `directory` is absolute. The same again is fine; another directory is Error kAlreadyExists.
  void RegisterDatastore(const std::string &name, const std::string &directory);
  std::string DatastoreDirectory(const std::string &name);  // Error kNotFound
  std::vector<std::string> Datastores();
  // Forgets it; its files stay. The default one is Error kInvalidState.
  void DeleteDatastore(const std::string &name);

  DataAsset RegisterAsset(const DataAsset &asset);
  DataAsset Asset(const std::string &name, int64_t version = 0);  // 0 = the latest; Error kNotFound
  void DeleteAsset(const std::string &name, int64_t version);     // its number is not given again; Error kNotFound
  std::vector<std::string> Assets();
  std::vector<int64_t> AssetVersions(const std::string &name);  // ascending

  // What a reference stands for in the end: an absolute path, or a URL. Whether something is there is not looked at.
  DataReference Locate(const DataReference &reference);

 private:
  Database *database_;
};

}  // namespace trainyard
