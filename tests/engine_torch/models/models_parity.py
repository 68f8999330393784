"""Compares the native models with torchvision's: names, shapes, initial weights from a seed, logits, gradients, batch norm.

usage: models_parity.py <models_driver>
"""
import os
import subprocess
import sys
import tempfile

import torch
import torchvision
from safetensors.torch import load_file, save_file

driver = sys.argv[1]
folder = tempfile.TemporaryDirectory(prefix="trainyard-parity-")
failures = []
torch.set_num_threads(1)


def at(name):
    return os.path.join(folder.name, name)


def call(*arguments):
    done = subprocess.run([driver, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        failures.append(f"{arguments}: {done.stdout} {done.stderr}")
    return done.stdout


def close(what, ours, theirs, relative=1e-5, absolute=1e-5):
    if ours.shape != theirs.shape:
        return failures.append(f"{what}: shape {tuple(ours.shape)}, not {tuple(theirs.shape)}")
    difference = ((ours - theirs).abs() - relative * theirs.abs()).max().item() if ours.numel() else 0
    worst[0] = max(worst[0], (ours - theirs).abs().max().item())
    if not difference <= absolute:
        failures.append(f"{what}: differs by {difference}")


def features_of(model, images):
    if hasattr(model, "classifier"):
        return model.features(images)
    return torch.nn.Sequential(*list(model.children())[:-1])(images).flatten(1)


def compare(name, model, weights, images, classes):
    """model is in the state that `weights` holds."""
    save_file({"images": images}, at("images"))
    call("run", name, classes, weights, at("images"), at("out"))
    if failures:
        return
    ours = load_file(at("out"))
    model.eval()
    with torch.no_grad():
        theirs = model(images)
        close(f"{name} logits", ours["logits"], theirs)
        if not theirs.std() > 1e-3:
            failures.append(f"{name}: logits all alike show nothing")
        close(f"{name} features", ours["features"], features_of(model, images))
    model.train()
    torch.manual_seed(1)
    logits = model(images)
    close(f"{name} logits in training mode", ours["train.logits"], logits.detach())
    torch.nn.functional.cross_entropy(logits, torch.zeros(len(images), dtype=torch.long)).backward()
    for key, parameter in model.named_parameters():
        close(f"{name} gradient of {key}", ours["grad." + key], parameter.grad, 1e-4, 1e-5)
    for key, buffer in model.named_buffers():
        close(f"{name} buffer {key}", ours["buffer." + key], buffer.float())


torch.manual_seed(7)
for name in ("squeezenet1_1", "resnet18", "resnet34", "resnet50"):
    worst = [0.0]
    for classes in (1000, 3):
        call("init", name, classes, 42, at("init"))
        torch.manual_seed(42)
        model = getattr(torchvision.models, name)(num_classes=classes)
        ours = load_file(at("init"))
        theirs = model.state_dict()
        if set(ours) != set(theirs):
            failures.append(f"{name}: names differ: {set(ours) ^ set(theirs)}")
            continue
        for key, value in theirs.items():
            if not torch.equal(ours[key], value):
                failures.append(f"{name}: initial {key} differs: {tuple(ours[key].shape)} {tuple(value.shape)}")
    # Weights that no initialisation gives, so that each tensor matters.
    model = getattr(torchvision.models, name)(num_classes=10)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if value.dim() == 1 and value.is_floating_point():
                value.uniform_(0.5, 1.5) if "var" in key or "weight" in key else value.uniform_(-0.1, 0.1)
    torch.save(model.state_dict(), at("w.pth"))
    compare(name, model, at("w.pth"), torch.randn(2, 3, 224, 224), 10)
    torch.save(model, at("w.pth"))
    model.zero_grad()
    compare(name, model, at("w.pth"), torch.randn(3, 3, 97, 131), 10)
    print(f"{name}: largest difference {worst[0]:.2g}")

shared = os.environ.get("TRAINYARD_SHARED", os.path.join(os.path.dirname(__file__), "../../../../shared"))
pretrained = os.path.join(shared, "data/squeezenet1_1-imagenet-caffe.safetensors")
if os.path.exists(pretrained):
    worst = [0.0]
    model = torchvision.models.squeezenet1_1()
    model.load_state_dict(load_file(pretrained))
    compare("squeezenet1_1", model, pretrained, torch.randn(2, 3, 224, 224), 1000)
    if "head_replaced 1" not in call("run", "squeezenet1_1", 2, pretrained, at("images"), at("out")):
        failures.append("the head for 1000 classes was kept for 2")
    print(f"pretrained squeezenet1_1: largest difference {worst[0]:.2g}")

folder.cleanup()
for failure in failures[:40]:
    print("FAILED:", failure)
print(f"{len(failures)} failures")
sys.exit(bool(failures))
