#include "engine_torch/image/resample.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace trainyard::image {
namespace {

constexpr int kFractionBits = 22;  // 32 - 8 bits of pixel - 2 of headroom, Pillow's choice
constexpr int kLowBits = 11;       // a weight is at most 2^22: two halves that fit 16 bits with sign
constexpr int32_t kRounding = 1 << (kFractionBits - 1);

// Rounds positive numbers half up, negative ones to 0 or towards it: Pillow's arithmetic, which lround() is not.
int RoundByTruncation(double value) {
  value += 0.5;
  return static_cast<int>(value);
}

struct Tap {
  int first;
  int count;
};

// The source positions under the filter of one output. In double precision, rounded half up by truncation: the places
// where bit equality with Pillow is decided.
struct AxisGeometry {
  double scale;
  double support;
  int source;

  AxisGeometry(int source_size, int target_size)
      : scale(static_cast<double>(source_size) / target_size), support(std::max(scale, 1.0)), source(source_size) {}

  double Center(int position) const { return (position + 0.5) * scale; }

  Tap At(int position) const {
    double center = Center(position);
    int first = std::max(0, RoundByTruncation(center - support));
    int end = std::min(source, RoundByTruncation(center + support));
    return {first, end - first};
  }
};

uint8_t Clip(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

// One row along x. `row` points at source position 0.
void HorizontalRow(const AxisFilter &filter, const uint8_t *row, uint8_t *out) {
  for (size_t x = 0; x < filter.start.size(); ++x, out += 3) {
    const int32_t *weight = &filter.weights[x * static_cast<size_t>(filter.taps)];
    const uint8_t *pixel = row + static_cast<ptrdiff_t>(filter.start[x]) * 3;
    int32_t red = kRounding;
    int32_t green = kRounding;
    int32_t blue = kRounding;
    for (int k = 0; k < filter.count[x]; ++k, pixel += 3) {
      red += pixel[0] * weight[k];
      green += pixel[1] * weight[k];
      blue += pixel[2] * weight[k];
    }
    out[0] = Clip(red);
    out[1] = Clip(green);
    out[2] = Clip(blue);
  }
}

// One output row along y from `count` rows of `bytes` bytes, beginning at byte `from`.
void VerticalRow(const uint8_t *rows, size_t stride, const int32_t *weights, int count, size_t from, size_t bytes,
                 uint8_t *out) {
  for (size_t i = from; i < bytes; ++i) {
    int32_t sum = kRounding;
    for (int k = 0; k < count; ++k) {
      sum += rows[static_cast<size_t>(k) * stride + i] * weights[k];
    }
    out[i] = Clip(sum);
  }
}

#if defined(__x86_64__)
// sum(pixel * weight) = (sum(pixel * high) << 11) + sum(pixel * low), all exact in 32 bits; 16-bit halves let one
// instruction multiply and add two taps.

// Both pixel pairs of a group of 4 RGB pixels as 16-bit (r0 r1 g0 g1 b0 b1 0 0 | r2 r3 g2 g3 b2 b3 0 0).
__attribute__((target("avx2"))) inline __m256i LoadGroup(const uint8_t *pixels) {
  const __m256i shuffle = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                                           6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(pixels));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), shuffle);
}

__attribute__((target("avx2"))) inline void StorePixel(__m256i high, __m256i low, uint8_t *out) {
  __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, kLowBits), low);
  __m128i pixel = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  pixel = _mm_srai_epi32(_mm_add_epi32(pixel, _mm_set1_epi32(kRounding)), kFractionBits);
  pixel = _mm_packus_epi16(_mm_packs_epi32(pixel, pixel), pixel);
  uint32_t bytes = static_cast<uint32_t>(_mm_cvtsi128_si32(pixel));
  memcpy(out, &bytes, 2);
  out[2] = static_cast<uint8_t>(bytes >> 16);
}

