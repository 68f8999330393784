"""Reads exported event files with TensorBoard's own reader: tensorboard_check.py <directory of tensorboard_export>."""

import json
import math
import os
import sys

import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

directory = sys.argv[1]
with open(os.path.join(directory, "expected.json"), encoding="utf-8") as file:
    expected = json.load(file)


def same(a, b):
    return (math.isnan(a) and math.isnan(b)) or a == b


def check(run, tags):
    reader = EventAccumulator(os.path.join(directory, run), size_guidance={"scalars": 0, "images": 0})
    reader.Reload()
    assert sorted(reader.Tags()["scalars"]) == sorted(tags), (run, reader.Tags())
    for tag, points in tags.items():
        events = reader.Scalars(tag)
        assert len(events) == len(points), (run, tag, len(events))
        for event, (step, seconds, value) in zip(events, points):
            with numpy.errstate(over="ignore"):
                single = float(numpy.float32(float(str(value).replace("Infinity", "inf"))))
            assert event.step == step, (run, tag, event, step)
            assert event.wall_time == seconds, (run, tag, event, seconds)
            assert same(event.value, single), (run, tag, event, value)
    return reader


for name, tags in expected.items():
    accumulator = check(name, tags)
    if name == "one":
        (image,) = accumulator.Images("picture")
        with open(os.path.join(directory, "image.png"), "rb") as file:
            assert image.encoded_image_string == file.read()
        assert (image.step, image.width, image.height) == (5, 1, 1)
print("TensorBoard reads", len(expected), "event files")
