// The images of one folder, as floats for the model: reading, decoding, transforming, and keeping pixels in memory
// between epochs. Thread rule: Load() may be called concurrently, each thread with its own Transformer.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine_torch/image/image_folder.h"
#include "engine_torch/image/transforms.h"
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
  // `augment`: RandomResizedCrop and flip, drawn from (seed, epoch, index); else Resize and CenterCrop.
  Dataset(image::ImageFolder folder, const image::TransformConfig &transform, bool augment, uint64_t seed,
          std::shared_ptr<MemoryBudget> budget);

  size_t size() const { return folder_.samples.size(); }
  const image::ImageFolder &folder() const { return folder_; }
  const image::TransformConfig &transform() const { return transform_; }
  int64_t label(size_t index) const { return folder_.samples[index].label; }

  // Writes the sample's floats to `out`. False when the image cannot be decoded: it is counted as bad from then on. An
  // image that cannot be read for another reason (file gone, no permission) counts as bad as well.
  bool Load(size_t index, uint32_t epoch, image::Transformer *transformer, float *out);

  bool augments() const { return augment_; }

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
  void LoadUncached(size_t index, uint32_t epoch, image::Transformer *transformer, float *out) const;

  image::ImageFolder folder_;
  image::TransformConfig transform_;
  bool augment_;
  uint64_t seed_;
  std::shared_ptr<MemoryBudget> budget_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const Kept>> kept_;
  std::map<size_t, std::string> bad_;
};

}  // namespace trainyard
