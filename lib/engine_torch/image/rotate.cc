#include "engine_torch/image/rotate.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <numbers>

namespace trainyard::image {
namespace {

// Python's round(value, 15), which looks at the exact decimal value.
double RoundTo15Digits(double value) {
  std::array<char, 64> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, 15).ptr;
  double rounded = value;
  std::from_chars(text.data(), end, rounded);
  return rounded;
}

// Python's degrees % 360: 0 to 360.
double Modulo360(double degrees) {
  const double rest = std::fmod(degrees, 360.0);
  return rest < 0 ? rest + 360.0 : rest;
}

int32_t Fixed(double value) {
  return static_cast<int32_t>(std::floor(value * 65536.0 + 0.5));
}

// Where the source of output pixel (x, y) lies, in 16.16 fixed point: columns x * a0 + y * a1 + a2, rows likewise.
struct Affine {
  int32_t a0, a1, a2, a3, a4, a5;
};

Affine Backwards(int width, int height, double cosine, double sine) {
  // Center - (rotated center), and half a pixel, since a pixel is looked up by its middle.
  const double cx = width / 2.0, cy = height / 2.0;
  const double shift_x = cosine * -cx + sine * -cy + 0.0 + cx;
  const double shift_y = -sine * -cx + cosine * -cy + 0.0 + cy;
  return {Fixed(cosine), Fixed(sine),   Fixed(shift_x + cosine * 0.5 + sine * 0.5),
          Fixed(-sine),  Fixed(cosine), Fixed(shift_y + -sine * 0.5 + cosine * 0.5)};
}

int64_t DivideUp(int64_t a, int64_t b) {  // b > 0
  return a >= 0 ? (a + b - 1) / b : -(-a / b);
}

// Narrows [*first, *end) to the x for which start + x * step lies in [0, limit).
void Narrow(int64_t start, int64_t step, int64_t limit, int64_t *first, int64_t *end) {
  if (step == 0) {
    if (start < 0 || start >= limit) *end = *first;
    return;
  }
  if (step < 0) {  // the same seen from the other end of the range
    start = limit - 1 - start;
    step = -step;
  }
  *first = std::max(*first, DivideUp(-start, step));
  *end = std::min(*end, DivideUp(limit - start, step));
}

void RotateHalf(const uint8_t *in, size_t pixels, uint8_t *out) {
  for (size_t i = 0; i < pixels; ++i) std::memcpy(out + (pixels - 1 - i) * 3, in + i * 3, 3);
}

// By a right angle, counter-clockwise, of a square; `back`: clockwise.
void RotateQuarter(const uint8_t *in, size_t side, bool back, uint8_t *out) {
  for (size_t y = 0; y < side; ++y) {
    for (size_t x = 0; x < side; ++x) {
      const size_t column = back ? y : side - 1 - y, row = back ? side - 1 - x : x;
      std::memcpy(out + (y * side + x) * 3, in + (row * side + column) * 3, 3);
    }
  }
}

void Fill(uint8_t *row, int64_t from, int64_t to, const std::array<uint8_t, 3> &fill) {
  for (int64_t x = from; x < to; ++x) std::memcpy(row + x * 3, fill.data(), 3);
}

void RotateRows(const uint8_t *in, int width, int height, const Affine &affine, const std::array<uint8_t, 3> &fill,
                uint8_t *out) {
  const int64_t stride = int64_t{3} * width;
  for (int y = 0; y < height; ++y, out += stride) {
    int32_t column = affine.a2 + y * affine.a1, row = affine.a5 + y * affine.a4;
    int64_t first = 0, end = width;
    Narrow(column, affine.a0, int64_t{width} << 16, &first, &end);
    Narrow(row, affine.a3, int64_t{height} << 16, &first, &end);
    first = std::min<int64_t>(first, width);
    end = std::max(end, first);
    Fill(out, 0, first, fill);
    column += static_cast<int32_t>(first) * affine.a0;
    row += static_cast<int32_t>(first) * affine.a3;
    for (int64_t x = first; x < end; ++x, column += affine.a0, row += affine.a3) {
      std::memcpy(out + x * 3, in + (row >> 16) * stride + (column >> 16) * 3, 3);
    }
    Fill(out, end, width, fill);
  }
}

}  // namespace

void Rotate(const uint8_t *in, int width, int height, double degrees, const std::array<uint8_t, 3> &fill,
            uint8_t *out) {
  const size_t pixels = static_cast<size_t>(width) * static_cast<size_t>(height);
  const double angle = Modulo360(degrees);
  const double radians = -(angle * (std::numbers::pi / 180.0));
  const double cosine = RoundTo15Digits(std::cos(radians)), sine = RoundTo15Digits(std::sin(radians));
  // Pillow turns by right angles without a matrix, and one that does not turn columns into rows without fixed point.
  if (sine == 0 && cosine > 0) {
    std::memcpy(out, in, pixels * 3);
  } else if (sine == 0) {
    RotateHalf(in, pixels, out);
  } else if ((angle == 90 || angle == 270) && width == height) {
    RotateQuarter(in, static_cast<size_t>(width), angle == 270, out);
  } else {
    RotateRows(in, width, height, Backwards(width, height, cosine, sine), fill, out);
  }
}

}  // namespace trainyard::image
