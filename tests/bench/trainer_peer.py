"""The MLP of bench_trainer in eager PyTorch. usage: trainer_peer.py <steps> <threads>"""
import sys
import time

import torch

steps, threads = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
inputs = torch.sin(0.37 * torch.arange(256 * 64, dtype=torch.float64)).float().view(256, 64)
targets = (inputs[:, 0] * inputs[:, 1]).view(256, 1).clone()
times = []
for step in range(steps + 50):
    start = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    loss = torch.nn.functional.mse_loss(model(inputs), targets)
    loss.backward()
    optimizer.step()
    loss.item()
    if step >= 50:
        times.append((time.perf_counter() - start) * 1e6)
print(f"{sorted(times)[len(times) // 2]:.1f}")
