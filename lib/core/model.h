// A registered model. Thread rule: values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/run.h"

namespace trainyard {

struct StoredFile {
  std::string path;    // relative, '/' separated
  std::string sha256;  // hex; empty where it is not known
  uint64_t size = 0;
  int64_t modified_ms = 0;
};

struct ModelRecord {
  std::string name;
  int64_t version = 0;
  std::string run_id;  // empty = brought from a path
  int64_t created_ms = 0;
  std::string description, framework, framework_version;
  std::map<std::string, std::string> tags;
  std::map<std::string, std::string> properties;
  std::vector<StoredFile> files;
  std::string datasets_json = "[]";  // what it was made from, as the registering program says
  std::string lineage_json;          // of its run, as it was when the model was registered; empty = no run
};

// What a program asks to have registered.
struct ModelRequest {
  ModelRecord model;                 // all but version, files, run_id and lineage
  bool include_checkpoints = false;  // of a run's whole outputs
};

struct ModelFilter {
  std::string name, run_id, framework;          // empty = any
  std::vector<PairCondition> tags, properties;  // all of them
  bool latest = false;                          // of each name only the highest version
  int32_t limit = 100;
  std::string page_token;  // opaque; empty = first page
};

struct ModelPage {
  std::vector<ModelRecord> models;  // without files
  std::string next_page_token;      // empty = no more
};

}  // namespace trainyard
