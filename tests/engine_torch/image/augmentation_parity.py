#!/usr/bin/env python3
"""Bit equality of the training transform with torchvision on Pillow images, given what was drawn.

    augmentation_parity.py DRIVER [--times]

Random images and parameters: colours, rotation, and all of the transform in its order, from file to normalised floats. --times: compares
nothing, and prints what each operation costs here and there.
"""
import os
import random
import sys
import tempfile
import time

from pil_parity import MEAN, STD, Check, Driver, draw_box, picture

try:
    import numpy as np
    from PIL import Image
    from torchvision.transforms import functional as F
except ImportError as error:
    print(f"SKIP: {error}")
    sys.exit(0)

KINDS = ("brightness", "contrast", "saturation", "hue")
FIXED = {"brightness": (0, 1, 1e-9, 250.0), "contrast": (0, 1, 999.0), "saturation": (0, 1, 30.0), "hue": (-0.5, -0.001, 0, 0.5)}


def draw_factor(rng, kind):
    return rng.uniform(-0.5, 0.5) if kind == "hue" else rng.choice((rng.uniform(0, 1), rng.uniform(1, 2), rng.uniform(0, 8)))


def adjust(image, kind, factor):
    return getattr(F, "adjust_" + kind)(image, factor)


def check_colors(driver, check, directory):
    """Two million colours, an eighth of all there are."""
    image = Image.fromarray(np.random.default_rng(5).integers(0, 256, (1448, 1448, 3)).astype(np.uint8))
    path = os.path.join(directory, "colors.png")
    image.save(path, compress_level=1)
    for kind, factor in (("saturation", 0.7), ("hue", 0.21), ("hue", 0.0)):
        check.equal("colours", f"{kind} {factor}", driver.ask("color", path, kind, factor, 1), adjust(image, kind, factor).tobytes())
    check.equal("colours", "grayscale", driver.ask("color", path, "grayscale", 0, 1), F.to_grayscale(image, 3).tobytes())


def check_operations(driver, check, path, rng):
    image, name = Image.open(path).convert("RGB"), os.path.basename(path)
    for kind in KINDS:
        for factor in (*FIXED[kind], *(draw_factor(rng, kind) for _ in range(12))):
            for simd in (0, 1):
                mine = driver.ask("color", path, kind, repr(float(factor)), simd)
                check.equal(kind, f"{name} {factor} simd {simd}", mine, adjust(image, kind, factor).tobytes())
    for simd in (0, 1):
        check.equal("grayscale", f"{name} simd {simd}", driver.ask("color", path, "grayscale", 0, simd), F.to_grayscale(image, 3).tobytes())
    angles = [0, 90, -90, 180, 270, 360, -360, 45, 1e-14, -1e-20, 179.99999999999997, 1e-5, 89.9999]
    for angle in angles + [rng.uniform(-360, 360) for _ in range(30)] + [rng.uniform(-3, 3) for _ in range(10)]:
        fill = [rng.randrange(256) for _ in range(3)]
        mine = driver.ask("rotate", path, repr(float(angle)), *fill)
        check.equal("rotate", f"{name} {angle} {fill}", mine, F.rotate(image, angle, fill=fill).tobytes())


def check_whole(driver, check, path, rng, count):
    image, name = Image.open(path).convert("RGB"), os.path.basename(path)
    for i in range(count):
        crop = rng.choice((224, rng.randint(1, 90)))
        x, y, w, h = box = draw_box(rng, *image.size)
        flips = [rng.random() < 0.5, rng.random() < 0.5]
        steps = [(kind, draw_factor(rng, kind)) for kind in rng.sample(KINDS, rng.randint(0, 4))]
        angle, gray, fill = rng.choice((0.0, rng.uniform(-180, 180))), rng.random() < 0.3, [rng.randrange(256) for _ in range(3)]
        eh, ew = rng.randint(0, crop - 1), rng.randint(0, crop - 1)
        ex, ey = rng.randint(0, crop - ew), rng.randint(0, crop - eh)
        want = F.resized_crop(image, y, x, h, w, [crop, crop], F.InterpolationMode.BILINEAR)
        want = F.hflip(want) if flips[0] else want
        want = F.vflip(want) if flips[1] else want
        for kind, factor in steps:
            want = adjust(want, kind, factor)
        want = F.rotate(want, angle, fill=fill)
        want = F.to_grayscale(want, 3) if gray else want
        want = F.erase(F.normalize(F.to_tensor(want), MEAN.tolist(), STD.tolist()), ey, ex, eh, ew, 0).numpy()
        for layout in (0, 1):
            data = np.ascontiguousarray(want.transpose(1, 2, 0) if layout else want).tobytes()
            for whole in (0, 1):  # decoded as a part, and whole as a cache has it
                mine = driver.ask("augment", path, crop, *box, *flips, ",".join(f"{k}={f!r}" for k, f in steps) or "-", repr(angle), *fill,
                                  gray, ex, ey, ew, eh, layout, whole)
                check.equal("the whole transform", f"{name} {i} {steps} {angle} layout {layout}", mine, data)


def print_times(driver):
    image, rounds = picture(random.Random(1), 224, 224), 200
    peers = {kind: lambda kind=kind: adjust(image, kind, 0.1 if kind == "hue" else 1.3) for kind in KINDS}
    peers |= {"grayscale": lambda: F.to_grayscale(image, 3), "rotate": lambda: F.rotate(image, 17.3)}
    for kind, peer in peers.items():
        best = 1e9
        for _ in range(rounds):
            start = time.perf_counter()
            peer()
            best = min(best, (time.perf_counter() - start) * 1e6)
        mine = float(driver.ask("time", kind, rounds)[0])
        print(f"{kind}: {mine:.0f} us for 224 x 224 pixels, torchvision {best:.0f} us, {best / mine:.1f} times")


def main():
    rng = random.Random(11)
    check, driver = Check(), Driver(sys.argv[1])
    if "--times" in sys.argv:
        return print_times(driver)
    with tempfile.TemporaryDirectory() as directory:
        check_colors(driver, check, directory)
        for width, height in ((1, 1), (2, 7), (64, 64), (97, 61), (224, 224), (333, 250)):
            path = os.path.join(directory, f"{width}x{height}.png")
            picture(rng, width, height).save(path)
            check_operations(driver, check, path, rng)
            check_whole(driver, check, path, rng, 15)
            photo = os.path.join(directory, f"{width}x{height}.jpg")
            picture(rng, width, height).save(photo, quality=85)
            check_whole(driver, check, photo, rng, 15)
    sys.exit(check.report())


if __name__ == "__main__":
    main()
