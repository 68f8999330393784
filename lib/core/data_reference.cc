#include "core/data_reference.h"

#include <algorithm>
#include <optional>

#include "core/run_id.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hash.h"
#include "util/text.h"
#include "util/url.h"

namespace trainyard {
namespace {

constexpr std::string_view kScheme = "azureml://";
constexpr std::string_view kAsset = "azureml:";
constexpr std::string_view kLatest = "latest";

[[noreturn]] void Refuse(std::string_view text, const std::string &reason) {
  std::string shown = MaskCredentials(text);
  // What is no hash may be anything: the rest of a password with a '#', a token.
  const size_t hash = shown.rfind('#');
  if (hash != std::string::npos && !IsSha256Hex(LowerAscii(shown.substr(hash + 1))))
    shown.replace(hash + 1, shown.size(), kTakenOut);
  throw Error::InvalidArgument("data reference '" + shown + "': " + reason, {{"reference", shown}});
}

DataReference ParseDatastore(std::string_view text) {
  std::string_view rest = text.substr(kScheme.size());
  if (rest.starts_with("subscriptions/")) {
    const size_t at = rest.find("/datastores/");
    if (at != std::string_view::npos) rest.remove_prefix(at + 1);
  }
  constexpr std::string_view kStores = "datastores/", kPaths = "/paths/";
  const size_t name_end = rest.find('/', kStores.size());
  if (!rest.starts_with(kStores) || name_end == std::string_view::npos ||
      !(std::string(rest.substr(name_end)) + "/").starts_with(kPaths)) {
    Refuse(text, "must be azureml://datastores/NAME/paths/PATH");
  }
  DataReference reference;
  reference.kind = DataReference::Kind::kDatastore;
  reference.name = rest.substr(kStores.size(), name_end - kStores.size());
  CheckRegistryName("datastore", reference.name);
  std::string_view path = rest.substr(std::min(rest.size(), name_end + kPaths.size()));
  while (path.ends_with('/')) path.remove_suffix(1);
  if (!path.empty() && !IsSafeRelativePath(path)) Refuse(text, "the path must stay inside the datastore");
  reference.path = path;
  return reference;
}

// "NAME:VERSION", "NAME@latest", and, when `prefixed`, "NAME".
std::optional<DataReference> ParseAsset(std::string_view text, bool prefixed) {
  DataReference reference;
  reference.kind = DataReference::Kind::kAsset;
  const size_t mark = text.find_last_of(":@");
  if (mark == std::string_view::npos) {
    if (!prefixed) return std::nullopt;
    reference.name = text;
    return reference;
  }
  const std::string_view version = text.substr(mark + 1);
  if (version != kLatest) {
    const auto number = text[mark] == ':' ? ParseInt64(version) : std::nullopt;
    if (!number || *number < 1) return std::nullopt;
    reference.version = *number;
  }
  reference.name = text.substr(0, mark);
  if (reference.name.empty() || reference.name.find('/') != std::string::npos) return std::nullopt;
  return reference;
}

DataReference ParseUrl(std::string_view text) {
  DataReference reference;
  reference.kind = DataReference::Kind::kUrl;
  const size_t hash = text.rfind('#');
  reference.url = text.substr(0, hash);
  if (hash != std::string_view::npos) {
    reference.sha256 = LowerAscii(text.substr(hash + 1));
    if (!IsSha256Hex(reference.sha256)) Refuse(text, "after '#' goes a SHA-256: 64 hexadecimal digits");
  }
  const std::string host = HostOfUrl(reference.url);
  if (reference.url.starts_with("file:")) return reference;
  if (host.empty()) Refuse(text, "the URL names no host");
  if (reference.url.starts_with("https:") || IsLoopbackHost(host)) return reference;
  if (HasCredentials(reference.url)) Refuse(text, "everybody on the way can read its credentials: use https");
  if (reference.sha256.empty()) {
    Refuse(text, "what comes over http may have been changed on the way: use https, or add '#' and its SHA-256");
  }
  return reference;
}

// file:///a%20b, file://localhost/a: without a hash there is nothing to fetch and check.
DataReference ParseFileUrl(std::string_view text) {
  std::string_view rest = text.substr(std::string_view("file://").size());
  constexpr std::string_view kHere = "localhost/";
  if (rest.starts_with(kHere)) rest.remove_prefix(kHere.size() - 1);
  const auto path = DecodePercent(rest);
  if (!path || !path->starts_with('/')) Refuse(text, "a file URL must be file:///absolute/path, with %XX for a byte");
  DataReference reference;
  reference.path = *path;
  return reference;
}

}  // namespace

DataReference DataReference::Parse(std::string_view text) {
  if (text.empty()) throw Error::InvalidArgument("a data reference must not be empty");
  if (text.starts_with(kScheme)) return ParseDatastore(text);
  if (text.starts_with(kAsset)) {
    const auto asset = ParseAsset(text.substr(kAsset.size()), true);
    if (!asset) Refuse(text, "must be azureml:NAME:VERSION or azureml:NAME@latest");
    CheckRegistryName("data", asset->name);
    return *asset;
  }
  if (const std::string problem = UrlProblem(text); !problem.empty()) Refuse(text, problem);
  const size_t scheme = text.find("://");
  if (scheme != std::string_view::npos) {
    const std::string_view name = text.substr(0, scheme);
    if (name == "https" || name == "http") return ParseUrl(text);
    if (name == "file") return text.find('#') == std::string_view::npos ? ParseFileUrl(text) : ParseUrl(text);
    Refuse(text, "'" + std::string(name) +
                     "' is no scheme that is read here: give a local path, azureml://datastores/NAME/paths/PATH, "
                     "azureml:NAME:VERSION, or a https, http or file URL");
  }
  if (const auto asset = ParseAsset(text, false)) {
    CheckRegistryName("data", asset->name);
    return *asset;
  }
  DataReference reference;
  reference.path = text;
  return reference;
}

std::string DataReference::Print() const {
  switch (kind) {
    case Kind::kPath:
      return path;
    case Kind::kUrl:
      return url + (sha256.empty() ? "" : "#" + sha256);
    case Kind::kDatastore:
      return std::string(kScheme) + "datastores/" + name + "/paths/" + path;
    case Kind::kAsset:
      return std::string(kAsset) + name + (version == 0 ? "@latest" : ":" + std::to_string(version));
  }
  return "";
}

Json DataAsset::ToJson() const {
  Json json = Json::Object();
  json.Set("name", name).Set("version", version).Set("source", source).Set("created_ms", created_ms);
  json.Set("description", description.empty() ? Json() : Json(description)).Set("tags", tags);
  return json;
}

bool IsDatastoreReference(std::string_view text) {
  return text.starts_with(kScheme);
}

}  // namespace trainyard
