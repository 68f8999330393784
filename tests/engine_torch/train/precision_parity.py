"""Compares steps under autocast and the gradient scaler with torch.autocast and torch.amp.GradScaler on the CPU: same weights, same batches.

usage: precision_parity.py <precision_driver>
"""
import subprocess
import sys

import torch
import torchvision

driver = sys.argv[1]
failures = []
torch.set_num_threads(1)


def ours(*arguments):
    done = subprocess.run([driver, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        failures.append(f"{arguments}: {done.stderr}")
    return [[float(value) for value in line.split()] for line in done.stdout.splitlines()]


def theirs(architecture, dtype, steps):
    torch.manual_seed(1)
    model = getattr(torchvision.models, architecture)(num_classes=3).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    scaler = torch.amp.GradScaler("cpu", enabled=dtype == torch.float16)
    targets = torch.arange(4) % 3
    lines = []
    for step in range(steps):
        images = (torch.arange(4 * 3 * 64 * 64, dtype=torch.float32) * 0.37 + step).sin().view(4, 3, 64, 64).contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            loss = torch.nn.functional.cross_entropy(model(images), targets)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        weights = next(model.parameters()).detach().contiguous().view(-1)[:64]
        lines.append([loss.item(), *weights.tolist()])
    return lines


# What a step may differ by where the kernels do: the format's own spacing, times what a network makes of it.
for name, dtype, steps, tolerance in (("fp32", None, 3, 1e-5), ("bf16", torch.bfloat16, 3, 2.0**-8), ("fp16", torch.float16, 2, 2.0**-10)):
    mine, peer = torch.tensor(ours("steps", "resnet18", name, str(steps))), torch.tensor(theirs("resnet18", dtype, steps))
    if mine.shape != peer.shape:
        failures.append(f"{name}: shape {tuple(mine.shape)}, not {tuple(peer.shape)}")
        continue
    first, worst = (mine[0, 0] - peer[0, 0]).abs().item(), (mine - peer).abs().max().item()
    print(f"{name}: first loss differs by {first:.3g}, {steps} steps' losses and weights by at most {worst:.3g}"
          f"{' (bit-equal)' if torch.equal(mine, peer) else ''}")
    if first > tolerance * peer[0, 0].abs().item():
        failures.append(f"{name}: the first loss is {mine[0, 0]}, not {peer[0, 0]}")
    if worst > 4 * tolerance * peer.abs().max().item():
        failures.append(f"{name}: steps differ by {worst}")

sequence = ["f1", "i1", "f3", "n1", "i2", "f1999", "f1", "f2000", "i1", "f2001"]
scaler = torch.amp.GradScaler("cpu")
scaler.scale(torch.ones(()))  # it makes its tensors then
answers = []
for entry in sequence:
    value = {"f": 2.0, "i": float("inf"), "n": float("nan")}[entry[0]]
    for _ in range(int(entry[1:])):
        parameter = torch.nn.Parameter(torch.zeros(3))
        parameter.grad = torch.full((3,), value)
        scaler.step(torch.optim.SGD([parameter], lr=0.1))
        scaler.update()
    answers.append([scaler.get_scale(), float(scaler._get_growth_tracker())])
mine = ours("scaler", *sequence)
print(f"scaler after {' '.join(sequence)}: {mine}")
if mine != answers:
    failures.append(f"scaler: {mine}, not {answers}")

for failure in failures:
    print("FAILED:", failure)
print(f"{len(failures)} failures")
sys.exit(bool(failures))
