"""Jobs on arrays that numpy and safetensors wrote, against the same training in PyTorch.

usage: arrays_parity.py <engine_driver> <LibTorch's lib directory> <libtrainyard_torch.so>

A step takes all samples, so that their order is of no matter; the initial weights are those of torch.manual_seed.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy
import torch
from safetensors.torch import load_file, save_file

driver, libraries, engine = sys.argv[1:4]
folder = tempfile.TemporaryDirectory(prefix="trainyard-arrays-")
failures = []
SAMPLES, VALIDATION, INPUTS, OUTPUTS, STEPS = 96, 32, 6, 3, 20
LIMIT = 2e-5

generator = numpy.random.default_rng(11)
inputs = generator.integers(0, 5, (SAMPLES + VALIDATION, INPUTS)).astype(numpy.float64) / 2
mixed = numpy.tanh(inputs @ generator.standard_normal((INPUTS, OUTPUTS)))
TARGETS = {
    "classification": mixed.argmax(1),
    "multilabel": (mixed > 0).astype(numpy.float32),
    "regression": mixed,
}
# Halves up to 2: every type of float has them.
TYPES = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def at(name):
    return os.path.join(folder.name, name)


def write(path, dtype, targets, as_file):
    samples = torch.from_numpy(inputs).to(TYPES[dtype])
    arrays = {
        "inputs": samples[:SAMPLES],
        "targets": torch.from_numpy(targets[:SAMPLES]),
        "validation_inputs": samples[SAMPLES:],
        "validation_targets": torch.from_numpy(targets[SAMPLES:]),
    }
    if as_file:
        save_file({name: array.contiguous() for name, array in arrays.items()}, path)
        return
    os.makedirs(path)
    for name, array in arrays.items():
        numpy.save(os.path.join(path, name + ".npy"), array.numpy())


def train(name, path, task):
    config = {
        "task": task,
        "data": {"arrays": path},
        "model": {"architecture": "mlp", "hidden": [16], "activation": "tanh"},
        "train": {"epochs": STEPS, "batch_size": SAMPLES, "seed": 5},
        "optimizer": {"name": "adam", "lr": 0.01},
        "schedule": {"name": "constant"},
        "device": "cpu",
        "threads": 1,
    }
    with open(at("config.json"), "w") as file:
        json.dump(config, file)
    os.makedirs(at(name))
    done = subprocess.run([driver, libraries, engine, at("config.json"), "", at(name)], capture_output=True, text=True)
    if done.returncode != 0:
        failures.append(f"{name}: {done.stderr}")
        return None
    return json.loads(done.stdout)


def theirs(task):
    """The weights after each step, and the losses on the validation samples."""
    torch.manual_seed(5)
    torch.set_num_threads(1)
    model = torch.nn.Sequential(torch.nn.Linear(INPUTS, 16), torch.nn.Tanh(), torch.nn.Linear(16, OUTPUTS))
    criterion = {
        "classification": torch.nn.CrossEntropyLoss(),
        "multilabel": torch.nn.BCEWithLogitsLoss(),
        "regression": torch.nn.MSELoss(),
    }[task]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x = torch.from_numpy(inputs).float()
    y = torch.from_numpy(TARGETS[task])
    y = y if task == "classification" else y.float()
    losses, states = [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        criterion(model(x[:SAMPLES]), y[:SAMPLES]).backward()
        optimizer.step()
        with torch.no_grad():
            losses.append(criterion(model(x[SAMPLES:]), y[SAMPLES:]).item())
        states.append({key: value.clone() for key, value in model.state_dict().items()})
    return losses, states


for task, targets in TARGETS.items():
    losses, states = theirs(task)
    for dtype, as_file in (("float64", False), ("float32", True), ("float16", False), ("bfloat16", True)):
        name = f"{task}-{dtype}"
        path = at(name + (".safetensors" if as_file else ".arrays"))
        write(path, dtype, targets, as_file)
        told = train(name + ".out", path, task)
        if told is None:
            continue
        worst = max(abs(a - b) for a, b in zip(told["val_loss"], losses))
        if len(told["val_loss"]) != STEPS or not worst < LIMIT:
            failures.append(f"{name}: validation losses differ by {worst}")
        with open(os.path.join(at(name + ".out"), "model.json")) as file:
            best = json.load(file)["trained"]["best_epoch"]
        ours = load_file(os.path.join(at(name + ".out"), "model.safetensors"))
        difference = max((ours[key] - value).abs().max().item() for key, value in states[best - 1].items())
        if not difference < LIMIT:
            failures.append(f"{name}: weights differ by {difference}")
        print(f"{name}: losses differ by {worst:.2g}, weights by {difference:.2g}", flush=True)

# What numpy writes otherwise.
save = {"fortran": numpy.asfortranarray(inputs), "big": inputs.astype(">f4"), "objects": inputs.astype(object)}
for name, array in save.items():
    write(at(name), "float32", TARGETS["regression"], False)
    numpy.save(os.path.join(at(name), "inputs.npy"), array[:SAMPLES] if name != "fortran" else numpy.asfortranarray(array[:SAMPLES]))
    before = len(failures)
    train(name + ".out", at(name), "regression")
    wanted = {"fortran": "ascontiguousarray", "big": "big-endian", "objects": "Python objects"}[name]
    if len(failures) == before or wanted not in failures.pop():
        failures.append(f"{name}: not refused with '{wanted}'")

folder.cleanup()
for failure in failures:
    print("FAILED:", failure)
print(f"{len(failures)} failures")
sys.exit(bool(failures))
