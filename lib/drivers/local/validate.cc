// ty_job_validate: what would run, found without running it. The data of a training job is read by the engine in a
// process of its own
// (`trainyard-runner validate`), so that neither LibTorch nor a broken image reaches the host.
#include "drivers/local/ask_runner.h"
#include "drivers/local/local_driver.h"
#include "drivers/local/needs.h"
#include "drivers/local/preflight.h"
#include "engine/runtime.h"
#include "util/error.h"

namespace trainyard {
namespace {

// Reading a large data set takes its time; whoever does not want to wait submits.
constexpr std::chrono::minutes kTimeLimit{60};

// The engine's report: {"classes",...,"problems":[],"warnings":[]}.
Json EngineReport(const Job &job, Store *store) {
  const WeightsSource weights = ParseWeights(job.train->GetString("model.weights"));
  Json request = Json::Object();
  request.Set("train", job.train->ToJson());
  if (weights.kind == WeightsSource::Kind::kFile) request.Set("weights_path", weights.path);
  if (weights.kind == WeightsSource::Kind::kModel) request.Set("weights_path", WeightsOfModel(weights, store));
  Json report = AskRunner("validate", {}, request, kTimeLimit);
  // The engine looks at the data for one rank; each has its part of the images.
  if (const int64_t ranks = job.RankCount(); ranks > 1 && report.Has("train_images")) {
    const int64_t batch = ranks * job.train->GetInteger("train.batch_size");
    const int64_t steps = (report.GetInt64("train_images") + batch - 1) / batch;
    report.Set("steps_per_epoch", steps).Set("total_steps", steps * job.train->GetInteger("train.epochs"));
  }
  return report;
}

Json CommandOf(const Job &job) {
  Json command = Json::Array();
  if (job.train) {
    command.Append("trainyard-runner").Append("train");
    return command;
  }
  const bool python = job.kind == RunKind::kScript && LanguageOf(job.script) == ScriptLanguage::kPython;
  for (const std::string &part : job.Command(python ? "python3" : "")) command.Append(part);
  return command;
}

void MoveLines(Json *report, std::string_view key, Json *lines) {
  for (const std::string &line : report->GetStringList(key)) lines->Append(line);
  report->Remove(key);
}

}  // namespace

std::string LocalDriver::Validate(const Job &requested) {
  Job job = requested;
  Json problems = Json::Array(), warnings = Json::Array(), report = Json::Object(), training;
  try {
    job.Check();
    std::vector<std::string> notes;
    ResolveEnvironment(&job, &notes);
    for (const std::string &note : notes) warnings.Append(note);
    ResolvePaths(&job);
    for (const Error &problem : SettleInputs(&job, store().get())) problems.Append(problem.what());
    CheckBeforeSubmit(job, store().get());
    if (job.environment_definition) CheckEnvironment(*job.environment_definition);
    for (const std::string &warning : JobWarnings(job, NeedsOf(job, store().get()))) warnings.Append(warning);
    RunnerPath();
    if (!job.source_directory.empty()) {
      const SnapshotReport source = InspectSource(SnapshotOf(job, store().get()));
      for (const std::string &warning : source.warnings) warnings.Append(warning);
      report.Set("snapshot", Json::Object().Set("files", source.files).Set("bytes", source.bytes));
    }
  } catch (const Error &error) {
    if (error.status() == Status::kRuntime) throw;
    problems.Append(error.what());
  }
  if (job.train && problems.size() == 0 && !FindTrainingData(&job)) {
    warnings.Append("the data is an input that is downloaded when the run starts: its content was not looked at");
  } else if (job.train && problems.size() == 0) {
    training = EngineReport(job, store().get());
    MoveLines(&training, "problems", &problems);
    MoveLines(&training, "warnings", &warnings);
    if (ParseWeights(job.train->GetString("model.weights")).kind == WeightsSource::Kind::kUrl) {
      warnings.Append("'model.weights' is downloaded when the run starts: its content was not looked at");
    }
  }
  report.Set("ok", problems.size() == 0)
      .Set("problems", problems)
      .Set("warnings", warnings)
      .Set("command", CommandOf(job))
      .Set("rank_count", job.RankCount());
  if (job.train) report.Set("train", training);
  return report.DumpPretty();
}

}  // namespace trainyard
