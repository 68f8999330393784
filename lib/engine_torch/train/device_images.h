// The training images on the device (data.cache gpu): decoded once before the first epoch, kept there as bytes, and
// cropped, resized, flipped and normalised there, a batch at a time. Crops and flips are the ones that the ordinary
// path draws; pixels differ from it by at most one level of 255 (Pillow rounds between its two passes). Written in
// tensor operations for any device. Thread rule: one thread.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "engine_torch/image/transforms.h"
#include "engine_torch/train/image_dataset.h"
#include "engine_torch/train/loader.h"
#include "engine_torch/train/sampler.h"

namespace trainyard {

// One image of a batch: where its pixels begin among all of them, how wide it is, and what of it is wanted.
struct DeviceCrop {
  int64_t first = 0;
  int64_t width = 0;
  image::Augmentation params;  // box and flips
};

// image::Transformer::Train for a batch. pixels: [n, 3] bytes, images one behind the other, row by row. Answers
// [crops, 3, crop, crop] floats in channels-last memory. `dtype`: of the products between; half keeps within a level.
at::Tensor CropOnDevice(const at::Tensor &pixels, const std::vector<DeviceCrop> &crops,
                        const image::TransformConfig &transform, at::ScalarType dtype);

class DeviceImages {
 public:
  // Whether the transform is only crops and flips.
  static bool CanDo(const image::TransformConfig &transform);

  // Each of `ranks` keeps all images, and goes through its part of an epoch.
  DeviceImages(ImageDataset *dataset, const Sampler *sampler, c10::Device device, int64_t batch_size, int rank = 0,
               int ranks = 1);

  // Decodes the images, on so many threads, and moves them. False when they do not fit into the device's memory, or
  // the host's on the way: nothing is kept then. Bad images are the data set's to tell.
  bool Fill(int threads);

  // The batches of an epoch (from 1), from its `first_step` on.
  void Begin(int64_t epoch, int64_t first_step);
  // One batch each, already on the device; nullptr at the end.
  std::unique_ptr<Chunk> Next();

 private:
  struct Place {
    int64_t first = -1;  // of its pixels; negative: the image is bad
    int width = 0, height = 0;
  };

  ImageDataset *dataset_;
  const Sampler *sampler_;
  const c10::Device device_;
  const int64_t batch_size_;
  const int rank_, ranks_;
  std::vector<Place> places_;
  at::Tensor pixels_;  // [n, 3] bytes, on the device
  uint32_t epoch_ = 1;
  std::vector<size_t> order_;
  std::vector<uint32_t> repeats_;  // by place in the order; empty: none comes twice
  size_t next_ = 0;
};

}  // namespace trainyard
