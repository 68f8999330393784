#include "engine_torch/train/data_sets.h"

#include <utility>

#include "engine_torch/train/array_sets.h"
#include "engine_torch/train/image_dataset.h"
#include "engine_torch/train/image_sets.h"

namespace trainyard {

DataSets OpenDataSets(const TrainSettings &settings, const std::shared_ptr<MemoryBudget> &budget) {
  if (!settings.arrays.empty()) return OpenArrays(settings);
  ImageSets images = OpenImages(settings);
  const image::TransformConfig transform = TransformOf(settings);
  DataSets sets;
  sets.train = std::make_unique<ImageDataset>(std::move(images.train), transform, settings.augment, settings.seed,
                                              budget, settings.task);
  sets.validation = std::make_unique<ImageDataset>(std::move(images.validation), transform, /*augment=*/false,
                                                   settings.seed, budget, settings.task);
  sets.weights = std::move(images.weights);
  sets.test_images = images.test_images;
  sets.notes = std::move(images.notes);
  return sets;
}

}  // namespace trainyard
