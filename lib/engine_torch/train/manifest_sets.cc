#include "engine_torch/train/manifest_sets.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "engine_torch/image/manifest.h"
#include "util/error.h"
#include "util/text.h"

namespace trainyard {
namespace {

using image::Manifest;
using image::ManifestRow;
using image::Sample;

constexpr const char *kValueName = "value";

[[noreturn]] void Fail(const Manifest &manifest, const ManifestRow &row, const std::string &what) {
  throw Error::InvalidArgument(PlaceOf(manifest, row) + ": column 'label' " + what,
                               {{"path", manifest.path}, {"line", std::to_string(row.line)}});
}

const std::string &OnlyLabel(const Manifest &manifest, const ManifestRow &row, const char *wanted) {
  if (row.labels.size() != 1) {
    Fail(manifest, row,
         "has " + std::to_string(row.labels.size()) + " entries, and " + wanted +
             "; set task multilabel for several labels an image");
  }
  return row.labels.front();
}

std::vector<std::string> NamesOf(const Manifest &manifest, const ManifestRow &row, Task task) {
  std::vector<std::string> names;
  if (task == Task::kClassification) {
    names.emplace_back(Trim(OnlyLabel(manifest, row, "task classification needs one class")));
  } else if (row.listed) {
    for (const std::string &label : row.labels) names.emplace_back(Trim(label));
  } else if (!Trim(row.labels.front()).empty()) {
    for (const std::string_view part : Split(row.labels.front(), ';')) names.emplace_back(Trim(part));
  }
  for (const std::string &name : names) {
    if (name.empty())
      Fail(manifest, row, task == Task::kClassification ? "is empty: name the image's class" : "has an empty name");
    if (name.find('\0') != std::string::npos) Fail(manifest, row, "has a NUL in it");
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

double ValueOf(const Manifest &manifest, const ManifestRow &row) {
  const std::string &text = OnlyLabel(manifest, row, "task regression needs one number");
  const std::optional<double> value = ParseDouble(Trim(text));
  // The model computes in 32 bits.
  if (!value || !(std::abs(*value) <= std::numeric_limits<float>::max())) {
    Fail(manifest, row,
         "must be a finite number for task regression, got '" + std::string(TruncateUtf8(text, 40)) + "'");
  }
  return *value;
}

// Names and their numbers, in the order of the names.
std::map<std::string, int32_t> NumberClasses(const Manifest &manifest, Task task) {
  std::map<std::string, int32_t> numbers;
  for (const ManifestRow &row : manifest.rows) {
    if (row.split == image::Split::kTest) continue;
    for (std::string &name : NamesOf(manifest, row, task)) numbers.emplace(std::move(name), 0);
  }
  int32_t next = 0;
  for (auto &[name, number] : numbers) number = next++;
  return numbers;
}

Sample SampleOf(const Manifest &manifest, const ManifestRow &row, Task task,
                const std::map<std::string, int32_t> &numbers) {
  Sample sample;
  sample.path = row.path;
  sample.weight = row.weight;
  if (task == Task::kRegression) {
    sample.label = -1;
    sample.value = ValueOf(manifest, row);
    return sample;
  }
  for (const std::string &name : NamesOf(manifest, row, task)) sample.labels.push_back(numbers.at(name));
  if (task == Task::kMultilabel) {
    sample.label = -1;
  } else {
    sample.label = sample.labels.front();
    sample.labels.clear();
  }
  return sample;
}

}  // namespace

ImageSets SetsOfManifest(const TrainSettings &settings, bool *has_weights) {
  const Manifest manifest = image::ReadManifest(settings.manifest);
  ImageSets sets;
  sets.notes = manifest.notes;
  *has_weights = manifest.has_weights;
  std::map<std::string, int32_t> numbers;
  if (settings.task == Task::kRegression) {
    numbers.emplace(kValueName, 0);
  } else {
    numbers = NumberClasses(manifest, settings.task);
  }
  for (image::ImageFolder *folder : {&sets.train, &sets.validation}) {
    folder->root = manifest.directory;
    for (const auto &[name, number] : numbers) folder->classes.push_back(name);
  }
  for (const ManifestRow &row : manifest.rows) {
    if (row.split == image::Split::kTest) {
      ++sets.test_images;
      continue;
    }
    image::ImageFolder &folder = row.split == image::Split::kValidation ? sets.validation : sets.train;
    folder.samples.push_back(SampleOf(manifest, row, settings.task, numbers));
  }
  if (sets.train.samples.empty()) {
    throw Error::InvalidArgument("'" + manifest.path + "' has no image to train on: no row's split is train",
                                 {{"path", manifest.path}});
  }
  if (numbers.empty()) {
    throw Error::InvalidArgument("'" + manifest.path + "' names no label: column 'label' is empty in every row",
                                 {{"path", manifest.path}});
  }
  return sets;
}

}  // namespace trainyard
