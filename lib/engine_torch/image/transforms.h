// The two image pipelines of torchvision's classification references, from encoded image to normalised floats:
//   training:   RandomResizedCrop(crop, scale, ratio), RandomHorizontalFlip(flip), ToTensor, Normalize(mean, std)
//   evaluation: Resize(resize), CenterCrop(crop), ToTensor, Normalize(mean, std)
// Given the same crop box, the floats are bit for bit those of torchvision on Pillow images. Boxes and flips are drawn
// by an own generator (random.h), with torchvision's distribution. Only the part of an image that the result depends on
// is decoded.
//
// Thread rule: a TransformConfig is a value; a Transformer belongs to one thread at a time (it keeps buffers for
// reuse).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine_torch/image/image.h"
#include "engine_torch/image/random.h"
#include "engine_torch/image/resample.h"

namespace trainyard::image {

enum class Layout {
  kNchw,  // three planes: red, green, blue
  kNhwc,  // pixels of three values (LibTorch's channels-last memory format)
};

struct TransformConfig {
  int resize = 256;  // evaluation: the shorter side
  int crop = 224;    // both: side of the square that comes out
  double scale_min = 0.08;
  double scale_max = 1.0;
  double ratio_min = 3.0 / 4.0;
  double ratio_max = 4.0 / 3.0;
  double flip = 0.5;
  std::array<float, 3> mean = {0.485f, 0.456f, 0.406f};
  std::array<float, 3> std = {0.229f, 0.224f, 0.225f};
  Layout layout = Layout::kNchw;
  PassOrder pass_order = PassOrder::kPillow13;

  // Throws kInvalidArgument naming the field.
  void Check() const;
  size_t floats() const { return static_cast<size_t>(crop) * static_cast<size_t>(crop) * 3; }
};

// One draw of the training augmentation.
struct CropParams {
  Rect box;
  bool flip = false;
};

// RandomResizedCrop.get_params and RandomHorizontalFlip for an image of width x height.
CropParams DrawTrainCrop(SampleRandom *random, const TransformConfig &config, int width, int height);

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
  CropParams LoadTrain(const std::string &path, uint64_t seed, uint32_t epoch, uint64_t index, float *out);
  void LoadEval(const std::string &path, float *out);

  // From an encoded image.
  void Train(ImageReader *reader, const CropParams &params, float *out);
  void Eval(ImageReader *reader, float *out);

  // From pixels decoded before (a cache).
  void Train(const Image &image, const CropParams &params, float *out);
  void Eval(const Image &image, float *out);

  // The same up to ToTensor: crop x crop pixels of RGB bytes, for a cache or a GPU that normalises itself. The result
  // is valid until the next call.
  const uint8_t *TrainPixels(ImageReader *reader, const CropParams &params);
  const uint8_t *EvalPixels(ImageReader *reader);
  const uint8_t *TrainPixels(const Image &image, const CropParams &params);
  const uint8_t *EvalPixels(const Image &image);

  // ToTensor and Normalize of crop x crop RGB pixels.
  void Normalize(const uint8_t *pixels, float *out) const;

 private:
  const uint8_t *CropTrain(const ImageView &view, bool flip);
  const uint8_t *CropEval(const ImageView &view, const Rect &available, int width, int height);
  void Flip();

  TransformConfig config_;
  std::array<std::array<float, 256>, 3> table_;  // what each byte becomes
  Resampler resampler_;
  ByteBuffer file_;
  Image image_;
  ByteBuffer pixels_;
};

}  // namespace trainyard::image
