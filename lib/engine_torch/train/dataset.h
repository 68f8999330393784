// The images of one set, as floats for the model: reading, decoding, transforming, and keeping pixels in memory between
// epochs; and what is to be learnt of them. Thread rule: Load() and const functions may be called concurrently, each
// thread with its own Transformer.
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine_torch/image/image_folder.h"
#include "engine_torch/image/transforms.h"
#include "engine_torch/train/task.h"
#include "util/error.h"

namespace trainyard {

// Bytes that caches may still take; shared by the data sets of a job.
class MemoryBudget {
 public:
  explicit MemoryBudget(uint64_t bytes) : left_(bytes) {}
  bool Take(uint64_t bytes);
  uint64_t left() const { return left_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> left_;
};

class Dataset {
 public:
  // `augment`: the training transform, drawn from (seed, epoch, index); else Resize and CenterCrop.
  Dataset(image::ImageFolder folder, const image::TransformConfig &transform, bool augment, uint64_t seed,
          std::shared_ptr<MemoryBudget> budget, Task task = Task::kClassification);

  size_t size() const { return folder_.samples.size(); }
  const image::ImageFolder &folder() const { return folder_; }
  const image::TransformConfig &transform() const { return transform_; }
  // What the loss compares the model's outputs with, a row for each of `samples`: [n] int64 classes; [n, classes]
  // floats, 1 for the labels that an image has; or [n, 1] floats, the numbers.
  at::Tensor Targets(const std::vector<size_t> &samples) const;

  // Writes the sample's floats to `out`. False when the image cannot be decoded: it is counted as bad from then on. An
  // image that cannot be read for another reason (file gone, no permission) counts as bad as well. `repeat`: how often
  // this epoch had it before; each time it is augmented in another way.
  bool Load(size_t index, uint32_t epoch, image::Transformer *transformer, float *out, uint32_t repeat = 0);

  bool augments() const { return augment_; }

  // What Load draws for an image of width x height; all of it and no flip where nothing is random.
  image::Augmentation Draw(size_t index, uint32_t epoch, uint32_t repeat, int width, int height) const;

  // The sample's pixels as they are kept between epochs: the whole image when the crop changes each time, else the
  // crop. False as with Load().
  bool Pixels(size_t index, image::Transformer *transformer, image::Image *out);

  // From now on pixels are not kept (whoever calls this keeps what he computed from them).
  void StopCaching() { budget_ = nullptr; }

  // The bad images met so far: index -> reason.
  std::map<size_t, std::string> bad() const;

 private:
  // What is kept of a sample: the decoded image when the crop changes each time, else the crop's pixels.
  struct Kept {
    image::Image image;
    image::ByteBuffer pixels;
  };

  std::shared_ptr<const Kept> Find(size_t index) const;
  void NoteBad(size_t index, const Error &error);
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
  std::map<size_t, std::string> bad_;
};

}  // namespace trainyard
