#!/usr/bin/env python3
"""Writes golden_augmentation.h: the hashes of what torchvision 0.26 on Pillow 13 makes of a picture that the tests draw themselves.

    make_golden_augmentation.py > golden_augmentation.h
"""
from PIL import Image
from torchvision.transforms import functional as F

from make_golden import fnv

COLORS = [("brightness", f) for f in (0.0, 0.37, 1.0, 1.6)] + [("contrast", f) for f in (0.0, 0.37, 1.6)]
COLORS += [("saturation", f) for f in (0.0, 0.37, 1.6)] + [("hue", f) for f in (-0.5, -0.13, 0.0, 0.02, 0.5)]
ANGLES = [(33, 0.0), (33, 90.0), (33, -90.0), (33, 180.0), (33, 17.3), (33, -123.45), (45, 90.0), (45, 271.5), (45, 1e-16), (45, -179.99)]


def test_value(x, y, channel):
    noise = (x * 73856093 ^ y * 19349663 ^ channel * 83492791) & 0xFFFFFFFF
    noise = ((noise ^ (noise >> 13)) * 0x5BD1E995) & 0xFFFFFFFF
    return ((x * (5 + channel) + y * (3 + 2 * channel)) // 2 + (noise >> 27)) & 255


def picture(width, height):
    data = bytes(test_value(x, y, c) for y in range(height) for x in range(width) for c in range(3))
    return Image.frombytes("RGB", (width, height), data)


def everything(image):
    """The training transform with every part, from a crop to NCHW floats."""
    image = F.resized_crop(image, 3, 5, 27, 31, [24, 24], F.InterpolationMode.BILINEAR)
    image = F.vflip(F.hflip(image))
    image = F.adjust_brightness(F.adjust_saturation(F.adjust_hue(F.adjust_contrast(image, 1.3), -0.2), 0.4), 0.9)
    image = F.rotate(image, 31.5, fill=[10, 200, 30])
    image = F.normalize(F.to_tensor(image), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return F.erase(image, 4, 2, 9, 13, 0)


def main():
    print("// Made by make_golden_augmentation.py: do not edit. FNV-1a hashes of what torchvision 0.26 on Pillow 13 makes of TestImage(45, 33)")
    print("// (33 x 33 where the width says so).")
    print("#pragma once\n\n#include <cstdint>\n\nnamespace trainyard::image {\n\n// clang-format off")
    print("struct GoldenColor {\n  const char *kind;\n  double factor;\n  uint64_t pixels;\n};\n\ninline constexpr GoldenColor kGoldenColors[] = {")
    image = picture(45, 33)
    for kind, factor in COLORS:
        print(f'    {{"{kind}", {factor}, {fnv(getattr(F, "adjust_" + kind)(image, factor).tobytes())}}},')
    print(f'    {{"grayscale", 0, {fnv(F.to_grayscale(image, 3).tobytes())}}},')
    print("};\n\n// With the fill 7, 8, 9.\nstruct GoldenRotation {\n  int width;\n  double degrees;\n  uint64_t pixels;\n};\n")
    print("inline constexpr GoldenRotation kGoldenRotations[] = {")
    for width, angle in ANGLES:
        print(f"    {{{width}, {angle}, {fnv(F.rotate(picture(width, 33), angle, fill=[7, 8, 9]).tobytes())}}},")
    print("};\n\n// The box {5, 3, 31, 27} to 24 x 24 pixels, mirrored both ways, contrast 1.3, hue -0.2, saturation 0.4, brightness 0.9, turned by")
    print("// 31.5 degrees with the fill 10, 200, 30, normalised, the box {2, 4, 13, 9} erased; NCHW floats.")
    print(f"inline constexpr uint64_t kGoldenTrain = {fnv(everything(image).numpy().tobytes())};")
    print("// clang-format on\n\n}  // namespace trainyard::image")


if __name__ == "__main__":
    main()
