// A registered model. Thread rule: values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

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
};

}  // namespace trainyard
