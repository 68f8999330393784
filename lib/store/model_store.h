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

class ModelStore {
 public:
  ModelStore(Database *database, ObjectStore *objects) : database_(database), objects_(objects) {}

  // `path` is a file or a directory; `model` gives all but version, created_ms and files. Files below `left_out`, a
  // directory in it, are not taken. Returns the whole record.
  ModelRecord Register(const ModelRecord &model, const std::string &path, std::string_view left_out = {});
  ModelRecord Get(std::string_view name, int64_t version = 0);  // 0 = the latest; Error kNotFound
  // By name, versions newest first.
  ModelPage List(const ModelFilter &filter = {});
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