// kRows rows at once, so that weights are loaded once for all. Reads 16 bytes for each 4 taps: up to 4 bytes after the
// last.
template <int kRows>
__attribute__((target("avx2"))) void HorizontalRowsAvx2(const AxisFilter &filter, const uint8_t *rows, size_t stride,
                                                        uint8_t *out, size_t out_stride) {
  const __m256i high_index = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  const __m256i low_index = _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3);
  const int groups = filter.taps / 4;
  const int16_t *weights = filter.packed.data();
  const size_t count = filter.start.size();
  for (size_t x = 0; x < count; ++x) {
    const uint8_t *pixels = rows + static_cast<ptrdiff_t>(filter.start[x]) * 3;
    __m256i high[kRows];
    __m256i low[kRows];
    for (int r = 0; r < kRows; ++r) {
      high[r] = low[r] = _mm256_setzero_si256();
    }
    for (int g = 0; g < groups; ++g, weights += 8, pixels += 12) {
      __m256i packed = _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i *>(weights)));
      __m256i weight_high = _mm256_permutevar8x32_epi32(packed, high_index);
      __m256i weight_low = _mm256_permutevar8x32_epi32(packed, low_index);
      for (int r = 0; r < kRows; ++r) {
        __m256i group = LoadGroup(pixels + static_cast<size_t>(r) * stride);
        high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(group, weight_high));
        low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(group, weight_low));
      }
    }
    for (int r = 0; r < kRows; ++r) {
      StorePixel(high[r], low[r], out + static_cast<size_t>(r) * out_stride + x * 3);
    }
  }
}

// Returns the number of bytes done; the caller does the rest.
__attribute__((target("avx2"))) size_t VerticalRowAvx2(const uint8_t *rows, size_t stride, const int32_t *weights,
                                                       int count, size_t bytes, uint8_t *out) {
  const __m256i zero = _mm256_setzero_si256();
  const __m256i rounding = _mm256_set1_epi32(kRounding);
  size_t i = 0;
  for (; i + 16 <= bytes; i += 16) {
    __m256i high0 = zero;
    __m256i high1 = zero;
    __m256i low0 = zero;
    __m256i low1 = zero;
    for (int k = 0; k < count; k += 2) {
      const uint8_t *row = rows + static_cast<size_t>(k) * stride + i;
      bool pair = k + 1 < count;
      int32_t first = weights[k];
      int32_t second = pair ? weights[k + 1] : 0;
      __m256i weight_high = _mm256_set1_epi32((first >> kLowBits) | ((second >> kLowBits) << 16));
      constexpr int32_t kMask = (1 << kLowBits) - 1;
      __m256i weight_low = _mm256_set1_epi32((first & kMask) | ((second & kMask) << 16));
      __m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(row)));
      __m256i b = pair ? _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(row + stride))) : zero;
      __m256i ab0 = _mm256_unpacklo_epi16(a, b);
      __m256i ab1 = _mm256_unpackhi_epi16(a, b);
      high0 = _mm256_add_epi32(high0, _mm256_madd_epi16(ab0, weight_high));
      high1 = _mm256_add_epi32(high1, _mm256_madd_epi16(ab1, weight_high));
      low0 = _mm256_add_epi32(low0, _mm256_madd_epi16(ab0, weight_low));
      low1 = _mm256_add_epi32(low1, _mm256_madd_epi16(ab1, weight_low));
    }
    __m256i sum0 = _mm256_add_epi32(_mm256_add_epi32(_mm256_slli_epi32(high0, kLowBits), low0), rounding);
    __m256i sum1 = _mm256_add_epi32(_mm256_add_epi32(_mm256_slli_epi32(high1, kLowBits), low1), rounding);
    __m256i words = _mm256_packs_epi32(_mm256_srai_epi32(sum0, kFractionBits), _mm256_srai_epi32(sum1, kFractionBits));
    __m128i packed = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i *>(out + i), packed);
  }
  return i;
}
#endif

}  // namespace

ImageView ViewOf(const Image &image) {
  return ViewOf(image, {0, 0, image.width, image.height}, {0, 0, image.width, image.height});
}

