#include "engine_torch/train/image_sets.h"

#include <algorithm>
#include <iterator>

#include "engine_torch/train/failure.h"
#include "engine_torch/train/manifest_sets.h"
#include "engine_torch/train/strata.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr const char *kFractionKey = "data.validation_fraction";
constexpr size_t kMostNames = 20;  // that an error lists

std::string OnlyIn(const std::vector<std::string> &a, const std::vector<std::string> &b) {
  std::vector<std::string> only;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(only));
  return Join(only, ", ");
}

std::vector<size_t> StrataOf(const image::ImageFolder &folder, const std::vector<int64_t> &counts) {
  std::vector<size_t> strata;
  for (const image::Sample &sample : folder.samples) {
    strata.push_back(sample.label >= 0 ? static_cast<size_t>(sample.label) : StratumOfLabels(sample.labels, counts));
  }
  return strata;
}

// A guess at what is meant when classes make no sense.
std::string TaskHint(const image::ImageFolder &train, const TrainSettings &settings) {
  if (settings.task != Task::kClassification) return "";
  const auto is_number = [](const std::string &name) { return ParseDouble(name).has_value(); };
  const auto is_list = [](const std::string &name) { return name.find(';') != std::string::npos; };
  if (std::all_of(train.classes.begin(), train.classes.end(), is_number))
    return ". If the labels are numbers to be told, set task regression";
  if (std::any_of(train.classes.begin(), train.classes.end(), is_list))
    return ". If they are several labels an image, set task multilabel";
  return "";
}

// Of a manifest; folders without images are refused when they are read.
void CheckEveryClassIsLearnt(const image::ImageFolder &train, const TrainSettings &settings) {
  if (settings.task == Task::kRegression) return;
  const std::vector<int64_t> counts = ClassCounts(train);
  std::vector<std::string> without;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) without.push_back(train.classes[i]);
  }
  if (without.empty()) return;
  const size_t more = without.size() - std::min(without.size(), kMostNames);
  without.resize(without.size() - more);
  const std::string names = Join(without, ", ") + (more > 0 ? " and " + std::to_string(more) + " more" : "");
  throw Error::InvalidArgument("'" + settings.manifest + "' has no training image of " + names +
                                   ": add some, or leave out the validation images of what cannot be learnt" +
                                   TaskHint(train, settings),
                               {{"path", settings.manifest}, {"classes", names}});
}

ImageSets SetsOfFolders(const TrainSettings &settings) {
  ImageSets sets;
  sets.train = image::ReadImageFolder(settings.train_directory);
  if (settings.validation_fraction > 0) {
    // Of data.directory it may or may not be there.
    if (!PathExists(settings.validation_directory)) return sets;
    throw Error::InvalidArgument("'" + settings.validation_directory +
                                     "' has the validation images, and 'data.validation_fraction' would take training "
                                     "images: set it to 0, or name the training images in data.train_directory",
                                 {{"path", settings.validation_directory}, {"key", kFractionKey}});
  }
  sets.validation = image::ReadImageFolder(settings.validation_directory);
  if (const auto difference = ClassDifference(sets.train, sets.validation)) throw Error::InvalidArgument(*difference);
  return sets;
}

void FindValidation(const TrainSettings &settings, ImageSets *sets) {
  if (settings.validation_fraction == 0) {
    if (!sets->validation.samples.empty()) return;
    throw Error::InvalidArgument("'" + settings.manifest +
                                     "' has no image to validate with: give rows the split val, or set "
                                     "data.validation_fraction",
                                 {{"path", settings.manifest}, {"key", kFractionKey}});
  }
  if (!sets->validation.samples.empty()) {
    throw Error::InvalidArgument("'" + settings.manifest +
                                     "' has rows of the split val, and 'data.validation_fraction'" +
                                     " would take training images: set it to 0, or leave those rows out",
                                 {{"path", settings.manifest}, {"key", kFractionKey}});
  }
  SetApart(settings.validation_fraction, settings.seed, &sets->train, &sets->validation);
  if (!sets->validation.samples.empty()) return;
  throw Error::InvalidArgument(
      "no class has two images: none can be set apart to validate with (data.validation_fraction)" +
          TaskHint(sets->train, settings),
      {{"key", kFractionKey}});
}

}  // namespace

