#include "engine_torch/train/run_report.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <utility>

#include "engine_torch/report/html.h"
#include "engine_torch/train/machine.h"
#include "engine_torch/train/report.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/text.h"

namespace trainyard {
namespace {

std::string ProcessorName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name")) continue;
    return std::string(Trim(std::string_view(line).substr(line.find(':') + 1)));
  }
  return "";
}

std::string LabelsText(const image::ImageFolder &folder, const std::vector<int32_t> &labels) {
  std::vector<std::string> names;
  for (const int32_t label : labels) names.push_back(folder.classes[static_cast<size_t>(label)]);
  return Join(names, ", ");
}

report::Miss MissOf(const RunFacts &facts, size_t sample, double error) {
  const image::ImageFolder &folder = facts.validation->folder();
  const image::Sample &truth = folder.samples[sample];
  report::Miss miss;
  miss.path = image::RelativeName(folder, truth);
  miss.image_path = truth.path;
  miss.error = error;
  if (facts.settings->task == Task::kRegression) {
    miss.truth = report::Number(truth.value);
    miss.predicted = report::Number(static_cast<double>(facts.answers->Value(sample)));
    return miss;
  }
  std::vector<int32_t> told;
  for (size_t label = 0; label < folder.classes.size(); ++label) {
    if (facts.answers->Value(sample, label) > 0) told.push_back(static_cast<int32_t>(label));
  }
  miss.truth = LabelsText(folder, truth.labels);
  miss.predicted = LabelsText(folder, told);
  return miss;
}

// Of labels and numbers; texts are made of those images alone that will be shown.
void AddAnswers(const RunFacts &facts, report::TrainingReport *run) {
  const image::ImageFolder &folder = facts.validation->folder();
  const Task task = facts.settings->task;
  if (task == Task::kMultilabel) {
    run->labels = report::LabelResults{folder.classes, LabelMetricsOf(folder, *facts.answers)};
  } else {
    run->numbers = NumberMetricsOf(folder, *facts.answers);
  }
  std::vector<std::pair<double, size_t>> errors;
  for (const size_t sample : facts.answers->Samples()) {
    const double error = ErrorOf(task, folder, *facts.answers, sample);
    errors.emplace_back(std::isnan(error) ? std::numeric_limits<double>::infinity() : error, sample);
  }
  const auto shown = static_cast<std::ptrdiff_t>(std::min(errors.size(), report::kMostMistakes));
  std::partial_sort(errors.begin(), errors.begin() + shown, errors.end(), std::greater<>());
  errors.resize(static_cast<size_t>(shown));
  for (const auto &[error, sample] : errors) run->misses.push_back(MissOf(facts, sample, error));
}

double RocAucOf(const Verdicts &verdicts, const image::ImageFolder &folder) {
  std::vector<report::ScoredTruth> answers;
  for (size_t i = 0; i < verdicts.size(); ++i) {
    if (verdicts[i].predicted >= 0) answers.push_back({verdicts[i].log_odds, folder.samples[i].label == 1});
  }
  return report::RocAuc(std::move(answers));
}

void AddResults(const RunFacts &facts, report::TrainingReport *run) {
  const image::ImageFolder &folder = facts.validation->folder();
  run->confusion = report::ConfusionMatrix(folder.classes);
  for (const int64_t k : {int64_t{3}, int64_t{5}}) {
    if (k < static_cast<int64_t>(folder.classes.size())) run->top_k.push_back({k, 0});
  }
  if (folder.classes.size() == 2) run->roc_auc = RocAucOf(*facts.verdicts, folder);
  for (size_t i = 0; i < facts.verdicts->size(); ++i) {
    const Verdict &verdict = (*facts.verdicts)[i];
    if (verdict.predicted < 0) continue;
    const image::Sample &sample = folder.samples[i];
    run->confusion.Add(sample.label, verdict.predicted);
    for (report::TopKCount &top : run->top_k) top.correct += verdict.better_classes < top.k ? 1 : 0;
    if (verdict.predicted == sample.label) continue;
    run->mistakes.push_back(
        {image::RelativeName(folder, sample), sample.label, verdict.predicted, verdict.probability, sample.path});
  }
}

