"""Exports every architecture and compares, in ONNX Runtime, with our own model's logits.

usage: models_parity.py <export_driver>
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnxruntime
from PIL import Image
from safetensors.numpy import load_file, save_file

driver = sys.argv[1]
folder = tempfile.TemporaryDirectory(prefix="trainyard-onnx-")
failures = []
CLASSES = 5
# The smallest images that the architectures are made for; the standard size where attention's positions demand it.
SIDES = {"vit": 224}
LIMIT = 1e-4


def at(name):
    return os.path.join(folder.name, name)


def call(*arguments):
    done = subprocess.run([driver, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        failures.append(f"{arguments}: {done.stdout} {done.stderr}")
    return done.stdout


def export(model, options, out):
    with open(at("batch"), "w") as file:
        file.write("\t".join((model, json.dumps(options), out)) + "\n")
    answer = call("batch", at("batch"))
    if not answer.startswith("ok"):
        failures.append(f"{model} {options}: {answer}")
        return None
    onnx.checker.check_model(out, full_check=True)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    return onnxruntime.InferenceSession(out, settings, providers=["CPUExecutionProvider"])


def run(session, value):
    return session.run(None, {session.get_inputs()[0].name: value})[0]


def close(what, ours, theirs):
    if ours.shape != theirs.shape:
        failures.append(f"{what}: shape {theirs.shape}, not {ours.shape}")
        return 0
    if not ours.std() > 1e-3:
        failures.append(f"{what}: values all alike show nothing")
    difference = float(numpy.abs(ours - theirs).max())
    # Random weights of a deep network give logits of many thousands: of those, the same share.
    if not difference <= LIMIT * max(1.0, float(numpy.abs(ours).max())):
        failures.append(f"{what}: differs by {difference}")
    return difference


def softmax(logits):
    powers = numpy.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def compare(name, full):
    side = next((size for part, size in SIDES.items() if part in name), 96)
    model = at("model")
    call("make", name, side, CLASSES, model)
    rng = numpy.random.default_rng(3)
    inputs = {str(n): rng.standard_normal((n, 3, side, side), dtype=numpy.float32) for n in (1, 7)}
    save_file(inputs, at("inputs"))
    call("logits", model, at("inputs"), at("ours"))
    if failures:
        return
    ours = load_file(at("ours"))
    worst = 0
    session = export(model, {}, at("m.onnx"))
    if session is None:
        return
    for key, value in inputs.items():
        worst = max(worst, close(f"{name}, batch {key}", ours[key], run(session, value)))
    facts = session.get_modelmeta().custom_metadata_map
    if json.loads(facts["classes"]) != [f'class "{i}" é' for i in range(CLASSES)]:
        failures.append(f"{name}: classes are {facts['classes']}")
    print(f"{name}: largest difference {worst:.2g}", flush=True)
    os.unlink(at("m.onnx"))
    if not full:
        return
    for opset in range(13, 21):
        session = export(model, {"opset": opset, "dynamic_batch": False, "batch_size": 7}, at("m.onnx"))
        if session is None:
            return
        worst = close(f"{name}, opset {opset}", ours["7"], run(session, inputs["7"]))
        print(f"{name}, opset {opset}: {worst:.2g}", flush=True)
    inside(name, model)


def inside(name, model):
    """Preprocessing and softmax in the file, against the image pipeline."""
    rng = numpy.random.default_rng(4)
    Image.fromarray(rng.integers(0, 256, (170, 210, 3), dtype=numpy.uint8)).save(at("image.png"))
    call("image", model, at("image.png"), at("ours"))
    session = export(model, {"preprocessing": True}, at("m.onnx"))
    if failures:
        return
    ours = load_file(at("ours"))
    worst = close(f"{name}, preprocessing", ours["logits"], run(session, ours["pixels"]))
    session = export(model, {"preprocessing": True, "softmax": True}, at("m.onnx"))
    close(f"{name}, softmax", softmax(ours["logits"]), run(session, ours["pixels"]))
    pair = numpy.concatenate([ours["pixels"], ours["pixels"][:, ::-1]])
    if run(session, pair).shape != (2, CLASSES):
        failures.append(f"{name}: two images with preprocessing")
    print(f"{name}, preprocessing inside: {worst:.2g}", flush=True)


def arrays(task, shape, layers):
    """Networks for arrays, whose model.json tells shape and layers."""
    model, name = at("model"), f"arrays, task {task}"
    call("make_layers", json.dumps(layers), ",".join(map(str, shape)), task, model)
    rng = numpy.random.default_rng(5)
    inputs = {str(n): rng.standard_normal((n, *shape), dtype=numpy.float32) for n in (1, 7)}
    save_file(inputs, at("inputs"))
    call("logits", model, at("inputs"), at("ours"))
    session = export(model, {}, at("m.onnx"))
    if failures:
        return
    ours = load_file(at("ours"))
    value = session.get_inputs()[0]
    if value.name != "inputs" or value.shape[1:] != list(shape):
        failures.append(f"{name}: the input is {value.name} {value.shape}")
    for key, samples in inputs.items():
        close(f"{name}, batch {key}", ours[key], run(session, samples))
    if session.get_modelmeta().custom_metadata_map["task"] != ("array_classification", "array_multilabel", "array_regression")[task]:
        failures.append(f"{name}: {session.get_modelmeta().custom_metadata_map}")
    session = export(model, {"softmax": True}, at("m.onnx"))
    told = {0: softmax, 1: lambda x: 1 / (1 + numpy.exp(-x)), 2: lambda x: x}[task](ours["7"])
    close(f"{name}, softmax", told, run(session, inputs["7"]))
    print(f"{name}: done", flush=True)


names = call("architectures").split()
if len(names) < 4:
    failures.append(f"architectures: {names}")
# Every way of exporting with the smallest of each family of operators; the others as they are by default.
for name in names:
    compare(name, full=name in ("squeezenet1_1", "resnet18", "mobilenet_v3_small", "vit_b_16"))
dense = [{"type": "linear", "out": 9}, {"type": "batch_norm"}, {"type": "gelu"}, {"type": "dropout"}, {"type": "linear", "out": 4}]
arrays(0, (6,), dense)
arrays(1, (2, 3), [{"type": "flatten"}, {"type": "linear", "out": 9}, {"type": "layer_norm"}, {"type": "silu"}, {"type": "linear", "out": 4}])
arrays(2, (6,), [{"type": "linear", "out": 4}])
folder.cleanup()
for failure in failures[:40]:
    print("FAILED:", failure)
print(f"{len(names)} architectures, {len(failures)} failures")
sys.exit(bool(failures))
