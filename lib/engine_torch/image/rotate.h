// Rotation as Pillow's Image.rotate(angle, NEAREST, fillcolor=fill) does it, bit for bit: about the centre, at the
// image's own size, each pixel taken from the nearest source pixel in 16.16 fixed point.
//
// Thread rule: functions may run concurrently.
#pragma once

#include <array>
#include <cstdint>

namespace trainyard::image {

// `in` and `out` are width * height RGB pixels without gaps and do not overlap; `degrees` is finite, and turns
// counter-clockwise. What comes from outside the image becomes `fill`. Sides are at most 16384.
void Rotate(const uint8_t *in, int width, int height, double degrees, const std::array<uint8_t, 3> &fill, uint8_t *out);

}  // namespace trainyard::image