void AddData(const RunFacts &facts, report::TrainingReport *run) {
  const auto count = [](size_t images) { return WithCommas(static_cast<int64_t>(images)); };
  run->data = {{"training images", count(facts.train->size())}, {"validation images", count(facts.validation->size())}};
  const TrainSettings &settings = *facts.settings;
  if (settings.task != Task::kRegression) {
    run->data.push_back(
        {settings.task == Task::kMultilabel ? "labels" : "classes", count(facts.train->folder().classes.size())});
  }
  if (settings.manifest.empty()) {
    run->data.push_back({"training directory", facts.train->folder().root});
    run->data.push_back({"validation directory", facts.validation->folder().root});
  } else {
    run->data.push_back({"manifest", settings.manifest});
  }
  for (const Dataset *dataset : {facts.train, facts.validation}) {
    for (const auto &[index, reason] : dataset->bad()) run->warnings.push_back("left out: " + reason);
  }
  if (facts.info->skipped_steps > 0) {
    run->warnings.push_back(WithCommas(facts.info->skipped_steps) +
                            " steps were left out: their loss was not a finite number");
  }
}

void AddMachine(const RunFacts &facts, report::TrainingReport *run) {
  run->machine = {{"device", facts.device}};
  if (const std::string name = ProcessorName(); !name.empty()) run->machine.push_back({"processor", name});
  run->machine.push_back({"CPUs", std::to_string(AvailableCpus())});
  run->machine.push_back({"threads of a step", std::to_string(at::get_num_threads())});
  run->machine.push_back({"LibTorch", TORCH_VERSION});
}

}  // namespace

void AddVerdicts(const at::Tensor &logits, const at::Tensor &targets, const std::vector<size_t> &samples,
                 Verdicts *verdicts) {
  const at::Tensor probabilities = at::softmax(logits.to(at::kFloat), 1);
  const auto [most, predicted] = probabilities.max(1);
  const at::Tensor better = probabilities.gt(probabilities.gather(1, targets.unsqueeze(1))).sum(1);
  const at::Tensor most_there = most.to(at::kCPU), predicted_there = predicted.to(at::kCPU),
                   better_there = better.cpu();
  const bool two = logits.size(1) == 2;
  const at::Tensor odds = two ? (logits.select(1, 1) - logits.select(1, 0)).to(at::kCPU, at::kDouble) : at::Tensor();
  for (size_t i = 0; i < samples.size(); ++i) {
    (*verdicts)[samples[i]] = {predicted_there.const_data_ptr<int64_t>()[i], better_there.const_data_ptr<int64_t>()[i],
                               static_cast<double>(most_there.const_data_ptr<float>()[i]),
                               two ? odds.const_data_ptr<double>()[i] : 0};
  }
}

report::TrainingReport DescribeRun(const RunFacts &facts, report::Ending ending, const std::string &message) {
  const TrainSettings &settings = *facts.settings;
  report::TrainingReport run;
  run.name =
      settings.architecture + " on " +
      (settings.manifest.empty() ? BaseName(ParentPath(facts.train->folder().root)) : BaseName(settings.manifest));
  run.architecture = settings.architecture;
  run.mode = NameOf(settings.mode);
  run.started_ms = facts.times->started_ms;
  run.finished_ms = NowUnixMs();
  run.ending = ending;
  run.ending_message = message;
  run.planned_epochs = settings.epochs;
  run.epochs = facts.info->history;
  run.best_epoch = facts.info->best_epoch;
  if (settings.task == Task::kClassification) {
    AddResults(facts, &run);
  } else {
    AddAnswers(facts, &run);
  }
  AddData(facts, &run);
  run.settings = Json::Parse(settings.config_json, "settings");
  run.timings = {{"preparation", facts.times->preparing},
                 {"training", facts.times->training},
                 {"validation", facts.times->validation},
                 {"checkpoints", facts.times->checkpoints}};
  AddMachine(facts, &run);
  return run;
}

}  // namespace trainyard