std::optional<std::string> ClassDifference(const image::ImageFolder &train, const image::ImageFolder &validation) {
  if (train.classes == validation.classes) return std::nullopt;
  std::string text = "the class folders of '" + train.root + "' and '" + validation.root + "' differ";
  const std::string first = OnlyIn(train.classes, validation.classes);
  const std::string second = OnlyIn(validation.classes, train.classes);
  if (!first.empty()) text += "; only in the first: " + first;
  if (!second.empty()) text += "; only in the second: " + second;
  return text;
}

void SetApart(double fraction, uint64_t seed, image::ImageFolder *train, image::ImageFolder *validation) {
  const std::vector<bool> taken =
      ChooseApart(fraction, seed, StrataOf(*train, ClassCounts(*train)),
                  [&](size_t sample) { return image::RelativeName(*train, train->samples[sample]); });
  validation->root = train->root;
  validation->classes = train->classes;
  std::vector<image::Sample> kept;
  for (size_t i = 0; i < taken.size(); ++i) {
    (taken[i] ? validation->samples : kept).push_back(std::move(train->samples[i]));
  }
  train->samples = std::move(kept);
}

std::vector<double> SamplingWeights(const image::ImageFolder &folder, bool own) {
  constexpr const char *kKey = "data.sampling";
  std::vector<double> weights;
  const std::vector<int64_t> counts = ClassCounts(folder);
  const bool numbers = std::all_of(folder.samples.begin(), folder.samples.end(), [](const image::Sample &sample) {
    return sample.label < 0 && sample.labels.empty();
  });
  if (!own && numbers) {
    throw Error::InvalidArgument(
        "setting 'data.sampling' is weighted, and the images have no classes to weigh: give the manifest a column "
        "'weight'",
        {{"key", kKey}});
  }
  if (own) {
    for (const image::Sample &sample : folder.samples) weights.push_back(sample.weight);
  } else {
    weights = EqualisingWeights(StrataOf(folder, counts), counts);
  }
  CheckSumOfWeights(weights, "column 'weight'");
  return weights;
}

ImageSets OpenImages(const TrainSettings &settings) {
  return CodeFailures("data", [&] {
    bool own_weights = false;
    const bool manifest = !settings.manifest.empty();
    ImageSets sets = manifest ? SetsOfManifest(settings, &own_weights) : SetsOfFolders(settings);
    if (manifest || settings.validation_fraction > 0) FindValidation(settings, &sets);
    if (manifest) CheckEveryClassIsLearnt(sets.train, settings);
    if (settings.sampling == Sampling::kWeighted) {
      sets.weights = SamplingWeights(sets.train, own_weights);
    } else if (own_weights) {
      sets.notes.push_back("'" + settings.manifest + "': column 'weight' is ignored: it is for data.sampling weighted");
    }
    return sets;
  });
}

std::vector<int64_t> ClassCounts(const image::ImageFolder &folder) {
  std::vector<int64_t> counts(folder.classes.size());
  for (const image::Sample &sample : folder.samples) {
    if (sample.label >= 0) ++counts[static_cast<size_t>(sample.label)];
    for (const int32_t label : sample.labels) ++counts[static_cast<size_t>(label)];
  }
  return counts;
}

image::TransformConfig TransformOf(const TrainSettings &settings) {
  image::TransformConfig config;
  config.resize = settings.resize;
  config.crop = settings.crop;
  config.augmentation = settings.augmentation;
  config.mean = settings.mean;
  config.std = settings.std;
  config.layout = image::Layout::kNhwc;
  config.Check();
  return config;
}

}  // namespace trainyard
