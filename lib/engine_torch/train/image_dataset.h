// The images of one set: reading, decoding, transforming, and keeping pixels in memory between epochs. Thread rule: as
// a Dataset's; Pixels() may be called concurrently, each thread with its own Transformer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine_torch/image/image_folder.h"
#include "engine_torch/image/transforms.h"
#include "engine_torch/train/dataset.h"
#include "engine_torch/train/memory_budget.h"
#include "engine_torch/train/task.h"
#include "util/error.h"

namespace trainyard {

class ImageDataset final : public Dataset {
 public:
  // `augment`: the training transform, drawn from (seed, epoch, index); else Resize and CenterCrop.
  ImageDataset(image::ImageFolder folder, const image::TransformConfig &transform, bool augment, uint64_t seed,
               std::shared_ptr<MemoryBudget> budget, Task task = Task::kClassification);

  size_t size() const override { return folder_.samples.size(); }
  std::vector<int64_t> SampleShape() const override { return {3, transform_.crop, transform_.crop}; }
  // An image that cannot be decoded is bad; so is one that cannot be read for another reason (file gone, no
  // permission).
  std::unique_ptr<Reader> NewReader() override;
  const std::vector<std::string> &classes() const override { return folder_.classes; }
  std::vector<int64_t> ClassCounts() const override;
  at::Tensor Targets(const std::vector<size_t> &samples) const override;
  int64_t ClassOf(size_t sample) const override { return folder_.samples[sample].label; }
  double TruthOf(size_t sample, size_t output) const override;
  std::string NameOf(size_t sample) const override { return image::RelativeName(folder_, folder_.samples[sample]); }
  std::string PictureOf(size_t sample) const override { return folder_.samples[sample].path; }
  std::string source() const override { return folder_.root; }
  uint32_t Checksum(uint32_t crc) const override;

  const image::TransformConfig &transform() const { return transform_; }
  bool augments() const { return augment_; }

  // What is drawn for an image of width x height; all of it and no flip where nothing is random.
  image::Augmentation Draw(size_t index, uint32_t epoch, uint32_t repeat, int width, int height) const;

  // The sample's pixels as they are kept between epochs: the whole image when the crop changes each time, else the
  // crop. False as with Reader::Load().
  bool Pixels(size_t index, image::Transformer *transformer, image::Image *out);

 private:
  class ImageReader;
  // What is kept of a sample: the decoded image when the crop changes each time, else the crop's pixels.
  struct Kept {
    image::Image image;
    image::ByteBuffer pixels;
  };

  bool Load(size_t index, uint32_t epoch, uint32_t repeat, image::Transformer *transformer, float *out);
  std::shared_ptr<const Kept> Find(size_t index) const;
  std::shared_ptr<const Kept> Decode(size_t index, image::Transformer *transformer);
  void Keep(size_t index, std::shared_ptr<const Kept> kept);
  void LoadUncached(size_t index, uint32_t epoch, uint64_t draw, image::Transformer *transformer, float *out) const;

  image::ImageFolder folder_;
  image::TransformConfig transform_;
  bool augment_;
  uint64_t seed_;
  std::shared_ptr<MemoryBudget> budget_;
  Task task_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const Kept>> kept_;
};

}  // namespace trainyard
