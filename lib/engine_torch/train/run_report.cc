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
#include "engine_torch/report/task_results.h"
#include "engine_torch/train/machine.h"
#include "engine_torch/train/new_model.h"
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

constexpr size_t kMostNumbers = 8;  // of a sample, that a miss tells

report::Miss MissOf(const RunFacts &facts, size_t sample, double error) {
  const Dataset &dataset = *facts.validation;
  const std::vector<std::string> &classes = dataset.classes();
  report::Miss miss;
  miss.path = dataset.NameOf(sample);
  miss.image_path = dataset.PictureOf(sample);
  miss.error = error;
  std::vector<std::string> truth, told;
  if (facts.settings->task == Task::kRegression) {
    for (size_t i = 0; i < std::min(classes.size(), kMostNumbers); ++i) {
      truth.push_back(report::Number(dataset.TruthOf(sample, i)));
      told.push_back(report::Number(static_cast<double>(facts.answers->Value(sample, i))));
    }
    if (classes.size() > kMostNumbers) {
      truth.emplace_back("...");
      told.emplace_back("...");
    }
  } else {
    for (size_t label = 0; label < classes.size(); ++label) {
      if (dataset.TruthOf(sample, label) > 0.5) truth.push_back(classes[label]);
      if (facts.answers->Value(sample, label) > 0) told.push_back(classes[label]);
    }
  }
  miss.truth = Join(truth, ", ");
  miss.predicted = Join(told, ", ");
  return miss;
}

// The numbers of a regression: of several the means, each one's, and all answers of those alone that are drawn.
void AddNumbers(const RunFacts &facts, report::TrainingReport *run) {
  const std::vector<std::string> &names = facts.validation->classes();
  run->numbers = MeanNumberMetricsOf(*facts.validation, *facts.answers);
  if (names.size() == 1) return;
  for (size_t i = 0; i < names.size(); ++i) {
    run->outputs.push_back({names[i], NumberMetricsOf(*facts.validation, *facts.answers, i)});
    run->outputs.back().metrics.answers = {};
  }
  const std::vector<size_t> worst = report::WorstOutputs(run->outputs);
  for (size_t i = 0; i < std::min(worst.size(), report::kMostOutputPictures); ++i) {
    run->outputs[worst[i]].metrics = NumberMetricsOf(*facts.validation, *facts.answers, worst[i]);
  }
}

// Of labels and numbers; texts are made of those samples alone that will be shown.
void AddAnswers(const RunFacts &facts, report::TrainingReport *run) {
  const Dataset &dataset = *facts.validation;
  const Task task = facts.settings->task;
  if (task == Task::kMultilabel) {
    run->labels = report::LabelResults{dataset.classes(), LabelMetricsOf(dataset, *facts.answers)};
  } else {
    AddNumbers(facts, run);
  }
  std::vector<std::pair<double, size_t>> errors;
  for (const size_t sample : facts.answers->Samples()) {
    const double error = ErrorOf(task, dataset, *facts.answers, sample);
    errors.emplace_back(std::isnan(error) ? std::numeric_limits<double>::infinity() : error, sample);
  }
  const auto shown = static_cast<std::ptrdiff_t>(std::min(errors.size(), report::kMostMistakes));
  std::partial_sort(errors.begin(), errors.begin() + shown, errors.end(), std::greater<>());
  errors.resize(static_cast<size_t>(shown));
  for (const auto &[error, sample] : errors) run->misses.push_back(MissOf(facts, sample, error));
}

double RocAucOf(const Verdicts &verdicts, const Dataset &dataset) {
  std::vector<report::ScoredTruth> answers;
  for (size_t i = 0; i < verdicts.size(); ++i) {
    if (verdicts[i].predicted >= 0) answers.push_back({verdicts[i].log_odds, dataset.ClassOf(i) == 1});
  }
  return report::RocAuc(std::move(answers));
}

void AddResults(const RunFacts &facts, report::TrainingReport *run) {
  const Dataset &dataset = *facts.validation;
  run->confusion = report::ConfusionMatrix(dataset.classes());
  for (const int64_t k : {int64_t{3}, int64_t{5}}) {
    if (k < static_cast<int64_t>(dataset.classes().size())) run->top_k.push_back({k, 0});
  }
  if (dataset.classes().size() == 2) run->roc_auc = RocAucOf(*facts.verdicts, dataset);
  for (size_t i = 0; i < facts.verdicts->size(); ++i) {
    const Verdict &verdict = (*facts.verdicts)[i];
    if (verdict.predicted < 0) continue;
    const int64_t truth = dataset.ClassOf(i);
    run->confusion.Add(truth, verdict.predicted);
    for (report::TopKCount &top : run->top_k) top.correct += verdict.better_classes < top.k ? 1 : 0;
    if (verdict.predicted == truth) continue;
    run->mistakes.push_back({dataset.NameOf(i), truth, verdict.predicted, verdict.probability, dataset.PictureOf(i)});
  }
}

void AddData(const RunFacts &facts, report::TrainingReport *run) {
  const auto count = [](size_t images) { return WithCommas(static_cast<int64_t>(images)); };
  const TrainSettings &settings = *facts.settings;
  const std::string samples = std::string(settings.Noun()) + "s";
  run->data = {{"training " + samples, count(facts.train->size())},
               {"validation " + samples, count(facts.validation->size())}};
  const size_t outputs = facts.train->classes().size();
  if (settings.task != Task::kRegression) {
    run->data.push_back({settings.task == Task::kMultilabel ? "labels" : "classes", count(outputs)});
  } else if (outputs > 1) {
    run->data.push_back({"numbers", count(outputs)});
  }
  if (!settings.arrays.empty()) {
    run->data.push_back({"arrays", settings.arrays});
    run->data.push_back({"shape of a sample", ShapeText(facts.train->SampleShape())});
  } else if (settings.manifest.empty()) {
    run->data.push_back({"training directory", facts.train->source()});
    run->data.push_back({"validation directory", facts.validation->source()});
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

// What the data is called in the report's title.
std::string DataName(const RunFacts &facts) {
  const TrainSettings &settings = *facts.settings;
  if (!settings.arrays.empty()) return BaseName(settings.arrays);
  return settings.manifest.empty() ? BaseName(ParentPath(facts.train->source())) : BaseName(settings.manifest);
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
  run.name = settings.architecture + " on " + DataName(facts);
  run.noun = settings.Noun();
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
