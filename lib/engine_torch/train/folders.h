// The training and validation images of a job. Thread rule: functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine_torch/image/image_folder.h"
#include "engine_torch/image/transforms.h"
#include "engine_torch/train/settings.h"

namespace trainyard {

struct Folders {
  image::ImageFolder train;
  image::ImageFolder validation;
};

// Reads both folders; they must have the same classes. Errors carry the code "data".
Folders OpenFolders(const TrainSettings &settings);

// "classes of train and validation differ: only in train: ants; ..."; nullopt when they are the same.
std::optional<std::string> ClassDifference(const image::ImageFolder &train, const image::ImageFolder &validation);

// Images of each class.
std::vector<int64_t> ClassCounts(const image::ImageFolder &folder);

image::TransformConfig TransformOf(const TrainSettings &settings);

}  // namespace trainyard
