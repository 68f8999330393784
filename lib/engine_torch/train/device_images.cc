#include "engine_torch/train/device_images.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "engine_torch/train/machine.h"
#include "util/parallel.h"

namespace trainyard {
namespace {

using image::Image;

// Images whose crops are worked on at once: enough to fill a GPU, few enough for its memory.
constexpr int64_t kImagesAtOnce = 64;
// Bytes that are moved to the device at once.
constexpr int64_t kUploadBytes = int64_t{256} << 20;

// Small tables of a batch on their way to the device: pinned, so that the host goes on meanwhile.
at::Tensor Moved(const std::vector<int64_t> &values, c10::Device device) {
  const bool pin = device.is_cuda();
  at::Tensor table = at::empty({static_cast<int64_t>(values.size())}, at::TensorOptions(at::kLong).pinned_memory(pin));
  std::memcpy(table.mutable_data_ptr(), values.data(), values.size() * sizeof(int64_t));
  return table.to(device, /*non_blocking=*/true);
}

// Pillow's bilinear filter as a matrix for each image: row i holds what the pixels of the crop weigh in output pixel i.
// sizes: [n], pixels of the crop; answers [n, out, most].
at::Tensor FilterWeights(const at::Tensor &sizes, const at::Tensor &flips, int64_t out, int64_t most) {
  const at::TensorOptions floats = sizes.options().dtype(at::kFloat);
  const at::Tensor size = sizes.to(at::kFloat).view({-1, 1, 1});
  const at::Tensor scale = size / static_cast<double>(out);
  const at::Tensor reach = scale.clamp_min(1.0);
  const at::Tensor rows = at::arange(out, floats).view({1, -1, 1});
  const at::Tensor flip = flips.to(at::kFloat).view({-1, 1, 1});
  const at::Tensor row = rows + flip * (static_cast<double>(out - 1) - 2 * rows);
  const at::Tensor place = at::arange(most, floats).view({1, 1, -1}) + 0.5;
  const at::Tensor weights = (1 - (place - (row + 0.5) * scale).abs() / reach).clamp_min(0) * place.lt(size);
  return weights / weights.sum(2, /*keepdim=*/true);
}

at::Tensor CropSome(const at::Tensor &pixels, const DeviceCrop *crops, int64_t count, int64_t out,
                    at::ScalarType dtype) {
  std::vector<int64_t> values;
  int64_t most_width = 0, most_height = 0;
  for (int64_t i = 0; i < count; ++i) {
    const DeviceCrop &crop = crops[i];
    const image::Rect &box = crop.params.box;
    values.insert(values.end(), {crop.first + box.y * crop.width + box.x, crop.width, box.width, box.height,
                                 crop.params.flip ? 1 : 0, crop.params.vertical_flip ? 1 : 0});
    most_width = std::max<int64_t>(most_width, box.width);
    most_height = std::max<int64_t>(most_height, box.height);
  }
  const at::Tensor table = Moved(values, pixels.device()).view({count, 6});
  const auto column = [&](int64_t i) { return table.select(1, i); };
  const at::Tensor width = column(2), height = column(3);
  // Crops smaller than the largest are filled up with pixels that weigh nothing.
  const at::Tensor y =
      at::minimum(at::arange(most_height, table.options()).view({1, -1, 1}), (height - 1).view({-1, 1, 1}));
  const at::Tensor x =
      at::minimum(at::arange(most_width, table.options()).view({1, 1, -1}), (width - 1).view({-1, 1, 1}));
  const at::Tensor index = column(0).view({-1, 1, 1}) + y * column(1).view({-1, 1, 1}) + x;
  const at::Tensor cropped =
      pixels.index_select(0, index.view(-1)).view({count, most_height, most_width * 3}).to(dtype);
  const at::Tensor vertical = FilterWeights(height, column(5), out, most_height).to(dtype).bmm(cropped);
  const at::Tensor turned = vertical.view({count, out, most_width, 3}).permute({0, 1, 3, 2});
  const at::Tensor horizontal = FilterWeights(width, column(4), out, most_width).to(dtype).transpose(1, 2);
  // [count, row, colour, column]
  return turned.reshape({count, out * 3, most_width}).bmm(horizontal).view({count, out, 3, out}).to(at::kFloat);
}

}  // namespace

at::Tensor CropOnDevice(const at::Tensor &pixels, const std::vector<DeviceCrop> &crops,
                        const image::TransformConfig &transform, at::ScalarType dtype) {
  const c10::NoGradGuard no_grad;
  const auto count = static_cast<int64_t>(crops.size());
  const int64_t side = transform.crop;
  const at::TensorOptions floats = pixels.options().dtype(at::kFloat);
  at::Tensor images = at::empty({count, 3, side, side}, floats.memory_format(at::MemoryFormat::ChannelsLast));
  std::vector<double> scale, shift;
  for (size_t c = 0; c < 3; ++c) {
    scale.push_back(1 / (255 * static_cast<double>(transform.std[c])));
    shift.push_back(-static_cast<double>(transform.mean[c]) / static_cast<double>(transform.std[c]));
  }
  const at::TensorOptions doubles(at::kDouble);
  const at::Tensor scales = at::tensor(scale, doubles).to(floats).view({1, 1, 3, 1});
  const at::Tensor shifts = at::tensor(shift, doubles).to(floats).view({1, 1, 3, 1});
  for (int64_t first = 0; first < count; first += kImagesAtOnce) {
    const int64_t some = std::min(kImagesAtOnce, count - first);
    const at::Tensor levels = CropSome(pixels, crops.data() + first, some, side, dtype).round_().clamp_(0, 255);
    images.narrow(0, first, some).copy_(levels.mul_(scales).add_(shifts).permute({0, 2, 1, 3}));
  }
  return images;
}

bool DeviceImages::CanDo(const image::TransformConfig &transform) {
  const image::AugmentationConfig &random = transform.augmentation;
  const image::ColorJitter &jitter = random.jitter;
  return jitter.brightness == 0 && jitter.contrast == 0 && jitter.saturation == 0 && jitter.hue == 0 &&
         random.rotation.degrees == 0 && random.grayscale == 0 && random.erasing.probability == 0;
}

DeviceImages::DeviceImages(ImageDataset *dataset, const Sampler *sampler, c10::Device device, int64_t batch_size,
                           int rank, int ranks)
    : dataset_(dataset),
      sampler_(sampler),
      device_(device),
      batch_size_(batch_size),
      rank_(rank),
      ranks_(ranks),
      places_(dataset->size()) {}

bool DeviceImages::Fill(int threads) {
  const c10::NoGradGuard no_grad;
  std::vector<Image> images(dataset_->size());
  MemoryBudget budget(AvailableMemory() / 2);
  std::atomic<bool> fits = true;
  const auto workers = static_cast<size_t>(std::max(threads, 1));
  ParallelFor(workers, workers, [&](size_t worker) {
    image::Transformer transformer(dataset_->transform());
    for (size_t i = worker; i < images.size() && fits; i += workers) {
      if (dataset_->Pixels(i, &transformer, &images[i]) && !budget.Take(images[i].rgb.size())) fits = false;
    }
  });
  if (!fits) return false;
  int64_t pixels = 0;
  for (size_t i = 0; i < images.size(); ++i) {
    if (images[i].rgb.empty()) continue;
    places_[i] = {pixels, images[i].width, images[i].height};
    pixels += static_cast<int64_t>(images[i].rgb.size() / 3);
  }
  try {
    pixels_ = at::empty({pixels, 3}, at::TensorOptions(device_).dtype(at::kByte));
  } catch (const c10::OutOfMemoryError &) {
    return false;
  }
  at::Tensor block;
  for (size_t i = 0; i < images.size();) {
    // As many images as make a block, or one that is larger.
    size_t end = i;
    int64_t bytes = 0;
    while (end < images.size() && (bytes == 0 || bytes < kUploadBytes))
      bytes += static_cast<int64_t>(images[end++].rgb.size());
    if (!block.defined() || block.numel() < bytes) block = at::empty({bytes}, at::kByte);
    int64_t filled = 0, first = -1;
    for (; i < end; ++i) {
      if (places_[i].first < 0) continue;
      if (first < 0) first = places_[i].first;
      std::memcpy(block.mutable_data_ptr<uint8_t>() + filled, images[i].rgb.data(), images[i].rgb.size());
      filled += static_cast<int64_t>(images[i].rgb.size());
      images[i] = {};
    }
    if (filled > 0) pixels_.view(-1).narrow(0, first * 3, filled).copy_(block.narrow(0, 0, filled));
  }
  return true;
}

void DeviceImages::Begin(int64_t epoch, int64_t first_step) {
  epoch_ = static_cast<uint32_t>(epoch);
  order_ = sampler_->Order(epoch_);
  repeats_ = sampler_->repeats() ? Sampler::RepeatsIn(order_, dataset_->size()) : std::vector<uint32_t>();
  if (!repeats_.empty()) repeats_ = PartOfRank(std::move(repeats_), rank_, ranks_, /*padded=*/true);
  order_ = PartOfRank(std::move(order_), rank_, ranks_, /*padded=*/true);
  next_ = std::min(order_.size(), static_cast<size_t>(first_step * batch_size_));
}

std::unique_ptr<Chunk> DeviceImages::Next() {
  if (next_ >= order_.size()) return nullptr;
  const size_t end = std::min(order_.size(), next_ + static_cast<size_t>(batch_size_));
  auto chunk = std::make_unique<Chunk>();
  std::vector<DeviceCrop> crops;
  for (; next_ < end; ++next_) {
    const size_t sample = order_[next_];
    if (places_[sample].first < 0) continue;
    chunk->samples.push_back(sample);
    const Place &place = places_[sample];
    const uint32_t repeat = repeats_.empty() ? 0 : repeats_[next_];
    crops.push_back({place.first, place.width, dataset_->Draw(sample, epoch_, repeat, place.width, place.height)});
  }
  chunk->batches = {static_cast<int64_t>(crops.size())};
  const at::Tensor targets = dataset_->Targets(chunk->samples);
  chunk->targets = (device_.is_cuda() ? targets.pin_memory() : targets).to(device_, /*non_blocking=*/true);
  chunk->inputs = crops.empty()
                      ? at::empty({0}, at::TensorOptions(device_))
                      : CropOnDevice(pixels_, crops, dataset_->transform(), device_.is_cuda() ? at::kHalf : at::kFloat);
  return chunk;
}

}  // namespace trainyard
