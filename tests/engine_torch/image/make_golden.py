#!/usr/bin/env python3
"""Writes golden.h: small images made by Pillow and the hashes of what Pillow 13 makes of them.

    make_golden.py > golden.h
"""
import io
import random

from PIL import Image

import pil_parity

SIZES = {"rgb 4:2:0": (45, 33), "rgb 4:4:4": (19, 27), "grey": (30, 41), "cmyk": (21, 17), "palette": (23, 18), "rgba": (17, 19)}


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"0x{value:016x}u"


def encoded(kind, rng):
    out = io.BytesIO()
    width, height = SIZES[kind]
    if kind == "palette":
        pil_parity.picture(rng, width, height).quantize(16).save(out, "PNG")
    elif kind == "rgba":
        pil_parity.picture(rng, width, height, "RGBA").save(out, "PNG")
    elif kind == "grey":
        pil_parity.picture(rng, width, height, "L").save(out, "JPEG", progressive=True)
    elif kind == "cmyk":
        pil_parity.picture(rng, width, height, "CMYK").save(out, "JPEG", quality=30)
    else:
        pil_parity.picture(rng, width, height).save(out, "JPEG", quality=40, subsampling=kind[4:])
    return out.getvalue()


def main():
    rng = random.Random(3)
    print("// Made by make_golden.py: do not edit. Images made by Pillow, and FNV-1a hashes of what Pillow 13 makes of them.")
    print("#pragma once\n\n#include <cstdint>\n\nnamespace trainyard::image {\n")
    print("// clang-format off\nstruct Golden {")
    print("  const char *kind;\n  int width;\n  int height;")
    print("  uint64_t pixels;  // convert('RGB')")
    print("  int box[4];       // a crop: x, y, width, height")
    print("  uint64_t train;   // that crop resized to 16x16, mirrored, normalised, NCHW floats")
    print("  uint64_t eval;    // Resize(20), CenterCrop(16), normalised, NHWC floats")
    print("  const char *file;  // in hexadecimal\n};\n\ninline constexpr Golden kGolden[] = {")
    for kind in SIZES:
        data = encoded(kind, rng)
        image = Image.open(io.BytesIO(data)).convert("RGB")
        width, height = image.size
        x, y, w, h = pil_parity.draw_box(rng, width, height)
        part = image.crop((x, y, x + w, y + h)).resize((16, 16), pil_parity.BILINEAR)
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        view = pil_parity.torchvision_eval(image, 20, 16)
        print(f'    {{"{kind}", {width}, {height}, {fnv(image.tobytes())}, {{{x}, {y}, {w}, {h}}},')
        print(f"     {fnv(pil_parity.to_floats(part, 0))}, {fnv(pil_parity.to_floats(view, 1))},")
        text = data.hex()
        for start in range(0, len(text), 116):
            print(f'     "{text[start:start + 116]}"', end="\n" if start + 116 < len(text) else "},\n")
    print("};\n// clang-format on\n\n}  // namespace trainyard::image")


if __name__ == "__main__":
    main()
