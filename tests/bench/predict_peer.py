"""ResNet-18 as TorchScript in Python, for bench_predict: answers each line, "traced <threads>" or "frozen <threads>" (0: all cores), with the
milliseconds of one image, the median of 15 calls.

usage: predict_peer.py <weights.safetensors>
"""
import os
import statistics
import sys
import time

import torch
import torchvision
from safetensors.torch import load_file

model = torchvision.models.resnet18().eval()
model.load_state_dict(load_file(sys.argv[1]))
image = torch.sin(0.01 * torch.arange(3 * 224 * 224)).view(1, 3, 224, 224)
with torch.inference_mode():
    traced = torch.jit.trace(model, image)
    models = {"traced": traced, "frozen": torch.jit.freeze(traced)}
    for kind in models.values():
        for _ in range(5):
            kind(image)
    for line in iter(sys.stdin.readline, ""):
        kind, threads = line.split()
        torch.set_num_threads(int(threads) or os.cpu_count())
        times = []
        for _ in range(15):
            start = time.perf_counter()
            models[kind](image).softmax(1)
            times.append((time.perf_counter() - start) * 1e3)
        print(f"{statistics.median(times):.4f}", flush=True)
