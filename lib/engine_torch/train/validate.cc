#include "engine_torch/train/validate.h"

#include <ATen/Functions.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine_torch/models/load.h"
#include "engine_torch/train/data_sets.h"
#include "engine_torch/train/device.h"
#include "engine_torch/train/image_sets.h"
#include "engine_torch/train/loss.h"
#include "engine_torch/train/machine.h"
#include "engine_torch/train/new_model.h"
#include "engine_torch/train/optimizer.h"
#include "engine_torch/train/parameters.h"
#include "engine_torch/train/precision.h"
#include "util/error.h"

namespace trainyard {
namespace {

class Report {
 public:
  // Runs `body`; an error becomes a problem.
  template <typename Body>
  bool Try(Body body) {
    try {
      body();
      return true;
    } catch (const Error &error) {
      problems_.emplace_back(error.what());
      return false;
    }
  }
  void Problem(const std::string &line) { problems_.push_back(line); }
  void Warning(const std::string &line) { warnings_.push_back(line); }
  Json &json() { return json_; }
  Json Take() {
    json_.Set("problems", Json(problems_)).Set("warnings", Json(warnings_));
    return json_;
  }

 private:
  Json json_ = Json::Object();
  std::vector<std::string> problems_;
  std::vector<std::string> warnings_;
};

// Sees each allocation of tensors in its thread.
class MemoryMeter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void *, int64_t size, size_t, size_t, c10::Device) override { live_ += size; }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t live() const { return live_; }

 private:
  std::atomic<int64_t> live_ = 0;
};

// Autocast's copies of the weights, which the backward pass needs too.
int64_t CopiedWeightBytes(const ImageClassifier &model, Precision precision) {
  if (precision != Precision::kBf16 && precision != Precision::kFp16) return 0;
  int64_t bytes = 0;
  for (const at::Tensor &parameter : model.parameters()) bytes += parameter.dim() > 1 ? 2 * parameter.numel() : 0;
  return bytes;
}

// Bytes that one sample leaves behind for the backward pass.
int64_t ActivationBytes(ImageClassifier *model, const TrainSettings &settings, std::vector<int64_t> sample_shape) {
  const auto meter = std::make_shared<MemoryMeter>();
  sample_shape.insert(sample_shape.begin(), 2);
  const at::Tensor images = at::zeros(sample_shape);
  model->train();
  at::Tensor kept;
  int64_t live = 0;
  {
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
    const Autocast autocast(settings.precision, c10::kCPU);
    kept = model->forward(images);
    live = meter->live();
  }
  live -= CopiedWeightBytes(*model, settings.precision);
  return std::max<int64_t>(live, 0) / 2 + images.numel() * 2;
}

void ReportModel(const TrainSettings &settings, const std::string &weights_path,
                 const std::vector<int64_t> &sample_shape, int64_t classes, Report *report) {
  const int64_t train_samples = report->json().GetInt64("train_images", 0);
  std::shared_ptr<ImageClassifier> model;
  const bool made = report->Try([&] { model = NewModel(settings, sample_shape, std::max<int64_t>(classes, 1)); });
  if (!made) return;
  if (!weights_path.empty()) {
    report->Try([&] { LoadWeights(model.get(), OpenWeights(weights_path), {.allow_head_mismatch = true}); });
  }
  if (settings.mode == TrainMode::kFeature) FreezeBackbone(model.get());
  if (train_samples > 0) report->Try([&] { CheckSteps(*model, settings, train_samples); });
  report->Try([&] { FreezeMatching(model.get(), settings.freeze); });
  report->Try([&] { GroupParameters(*model, settings.optimizer.lr_factors); });
  int64_t parameters = 0;
  int64_t trained = 0;
  for (const at::Tensor &parameter : model->parameters()) {
    parameters += parameter.numel();
    if (parameter.requires_grad()) trained += parameter.numel();
  }
  report->json().Set("parameters", parameters).Set("trained_parameters", trained);
  try {
    // Weights; gradient, best copy, the optimizer's and the average's values of what is trained; the images that go
    // through at once and what they leave behind.
    const int64_t copies = 2 + StatesPerParameter(settings.optimizer) + (settings.ema_decay > 0 ? 1 : 0);
    const int64_t images = settings.micro_batch_size > 0 ? settings.micro_batch_size : settings.batch_size;
    const int64_t memory = 4 * (parameters + copies * trained) + CopiedWeightBytes(*model, settings.precision) +
                           images * ActivationBytes(model.get(), settings, sample_shape);
    report->json().Set("memory_bytes", memory);
  } catch (const std::exception &) {
    report->Problem("images of " + std::to_string(settings.crop) + " pixels are too small for " +
                    settings.architecture + ": set a larger transform.crop");
  }
}

