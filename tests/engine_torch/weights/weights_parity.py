"""Reads files that Python's torch.save and torch.jit.save write with the engine's reader and compares every tensor bit for bit.

usage: weights_parity.py <weights_driver>
"""
import argparse
import collections
import os
import pickle
import subprocess
import sys
import tempfile
import warnings

import numpy
import torch
import torchvision
from safetensors.torch import load_file, save_file

warnings.filterwarnings("ignore")
driver = sys.argv[1]
folder = tempfile.TemporaryDirectory(prefix="trainyard-parity-")
failures = []


class Net(torch.nn.Module):
    """A user's class, pickled as __main__.Net."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)
        self.register_buffer("cache", torch.zeros(5), persistent=False)
        self.register_buffer("table", torch.arange(5))
        self.tied = self.conv
        self.act = torch.nn.functional.relu


class Config:
    pass


class Tensor(torch.Tensor):
    pass


class Evil:
    """Runs a command when unpickled by Python."""

    def __reduce__(self):
        return os.system, (f"touch {folder.name}/owned",)


class EvilEval:
    def __reduce__(self):
        return eval, (f"open('{folder.name}/owned', 'w')",)


def read(path):
    out = os.path.join(folder.name, "out.safetensors")
    done = subprocess.run([driver, path, out], capture_output=True, text=True)
    if done.returncode == 1:
        return done.stdout.strip(), None
    if done.returncode != 0:
        return f"crashed: {done.returncode} {done.stderr}", None
    return done.stdout, load_file(out)


def bits(tensor):
    return tensor.detach().contiguous().flatten().view(torch.uint8) if tensor.numel() else tensor


def check(name, path, expected, *texts):
    said, tensors = read(path)
    if tensors is None:
        return failures.append(f"{name}: {said}")
    if list(expected) != [line.split(" ")[1:] for line in said.splitlines() if line.startswith("names")][0]:
        failures.append(f"{name}: names or their order differ: {said}")
    for key, value in expected.items():
        if key not in tensors:
            failures.append(f"{name}: {key} is missing")
        elif tensors[key].dtype != value.dtype or tensors[key].shape != value.shape:
            failures.append(f"{name}: {key} is {tensors[key].dtype} {tensors[key].shape}, not {value.dtype} {value.shape}")
        elif not torch.equal(bits(tensors[key]), bits(value)):
            failures.append(f"{name}: {key} differs")
    for text in texts:
        if text not in said:
            failures.append(f"{name}: does not say {text!r}: {said}")


def save(value, **options):
    path = os.path.join(folder.name, "in.pth")
    torch.save(value, path, **options)
    return path


def check_saved(name, value, expected, *texts):
    legacy = dict(_use_new_zipfile_serialization=False)
    for options in ({}, legacy, dict(pickle_protocol=4), dict(pickle_protocol=5), dict(legacy, pickle_protocol=4)):
        check(f"{name} {options}", save(value, **options), expected, *texts)


def refused(name, path, *texts):
    said, tensors = read(path)
    if tensors is not None:
        failures.append(f"{name}: was accepted")
    for text in texts:
        if text not in said:
            failures.append(f"{name}: does not say {text!r}: {said}")


torch.manual_seed(0)
resnet = torchvision.models.resnet18()
state = resnet.state_dict()
check_saved("state dict", state, state)
check_saved("plain dict", dict(state), state)
check_saved("module. prefix", collections.OrderedDict(("module." + k, v) for k, v in state.items()), state)
check_saved("_orig_mod. prefix", {"_orig_mod." + k: v for k, v in state.items()}, state)
check_saved("parameters", dict(resnet.named_parameters()), dict(resnet.named_parameters()))
optimizer = torch.optim.SGD(resnet.parameters(), lr=0.1, momentum=0.9)
resnet(torch.rand(2, 3, 64, 64)).sum().backward()
optimizer.step()
state = resnet.state_dict()
checkpoint = {
    "epoch": 3, "loss": 0.5, "best": numpy.float64(0.9), "args": argparse.Namespace(lr=0.1, name="x"), "rng": torch.get_rng_state(),
    "state_dict": state, "optimizer": optimizer.state_dict(), "classes": ["a", "b"], "ema": state,
}
check_saved("checkpoint", checkpoint, state, "state_dict_key state_dict", "other_key ema")
check_saved("checkpoint with a model", {"model": resnet, "epoch": 1}, state, "state_dict_key model")
check_saved("whole resnet", resnet, state, "model_class torchvision.models.resnet.ResNet")
squeezenet = torchvision.models.squeezenet1_1()
check_saved("whole squeezenet", squeezenet, squeezenet.state_dict(), "torchvision.models.squeezenet.SqueezeNet")
net = Net()
check_saved("whole module of a user's class", net, net.state_dict(), "model_class __main__.Net")
check_saved("DataParallel", torch.nn.DataParallel(net), net.state_dict(), "model_class __main__.Net")
base = torch.arange(120, dtype=torch.float32)
odd = {
    "double": torch.rand(3, dtype=torch.float64), "half": torch.rand(3).half(), "bfloat16": torch.rand(3).bfloat16(),
    "int64": torch.tensor(-7), "int32": torch.arange(4, dtype=torch.int32), "int16": torch.arange(4, dtype=torch.int16),
    "int8": torch.arange(-2, 2, dtype=torch.int8), "uint8": torch.arange(4, dtype=torch.uint8),
    "bool": torch.tensor([True, False]), "empty": torch.empty(0, 3), "transposed": base.view(10, 12).t(),
    "sliced": base.view(4, 5, 6)[1:3, ::2, 1], "expanded": torch.tensor([1.0]).expand(4, 3), "tied": base.view(3, 40),
    "channels_last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "parameter": torch.nn.Parameter(torch.rand(2, 2)), "subclass": torch.rand(3).as_subclass(torch.nn.Parameter),
}
check_saved("odd tensors", odd, odd)

path = os.path.join(folder.name, "in.safetensors")
plain = {k: v.contiguous().clone() for k, v in odd.items() if k not in ("subclass", "parameter")}
save_file(plain, path, metadata={"format": "pt"})
said, tensors = read(path)
if tensors is None or set(tensors) != set(plain) or not all(torch.equal(bits(plain[k]), bits(tensors[k])) for k in plain):
    failures.append(f"safetensors: {said}")

for evil in (Evil(), EvilEval(), {"state_dict": state, "x": Evil()}):
    for options in ({}, dict(_use_new_zipfile_serialization=False), dict(pickle_protocol=4)):
        refused("evil", save(evil, **options), "asks to import", "nothing was executed")
refused("os.system", save(Evil()), "posix.system")
refused("eval", save(EvilEval()), "builtin")
bare = os.path.join(folder.name, "bare.pkl")
for protocol in range(6):
    with open(bare, "wb") as file:
        pickle.dump(Evil(), file, protocol)
    refused(f"bare pickle {protocol}", bare, "posix.system", "nothing was executed")
refused("unknown class", save({"model": state, "config": Config()}), "__main__.Config")
refused("function", save({"model": state, "f": os.path.join}), "posixpath.join")
refused("uint16", save({"w": torch.zeros(3, dtype=torch.uint16)}), "uint16")
refused("complex", save({"w": torch.zeros(3, dtype=torch.complex64)}), "Complex")
refused("sparse", save({"w": torch.eye(3).to_sparse()}), "_rebuild_sparse_tensor")
refused("no tensors", save({"lr": 1}), "'lr'")
refused("one tensor", save(torch.rand(3)), "no state dict")
scripted = os.path.join(folder.name, "scripted.pt")
for name in ("resnet18", "squeezenet1_1", "mobilenet_v3_small"):
    model = getattr(torchvision.models, name)().eval()
    for module in (torch.jit.script(model), torch.jit.trace(model, torch.rand(1, 3, 64, 64))):
        torch.jit.save(module, scripted)
        state = torch.jit.load(scripted).state_dict()
        check(f"TorchScript {name}", scripted, state, "format torchscript", "model_class torchvision.models.")
        if list(state) != list(model.state_dict()):
            failures.append(f"TorchScript {name}: not the names of the model")
torch.jit.save(torch.jit.freeze(torch.jit.script(resnet.eval())), scripted)
refused("frozen TorchScript", scripted, "without any parameter", "frozen")
state = resnet.state_dict()
for options in ({}, dict(_use_new_zipfile_serialization=False)):
    whole = open(save(state, **options), "rb").read()
    for size in list(range(1, 200, 13)) + list(range(200, len(whole), len(whole) // 40)) + [len(whole) - 1]:
        cut = os.path.join(folder.name, "cut.pth")
        with open(cut, "wb") as file:
            file.write(whole[:size])
        refused(f"cut at {size}", cut, *([] if size < 2 else ["is truncated", f"{size} present"]))
if os.path.exists(os.path.join(folder.name, "owned")):
    failures.append("a file's code was executed")

folder.cleanup()
for failure in failures[:40]:
    print("FAILED:", failure)
print(f"{len(failures)} failures")
sys.exit(bool(failures))
