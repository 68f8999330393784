// The training and validation images of a job: from two folders of classes, from a manifest, or from one of them with
// a share of its images set apart to validate with. Thread rule: functions.
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

struct ImageSets {
  image::ImageFolder train;
  image::ImageFolder validation;
  std::vector<double> weights;     // how often each training image is drawn, against others; empty: once an epoch
  int64_t test_images = 0;         // that the manifest keeps for later
  std::vector<std::string> notes;  // for people: what was ignored
};

// Both sets have the same classes, and each class has a training image. Errors carry the code "data".
ImageSets OpenImages(const TrainSettings &settings);

// "classes of train and validation differ: only in train: ants; ..."; nullopt when they are the same.
std::optional<std::string> ClassDifference(const image::ImageFolder &train, const image::ImageFolder &validation);

// Images of each class, or with each label.
std::vector<int64_t> ClassCounts(const image::ImageFolder &folder);

// Moves images from `train` to `validation`, which becomes a folder of the same root and classes: those that
// ChooseApart() (train/strata.h) takes by their paths below the root. Which stay keep their order.
void SetApart(double fraction, uint64_t seed, image::ImageFolder *train, image::ImageFolder *validation);

// The weight of each sample: its own when `own`; else such that each class is drawn equally often, 1 / its images. With
// several labels: that of the rarest; images without any are as one class. Throws kInvalidArgument when images have no
// class, or no weight is above 0.
std::vector<double> SamplingWeights(const image::ImageFolder &folder, bool own);

image::TransformConfig TransformOf(const TrainSettings &settings);

}  // namespace trainyard
