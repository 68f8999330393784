#!/usr/bin/env python3
"""Bit equality of the image code with Pillow: decoding, resizing, and torchvision's two pipelines.

    pil_parity.py DRIVER [IMAGE DIRECTORY]...

Makes images of every kind, runs the driver program (parity_driver.cc) over them and over the image directories, and compares
bytes. torchvision's calls are written out on Pillow and numpy float32, so it need not be installed.
"""
import io
import math
import os
import random
import struct
import subprocess
import sys
import tempfile
import zlib

try:
    import numpy as np
    from PIL import Image, ImageFile, __version__ as PILLOW_VERSION
except ImportError as error:
    print(f"SKIP: {error}")
    sys.exit(0)

MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
BILINEAR = Image.Resampling.BILINEAR
ImageFile.MAXBLOCK = 1 << 24  # what the encoder may need for noise at full quality


class Driver:
    def __init__(self, path):
        # The order of the two passes of a resize changed in Pillow 13.
        order = "pillow13" if int(PILLOW_VERSION.split(".")[0]) >= 13 else "horizontal-first"
        self.process = subprocess.Popen([path, order], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, *fields):
        """(bytes, width, height), or the error message as a str."""
        self.process.stdin.write("\t".join(str(int(f) if isinstance(f, bool) else f) for f in fields).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline().decode()
        if not line:
            raise SystemExit(f"FAIL: the driver died on {fields}")
        kind, _, rest = line.rstrip("\n").partition(" ")
        if kind == "ERR":
            return rest
        size, width, height = (int(part) for part in rest.split())
        return self.process.stdout.read(size), width, height


class Check:
    def __init__(self):
        self.done = {}
        self.failures = []

    def report(self):
        """Tells everything; the program's exit status."""
        for what, count in self.done.items():
            print(f"{what}: {count} compared")
        for failure in self.failures[:40]:
            print(f"FAIL: {failure}")
        print(f"{len(self.failures)} differences")
        return 1 if self.failures else 0

    def equal(self, what, name, mine, want):
        self.done[what] = self.done.get(what, 0) + 1
        if isinstance(mine, str):
            self.failures.append(f"{what} {name}: {mine}")
        elif mine[0] != want:
            a = np.frombuffer(mine[0], np.uint8).astype(int)
            b = np.frombuffer(want, np.uint8).astype(int)
            detail = f"{len(a)} against {len(b)} bytes"
            if len(a) == len(b):
                wrong = np.nonzero(a != b)[0]
                detail = f"{len(wrong)} of {len(a)} bytes, first at {wrong[0]}, {a[wrong[0]]} against {b[wrong[0]]}"
            self.failures.append(f"{what} {name}: differs in {detail}")

    def error(self, what, name, mine, word):
        self.done[what] = self.done.get(what, 0) + 1
        if not isinstance(mine, str):
            self.failures.append(f"{what} {name}: expected an error, got an image")
        elif word not in mine or name not in mine:
            self.failures.append(f"{what} {name}: the message lacks '{word}' or the file: {mine}")


def to_floats(image, layout):
    """ToTensor and Normalize."""
    array = np.asarray(image, dtype=np.uint8)
    values = (array.astype(np.float32) / np.float32(255) - MEAN) / STD
    assert values.dtype == np.float32
    return np.ascontiguousarray(values if layout else values.transpose(2, 0, 1)).tobytes()


def torchvision_eval(image, resize, crop):
    """functional.resize(image, resize), functional.center_crop(image, crop)."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    new_short, new_long = resize, int(resize * long / short)
    size = (new_short, new_long) if width <= height else (new_long, new_short)
    image = image.resize(size, BILINEAR)
    width, height = image.size
    if crop > width or crop > height:
        left, top = ((crop - side) // 2 if crop > side else 0 for side in (width, height))
        right, bottom = ((crop - side + 1) // 2 if crop > side else 0 for side in (width, height))
        padded = Image.new("RGB", (width + left + right, height + top + bottom))
        padded.paste(image, (left, top))
        image = padded
        width, height = image.size
        if (width, height) == (crop, crop):
            return image
    top, left = int(round((height - crop) / 2.0)), int(round((width - crop) / 2.0))
    return image.crop((left, top, left + crop, top + crop))


def draw_box(rng, width, height):
    for _ in range(10):
        area = width * height * rng.uniform(0.08, 1.0)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return rng.randint(0, width - w), rng.randint(0, height - h), w, h
    return 0, 0, width, height


def compare_all(driver, check, path, rng, crops=3):
    image = Image.open(path).convert("RGB")
    width, height = image.size
    name = os.path.basename(path)
    check.equal("decode", name, driver.ask("decode", path), image.tobytes())
    for i in range(crops):
        x, y, w, h = box = draw_box(rng, width, height)
        part = image.crop((x, y, x + w, y + h))
        check.equal("region", f"{name} {box}", driver.ask("region", path, *box), part.tobytes())
        flip, layout = i % 2 == 1, i % 2
        want = part.resize((224, 224), BILINEAR)
        if flip:
            want = want.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        check.equal("train", f"{name} {box}", driver.ask("train", path, 224, *box, flip, layout), to_floats(want, layout))
    for resize, crop, layout in ((256, 224, 0), (rng.randint(20, 300), rng.randint(20, 300), 1)):
        want = to_floats(torchvision_eval(image, resize, crop), layout)
        check.equal("eval", f"{name} {resize} {crop}", driver.ask("eval", path, resize, crop, layout), want)


def compare_resize(driver, check, path, rng, count):
    image = Image.open(path).convert("RGB")
    for _ in range(count):
        size = rng.choice([(rng.randint(1, 400), rng.randint(1, 400)), (image.width, rng.randint(1, 99)), (rng.randint(1, 99), image.height)])
        x, y = rng.randint(0, size[0] - 1), rng.randint(0, size[1] - 1)
        window = (x, y, rng.randint(1, size[0] - x), rng.randint(1, size[1] - y))
        want = image.resize(size, BILINEAR).crop((x, y, x + window[2], y + window[3])).tobytes()
        for simd in (0, 1):
            mine = driver.ask("resize", path, *size, *window, simd)
            check.equal("resize", f"{os.path.basename(path)} to {size} window {window} simd {simd}", mine, want)


def picture(rng, width, height, mode="RGB"):
    """Smooth shapes and noise, so that both chroma upsampling and clipping show."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    channels = []
    for _ in range(len(Image.new(mode, (1, 1)).getbands())):
        wave = np.sin(x * rng.uniform(0.02, 0.9) + rng.uniform(0, 6)) * np.cos(y * rng.uniform(0.02, 0.9)) * 140 + 128
        noise = np.random.default_rng(rng.getrandbits(32)).normal(0, 25, (height, width))
        channels.append(np.clip(wave + noise, 0, 255).astype(np.uint8))
    return Image.fromarray(channels[0] if len(channels) == 1 else np.dstack(channels), mode if mode != "LA" else None)


def png(width, height, depth, color, rows, palette=None, transparency=None, interlace=0):
    """A PNG of the kinds that Pillow does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))
    if palette is not None:
        out += chunk(b"PLTE", palette)
    if transparency is not None:
        out += chunk(b"tRNS", transparency)
    return out + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def raw_rows(rng, width, height, bits_per_pixel, interlace):
    """Filtered rows of random data; with interlace, of the seven passes."""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    out = b""
    for x, y, dx, dy in passes if interlace else [(0, 0, 1, 1)]:
        columns, lines = (width - x + dx - 1) // dx, (height - y + dy - 1) // dy
        for _ in range(lines if columns > 0 else 0):
            out += bytes([rng.randrange(5)]) + rng.randbytes((columns * bits_per_pixel + 7) // 8)
    return out


def make_jpegs(directory, rng):
    sizes = [(1, 1), (7, 5), (8, 8), (16, 17), (33, 47), (97, 64), (131, 203), (250, 187), (500, 375), (641, 479)]
    for width, height in sizes:
        for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
            for progressive in (False, True):
                image = picture(rng, width, height)
                extra = {"restart_marker_rows": 1} if width % 3 == 0 and not progressive else {}
                name = f"rgb_{width}x{height}_{subsampling.replace(':', '')}_{'p' if progressive else 'b'}.jpg"
                quality = rng.choice([30, 75, 90, 100])
                path = os.path.join(directory, name)
                image.save(path, quality=quality, subsampling=subsampling, progressive=progressive, **extra)
        picture(rng, width, height, "L").save(os.path.join(directory, f"grey_{width}x{height}.jpg"), quality=85, progressive=width % 2 == 0)
        picture(rng, width, height, "CMYK").save(os.path.join(directory, f"cmyk_{width}x{height}.jpg"), quality=85)
        image = picture(rng, width, height)
        image.save(os.path.join(directory, f"keeprgb_{width}x{height}.jpg"), quality=85, keep_rgb=True)
        exif = Image.Exif()
        exif[0x0112] = 6  # rotated: torchvision ignores it
        image.save(os.path.join(directory, f"exif_{width}x{height}.JPEG"), quality=85, exif=exif)
    # Adobe YCCK: Pillow writes plain CMYK, so mark one by hand (APP14 with transform 2).
    data = io.BytesIO()
    picture(rng, 90, 70, "CMYK").save(data, "JPEG", quality=90)
    plain = data.getvalue()
    at = plain.find(b"\xff\xeeAdobe".replace(b"\xff\xee", b""))
    marker = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x02"
    marked = plain[: at - 4] + marker + plain[at + 12 :] if at > 0 else plain[:2] + marker + plain[2:]
    with open(os.path.join(directory, "ycck.jpg"), "wb") as file:
        file.write(marked)


def make_pngs(directory, rng):
    def write(name, data):
        with open(os.path.join(directory, name), "wb") as file:
            file.write(data)

    for width, height in ((1, 1), (3, 9), (37, 29), (130, 111)):
        for color, depths, channels in ((0, (1, 2, 4, 8, 16), 1), (2, (8, 16), 3), (3, (1, 2, 4, 8), 1), (4, (8, 16), 2), (6, (8, 16), 4)):
            for depth in depths:
                for interlace in (0, 1):
                    for transparent in (False, True) if color in (0, 2, 3) else (False,):
                        rows = raw_rows(rng, width, height, depth * channels, interlace)
                        palette = rng.randbytes(3 << depth) if color == 3 else None
                        trns = None
                        if transparent:
                            trns = {0: b"\0\x01", 2: b"\0\x01\0\x02\0\x03", 3: rng.randbytes(2)}[color]
                        name = f"png_{width}x{height}_c{color}_d{depth}_i{interlace}_t{int(transparent)}.png"
                        write(name, png(width, height, depth, color, rows, palette, trns, interlace))
    # A palette shorter than the indices in use, and a PNG under a JPEG's name.
    write("short_palette.png", png(20, 20, 8, 3, raw_rows(rng, 20, 20, 8, 0), rng.randbytes(3 * 40)))
    data = io.BytesIO()
    picture(rng, 60, 40).save(data, "PNG")
    write("really_png.jpg", data.getvalue())


def check_errors(driver, check, directory, rng):
    data = io.BytesIO()
    picture(rng, 200, 150).save(data, "JPEG", quality=90)
    jpeg = data.getvalue()
    data = io.BytesIO()
    picture(rng, 200, 150).save(data, "JPEG", quality=90, progressive=True)
    progressive = data.getvalue()
    data = io.BytesIO()
    picture(rng, 200, 150).save(data, "PNG")
    whole_png = data.getvalue()
    cases = {
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"hello, this is no image", "neither"),
        "page.jpg": (b"<!DOCTYPE html><html></html>", "HTML"),
        "huge.png": (png(20000, 20000, 8, 2, b""), "pixels"),
        "cut.png": (whole_png[: len(whole_png) // 2], "truncated"),
        "header.jpg": (jpeg[:10], "truncated"),
    }
    for size in (len(jpeg) // 3, len(jpeg) - 40):
        cases[f"cut{size}.jpg"] = (jpeg[:size], "truncated")
        cases[f"cutp{size}.jpg"] = (progressive[: min(size, len(progressive) - 40)], "truncated")
    for kind in ("GIF", "WEBP", "TIFF", "BMP"):
        data = io.BytesIO()
        picture(rng, 20, 20).save(data, kind)
        cases[f"other_{kind}.jpg"] = (data.getvalue(), "WebP" if kind == "WEBP" else kind)
    bad = bytearray(jpeg)
    bad[bad.find(b"\xff\xc4") + 5] = 0xff  # a Huffman table that claims 255 one-bit codes
    cases["damaged.jpg"] = (bytes(bad), "Huffman")
    for name, (content, word) in cases.items():
        path = os.path.join(directory, name)
        with open(path, "wb") as file:
            file.write(content)
        check.error("error", name, driver.ask("decode", path), word)
        if word == "truncated" and name != "header.jpg" and name.endswith("jpg"):
            try:
                Image.open(path).convert("RGB")
                check.failures.append(f"error {name}: Pillow reads it")
            except OSError:
                pass
            check.error("error of a region", name, driver.ask("region", path, 4, 4, 20, 20), word)
    check.error("error", "absent.jpg", driver.ask("decode", os.path.join(directory, "absent.jpg")), "No such file")
    # Damage here and there: an image for Pillow is one for us, the same one.
    for i in range(150):
        bad = bytearray(rng.choice([jpeg, progressive]))
        for _ in range(rng.randint(1, 4)):
            bad[rng.randrange(2, len(bad))] = rng.randrange(256)
        path = os.path.join(directory, f"noise{i}.jpg")
        with open(path, "wb") as file:
            file.write(bad)
        mine = driver.ask("decode", path)
        try:
            want = Image.open(path).convert("RGB").tobytes()
        except (OSError, SyntaxError):
            check.error("damage", f"noise{i}.jpg", mine, "cannot decode")
        else:
            check.equal("damage", f"noise{i}.jpg", mine, want)
    # Cut within the last bytes: whatever Pillow says.
    for cut in range(1, 30):
        path = os.path.join(directory, f"tail{cut}.jpg")
        with open(path, "wb") as file:
            file.write(jpeg[:-cut])
        try:
            want = Image.open(path).convert("RGB").tobytes()
        except OSError:
            check.error("tail", f"tail{cut}.jpg", driver.ask("decode", path), "truncated")
        else:
            check.equal("tail", f"tail{cut}.jpg", driver.ask("decode", path), want)


def check_torchvision(check, path):
    """That the calls written out here are torchvision's, where it is installed."""
    try:
        from torchvision import transforms
        from torchvision.transforms import functional
    except ImportError:
        return
    image = Image.open(path).convert("RGB")
    finish = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN.tolist(), STD.tolist())])
    name = os.path.basename(path)
    for resize, crop in ((256, 224), (40, 61), (61, 40), (100, 101)):
        full = transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(crop), finish])
        want = to_floats(torchvision_eval(image, resize, crop), 0)
        check.equal("torchvision eval", f"{name} {resize} {crop}", (full(image).numpy().tobytes(), crop, crop), want)
    box = (image.height // 5, image.width // 7, image.height // 2, image.width // 2)
    part = functional.hflip(functional.resized_crop(image, *box, [224, 224], functional.InterpolationMode.BILINEAR))
    want = image.crop((box[1], box[0], box[1] + box[3], box[0] + box[2])).resize((224, 224), BILINEAR)
    want = to_floats(want.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 0)
    check.equal("torchvision train", name, (finish(part).numpy().tobytes(), 224, 224), want)


def main():
    rng = random.Random(7)
    check = Check()
    driver = Driver(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        check_errors(driver, check, directory, rng)
        images = os.path.join(directory, "images")
        os.mkdir(images)
        make_jpegs(images, rng)
        make_pngs(images, rng)
        for name in sorted(os.listdir(images)):
            compare_all(driver, check, os.path.join(images, name), rng, crops=6 if name.startswith("rgb") else 2)
        for name in ("rgb_131x203_444_b.jpg", "rgb_500x375_420_b.jpg", "rgb_7x5_444_b.jpg", "rgb_1x1_444_b.jpg"):
            compare_resize(driver, check, os.path.join(images, name), rng, 40)
        check_torchvision(check, os.path.join(images, "rgb_500x375_420_b.jpg"))
        check_torchvision(check, os.path.join(images, "grey_131x203.jpg"))
    for directory in sys.argv[2:]:
        if not os.path.isdir(directory):
            print(f"not there, left out: {directory}")
            continue
        for folder, _, files in sorted(os.walk(directory)):
            for name in sorted(files):
                if name.lower().endswith((".jpg", ".jpeg", ".png")):
                    compare_all(driver, check, os.path.join(folder, name), rng)
    sys.exit(check.report())


if __name__ == "__main__":
    main()
