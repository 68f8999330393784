// Made by make_golden_augmentation.py: do not edit. FNV-1a hashes of what torchvision 0.26 on Pillow 13 makes of
// TestImage(45, 33) (33 x 33 where the width says so).
#pragma once

#include <cstdint>

namespace trainyard::image {

// clang-format off
struct GoldenColor {
  const char *kind;
  double factor;
  uint64_t pixels;
};

inline constexpr GoldenColor kGoldenColors[] = {
    {"brightness", 0.0, 0x6d10e5c57cad4127u},
    {"brightness", 0.37, 0x3c738259c872cd41u},
    {"brightness", 1.0, 0x8984d1e299478e7bu},
    {"brightness", 1.6, 0x327070285cde53dbu},
    {"contrast", 0.0, 0x96e8ae883df64d73u},
    {"contrast", 0.37, 0xb6144c6fa94fd02cu},
    {"contrast", 1.6, 0x56773290718b984au},
    {"saturation", 0.0, 0xe4cada14633a300au},
    {"saturation", 0.37, 0x48666a949c05dcf5u},
    {"saturation", 1.6, 0x262d8baf6c895a4eu},
    {"hue", -0.5, 0x2ef876c89ded56d2u},
    {"hue", -0.13, 0xa9cebd7c714f52bbu},
    {"hue", 0.0, 0x3f0061ec16cc0eaau},
    {"hue", 0.02, 0x5de817d99b23e4c7u},
    {"hue", 0.5, 0x3911b00d62170ab1u},
    {"grayscale", 0, 0xe4cada14633a300au},
};

// With the fill 7, 8, 9.
struct GoldenRotation {
  int width;
  double degrees;
  uint64_t pixels;
};

inline constexpr GoldenRotation kGoldenRotations[] = {
    {33, 0.0, 0xeb1775063f95bf38u},
    {33, 90.0, 0x2a102759b28105ecu},
    {33, -90.0, 0xe923682bb6fa7578u},
    {33, 180.0, 0x059d2f6362d0f61cu},
    {33, 17.3, 0x7bae73b128a6d56au},
    {33, -123.45, 0x2758377b6592022fu},
    {45, 90.0, 0x8d0ca442dc638881u},
    {45, 271.5, 0x0a21b0a976e9b71du},
    {45, 1e-16, 0x8984d1e299478e7bu},
    {45, -179.99, 0x43d9ec04c4b3bc87u},
};

// The box {5, 3, 31, 27} to 24 x 24 pixels, mirrored both ways, contrast 1.3, hue -0.2, saturation 0.4, brightness 0.9, turned by
// 31.5 degrees with the fill 10, 200, 30, normalised, the box {2, 4, 13, 9} erased; NCHW floats.
inline constexpr uint64_t kGoldenTrain = 0x305092460163a153u;
// clang-format on

}  // namespace trainyard::image
