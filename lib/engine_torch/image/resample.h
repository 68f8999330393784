// Resizing of 8-bit RGB as Pillow's Image.resize(size, BILINEAR) does it, bit for bit: a triangle filter that widens
// with the reduction (so it does not alias), in fixed point with 22 fractional bits, first along rows, then along
// columns, with an 8-bit image in between. An AVX2 and a portable path give the same bits.
//
// Thread rule: a Resampler belongs to one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine_torch/image/image.h"

namespace trainyard::image {

// Pixels that somebody else owns. `readable` counts the bytes that may be read from `pixels` on (at least up to the
// last pixel).
struct ImageView {
  const uint8_t *pixels = nullptr;
  int width = 0;
  int height = 0;
  size_t stride = 0;
  size_t readable = 0;
};

ImageView ViewOf(const Image &image);
// `part` within `image`, whose top left pixel is at (origin.x, origin.y) of the same coordinates.
ImageView ViewOf(const Image &image, const Rect &origin, const Rect &part);

// The filter along one axis, for a range of the output positions.
struct AxisFilter {
  int taps = 0;   // weights per output, a multiple of 4: those past `count` are 0
  int first = 0;  // the source positions that the range needs: [first, end)
  int end = 0;
  bool identity = false;         // source and target have the same size: Pillow skips the pass
  std::vector<int32_t> start;    // per output, the first source position
  std::vector<int32_t> count;    // per output, the weights in use
  std::vector<int32_t> weights;  // per output `taps` weights, scaled by 2^22
  std::vector<int16_t>
      packed;  // the same for the AVX2 path: per 4 taps the high parts (weight >> 11), then the low 11 bits

  std::vector<double> exact;  // scratch

  // The outputs [out_first, out_first + out_count) of a resize from `source` to `target` positions.
  void Plan(int source, int target, int out_first, int out_count);
  // Counts source positions from `by` on.
  void Shift(int by);
};

enum class Simd { kBest, kNone };

// Which pass comes first changes some pixels by 1, because of the 8-bit image in between.
enum class PassOrder {
  kPillow13,         // columns first when that removes more than twice as many rows as rows first would remove columns
  kHorizontalFirst,  // Pillow before 13: always along rows first
};

// Holds filters and scratch memory, reused from image to image.
class Resampler {
 public:
  explicit Resampler(Simd simd = Simd::kBest, PassOrder order = PassOrder::kPillow13);

  // The part `window` (in target pixels) of `source` resized to target_width x target_height, into `out` (window.width
  // * window.height * 3 bytes). Only the source pixels that the window needs are read.
  void Resize(const ImageView &source, int target_width, int target_height, const Rect &window, uint8_t *out);

  // As above when only `available` (in source pixels) of a source_width x source_height image was decoded: it must hold
  // NeededSource() of the same window. `source` views `available`.
  void ResizePart(const ImageView &source, const Rect &available, int source_width, int source_height, int target_width,
                  int target_height, const Rect &window, uint8_t *out);

 private:
  // Pass `in`, whose top left pixel is position 0 of the filters.
  void Horizontal(const ImageView &in, uint8_t *out) const;
  void Vertical(const ImageView &in, uint8_t *out) const;

  bool avx2_;
  PassOrder order_;
  AxisFilter horizontal_;
  AxisFilter vertical_;
  ByteBuffer middle_;
};

// The source pixels that a window of the resized image depends on.
Rect NeededSource(int source_width, int source_height, int target_width, int target_height, const Rect &window);

}  // namespace trainyard::image
