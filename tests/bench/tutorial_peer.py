"""PyTorch's transfer-learning tutorial (pytorch.org/tutorials/beginner/transfer_learning_tutorial.html), its recipe unchanged: the peer
that bench_training compares with. Prints the median of the epochs' seconds and the best validation accuracy.
"""

import argparse
import os
import random
import statistics
import sys
import time

import numpy
import torch
from safetensors.torch import load_file
from torchvision import datasets, models, transforms

MEAN = [0.485, 0.456, 0.406]
STD = [0.229, 0.224, 0.225]


def make_model(architecture, weights, mode, classes):
    model = getattr(models, architecture)(weights=None)
    if weights:
        model.load_state_dict(load_file(weights))
    if mode == "feature":
        for parameter in model.parameters():
            parameter.requires_grad = False
    if architecture.startswith("squeezenet"):
        model.classifier[1] = torch.nn.Conv2d(512, classes, kernel_size=1)
        model.num_classes = classes
    else:
        model.fc = torch.nn.Linear(model.fc.in_features, classes)
    return model


def make_loaders(data, batch_size, workers):
    train = transforms.Compose([transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
                                transforms.Normalize(MEAN, STD)])
    val = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    sets = {"train": datasets.ImageFolder(os.path.join(data, "train"), train), "val": datasets.ImageFolder(os.path.join(data, "val"), val)}
    loaders = {name: torch.utils.data.DataLoader(images, batch_size=batch_size, shuffle=True, num_workers=workers) for name, images in sets.items()}
    return sets, loaders


def run_phase(model, loader, phase, criterion, optimizer):
    model.train() if phase == "train" else model.eval()
    loss_sum, correct, count = 0.0, 0, 0
    for inputs, labels in loader:
        optimizer.zero_grad()
        with torch.set_grad_enabled(phase == "train"):
            outputs = model(inputs)
            _, predicted = torch.max(outputs, 1)
            loss = criterion(outputs, labels)
            if phase == "train":
                loss.backward()
                optimizer.step()
        loss_sum += loss.item() * inputs.size(0)
        correct += torch.sum(predicted == labels.data).item()
        count += inputs.size(0)
    return loss_sum / count, correct / count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", default="")
    parser.add_argument("--model", default="squeezenet1_1")
    parser.add_argument("--mode", default="feature")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    numpy.random.seed(arguments.seed)
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)

    sets, loaders = make_loaders(arguments.data, 4, arguments.workers)
    model = make_model(arguments.model, arguments.weights, arguments.mode, len(sets["train"].classes))
    criterion = torch.nn.CrossEntropyLoss()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.001, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    best, best_state, seconds = 0.0, None, []
    for epoch in range(arguments.epochs):
        start = time.monotonic()
        train_loss, train_accuracy = run_phase(model, loaders["train"], "train", criterion, optimizer)
        scheduler.step()
        val_loss, val_accuracy = run_phase(model, loaders["val"], "val", criterion, optimizer)
        if val_accuracy > best:
            best = val_accuracy
            best_state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        seconds.append(time.monotonic() - start)
        print(f"peer epoch {epoch + 1}/{arguments.epochs} train {train_loss:.4f} {train_accuracy:.4f} val {val_loss:.4f} {val_accuracy:.4f} "
              f"{seconds[-1]:.2f} s", file=sys.stderr, flush=True)
    assert best_state is not None
    print(statistics.median(seconds), best)


if __name__ == "__main__":
    main()
