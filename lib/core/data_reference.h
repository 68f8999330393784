// Where data is, in one text:
//   azureml://datastores/NAME/paths/REST   a directory or file of a datastore; also with the long prefix of Azure ML
//                                          (azureml://subscriptions/.../workspaces/W/datastores/...), which says the
//                                          same here
//   azureml:NAME:VERSION  NAME:VERSION     a registered data asset; azureml:NAME, NAME@latest: its latest version
//   https://..., http://..., file://...    a URL; "#" and a SHA-256 at the end: what arrives must have it. http:// from
//                                          elsewhere than this machine needs one. file:// without one is a local path
//   anything else                          a local path ("./a:1" for one that looks like an asset)
// Thread rule: values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "util/json.h"

namespace trainyard {

struct DataReference {
  enum class Kind { kPath, kUrl, kDatastore, kAsset } kind = Kind::kPath;
  std::string path;         // kPath: as given; kDatastore: below its root, "" = all of it
  std::string url, sha256;  // kUrl; an empty hash: not checked
  std::string name;         // kDatastore, kAsset
  int64_t version = 0;      // kAsset; 0 = the latest

  // Error kInvalidArgument: what is wrong with it.
  static DataReference Parse(std::string_view text);
  std::string Print() const;
};

// A registered, named and versioned reference. A version never changes.
struct DataAsset {
  std::string name;
  int64_t version = 0;
  std::string source;  // an absolute path, a URL or a reference to a datastore
  int64_t created_ms = 0;
  std::string description;
  std::map<std::string, std::string> tags;

  Json ToJson() const;
};

// Whether the text is meant to be a reference to a datastore, right or wrong.
bool IsDatastoreReference(std::string_view text);

}  // namespace trainyard
