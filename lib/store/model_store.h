// The model registry: named, versioned sets of files, kept as objects. Thread-safe; safe among processes: a version is
// the highest ever given to the name plus one, also after deletions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/model.h"
#include "store/database.h"
#include "store/object_store.h"

namespace trainyard {

struct ModelPage {
  std::vector<ModelRecord> models;  // without files
  std::string next_page_token;      // empty = no more
};

class ModelStore {
 public:
  ModelStore(Database *database, ObjectStore *objects) : database_(database), objects_(objects) {}

  // `path` is a file or a directory; `model` gives all but version, created_ms and files. Returns the whole record.
  ModelRecord Register(const ModelRecord &model, const std::string &path);
  ModelRecord Get(std::string_view name, int64_t version = 0);  // 0 = the latest; Error kNotFound
  // By name, versions newest first; empty `name` = all, empty `run_id` = any.
  ModelPage List(std::string_view name = {}, std::string_view run_id = {}, int32_t limit = 100,
                 std::string_view page_token = {});
  // Copies the files into `directory` (made when absent), checked against their hashes; existing files of the same
  // paths are kAlreadyExists unless `overwrite`. Nothing is left half written: each file appears whole.
  void Download(const ModelRecord &model, const std::string &directory, bool overwrite = false);
  // Where one file of the model is kept; read-only use.
  std::string FilePath(const ModelRecord &model, std::string_view path) const;
  void Delete(std::string_view name, int64_t version);
  void SetTag(std::string_view name, int64_t version, const std::string &key, const std::string &value);
  void RemoveTag(std::string_view name, int64_t version, const std::string &key);

 private:
  Database *database_;
  ObjectStore *objects_;
};

}  // namespace trainyard
