"""Compares the native models with torchvision's: names, shapes, initial weights from a seed, logits, gradients, batch norm, weight files.

usage: models_parity.py <models_driver> <architecture>...
"""
import copy
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


def call(*arguments, status=0):
    done = subprocess.run([driver, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != status:
        failures.append(f"{arguments}: {done.stdout} {done.stderr}")
    return done.stdout


def close(what, ours, theirs, relative=1e-5, absolute=1e-5):
    if ours.shape != theirs.shape:
        return failures.append(f"{what}: shape {tuple(ours.shape)}, not {tuple(theirs.shape)}")
    if not torch.isfinite(theirs).all():
        return failures.append(f"{what}: not finite in torchvision, which shows nothing")
    difference = ((ours - theirs).abs() - relative * theirs.abs()).max().item() if ours.numel() else 0
    worst[0] = max(worst[0], (ours - theirs).abs().max().item())
    if not difference <= absolute:
        failures.append(f"{what}: differs by {difference}")


def new_model(name, classes):
    return getattr(torchvision.models, name)(num_classes=classes)


def head_of(model):
    """The path of the layer that a user replaces for other classes."""
    if hasattr(model, "heads"):
        return "heads.head"
    last = [path for path, layer in model.named_modules() if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d))][-1]
    return last


def features_of(model, images):
    """What goes into the container of the head, with its sides of 1 left out."""
    seen = []
    container = model.get_submodule(head_of(model).split(".")[0])
    hook = container.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    model(images)
    hook.remove()
    return seen[0].flatten(1) if seen[0].shape[2:] == (1, 1) else seen[0]


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
        # Another order in memory is another order of sums: torchvision's in the same one.
        last = copy.deepcopy(model).to(memory_format=torch.channels_last)
        close(f"{name} logits of channels-last images", ours["channels_last"], last(images.to(memory_format=torch.channels_last)))
        if not (theirs[0] - theirs[1]).abs().max() > 1e-2:
            failures.append(f"{name}: the same logits for every image show nothing")
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
    model.zero_grad()


def same_state(what, ours, theirs, leave_out=()):
    if set(ours) != set(theirs):
        return failures.append(f"{what}: names differ: {sorted(set(ours) ^ set(theirs))[:5]}")
    for key, value in theirs.items():
        if key not in leave_out and not torch.equal(ours[key], value):
            failures.append(f"{what} {key} differs: {tuple(ours[key].shape)} {tuple(value.shape)}")


def compare_start(name):
    for classes in (1000, 3):
        call("init", name, classes, 42, at("init"))
        torch.manual_seed(42)
        model = new_model(name, classes)
        if not failures:
            same_state(f"{name}: initial", load_file(at("init")), model.state_dict())


def trained(name, classes, images):
    """A model each of whose tensors matters: no norm, bias or scale at its start value, batch norms that know the images."""
    model = new_model(name, classes)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    momentum = [norm.momentum for norm in norms]
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "norm" in key or "bn" in key or value.dim() == 1 or "layer_scale" in key:
                value.uniform_(0.5, 1.5) if value.min() == value.max() != 0 or "layer_scale" in key else value.uniform_(-0.1, 0.1)
            elif value.min() == value.max():  # the class token
                value.normal_(0, 0.1)
        model.get_submodule(head_of(model)).weight.normal_(0, 0.1)  # large enough to see differences by
        for norm in norms:
            norm.momentum = 1.0
        model.train()
        model(images)
    for norm, value in zip(norms, momentum):
        norm.momentum = value
    return model


def compare_files(name, model):
    """What torch.save wrote, and weights for other classes."""
    state = model.state_dict()
    head = head_of(model)
    output = call("load", name, 3, at("w.pth"), at("loaded"))
    if "head_replaced 1" not in output:
        return failures.append(f"{name}: the head for 10 classes was kept for 3: {output}")
    loaded = load_file(at("loaded"))
    same_state(f"{name}: beside a new head,", loaded, state, (head + ".weight", head + ".bias"))
    if len(loaded[head + ".weight"]) != 3 or len(loaded[head + ".bias"]) != 3:
        failures.append(f"{name}: the new head has not 3 classes")
    other = "resnet18" if name != "resnet18" else "vgg16_bn"
    # All names of resnet18 are in the deeper ones of its family.
    missing = set(new_model(other, 10).state_dict()) - set(state)
    said = call("load", other, 10, at("w.pth"), at("loaded"), status=1)
    for part in ("unexpected (", f"these look like {name} weights", *(["missing ("] if missing else [])):
        if part not in said:
            failures.append(f"{name} weights in {other}: no '{part}' in {said}")


def compare_architecture(name):
    compare_start(name)
    images = torch.randn(2, 3, 224, 224)
    model = trained(name, 10, images)
    torch.save(model.state_dict(), at("w.pth"))
    compare_files(name, model)
    compare(name, model, at("w.pth"), images, 10)
    torch.save(model, at("w.pth"))
    sides = (224, 224) if name.startswith("vit") else (97, 131)
    compare(name, model, at("w.pth"), torch.randn(3, 3, *sides), 10)


def compare_pretrained():
    shared = os.environ.get("TRAINYARD_SHARED", os.path.join(os.path.dirname(__file__), "../../../../shared"))
    pretrained = os.path.join(shared, "data/squeezenet1_1-imagenet-caffe.safetensors")
    if not os.path.exists(pretrained):
        return
    model = torchvision.models.squeezenet1_1()
    model.load_state_dict(load_file(pretrained))
    compare("squeezenet1_1", model, pretrained, torch.randn(2, 3, 224, 224), 1000)
    if "head_replaced 1" not in call("load", "squeezenet1_1", 2, pretrained, at("out")):
        failures.append("the head for 1000 classes was kept for 2")


torch.manual_seed(7)
for name in sys.argv[2:]:
    worst = [0.0]
    compare_architecture(name)
    print(f"{name}: largest difference {worst[0]:.2g}")
    if name == "squeezenet1_1":
        worst = [0.0]
        compare_pretrained()
        print(f"pretrained {name}: largest difference {worst[0]:.2g}")

folder.cleanup()
for failure in failures[:40]:
    print("FAILED:", failure)
print(f"{len(failures)} failures")
sys.exit(bool(failures))