ImageView ViewOf(const Image &image, const Rect &origin, const Rect &part) {
  size_t stride = static_cast<size_t>(image.width) * 3;
  size_t offset = static_cast<size_t>(part.y - origin.y) * stride + static_cast<size_t>(part.x - origin.x) * 3;
  return {image.rgb.data() + offset, part.width, part.height, stride, image.rgb.size() - offset};
}

void AxisFilter::Plan(int source, int target, int out_first, int out_count) {
  AxisGeometry geometry(source, target);
  identity = source == target;
  size_t outputs = static_cast<size_t>(out_count);
  start.resize(outputs);
  count.resize(outputs);
  first = source;
  end = 0;
  taps = 0;
  for (size_t i = 0; i < outputs; ++i) {
    int position = out_first + static_cast<int>(i);
    Tap tap = identity ? Tap{position, 1} : geometry.At(position);
    start[i] = tap.first;
    count[i] = tap.count;
    first = std::min(first, tap.first);
    end = std::max(end, tap.first + tap.count);
    taps = std::max(taps, tap.count);
  }
  taps = (taps + 3) / 4 * 4;
  size_t width = static_cast<size_t>(taps);
  weights.assign(outputs * width, 0);
  packed.assign(outputs * width * 2, 0);
  exact.resize(width);
  for (size_t i = 0; i < outputs; ++i) {
    int position = out_first + static_cast<int>(i);
    Tap tap = {start[i], count[i]};
    double sum = 0;
    for (int k = 0; k < tap.count; ++k) {
      double distance = std::fabs((k + tap.first - geometry.Center(position) + 0.5) * (1.0 / geometry.support));
      exact[static_cast<size_t>(k)] = distance < 1.0 ? 1.0 - distance : 0.0;
      sum += exact[static_cast<size_t>(k)];
    }
    for (int k = 0; k < tap.count; ++k) {
      size_t at = static_cast<size_t>(k);
      double share = sum != 0.0 ? exact[at] / sum : exact[at];
      int32_t weight = RoundByTruncation(share * (1 << kFractionBits));
      weights[i * width + at] = weight;
      // packed: for taps 4g .. 4g+3 the four high parts, then the four low parts.
      size_t group = (i * width + at / 4 * 4) * 2;
      packed[group + at % 4] = static_cast<int16_t>(weight >> kLowBits);
      packed[group + 4 + at % 4] = static_cast<int16_t>(weight & ((1 << kLowBits) - 1));
    }
  }
}

void AxisFilter::Shift(int by) {
  for (int32_t &position : start) {
    position -= by;
  }
  first -= by;
  end -= by;
}

Resampler::Resampler([[maybe_unused]] Simd simd, PassOrder order) : avx2_(false), order_(order) {
#if defined(__x86_64__)
  avx2_ = simd == Simd::kBest && __builtin_cpu_supports("avx2");
#endif
}

void Resampler::Resize(const ImageView &source, int target_width, int target_height, const Rect &window, uint8_t *out) {
  ResizePart(source, {0, 0, source.width, source.height}, source.width, source.height, target_width, target_height,
             window, out);
}

void Resampler::ResizePart(const ImageView &source, const Rect &available, int source_width, int source_height,
                           int target_width, int target_height, const Rect &window, uint8_t *out) {
  horizontal_.Plan(source_width, target_width, window.x, window.width);
  vertical_.Plan(source_height, target_height, window.y, window.height);
  horizontal_.Shift(available.x);
  vertical_.Shift(available.y);
  const int lost_rows = source_height - target_height;
  const int lost_columns = source_width - target_width;
  const bool vertical_first = order_ == PassOrder::kPillow13 && lost_rows > 0 && lost_rows > int64_t{2} * lost_columns;
  const size_t out_stride = static_cast<size_t>(window.width) * 3;
  if (vertical_first) {
    // Only the columns under the horizontal filters.
    const int columns = horizontal_.end - horizontal_.first;
    const size_t stride = static_cast<size_t>(columns) * 3;
    const size_t offset = static_cast<size_t>(horizontal_.first) * 3;
    middle_.resize(stride * static_cast<size_t>(window.height));
    Vertical({source.pixels + offset, columns, source.height, source.stride, source.readable - offset}, middle_.data());
    horizontal_.Shift(horizontal_.first);
    Horizontal({middle_.data(), columns, window.height, stride, middle_.size()}, out);
  } else {
    // Only the rows under the vertical filters.
    const int rows = vertical_.end - vertical_.first;
    const size_t offset = static_cast<size_t>(vertical_.first) * source.stride;
    middle_.resize(out_stride * static_cast<size_t>(rows));
    Horizontal({source.pixels + offset, source.width, rows, source.stride, source.readable - offset}, middle_.data());
    vertical_.Shift(vertical_.first);
    Vertical({middle_.data(), window.width, rows, out_stride, middle_.size()}, out);
  }
}

