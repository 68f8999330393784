#include "core/records_json.h"

#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

Json TimeOrNull(int64_t time_ms) {
  return time_ms == 0 ? Json() : Json(time_ms);
}
Json TextOrNull(const std::string &text) {
  return text.empty() ? Json() : Json(text);
}

constexpr RunState kAllStates[] = {
    RunState::kNotStarted, RunState::kStarting,        RunState::kProvisioning, RunState::kPreparing,
    RunState::kQueued,     RunState::kRunning,         RunState::kFinalizing,   RunState::kCompleted,
    RunState::kFailed,     RunState::kCancelRequested, RunState::kCanceled,     RunState::kNotResponding,
    RunState::kPaused,
};

RunState StateFromJson(const Json &json) {
  const std::string name = json.AsString();
  if (const auto state = RunStateFromName(name)) return *state;
  std::vector<std::string> names;
  for (RunState state : kAllStates) names.emplace_back(RunStateName(state));
  throw Error::InvalidArgument(json.path() + ": '" + name + "' is not a run state" + DidYouMean(name, names));
}

// "key" alone or {"key": "value"}.
void ReadPair(const Json &json, std::string *key, std::string *value) {
  if (json.is_string()) {
    *key = json.AsString();
    return;
  }
  const auto pairs = json.AsStringMap();
  if (pairs.size() != 1) throw Error::InvalidArgument(json.path() + " must be one key, or an object with one key");
  *key = pairs.begin()->first;
  *value = pairs.begin()->second;
}

}  // namespace

std::string_view RunKindName(RunKind kind) {
  switch (kind) {
    case RunKind::kCommand:
      return "command";
    case RunKind::kTrain:
      return "train";
    case RunKind::kScript:
      return "script";
    case RunKind::kHost:
      return "host";
  }
  return "command";
}

Json RunErrorToJson(const RunError &error) {
  if (error.code.empty()) return Json();
  Json json = Json::Object();
  json.Set("code", error.code)
      .Set("message", error.message)
      .Set("rank", error.rank < 0 ? Json() : Json(error.rank))
      .Set("node", TextOrNull(error.node))
      .Set("exit_code", error.exit_code ? Json(*error.exit_code) : Json())
      .Set("signal", TextOrNull(error.signal))
      .Set("stderr", TextOrNull(error.stderr_tail));
  if (!error.details_json.empty()) json.Set("details", Json::Parse(error.details_json, "details"));
  return json;
}

Json RunToJson(const RunRecord &run) {
  Json json = Json::Object();
  json.Set("id", run.id)
      .Set("experiment", run.experiment)
      .Set("display_name", run.display_name)
      .Set("kind", RunKindName(run.kind))
      .Set("state", RunStateName(run.state))
      .Set("compute", run.compute)
      .Set("parent", TextOrNull(run.parent_id))
      .Set("created_ms", run.created_ms)
      .Set("started_ms", TimeOrNull(run.started_ms))
      .Set("ended_ms", TimeOrNull(run.ended_ms))
      .Set("rank_count", run.rank_count)
      .Set("snapshot", TextOrNull(run.snapshot_id))
      .Set("tags", run.tags)
      .Set("properties", run.properties)
      .Set("error", RunErrorToJson(run.error));
  if (!run.job_json.empty()) json.Set("job", Json::Parse(run.job_json, "job"));
  return json;
}

Json ModelToJson(const ModelRecord &model) {
  Json files = Json::Array();
  for (const StoredFile &file : model.files) {
    Json entry = Json::Object();
    entry.Set("path", file.path).Set("size", file.size).Set("sha256", file.sha256);
    files.Append(entry);
  }
  Json json = Json::Object();
  json.Set("name", model.name)
      .Set("version", model.version)
      .Set("run", TextOrNull(model.run_id))
      .Set("created_ms", model.created_ms)
      .Set("description", TextOrNull(model.description))
      .Set("framework", TextOrNull(model.framework))
      .Set("framework_version", TextOrNull(model.framework_version))
      .Set("tags", model.tags)
      .Set("properties", model.properties)
      .Set("files", files);
  return json;
}

RunFilter RunFilterFromJson(std::string_view text) {
  RunFilter filter;
  if (text.empty()) return filter;
  const Json json = Json::Parse(text, "filter");
  json.CheckKeys({"experiment", "states", "tag", "property", "parent", "created_from_ms", "created_to_ms"});
  filter.experiment = json.GetString("experiment", "");
  if (const auto states = json.Find("states")) {
    for (const Json &state : states->Items()) filter.states.push_back(StateFromJson(state));
  }
  if (const auto tag = json.Find("tag")) ReadPair(*tag, &filter.tag_key, &filter.tag_value);
  if (const auto property = json.Find("property")) ReadPair(*property, &filter.property_key, &filter.property_value);
  filter.parent_id = json.GetString("parent", "");
  filter.created_from_ms = json.GetInt64("created_from_ms", 0);
  filter.created_to_ms = json.GetInt64("created_to_ms", 0);
  return filter;
}

MetricQuery MetricQueryFromJson(std::string_view text) {
  MetricQuery query;
  if (text.empty()) return query;
  const Json json = Json::Parse(text, "query");
  json.CheckKeys({"rank", "first_step", "last_step", "offset", "limit", "downsample_to"});
  if (const auto rank = json.Find("rank")) query.rank = static_cast<int32_t>(rank->AsInt64(-1, 1 << 30));
  if (const auto step = json.Find("first_step")) query.first_step = step->AsInt64();
  if (const auto step = json.Find("last_step")) query.last_step = step->AsInt64();
  if (const auto offset = json.Find("offset")) query.offset = offset->AsInt64(0);
  if (const auto limit = json.Find("limit")) query.limit = limit->AsInt64(1);
  if (const auto count = json.Find("downsample_to")) query.downsample_to = count->AsInt64(0);
  return query;
}

ModelRecord ModelMetadataFromJson(std::string_view text) {
  ModelRecord model;
  if (text.empty()) return model;
  const Json json = Json::Parse(text, "metadata");
  json.CheckKeys({"description", "framework", "framework_version", "tags", "properties"});
  model.description = json.GetString("description", "");
  model.framework = json.GetString("framework", "");
  model.framework_version = json.GetString("framework_version", "");
  model.tags = json.GetStringMap("tags");
  model.properties = json.GetStringMap("properties");
  return model;
}

}  // namespace trainyard
