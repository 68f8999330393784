"""Models that Python saved, of every kind of file, give Python's logits; what the engine exports, Python reads.

usage: loaded_model_parity.py <loaded_model_driver>
"""
import json
import os
import subprocess
import sys
import tempfile
import warnings

import torch
import torchvision
from safetensors.torch import load_file, save_file

warnings.filterwarnings("ignore")
driver = sys.argv[1]
folder = tempfile.TemporaryDirectory(prefix="trainyard-parity-")
failures = []
worst = 0.0
torch.set_num_threads(1)
torch.manual_seed(0)
images = torch.randn(3, 3, 96, 80)


def at(name):
    return os.path.join(folder.name, name)


def call(*arguments):
    done = subprocess.run([driver, *arguments], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        failures.append(f"{arguments}: crashed: {done.returncode} {done.stderr}")
    return done.returncode, done.stdout.strip()


def expect(what, holds):
    if not holds:
        failures.append(what)


def close(what, ours, theirs):
    global worst
    if ours.shape != theirs.shape:
        return failures.append(f"{what}: shape {tuple(ours.shape)}, not {tuple(theirs.shape)}")
    worst = max(worst, (ours - theirs).abs().max().item())
    expect(f"{what}: differs by {(ours - theirs).abs().max()}", torch.allclose(ours, theirs, 1e-5, 1e-5))


def same(what, path, logits, classes=None):
    save_file({"images": images}, at("images.safetensors"))
    status, said = call("run", path, at("images.safetensors"), at("out.safetensors"))
    if status != 0:
        return failures.append(f"{what}: {said}")
    ours = load_file(at("out.safetensors"))
    close(f"{what} logits", ours["logits"], logits)
    close(f"{what} probabilities", ours["probabilities"], logits.softmax(1))
    expect(f"{what}: {said}", said == "classes " + " ".join(classes or map(str, range(logits.size(1)))))


def refused(what, *texts, arguments):
    status, said = call(*arguments)
    expect(f"{what}: was accepted", status == 1)
    for text in texts:
        expect(f"{what}: does not say {text!r}: {said}", text in said)


def make(name, classes):
    """With weights that no initialisation gives, so that each tensor matters."""
    model = getattr(torchvision.models, name)(num_classes=classes)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if value.dim() == 1 and value.is_floating_point():
                value.uniform_(0.5, 1.5) if "var" in key or "weight" in key else value.uniform_(-0.1, 0.1)
    return model.eval()


class Net(torch.nn.Module):
    """A model that the engine does not know."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, stride=2)
        self.norm = torch.nn.BatchNorm2d(8)
        self.fc = torch.nn.Linear(8, 4)

    def forward(self, x):
        return self.fc(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


for name in ("resnet18", "squeezenet1_1"):
    model = make(name, 5)
    with torch.no_grad():
        logits = model(images)
    expect(f"{name}: logits all alike show nothing", logits.std() > 1e-3)
    torch.save(model, at("whole.pth"))
    same(f"{name} whole module", at("whole.pth"), logits)
    torch.save(model, at("legacy.pth"), _use_new_zipfile_serialization=False)
    same(f"{name} whole module, legacy", at("legacy.pth"), logits)
    torch.save(torch.nn.DataParallel(model), at("parallel.pth"))
    same(f"{name} DataParallel", at("parallel.pth"), logits)
    torch.save(model.state_dict(), at("state.pth"))
    same(f"{name} state dict", at("state.pth"), logits)
    save_file(model.state_dict(), at("state.safetensors"))
    same(f"{name} safetensors", at("state.safetensors"), logits)
    for kind, module in (("script", torch.jit.script(model)), ("trace", torch.jit.trace(model, images))):
        torch.jit.save(module, at(f"{kind}.pt"))
        same(f"{name} {kind}", at(f"{kind}.pt"), logits)
    torch.jit.save(torch.jit.freeze(torch.jit.script(model)), at("frozen.pt"))
    same(f"{name} frozen", at("frozen.pt"), logits)

    # Exports: what Python reads is what Python wrote.
    for source in ("whole.pth", "state.safetensors", "script.pt"):
        status, said = call("export", at(source), "state_dict", at("out.pth"))
        expect(f"export of {source}: {said}", status == 0)
        other = getattr(torchvision.models, name)(num_classes=5)
        other.load_state_dict(torch.load(at("out.pth"), weights_only=True), strict=True)
        status, said = call("export", at(source), "safetensors", at("out.safetensors"))
        expect(f"export of {source}: {said}", status == 0)
        tensors = load_file(at("out.safetensors"))
        expect(f"export of {source}: names", set(tensors) == set(model.state_dict()))
        for key, value in model.state_dict().items():
            expect(f"export of {source}: {key}", torch.equal(value, other.state_dict()[key]))
            expect(f"export of {source}: {key}", torch.equal(value, tensors[key]))
    status, said = call("export", at("script.pt"), "torchscript", at("again.pt"))
    expect(f"export of TorchScript: {said}", status == 0)
    with torch.no_grad():
        close(f"{name} exported TorchScript", torch.jit.load(at("again.pt"))(images), logits)

norms = {"resnet18": 20, "squeezenet1_1": 0}
for name, dropouts in (("resnet18", 0), ("squeezenet1_1", 1)):
    model = make(name, 5)
    torch.jit.save(torch.jit.script(model), at("a.pt"))
    expect(f"{name} scripted", call("traced", at("a.pt")) == (0, "can be trained"))
    torch.jit.save(torch.jit.trace(model, images), at("a.pt"))
    said = call("traced", at("a.pt"))[1]
    if norms[name]:
        expect(f"{name} traced: {said}", f"traced in evaluation mode: {norms[name]} batch norms in" in said)
    if dropouts:
        expect(f"{name} traced: {said}", f"traced in evaluation mode: {dropouts} dropout in" in said)
    torch.jit.save(torch.jit.trace(model.train(), images, check_trace=False), at("a.pt"))
    expect(f"{name} traced in training", call("traced", at("a.pt")) == (0, "can be trained"))

# What is not known to the engine runs as TorchScript, with a model.json for its classes and preprocessing.
os.mkdir(at("net"))
net = Net().eval()
with torch.no_grad():
    logits = net(images)
torch.save(net, at("net/net.pth"))
refused("unknown class", "__main__.Net", "torch.jit.script",
        arguments=("run", at("net/net.pth"), at("images.safetensors"), at("out.safetensors")))
torch.save(net.state_dict(), at("net/state.pth"))
refused("unknown names", "no known model",
        arguments=("run", at("net/state.pth"), at("images.safetensors"), at("out.safetensors")))
torch.jit.script(net).save(at("net/net.pt"))
same("a model of one's own", at("net/net.pt"), logits)
os.mkdir(at("registered"))
torch.jit.script(net).save(at("registered/anything.bin"))
same("the only file of a directory", at("registered"), logits)
classes = ["cat", "dog", "hen", "pig"]
description = {"schema_version": 1, "task": "image_classification", "weights": "net.pt", "classes": classes}
with open(at("net/model.json"), "w") as file:
    json.dump(description, file)
same("with model.json", at("net/net.pt"), logits, classes)
same("its directory", at("net"), logits, classes)
with open(at("net/model.json"), "w") as file:
    json.dump(dict(description, classes=classes[:3]), file)
refused("too few classes", "tells 4 classes apart", "names 3",
        arguments=("run", at("net"), at("images.safetensors"), at("out.safetensors")))
refused("no TorchScript", "holds weights and no code", arguments=("export", at("whole.pth"), "torchscript", at("x.pt")))
refused("another format", "'onxn'", "state_dict", arguments=("export", at("whole.pth"), "onxn", at("x.pt")))
expect("nothing is written then", not os.path.exists(at("x.pt")))


class Fixed(Net):
    def forward(self, x):
        return super().forward(x.view(x.size(0), 3, 64, 64))


torch.jit.trace(Fixed().eval(), torch.rand(1, 3, 64, 64)).save(at("fixed.pt"))
refused("another image size", "224 x 224", "shape '[1, 3, 64, 64]' is invalid", "preprocessing",
        arguments=("run", at("fixed.pt"), at("images.safetensors"), at("out.safetensors")))

folder.cleanup()
for failure in failures[:40]:
    print("FAILED:", failure)
print(f"{len(failures)} failures; largest difference {worst:.2g}")
sys.exit(bool(failures))
