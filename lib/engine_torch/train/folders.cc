#include "engine_torch/train/folders.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "engine_torch/train/failure.h"
#include "util/text.h"

namespace trainyard {
namespace {

std::string OnlyIn(const std::vector<std::string> &a, const std::vector<std::string> &b) {
  std::vector<std::string> only;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(only));
  return Join(only, ", ");
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

Folders OpenFolders(const TrainSettings &settings) {
  return CodeFailures("data", [&] {
    Folders folders;
    folders.train = image::ReadImageFolder(settings.train_directory);
    folders.validation = image::ReadImageFolder(settings.validation_directory);
    if (const auto difference = ClassDifference(folders.train, folders.validation))
      throw Error::InvalidArgument(*difference);
    return folders;
  });
}

std::vector<int64_t> ClassCounts(const image::ImageFolder &folder) {
  std::vector<int64_t> counts(folder.classes.size());
  for (const image::Sample &sample : folder.samples) ++counts[static_cast<size_t>(sample.label)];
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
