"""Has Python's torch.load(weights_only=True) read what the engine writes for it, and compares bit for bit.

usage: torch_writer_parity.py <weights_driver>
"""
import collections
import os
import subprocess
import sys
import tempfile
import zipfile

# torch.load then compares where it computes that a storage lies with where it lies.
os.environ["TORCH_SERIALIZATION_DEBUG"] = "1"

import torch
import torchvision
from torch.utils.serialization import config

driver = sys.argv[1]
folder = tempfile.TemporaryDirectory(prefix="trainyard-parity-")
failures = []


def at(name):
    return os.path.join(folder.name, name)


def expect(what, holds):
    if not holds:
        failures.append(what)


def write(*arguments):
    done = subprocess.run([driver, *arguments], capture_output=True, text=True)
    expect(f"{arguments}: {done.returncode} {done.stdout} {done.stderr}", done.returncode == 0)
    return done.returncode == 0


def bits(tensor):
    return tensor.detach().contiguous().flatten().view(torch.uint8) if tensor.numel() else tensor


def check(name, state):
    """Writes `state` with Python, has the engine read it and write it again, reads that in every way there is."""
    torch.save(state, at("in.pth"))
    if not write(at("in.pth"), at("out.pth")):
        return None
    for mmap in (False, True):
        for computed in (False, True):
            config.load.calculate_storage_offsets = computed
            read = torch.load(at("out.pth"), weights_only=True, mmap=mmap)
            expect(f"{name}: is a {type(read)}", type(read) is collections.OrderedDict)
            expect(f"{name}: keys or their order", list(read) == list(state))
            for key, value in state.items():
                got = read[key]
                same = got.dtype == value.dtype and got.shape == value.shape and torch.equal(bits(got), bits(value))
                expect(f"{name}: {key} differs: {got.dtype} {got.shape}", same)
                if value.numel() and all(size > 1 for size in value.shape):
                    expect(f"{name}: {key} has strides {got.stride()}", got.stride() == value.stride())
                expect(f"{name}: {key} requires grad", not got.requires_grad)
    config.load.calculate_storage_offsets = False
    expect(f"{name}: zip test", zipfile.ZipFile(at("out.pth")).testzip() is None)
    return torch.load(at("out.pth"), weights_only=True)


torch.manual_seed(0)
base = torch.arange(120, dtype=torch.float32)
odd = {
    "float64": torch.rand(3, dtype=torch.float64), "float32": torch.rand(2, 3), "float16": torch.rand(3).half(),
    "bfloat16": torch.rand(3).bfloat16(), "int64": torch.tensor(-7), "int32": torch.arange(4, dtype=torch.int32),
    "int16": torch.arange(4, dtype=torch.int16), "int8": torch.arange(-2, 2, dtype=torch.int8),
    "uint8": torch.arange(4, dtype=torch.uint8), "bool": torch.tensor([True, False]), "nan": torch.tensor(float("nan")),
    "empty": torch.empty(0, 3), "none": torch.empty(0), "transposed": base.view(10, 12).t(),
    "sliced": base.view(4, 5, 6)[1:3, ::2, 1], "expanded": torch.tensor([1.0]).expand(4, 3), "tied": base.view(3, 40),
    "channels_last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last), "a name\n\xe9'\"": torch.rand(1),
}
read = check("odd tensors", odd)
if read:
    storages = {read[key].untyped_storage().data_ptr() for key in ("transposed", "sliced", "tied")}
    expect("views of one storage share one", len(storages) == 1)
    read["tied"][0, 0] = -1
    expect("a change of one is seen in the other", read["transposed"][0, 0] == -1)

for name in ("resnet18", "squeezenet1_1"):
    model = getattr(torchvision.models, name)()
    read = check(name, model.state_dict())
    if read:
        getattr(torchvision.models, name)().load_state_dict(read, strict=True)
many = {f"t{i}": torch.tensor(i) for i in range(70_000)}
torch.save(many, at("in.pth"))
if write(at("in.pth"), at("out.pth")):
    read = torch.load(at("out.pth"), weights_only=True)
    expect("70,000 tensors", list(read) == list(many) and all(int(value) == i for i, value in enumerate(read.values())))

if write("values", at("out.pth")):
    read = torch.load(at("out.pth"), weights_only=True)
    wanted = [None, True, False, 0.1, "text", "\xe9\U0001f600", [], {}, 0, 255, 256, 65536, -1, 2**40, -(2**63)]
    expect(f"values: {read['list']}", read["list"] == wanted)
    expect("types", [type(value) for value in read["list"]] == [type(value) for value in wanted])
    expect("a plain dict", type(read) is dict and type(read["model"]) is collections.OrderedDict)
    expect("tensors in it", read["model"]["whole"].tolist() == [1, 2, 3] and read["state"][0].tolist() == [2, 3])
    read["state"][0][0] = 9
    expect("shared", read["model"]["whole"].tolist() == [1, 9, 3])

if write("large", at("large.pth")):
    for computed in (False, True):
        config.load.calculate_storage_offsets = computed
        read = torch.load(at("large.pth"), weights_only=True, mmap=True)
        expect("large", read["large"].numel() == 2**32 + 1000 and int(read["large"][-1]) == 0)
        expect("beside large", read["before"].tolist() == [1, 2, 3] and read["after"].tolist() == [1, 2])
        expect("after large", read["last"].numel() == 0)

folder.cleanup()
for failure in failures[:40]:
    print("FAILED:", failure)
print(f"{len(failures)} failures")
sys.exit(bool(failures))
