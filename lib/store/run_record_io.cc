#include "store/run_record_io.h"

#include "store/run_store.h"
#include "util/json.h"
#include "util/text.h"

namespace trainyard {

const char kRunColumns[] =
    "runs.seq, runs.id, experiment, display_name, kind, state, parent_id, root_id, compute, job_hash, snapshot_id, "
    "rank_count, created_ms, started_ms, ended_ms, error, submitter, supervisor, warnings";

RunRecord ReadRun(const Statement &row) {
  RunRecord run;
  run.id = row.Text(1);
  run.experiment = row.Text(2);
  run.display_name = row.Text(3);
  run.kind = static_cast<RunKind>(row.Int(4));
  run.state = static_cast<RunState>(row.Int(5));
  run.parent_id = row.Text(6);
  run.root_id = row.Text(7);
  run.compute = row.Text(8);
  run.job_hash = row.Text(9);
  run.snapshot_id = row.Text(10);
  run.rank_count = static_cast<int32_t>(row.Int(11));
  run.created_ms = row.Int(12);
  run.started_ms = row.Int(13);
  run.ended_ms = row.Int(14);
  run.error = ErrorFromText(row.Text(15));
  run.submitter = IdentityFromText(row.Text(16));
  run.supervisor = IdentityFromText(row.Text(17));
  run.warnings = WarningsFromText(row.Text(18));
  return run;
}

std::string ErrorToText(const RunError &error) {
  if (error.code.empty()) return "";
  Json json = Json::Object();
  json.Set("code", error.code);
  json.Set("message", TruncateUtf8(SanitizeUtf8(error.message), RunStore::kMaxErrorMessage));
  if (error.rank >= 0) json.Set("rank", error.rank);
  if (!error.node.empty()) json.Set("node", error.node);
  if (error.exit_code) json.Set("exit_code", *error.exit_code);
  if (!error.signal.empty()) json.Set("signal", error.signal);
  if (!error.details_json.empty()) json.Set("details", error.details_json);
  std::string tail = SanitizeUtf8(error.stderr_tail);
  if (tail.size() > RunStore::kMaxStderrTail) {
    // The end is what matters; from a whole line on where there is one.
    tail.erase(0, tail.size() - RunStore::kMaxStderrTail);
    const size_t line = tail.find('\n');
    if (line != std::string::npos) tail.erase(0, line + 1);
    tail = SanitizeUtf8(tail);
  }
  if (!tail.empty()) json.Set("stderr_tail", tail);
  return json.Dump();
}

RunError ErrorFromText(const std::string &text) {
  RunError error;
  if (text.empty()) return error;
  const Json json = Json::Parse(text, "error");
  error.code = json.GetString("code", "");
  error.message = json.GetString("message", "");
  error.rank = static_cast<int32_t>(json.GetInt64("rank", -1));
  error.node = json.GetString("node", "");
  if (const auto code = json.Find("exit_code")) error.exit_code = static_cast<int32_t>(code->AsInt64());
  error.signal = json.GetString("signal", "");
  error.stderr_tail = json.GetString("stderr_tail", "");
  error.details_json = json.GetString("details", "");
  return error;
}

std::string WarningsToText(const std::vector<std::string> &warnings) {
  if (warnings.empty()) return "";
  Json list = Json::Array();
  for (const std::string &warning : warnings) {
    if (list.size() == RunStore::kMaxWarnings) break;
    list.Append(TruncateUtf8(SanitizeUtf8(warning), RunStore::kMaxWarning));
  }
  return list.Dump();
}

std::vector<std::string> WarningsFromText(const std::string &text) {
  return text.empty() ? std::vector<std::string>() : Json::Parse(text, "warnings").AsStringList();
}

std::string IdentityToText(const ProcessIdentity &identity) {
  if (identity.pid == 0) return "";
  return Json::Object()
      .Set("pid", identity.pid)
      .Set("start_time", identity.start_time)
      .Set("boot_id", identity.boot_id)
      .Set("hostname", identity.hostname)
      .Dump();
}

ProcessIdentity IdentityFromText(const std::string &text) {
  if (text.empty()) return {};
  const Json json = Json::Parse(text, "process");
  return {json.GetInt64("pid"), json.GetInt64("start_time"), json.GetString("boot_id"), json.GetString("hostname")};
}

}  // namespace trainyard