std::optional<image::ImageFolder> OpenFolder(const std::string &path, Report *report) {
  std::optional<image::ImageFolder> folder;
  report->Try([&] { folder = image::ReadImageFolder(path); });
  return folder;
}

// As far as they can be found.
struct FoundImages {
  std::optional<image::ImageFolder> train, validation;
};

FoundImages FindImages(const TrainSettings &settings, Report *report) {
  FoundImages found;
  if (settings.manifest.empty() && settings.validation_fraction == 0) {
    // What is wrong with either folder is told, not with the first alone.
    found.train = OpenFolder(settings.train_directory, report);
    found.validation = OpenFolder(settings.validation_directory, report);
    if (found.train && found.validation) {
      if (const auto difference = ClassDifference(*found.train, *found.validation)) report->Problem(*difference);
    }
    return found;
  }
  report->Try([&] {
    ImageSets sets = OpenImages(settings);
    for (const std::string &note : sets.notes) report->Warning(note);
    if (!settings.manifest.empty()) report->json().Set("test_images", sets.test_images);
    found.train = std::move(sets.train);
    found.validation = std::move(sets.validation);
  });
  return found;
}

void ReportTraining(int64_t samples, const std::vector<std::string> &classes, const std::vector<int64_t> &counts,
                    const TrainSettings &settings, Report *report) {
  const int64_t steps = (samples + settings.batch_size - 1) / settings.batch_size;
  report->json().Set("classes", Json(classes)).Set("train_images", samples);
  report->json().Set("steps_per_epoch", steps).Set("total_steps", steps * settings.epochs);
  if (settings.task == Task::kClassification && classes.size() == 1)
    report->Warning("there is only one class: every prediction will be '" + classes.front() + "'");
  if (settings.sampling == Sampling::kWeighted && settings.loss.class_weights == "balanced") {
    report->Warning(
        "data.sampling weighted and loss.class_weights balanced both make up for rare classes: one of them is enough");
  }
  report->Try([&] { Loss(settings.loss, counts, c10::kCPU); });
}

int64_t ReportBadImages(const std::vector<image::Sample> &samples, const TrainSettings &settings, Json *list,
                        Report *report) {
  int64_t fatal = 0;
  const int threads = settings.workers > 0 ? settings.workers : AvailableCpus();
  for (const image::BadImage &bad : image::CheckImages(samples, threads)) {
    if (!bad.fatal) {
      report->Warning("'" + bad.path + "': " + bad.reason);
      continue;
    }
    ++fatal;
    Json item = Json::Object();
    item.Set("path", bad.path).Set("reason", bad.reason);
    list->Append(item);
  }
  return fatal;
}

// How many of how many.
struct BadCount {
  int64_t bad = 0;
  size_t of = 0;
  bool AllAreBad() const { return bad == static_cast<int64_t>(of); }
};

void TellBad(const BadCount &train, const BadCount &validation, const TrainSettings &settings, Report *report) {
  const int64_t bad = train.bad + validation.bad;
  if (bad == 0) return;
  const std::string line =
      std::to_string(bad) + " " + settings.Noun() + (bad == 1 ? " cannot be read" : "s cannot be read");
  if (settings.bad_images == BadImages::kFail) {
    report->Problem(line + ", and data.bad_images is fail");
  } else if (train.AllAreBad() || validation.AllAreBad()) {
    report->Problem(line + ": none is left to " + (train.AllAreBad() ? "train on" : "validate with"));
  } else {
    report->Warning(line + " and would be left out");
  }
}

