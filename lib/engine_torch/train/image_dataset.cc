#include "engine_torch/train/image_dataset.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine_torch/train/image_sets.h"
#include "util/fs.h"
#include "util/hash.h"

namespace trainyard {

using image::Image;
using image::Transformer;

namespace {

// What the augmentation of a sample is drawn by: its index, and for its repetitions in an epoch numbers that no index
// reaches.
uint64_t DrawOf(size_t index, uint32_t repeat) {
  return static_cast<uint64_t>(index) | static_cast<uint64_t>(repeat) << 32;
}

}  // namespace

// One thread's way through the set.
class ImageDataset::ImageReader final : public Dataset::Reader {
 public:
  ImageReader(ImageDataset *dataset, const image::TransformConfig &transform)
      : dataset_(dataset), transformer_(transform) {}

  bool Load(size_t index, uint32_t epoch, uint32_t repeat, float *out) override {
    return dataset_->Load(index, epoch, repeat, &transformer_, out);
  }

 private:
  ImageDataset *dataset_;
  Transformer transformer_;
};

ImageDataset::ImageDataset(image::ImageFolder folder, const image::TransformConfig &transform, bool augment,
                           uint64_t seed, std::shared_ptr<MemoryBudget> budget, Task task)
    : folder_(std::move(folder)),
      transform_(transform),
      augment_(augment),
      seed_(seed),
      budget_(std::move(budget)),
      task_(task),
      kept_(folder_.samples.size()) {
  transform_.layout = image::Layout::kNhwc;
}

std::unique_ptr<Dataset::Reader> ImageDataset::NewReader() {
  return std::make_unique<ImageReader>(this, transform_);
}

std::vector<int64_t> ImageDataset::ClassCounts() const {
  return trainyard::ClassCounts(folder_);
}

double ImageDataset::TruthOf(size_t sample, size_t output) const {
  const image::Sample &truth = folder_.samples[sample];
  if (task_ == Task::kRegression) return truth.value;
  return std::binary_search(truth.labels.begin(), truth.labels.end(), static_cast<int32_t>(output)) ? 1 : 0;
}

uint32_t ImageDataset::Checksum(uint32_t crc) const {
  const auto add = [&](const std::string &text) { crc = Crc32(text.c_str(), text.size() + 1, crc); };
  for (const std::string &name : folder_.classes) add(name);
  for (const image::Sample &sample : folder_.samples) {
    add(std::to_string(sample.label) + "/" + BaseName(sample.path));
    crc = Crc32(&sample.value, sizeof sample.value, crc);
    crc = Crc32(&sample.weight, sizeof sample.weight, crc);
    crc = Crc32(sample.labels.data(), sample.labels.size() * sizeof(int32_t), crc);
  }
  return crc;
}

std::shared_ptr<const ImageDataset::Kept> ImageDataset::Find(size_t index) const {
  const std::lock_guard lock(mutex_);
  return kept_[index];
}

void ImageDataset::Keep(size_t index, std::shared_ptr<const Kept> kept) {
  const size_t bytes = kept->image.rgb.size() + kept->pixels.size();
  if (!budget_->Take(bytes)) return;
  const std::lock_guard lock(mutex_);
  kept_[index] = std::move(kept);
}

std::shared_ptr<const ImageDataset::Kept> ImageDataset::Decode(size_t index, Transformer *transformer) {
  auto kept = std::make_shared<Kept>();
  const std::string &path = folder_.samples[index].path;
  image::ByteBuffer file;
  image::ReadImageFile(path, &file);
  image::ImageReader reader(file, path);
  if (augment_) {
    reader.Decode(&kept->image);
  } else {
    const uint8_t *pixels = transformer->EvalPixels(&reader);
    kept->pixels.resize(transform_.floats());
    std::memcpy(kept->pixels.data(), pixels, kept->pixels.size());
  }
  Keep(index, kept);
  return kept;
}

at::Tensor ImageDataset::Targets(const std::vector<size_t> &samples) const {
  const auto count = static_cast<int64_t>(samples.size());
  if (task_ == Task::kClassification) {
    at::Tensor targets = at::empty({count}, at::kLong);
    auto *labels = targets.mutable_data_ptr<int64_t>();
    for (size_t i = 0; i < samples.size(); ++i) labels[i] = folder_.samples[samples[i]].label;
    return targets;
  }
  const auto columns = static_cast<int64_t>(folder_.classes.size());
  at::Tensor targets = at::zeros({count, columns}, at::kFloat);
  auto *values = targets.mutable_data_ptr<float>();
  for (size_t i = 0; i < samples.size(); ++i) {
    const image::Sample &sample = folder_.samples[samples[i]];
    float *row = values + static_cast<int64_t>(i) * columns;
    if (task_ == Task::kRegression) row[0] = static_cast<float>(sample.value);
    for (const int32_t label : sample.labels) row[label] = 1;
  }
  return targets;
}

void ImageDataset::LoadUncached(size_t index, uint32_t epoch, uint64_t draw, Transformer *transformer,
                                float *out) const {
  const std::string &path = folder_.samples[index].path;
  if (augment_) {
    transformer->LoadTrain(path, seed_, epoch, draw, out);
  } else {
    transformer->LoadEval(path, out);
  }
}

image::Augmentation ImageDataset::Draw(size_t index, uint32_t epoch, uint32_t repeat, int width, int height) const {
  if (!augment_) return {.box = {0, 0, width, height}};
  return image::DrawAugmentation(transform_.augmentation, seed_, epoch, DrawOf(index, repeat), width, height,
                                 transform_.crop);
}

bool ImageDataset::Load(size_t index, uint32_t epoch, uint32_t repeat, Transformer *transformer, float *out) {
  try {
    std::shared_ptr<const Kept> kept = Find(index);
    if (kept == nullptr) {
      if (budget_ == nullptr || budget_->left() == 0) {
        LoadUncached(index, epoch, DrawOf(index, repeat), transformer, out);
        return true;
      }
      kept = Decode(index, transformer);
    }
    if (!augment_) {
      transformer->Normalize(kept->pixels.data(), out);
      return true;
    }
    const Image &whole = kept->image;
    transformer->Train(whole, Draw(index, epoch, repeat, whole.width, whole.height), out);
    return true;
  } catch (const Error &error) {
    if (error.status() == Status::kOutOfMemory) throw;
    NoteBad(index, error.what());
    return false;
  }
}

bool ImageDataset::Pixels(size_t index, Transformer *transformer, Image *out) {
  const std::string &path = folder_.samples[index].path;
  try {
    image::ByteBuffer file;
    image::ReadImageFile(path, &file);
    image::ImageReader reader(file, path);
    if (augment_) {
      reader.Decode(out);
    } else {
      const uint8_t *pixels = transformer->EvalPixels(&reader);
      out->Reset(transform_.crop, transform_.crop);
      std::memcpy(out->rgb.data(), pixels, out->rgb.size());
    }
    return true;
  } catch (const Error &error) {
    *out = {};
    if (error.status() == Status::kOutOfMemory) throw;
    NoteBad(index, error.what());
    return false;
  }
}

}  // namespace trainyard
