// The two image pipelines of torchvision's classification references, from encoded image to normalised floats:
//   training:   RandomResizedCrop(crop, scale, ratio), RandomHorizontalFlip, RandomVerticalFlip, ColorJitter,
//               RandomRotation, RandomGrayscale, ToTensor, Normalize(mean, std), RandomErasing
//   evaluation: Resize(resize), CenterCrop(crop), ToTensor, Normalize(mean, std)
// Given the same draw (augmentation.h), the floats are bit for bit those of torchvision on Pillow images. Only the part
// of an image that the result depends on is decoded; what comes after the crop works on the crop's pixels.
//
// Thread rule: a TransformConfig is a value; a Transformer belongs to one thread at a time (it keeps buffers for
// reuse).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine_torch/image/augmentation.h"
#include "engine_torch/image/image.h"
#include "engine_torch/image/resample.h"

namespace trainyard::image {

enum class Layout {
  kNchw,  // three planes: red, green, blue
  kNhwc,  // pixels of three values (LibTorch's channels-last memory format)
};

struct TransformConfig {
  int resize = 256;                      // evaluation: the shorter side
  int crop = 224;                        // both: side of the square that comes out
  AugmentationConfig augmentation = {};  // of training
  std::array<float, 3> mean = {0.485f, 0.456f, 0.406f};
  std::array<float, 3> std = {0.229f, 0.224f, 0.225f};
  Layout layout = Layout::kNchw;
  PassOrder pass_order = PassOrder::kPillow13;

  // Throws kInvalidArgument naming the field.
  void Check() const;
  size_t floats() const { return static_cast<size_t>(crop) * static_cast<size_t>(crop) * 3; }
};

// Where evaluation looks: the image is resized to width x height, of which `window` is kept. A window that reaches
// outside (crop larger than resize) is padded with black, as CenterCrop does.
struct EvalGeometry {
  int width = 0;
  int height = 0;
  Rect window;
};
EvalGeometry PlanEval(const TransformConfig &config, int width, int height);

class Transformer {
 public:
  explicit Transformer(const TransformConfig &config, Simd simd = Simd::kBest);

  const TransformConfig &config() const { return config_; }

  // From a file. `out` takes config.floats() values in the layout asked for. Training returns what it drew.
  Augmentation LoadTrain(const std::string &path, uint64_t seed, uint32_t epoch, uint64_t index, float *out);
  void LoadEval(const std::string &path, float *out);

  // From an encoded image.
  void Train(ImageReader *reader, const Augmentation &drawn, float *out);
  void Eval(ImageReader *reader, float *out);

  // From pixels decoded before (a cache).
  void Train(const Image &image, const Augmentation &drawn, float *out);
  void Eval(const Image &image, float *out);

  // The same up to ToTensor: crop x crop pixels of RGB bytes, for a cache or a GPU that normalises (and erases) itself.
  // The result is valid until the next call.
  const uint8_t *TrainPixels(ImageReader *reader, const Augmentation &drawn);
  const uint8_t *EvalPixels(ImageReader *reader);
  const uint8_t *TrainPixels(const Image &image, const Augmentation &drawn);
  const uint8_t *EvalPixels(const Image &image);

  // ToTensor and Normalize of crop x crop RGB pixels.
  void Normalize(const uint8_t *pixels, float *out) const;

 private:
  const uint8_t *CropTrain(const ImageView &view, const Augmentation &drawn);
  const uint8_t *CropEval(const ImageView &view, const Rect &available, int width, int height);
  void Flip();
  void FlipVertically();
  void AdjustColors(const Augmentation &drawn);
  // Sets a part of crop x crop normalised pixels to 0.
  void Erase(const Rect &part, float *out) const;

  TransformConfig config_;
  Simd simd_;
  std::array<std::array<float, 256>, 3> table_;  // what each byte becomes
  Resampler resampler_;
  ByteBuffer file_;
  Image image_;
  ByteBuffer pixels_;
  ByteBuffer rotated_;
};

}  // namespace trainyard::image
