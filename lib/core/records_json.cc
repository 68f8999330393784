#include "core/records_json.h"

#include <set>

#include "core/data_reference.h"
#include "core/job_input.h"
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

// "key" alone, or {"key": "value", ...}; null stands for any value.
std::vector<PairCondition> PairsFromJson(const Json &json) {
  if (json.is_string()) return {{json.AsString(), std::nullopt}};
  std::vector<PairCondition> conditions;
  for (const auto &[key, value] : json.Members()) {
    conditions.push_back({key, value.is_null() ? std::nullopt : std::optional<std::string>(value.AsString())});
  }
  return conditions;
}

constexpr RunKind kAllKinds[] = {RunKind::kCommand, RunKind::kTrain, RunKind::kScript, RunKind::kHost};

RunKind KindFromJson(const Json &json) {
  const std::string name = json.AsString();
  std::vector<std::string> names;
  for (const RunKind kind : kAllKinds) {
    if (name == RunKindName(kind)) return kind;
    names.emplace_back(RunKindName(kind));
  }
  throw Error::InvalidArgument(json.path() + ": '" + name + "' is not a kind of run" + DidYouMean(name, names));
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
      .Set("root", run.Top())
      .Set("created_ms", run.created_ms)
      .Set("started_ms", TimeOrNull(run.started_ms))
      .Set("ended_ms", TimeOrNull(run.ended_ms))
      .Set("rank_count", run.rank_count)
      .Set("snapshot", TextOrNull(run.snapshot_id))
      .Set("tags", run.tags)
      .Set("properties", run.properties)
      .Set("warnings", run.warnings)
      .Set("error", RunErrorToJson(run.error));
  if (!run.job_json.empty()) json.Set("job", Json::Parse(run.job_json, "job"));
  return json;
}

Json ModelToJson(const ModelRecord &model, bool with_files) {
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
      .Set("datasets", Json::Parse(model.datasets_json, "datasets"))
      .Set("lineage", model.lineage_json.empty() ? Json() : Json::Parse(model.lineage_json, "lineage"));
  if (!with_files) return json;
  Json files = Json::Array();
  for (const StoredFile &file : model.files) {
    Json entry = Json::Object();
    entry.Set("path", file.path).Set("size", file.size).Set("sha256", file.sha256);
    files.Append(entry);
  }
  json.Set("files", files);
  return json;
}

namespace {

// The job's inputs, with the hashes that were found when URLs without one were fetched.
Json InputsOf(const RunRecord &run, const Json &job) {
  const auto given = job.Find("inputs");
  if (!given) return Json();
  Json inputs = Json::Object();
  for (const auto &[name, value] : given->Members()) {
    Json input = value;
    const auto hash = run.properties.find(InputHashProperty(name));
    if (hash != run.properties.end()) input.Set("sha256", hash->second);
    inputs.Set(name, input);
  }
  return inputs;
}

// The data that the job names itself: in the settings of a training, and as references to datastores.
Json DataOf(const Json &job) {
  Json data = Json::Object();
  if (const auto train = job.Find("train")) {
    for (const char *key : {"data", "model"}) {
      if (const auto part = train->Find(key)) data.Set(key, *part);
    }
  }
  std::set<std::string> references;
  const auto note = [&](const std::string &text) {
    if (IsDatastoreReference(text)) references.insert(text);
  };
  for (const char *key : {"command", "arguments"}) {
    for (const std::string &text : job.GetStringList(key)) note(text);
  }
  for (const auto &[name, text] : job.GetStringMap("variables")) note(text);
  if (const auto parameters = job.Find("script_parameters")) {
    for (const Json &pair : parameters->Items()) note(pair.GetString("value", ""));
  }
  if (!references.empty()) data.Set("references", std::vector<std::string>(references.begin(), references.end()));
  return data.size() > 0 ? data : Json();
}

}  // namespace

