#include "drivers/local/curated.h"

#include "engine/runtime.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr char kCpu[] = "trainyard-pytorch-2.11-cpu";
constexpr char kCuda[] = "trainyard-pytorch-2.11-cuda";
constexpr char kMinimal[] = "trainyard-minimal";

// Azure ML's names, with what stands in for them. The first row whose words are all in the name is taken; "" is always.
struct OldName {
  std::string_view first, second;
  const char *ours;
};
constexpr OldName kOldNames[] = {
    {"torch", "gpu", kCuda},
    {"torch", "cuda", kCuda},
    {"torch", "", kCpu},
    {"minimal", "", kMinimal},
};

std::string Directory() {
  return JoinPath(RuntimeDirectory(), "environments");
}

}  // namespace

std::vector<std::string> CuratedNames() {
  std::vector<std::string> names;
  const std::string directory = Directory();
  if (!IsDirectory(directory)) return names;
  for (const DirEntry &entry : ListDir(directory)) {
    if (entry.name.ends_with(".json")) names.push_back(entry.name.substr(0, entry.name.size() - 5));
  }
  return names;
}

std::string CuratedForOldName(std::string_view name) {
  const std::string lower = LowerAscii(name);
  if (!lower.starts_with("azureml-")) return "";
  for (const OldName &row : kOldNames) {
    if (lower.find(row.first) != std::string::npos && lower.find(row.second) != std::string::npos) return row.ours;
  }
  return "";
}

std::optional<Environment> FindCurated(std::string_view name, std::string *warning) {
  std::string own(name);
  if (const std::string nearest = CuratedForOldName(name); !nearest.empty()) {
    own = nearest;
    *warning = "environment '" + std::string(name) + "' is not made any more: '" + own +
               "', the nearest current one, is used instead. Name it to be rid of this warning";
  }
  if (!IsSafeRelativePath(own)) return std::nullopt;
  const std::string path = JoinPath(Directory(), own + ".json");
  const auto text = ReadFileIfExists(path, 1 << 20);
  if (!text && own != name) {
    throw Error(
        Status::kRuntime,
        "the curated environment '" + own + "' is not in '" + Directory() + "': install the runtime directory whole",
        {{"path", path}});
  }
  if (!text) return std::nullopt;
  Environment environment = Environment::Parse(*text, path);
  environment.curated = true;
  return environment;
}

}  // namespace trainyard
