#include "launch/worker_report.h"

#include <signal.h>

#include <map>
#include <vector>

#include "util/text.h"

namespace trainyard {
namespace {

struct Entry {
  int32_t rank = 0;
  int32_t code = 0;  // negative = signal
};

struct Report {
  std::vector<Entry> failures;
  std::optional<Entry> root_cause;
};

// The number after "<name> : "; nullopt when the line is another one.
std::optional<int32_t> Field(std::string_view line, std::string_view name) {
  line = Trim(line);
  if (!line.starts_with(name)) return std::nullopt;
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || !Trim(line.substr(name.size(), colon - name.size())).empty()) {
    return std::nullopt;
  }
  const std::string_view rest = Trim(line.substr(colon + 1));
  const auto number = ParseInt64(rest.substr(0, rest.find(' ')));
  return number ? std::optional<int32_t>(static_cast<int32_t>(*number)) : std::nullopt;
}

Report ReadReport(const std::vector<std::string_view> &lines) {
  Report report;
  bool in_root_cause = false;
  int32_t rank = -1;  // of the entry being read
  for (const std::string_view line : lines) {
    if (line.starts_with("Root Cause (first observed failure)")) in_root_cause = true;
    if (const auto number = Field(line, "rank")) rank = *number;
    const auto code = Field(line, "exitcode");
    if (!code || rank < 0) continue;
    const Entry entry{rank, *code};
    report.failures.push_back(entry);
    if (in_root_cause && !report.root_cause) report.root_cause = entry;
    rank = -1;
  }
  return report;
}

bool IsOwnDoing(int32_t signal) {
  return signal != SIGTERM && signal != SIGKILL && signal != SIGINT && signal != SIGHUP;
}

}  // namespace

std::string_view WithoutRankMark(std::string_view line, std::optional<int32_t> *rank) {
  constexpr std::string_view kMark = "[rank";
  if (!line.starts_with(kMark)) return line;
  const size_t end = line.find("]: ");
  const size_t bare_end = line.ends_with("]:") ? line.size() - 2 : std::string_view::npos;
  const size_t close = end != std::string_view::npos ? end : bare_end;
  if (close == std::string_view::npos) return line;
  const auto number = ParseInt64(line.substr(kMark.size(), close - kMark.size()));
  if (!number) return line;
  if (rank != nullptr) *rank = static_cast<int32_t>(*number);
  return end != std::string_view::npos ? line.substr(end + 3) : std::string_view();
}

std::optional<WorkerFailure> BlamedWorker(std::string_view stderr_tail) {
  if (stderr_tail.find("Root Cause (first observed failure)") == std::string_view::npos) return std::nullopt;
  const std::vector<std::string_view> lines = Split(stderr_tail, '\n');
  const Report report = ReadReport(lines);
  if (!report.root_cause) return std::nullopt;

  std::map<int32_t, std::string> texts;  // of each rank
  std::vector<int32_t> ranks;            // in the order in which they began to speak
  std::string unmarked;
  for (const std::string_view line : lines) {
    // From here on the launcher speaks of itself.
    if (line.find("failed (exitcode:") != std::string_view::npos) break;
    std::optional<int32_t> rank;
    const std::string_view text = WithoutRankMark(line, &rank);
    if (rank && texts.count(*rank) == 0) ranks.push_back(*rank);
    (rank ? texts[*rank] : unmarked).append(text).append("\n");
  }

  Entry blamed = *report.root_cause;
  WorkerFailure failure;
  for (const int32_t rank : ranks) {
    if (EvidenceIn(texts[rank]) != Evidence::kOwnFault) continue;
    failure.evidence = Evidence::kOwnFault;
    blamed = {rank, rank == blamed.rank ? blamed.code : 1};  // a traceback ends in 1, had it not been ended before
    break;
  }
  failure.rank = blamed.rank;
  if (blamed.code < 0) {
    failure.signal = -blamed.code;
  } else {
    failure.exit_code = blamed.code;
  }
  failure.own_text = texts[blamed.rank];
  if (failure.evidence == Evidence::kOwnFault) return failure;
  const Evidence said = EvidenceIn(failure.own_text.empty() ? unmarked : failure.own_text);
  if (blamed.code < 0 && IsOwnDoing(-blamed.code)) {
    failure.evidence = Evidence::kOwnFault;
  } else if (blamed.code == 1) {
    failure.evidence = said;
  }
  return failure;
}

}  // namespace trainyard
