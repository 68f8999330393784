"""Training steps alone in eager PyTorch, channels-last: the peer of step_driver.

usage: train_step_peer.py <architecture> <batch> <steps> <threads>
"""
import sys
import time

import torch
import torchvision

name, batch, steps, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
torch.manual_seed(0)
model = getattr(torchvision.models, name)().to(memory_format=torch.channels_last).train()
optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9, fused=True)
images = torch.randn(batch, 3, 224, 224).contiguous(memory_format=torch.channels_last)
targets = torch.randint(1000, (batch,))
times = []
for step in range(steps + 3):
    start = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    loss = torch.nn.functional.cross_entropy(model(images), targets)
    loss.backward()
    optimizer.step()
    loss.item()
    if step >= 3:
        times.append((time.perf_counter() - start) * 1000)
print(f"{sorted(times)[len(times) // 2]:.3f}")