void Resampler::Horizontal(const ImageView &in, uint8_t *out) const {
  const size_t row_bytes = horizontal_.start.size() * 3;
  int y = 0;
#if defined(__x86_64__)
  if (avx2_ && !horizontal_.identity) {
    // Loads go past the last tap: rows near the end of the buffer are left to the portable code.
    const int furthest = *std::max_element(horizontal_.start.begin(), horizontal_.start.end());
    const size_t reach = static_cast<size_t>(furthest + horizontal_.taps) * 3 + 4;
    auto fits = [&](int row) { return static_cast<size_t>(row) * in.stride + reach <= in.readable; };
    for (; y + 4 <= in.height && fits(y + 3); y += 4) {
      HorizontalRowsAvx2<4>(horizontal_, in.pixels + static_cast<size_t>(y) * in.stride, in.stride,
                            out + static_cast<size_t>(y) * row_bytes, row_bytes);
    }
    for (; y < in.height && fits(y); ++y) {
      HorizontalRowsAvx2<1>(horizontal_, in.pixels + static_cast<size_t>(y) * in.stride, in.stride,
                            out + static_cast<size_t>(y) * row_bytes, row_bytes);
    }
  }
#endif
  for (; y < in.height; ++y) {
    const uint8_t *row = in.pixels + static_cast<size_t>(y) * in.stride;
    uint8_t *to = out + static_cast<size_t>(y) * row_bytes;
    if (horizontal_.identity) {
      memcpy(to, row + static_cast<size_t>(horizontal_.start[0]) * 3, row_bytes);
    } else {
      HorizontalRow(horizontal_, row, to);
    }
  }
}

void Resampler::Vertical(const ImageView &in, uint8_t *out) const {
  const size_t row_bytes = static_cast<size_t>(in.width) * 3;
  for (size_t i = 0; i < vertical_.start.size(); ++i, out += row_bytes) {
    const int32_t *weights = &vertical_.weights[i * static_cast<size_t>(vertical_.taps)];
    const uint8_t *from = in.pixels + static_cast<size_t>(vertical_.start[i]) * in.stride;
    if (vertical_.identity) {
      memcpy(out, from, row_bytes);
      continue;
    }
    size_t done = 0;
#if defined(__x86_64__)
    if (avx2_) {
      done = VerticalRowAvx2(from, in.stride, weights, vertical_.count[i], row_bytes, out);
    }
#endif
    VerticalRow(from, in.stride, weights, vertical_.count[i], done, row_bytes, out);
  }
}

Rect NeededSource(int source_width, int source_height, int target_width, int target_height, const Rect &window) {
  AxisGeometry x(source_width, target_width);
  AxisGeometry y(source_height, target_height);
  auto range = [](const AxisGeometry &axis, int first, int count) {
    // Both ends of the filter only move right with the output position.
    Tap low = axis.At(first);
    Tap high = axis.At(first + count - 1);
    return Tap{low.first, high.first + high.count - low.first};
  };
  Tap columns = range(x, window.x, window.width);
  Tap rows = range(y, window.y, window.height);
  return {columns.first, rows.first, columns.count, rows.count};
}

}  // namespace trainyard::image
