"""The data pipeline alone with torchvision: the peer of pipeline_driver. usage: pipeline_peer.py <folder> <epochs> <workers> <batch>"""
import sys
import time

import torch
from torchvision import datasets, transforms

folder, epochs, workers, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(1)
dataset = datasets.ImageFolder(folder, transforms.Compose([
    transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
    transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]))
# Workers stay, so that their start is not counted in the later epochs.
loader = torch.utils.data.DataLoader(dataset, batch_size=batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
for epoch in range(epochs):
    start = time.perf_counter()
    images = sum(len(targets) for _, targets in loader)
    print(f"{images / (time.perf_counter() - start):.1f}")