Json LineageOf(const RunRecord &run) {
  const Json job = run.job_json.empty() ? Json::Object() : Json::Parse(run.job_json, "job");
  const auto of_job = [&](const char *key) { return job.Find(key).value_or(Json()); };
  // What the snapshot was taken from, where that was a repository.
  Json code = Json::Object();
  for (const auto &[key, value] : run.properties) {
    if (key.starts_with("azureml.git.") || key.starts_with("mlflow.source.git.")) code.Set(key, value);
  }
  Json lineage = Json::Object();
  lineage.Set("run", run.id)
      .Set("experiment", run.experiment)
      .Set("root", run.Top())
      .Set("parent", TextOrNull(run.parent_id))
      .Set("kind", RunKindName(run.kind))
      .Set("snapshot", TextOrNull(run.snapshot_id))
      .Set("environment", of_job("environment"))
      .Set("environment_definition", of_job("environment_definition"))
      .Set("inputs", InputsOf(run, job))
      .Set("data", DataOf(job))
      .Set("code", code.size() > 0 ? code : Json());
  return lineage;
}

RunFilter RunFilterFromJson(std::string_view text) {
  RunFilter filter;
  filter.top_level = true;
  if (text.empty()) return filter;
  const Json json = Json::Parse(text, "filter");
  json.CheckKeys({"experiment", "states", "kinds", "tag", "property", "parent", "ancestor", "include_children",
                  "created_from_ms", "created_to_ms"});
  filter.experiment = json.GetString("experiment", "");
  if (const auto states = json.Find("states")) {
    for (const Json &state : states->Items()) filter.states.push_back(StateFromJson(state));
  }
  if (const auto kinds = json.Find("kinds")) {
    for (const Json &kind : kinds->Items()) filter.kinds.push_back(KindFromJson(kind));
  }
  if (const auto tag = json.Find("tag")) filter.tags = PairsFromJson(*tag);
  if (const auto property = json.Find("property")) filter.properties = PairsFromJson(*property);
  filter.parent_id = json.GetString("parent", "");
  filter.ancestor_id = json.GetString("ancestor", "");
  filter.top_level = filter.parent_id.empty() && filter.ancestor_id.empty() && !json.GetBool("include_children", false);
  filter.created_from_ms = json.GetInt64("created_from_ms", 0);
  filter.created_to_ms = json.GetInt64("created_to_ms", 0);
  return filter;
}

namespace {

// A data set by what names it: a text, or an object that a program reads again.
void CheckDatasets(const Json &datasets) {
  constexpr size_t kMost = 100, kMostBytes = 65536;
  for (const Json &dataset : datasets.Items()) {
    if (!dataset.is_string() && !dataset.is_object()) {
      throw Error::InvalidArgument(dataset.path() + " must be a string or an object");
    }
  }
  if (datasets.size() > kMost || datasets.Dump().size() > kMostBytes) {
    throw Error::InvalidArgument(datasets.path() + ": at most 100 data sets of together at most 65536 bytes");
  }
}

}  // namespace

ModelRequest ModelRequestFromJson(std::string_view text) {
  ModelRequest request;
  if (text.empty()) return request;
  const Json json = Json::Parse(text, "metadata");
  json.CheckKeys(
      {"description", "framework", "framework_version", "tags", "properties", "datasets", "include_checkpoints"});
  ModelRecord &model = request.model;
  model.description = json.GetString("description", "");
  model.framework = json.GetString("framework", "");
  model.framework_version = json.GetString("framework_version", "");
  model.tags = json.GetStringMap("tags");
  model.properties = json.GetStringMap("properties");
  if (const auto datasets = json.Find("datasets")) {
    CheckDatasets(*datasets);
    model.datasets_json = datasets->Dump();
  }
  request.include_checkpoints = json.GetBool("include_checkpoints", false);
  return request;
}

ModelFilter ModelFilterFromJson(std::string_view text) {
  ModelFilter filter;
  if (text.empty()) return filter;
  const Json json = Json::Parse(text, "filter");
  json.CheckKeys({"name", "run", "framework", "tag", "property", "latest"});
  filter.name = json.GetString("name", "");
  filter.run_id = json.GetString("run", "");
  filter.framework = json.GetString("framework", "");
  if (const auto tag = json.Find("tag")) filter.tags = PairsFromJson(*tag);
  if (const auto property = json.Find("property")) filter.properties = PairsFromJson(*property);
  filter.latest = json.GetBool("latest", false);
  return filter;
}

}  // namespace trainyard
