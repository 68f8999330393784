#include "engine_torch/predict/predictor.h"

#include <ATen/Functions.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>

#include "engine_torch/image/image_folder.h"
#include "engine_torch/interop/dlpack.h"
#include "engine_torch/train/device.h"
#include "engine_torch/train/machine.h"
#include "engine_torch/train/new_model.h"
#include "util/error.h"
#include "util/fs.h"

namespace trainyard {
namespace {

constexpr size_t kBatch = 32;
constexpr size_t kBatchFloats = size_t{1} << 18;

// Runs body(0) .. body(count - 1) on up to `threads` threads of its own. The first exception is thrown again at the
// end.
template <typename Body>
void ParallelFor(size_t count, int threads, Body body) {
  const size_t workers = std::min(count, static_cast<size_t>(std::max(threads, 1)));
  if (workers <= 1) {
    for (size_t i = 0; i < count; ++i) body(i);
    return;
  }
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto run = [&] {
    try {
      for (size_t i = next++; i < count; i = next++) body(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
      next = count;
    }
  };
  std::vector<std::thread> pool;
  try {
    for (size_t i = 1; i < workers; ++i) pool.emplace_back(run);
  } catch (const std::system_error &) {
    // Fewer threads do as well.
  }
  run();
  for (std::thread &thread : pool) thread.join();
  if (failure != nullptr) std::rethrow_exception(failure);
}

void FillTopK(const float *probabilities, size_t classes, int32_t top_k, PredictionItem *item) {
  std::vector<int32_t> order(classes);
  std::iota(order.begin(), order.end(), 0);
  const size_t kept = std::min(classes, static_cast<size_t>(std::max(top_k, 1)));
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
                    [&](int32_t a, int32_t b) {
                      return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
                    });
  order.resize(kept);
  for (const int32_t index : order) item->probabilities.push_back(static_cast<double>(probabilities[index]));
  item->classes = std::move(order);
}

image::TransformConfig TransformOf(const ModelDescription &description) {
  image::TransformConfig config;
  config.resize = description.resize;
  config.crop = description.crop;
  config.mean = description.mean;
  config.std = description.std;
  config.layout = image::Layout::kNhwc;
  config.Check();
  return config;
}

// Small samples go through the model many at once.
size_t BatchOf(const std::vector<int64_t> &sample_shape) {
  size_t values = 1;
  for (const int64_t size : sample_shape) values *= static_cast<size_t>(size);
  return std::max(kBatch, kBatchFloats / std::max<size_t>(values, 1));
}

at::Tensor EmptyImages(int64_t count, int64_t side) {
  return at::empty({count, 3, side, side}, at::TensorOptions(at::kFloat).memory_format(at::MemoryFormat::ChannelsLast));
}

}  // namespace

Predictor::Predictor(const std::string &path, const std::string &device)
    : model_(path, ChooseDevice(device)), transform_(TransformOf(model_.description())) {}

at::Tensor Predictor::Probabilities(const at::Tensor &images) const {
  const at::Tensor outputs = model_.Logits(images);
  switch (model_.description().task) {
    case Task::kClassification:
      break;
    case Task::kMultilabel:
      return outputs.to(at::kFloat).sigmoid().to(c10::kCPU).contiguous();
    case Task::kRegression:
      return outputs.to(c10::kCPU, at::kFloat).contiguous();
  }
  return outputs.softmax(1, at::kFloat).to(c10::kCPU).contiguous();
}

std::vector<PredictionItem> Predictor::Files(const std::vector<std::string> &paths, int32_t top_k) const {
  CheckTakesFiles();
  const c10::InferenceMode guard;
  std::vector<PredictionItem> items(paths.size());
  const auto floats = static_cast<int64_t>(transform_.floats());
  for (size_t first = 0; first < paths.size(); first += kBatch) {
    const size_t count = std::min(kBatch, paths.size() - first);
    const at::Tensor images = EmptyImages(static_cast<int64_t>(count), transform_.crop);
    auto *pixels = images.mutable_data_ptr<float>();
    ParallelFor(count, AvailableCpus(), [&](size_t i) {
      PredictionItem &item = items[first + i];
      item.path = paths[first + i];
      float *place = pixels + static_cast<int64_t>(i) * floats;
      try {
        image::Transformer(transform_).LoadEval(item.path, place);
      } catch (const Error &error) {
        if (error.status() == Status::kOutOfMemory) throw;
        item.error = error.what();
        item.status = static_cast<int32_t>(error.status());
        std::fill(place, place + floats, 0.0f);
      }
    });
    const at::Tensor probabilities = Probabilities(images);
    for (size_t i = 0; i < count; ++i) {
      if (!items[first + i].error.empty()) continue;
      FillTopK(probabilities.const_data_ptr<float>() + i * classes().size(), classes().size(), top_k,
               &items[first + i]);
    }
  }
  return items;
}

std::vector<PredictionItem> Predictor::Folder(const std::string &directory, int32_t top_k) const {
  CheckTakesFiles();
  if (!PathExists(directory)) throw Error::NotFound("no such directory: '" + directory + "'", {{"path", directory}});
  if (!IsDirectory(directory))
    throw Error(Status::kInvalidArgument, "'" + directory + "' is a file: predict it as one", {{"path", directory}});
  std::vector<std::string> paths;
  for (const std::string &name : ListTree(directory)) {
    if (image::HasImageExtension(name)) paths.push_back(JoinPath(directory, name));
  }
  return Files(paths, top_k);
}

at::Tensor Predictor::TransformBytes(const at::Tensor &bytes) const {
  const at::Tensor source = bytes.to(c10::kCPU).contiguous();
  const int64_t count = source.size(0);
  const auto height = static_cast<int>(source.size(1));
  const auto width = static_cast<int>(source.size(2));
  const at::Tensor images = EmptyImages(count, transform_.crop);
  const auto floats = static_cast<int64_t>(transform_.floats());
  const auto *from = source.const_data_ptr<uint8_t>();
  auto *to = images.mutable_data_ptr<float>();
  ParallelFor(static_cast<size_t>(count), AvailableCpus(), [&](size_t i) {
    image::Image image;
    image.Reset(width, height);
    std::memcpy(image.rgb.data(), from + i * image.rgb.size(), image.rgb.size());
    image::Transformer(transform_).Eval(image, to + static_cast<int64_t>(i) * floats);
  });
  return images;
}

// Networks shrink images layer by layer; which size is too small shows only when a layer has nothing left.
at::Tensor Predictor::ProbabilitiesOfAnySize(const at::Tensor &images) const {
  try {
    return Probabilities(images);
  } catch (const c10::OutOfMemoryError &) {
    throw;
  } catch (const c10::Error &error) {
    // The two ways in which LibTorch's convolution and pooling say so.
    const std::string_view text = error.what_without_backtrace();
    const bool small = text.find("can't be greater than actual input size") != std::string_view::npos ||
                       text.find("Output size is too small") != std::string_view::npos;
    if (!small) throw;
    throw Error(Status::kUnsupported, "images of " + std::to_string(images.size(3)) + " x " +
                                          std::to_string(images.size(2)) +
                                          " pixels are too small for this model: give larger ones");
  }
}

void Predictor::CheckImages(const at::Tensor &images) const {
  const bool bytes = images.scalar_type() == at::kByte;
  if (!bytes && images.scalar_type() != at::kFloat) {
    throw Error(Status::kUnsupported,
                std::string("the input's type must be float32 or uint8, got ") + c10::toString(images.scalar_type()));
  }
  if (images.dim() != 4) {
    throw Error(Status::kUnsupported,
                "the input must have 4 dimensions, [n, 3, height, width] or [n, height, width, 3]; got " +
                    std::to_string(images.dim()));
  }
  const int64_t channels = bytes ? images.size(3) : images.size(1);
  if (channels != 3) {
    throw Error(Status::kUnsupported,
                "the input must be float32 [n, 3, height, width] or uint8 [n, height, width, 3]; got " +
                    std::string(bytes ? "uint8 " : "float32 ") + ShapeText(images.sizes().vec()));
  }
  if (images.size(0) > 0 && images.numel() == 0)
    throw Error(Status::kUnsupported, "the input's images are empty: " + ShapeText(images.sizes().vec()));
  if (bytes && (images.size(1) > 65535 || images.size(2) > 65535))
    throw Error(Status::kUnsupported, "the input's images are too large: " + ShapeText(images.sizes().vec()));
}

void Predictor::CheckSamples(const at::Tensor &samples) const {
  const std::vector<int64_t> &wanted = model_.description().sample_shape;
  const std::vector<int64_t> shape = samples.dim() == 0 ? std::vector<int64_t>() : samples.sizes().slice(1).vec();
  int64_t values = 1;
  for (const int64_t size : shape) values *= size;
  // A row of values may come in any shape, as the arrays that it was learnt from.
  if (samples.dim() > 1 && (shape == wanted || (wanted.size() == 1 && values == wanted[0]))) return;
  throw Error(Status::kUnsupported, "the model takes samples of shape " + ShapeText(wanted) +
                                        ", so the input must be [n, " + ShapeText(wanted).substr(1) + "; got " +
                                        ShapeText(samples.sizes().vec()));
}

at::Tensor Predictor::TransformSamples(const at::Tensor &samples) const {
  const ModelDescription &model = model_.description();
  std::vector<int64_t> shape = model.sample_shape;
  shape.insert(shape.begin(), samples.size(0));
  const at::Tensor floats = samples.to(at::kFloat).reshape(shape);
  if (!model.normalises_bytes || samples.scalar_type() != at::kByte) return floats;
  const auto channels = [&](const std::array<float, 3> &values) {
    return at::tensor({values[0], values[1], values[2]}, floats.options()).view({1, 3, 1, 1});
  };
  return floats.div(255).sub(channels(model.mean)).div(channels(model.std));
}

void Predictor::CheckTakesFiles() const {
  if (!model_.description().of_arrays()) return;
  throw Error(Status::kUnsupported, "the model learnt from arrays, samples of shape " +
                                        ShapeText(model_.description().sample_shape) +
                                        ", and takes no image files: give it a tensor (ty_predictor_predict)");
}

void Predictor::Tensor(const DLTensor &input, float *output, size_t count) const {
  const c10::InferenceMode guard;
  const at::Tensor samples = ViewOfDlpack(input, "input");
  const ModelDescription &model = model_.description();
  model.of_arrays() ? CheckSamples(samples) : CheckImages(samples);
  const auto total = static_cast<size_t>(samples.size(0));
  if (count / classes().size() < total) {
    throw Error::InvalidArgument("the output has room for " + std::to_string(count) + " values, and " +
                                 std::to_string(total) + (model.of_arrays() ? " samples of " : " images of ") +
                                 std::to_string(classes().size()) + " classes need " +
                                 std::to_string(total * classes().size()));
  }
  const size_t batch = model.of_arrays() ? BatchOf(model.sample_shape) : kBatch;
  for (size_t first = 0; first < total; first += batch) {
    const auto part =
        samples.narrow(0, static_cast<int64_t>(first), static_cast<int64_t>(std::min(batch, total - first)));
    const at::Tensor probabilities = model.of_arrays()                    ? Probabilities(TransformSamples(part))
                                     : samples.scalar_type() == at::kByte ? Probabilities(TransformBytes(part))
                                                                          : ProbabilitiesOfAnySize(part);
    std::memcpy(output + first * classes().size(), probabilities.const_data_ptr(), probabilities.nbytes());
  }
}

}  // namespace trainyard
