#include "runner/declared_failure.h"

#include "util/error.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"

namespace trainyard {
namespace {

// system_logs/error_<rank>.json: {"code", "message", "failed": true}.
std::optional<RunError> ReadDeclared(const RunLayout &run, int32_t rank) {
  constexpr uint64_t kMost = 1 << 20;
  try {
    const auto text = ReadFileIfExists(run.RankError(rank), kMost);
    if (!text || text->empty()) return std::nullopt;
    const Json json = Json::Parse(*text, "error file");
    if (!json.GetBool("failed", false)) return std::nullopt;
    RunError error;
    error.code = json.GetString("code", "failed");
    error.message = json.GetString("message", "");
    error.rank = rank;
    return error;
  } catch (const Error &failure) {
    Log(LogLevel::kWarning, std::string("the rank's error file is not usable: ") + failure.what());
    return std::nullopt;
  }
}

}  // namespace

std::optional<RunError> DeclaredFailure(const RunLayout &run) {
  constexpr std::string_view kStart = "error_", kEnd = ".json";
  std::optional<RunError> first;
  if (!IsDirectory(run.SystemLogs())) return first;
  for (const DirEntry &entry : ListDir(run.SystemLogs())) {
    std::string_view name = entry.name;
    if (!name.starts_with(kStart) || !name.ends_with(kEnd)) continue;
    name.remove_prefix(kStart.size());
    name.remove_suffix(kEnd.size());
    const auto rank = ParseInt64(name);
    if (!rank || *rank < 0 || *rank > INT32_MAX) continue;
    if (first && first->rank <= *rank) continue;
    if (auto error = ReadDeclared(run, static_cast<int32_t>(*rank))) first = std::move(error);
  }
  return first;
}

}  // namespace trainyard