void ReportImages(const image::ImageFolder &train, const image::ImageFolder &validation, const TrainSettings &settings,
                  Report *report) {
  Json list = Json::Array();
  const BadCount bad_train = {ReportBadImages(train.samples, settings, &list, report), train.samples.size()};
  const BadCount bad_validation = {ReportBadImages(validation.samples, settings, &list, report),
                                   validation.samples.size()};
  report->json().Set("bad_images", list);
  TellBad(bad_train, bad_validation, settings, report);
}

// Every sample is loaded once.
BadCount ReportBadSamples(Dataset *dataset, Json *list) {
  const std::unique_ptr<Dataset::Reader> reader = dataset->NewReader();
  std::vector<float> floats(static_cast<size_t>(dataset->SampleSize()));
  for (size_t i = 0; i < dataset->size(); ++i) reader->Load(i, 0, 0, floats.data());
  const auto bad = dataset->bad();
  for (const auto &[index, reason] : bad) {
    list->Append(Json::Object().Set("path", dataset->NameOf(index)).Set("reason", reason));
  }
  return {static_cast<int64_t>(bad.size()), dataset->size()};
}

// Answers the shape of a sample and how many outputs the targets ask for, as far as they are found.
std::pair<std::vector<int64_t>, int64_t> ReportArrays(const TrainSettings &settings, bool check, Report *report) {
  DataSets sets;
  const bool opened = report->Try([&] { sets = OpenDataSets(settings, std::make_shared<MemoryBudget>(0)); });
  if (!opened) return {};
  for (const std::string &note : sets.notes) report->Warning(note);
  ReportTraining(static_cast<int64_t>(sets.train->size()), sets.train->classes(), sets.train->ClassCounts(), settings,
                 report);
  report->json().Set("validation_images", static_cast<int64_t>(sets.validation->size()));
  if (check) {
    Json list = Json::Array();
    const BadCount bad_train = ReportBadSamples(sets.train.get(), &list);
    const BadCount bad_validation = ReportBadSamples(sets.validation.get(), &list);
    report->json().Set("bad_images", list);
    TellBad(bad_train, bad_validation, settings, report);
  }
  return {sets.train->SampleShape(), OutputsOf(*sets.train)};
}

// The same of images.
std::pair<std::vector<int64_t>, int64_t> ReportImageSets(const TrainSettings &settings, bool check, Report *report) {
  const auto [train, validation] = FindImages(settings, report);
  if (train) {
    ReportTraining(static_cast<int64_t>(train->samples.size()), train->classes, ClassCounts(*train), settings, report);
  }
  if (validation) report->json().Set("validation_images", static_cast<int64_t>(validation->samples.size()));
  if (train && validation && check) ReportImages(*train, *validation, settings, report);
  return {{3, settings.crop, settings.crop}, train ? static_cast<int64_t>(train->classes.size()) : 1};
}

void ReportDevice(const TrainSettings &settings, Report *report) {
  const c10::Device device = ChooseDevice(settings.device);
  if (!device.is_cpu() || settings.precision == Precision::kFp32) return;
  const std::string key = "train.precision " + std::string(NameOf(settings.precision));
  report->Warning(settings.precision == Precision::kTf32
                      ? key + " is for GPUs: a CPU computes as with fp32"
                      : key + " is for GPUs: on a CPU it is most often slower than fp32");
}

}  // namespace

Json ValidateTraining(const TrainSettings &settings, const std::string &weights_path, bool check_images) {
  Report report;
  const auto [sample_shape, outputs] = settings.arrays.empty() ? ReportImageSets(settings, check_images, &report)
                                                               : ReportArrays(settings, check_images, &report);
  report.Try([&] { ReportDevice(settings, &report); });
  if (!sample_shape.empty()) ReportModel(settings, weights_path, sample_shape, outputs, &report);
  return report.Take();
}

}  // namespace trainyard
