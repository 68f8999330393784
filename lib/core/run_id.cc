#include "core/run_id.h"

#include <algorithm>

#include "util/error.h"
#include "util/random.h"

namespace trainyard {
namespace {

bool IsLower(char c) {
  return c >= 'a' && c <= 'z';
}
bool IsUpper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

constexpr size_t kMaxRunId = 64;
constexpr size_t kMaxName = 250;

void CheckName(std::string_view what, std::string_view name) {
  const auto allowed = [](char c) {
    return IsLower(c) || IsUpper(c) || IsDigit(c) || c == '-' || c == '_' || c == '.';
  };
  const bool good = !name.empty() && name.size() <= kMaxName && std::all_of(name.begin(), name.end(), allowed) &&
                    (IsLower(name[0]) || IsUpper(name[0]) || IsDigit(name[0]));
  if (good) return;
  throw Error::InvalidArgument(std::string(what) + " name '" + std::string(name.substr(0, 80)) +
                               "' must be 1 to 250 letters, digits, '-', '_' or '.', starting with a letter or digit");
}

}  // namespace

std::string MakeRunId(std::string_view experiment, int64_t now_ms) {
  const std::string tail = "_" + std::to_string(now_ms / 1000) + "_" + RandomBase32(10);
  std::string slug;
  for (char c : experiment) {
    if (IsUpper(c)) c = static_cast<char>(c - 'A' + 'a');
    slug.push_back(IsLower(c) || IsDigit(c) || c == '_' || c == '-' ? c : '-');
  }
  slug.resize(std::min(slug.size(), kMaxRunId - tail.size()));
  return slug + tail;
}

std::string StdLogName(int32_t rank, int32_t rank_count) {
  return rank_count <= 1 ? "std_log.txt" : "std_log_" + std::to_string(rank) + ".txt";
}

void CheckRunId(std::string_view id) {
  const auto allowed = [](char c) { return IsLower(c) || IsDigit(c) || c == '-' || c == '_'; };
  if (!id.empty() && id.size() <= kMaxRunId && std::all_of(id.begin(), id.end(), allowed)) return;
  throw Error::InvalidArgument("run id '" + std::string(id.substr(0, 80)) +
                               "' must be 1 to 64 of a-z, 0-9, '_' and '-'");
}

void CheckExperimentName(std::string_view name) {
  CheckName("experiment", name);
}
void CheckModelName(std::string_view name) {
  CheckName("model", name);
}
void CheckRegistryName(std::string_view what, std::string_view name) {
  CheckName(what, name);
}

}  // namespace trainyard
