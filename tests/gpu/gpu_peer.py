"""PyTorch's side of tests/gpu/run.py: the same networks, batches and recipes. Every figure goes to standard output as one JSON line.

usage: gpu_peer.py steps|bench <options>      as gpu_driver takes them; bench also: --mode eager|compile
       gpu_peer.py job --data DIR --recipe tutorial|jpeg --epochs N --batch N [...]
       gpu_peer.py images --out DIR --count N --width W --height H   makes a set of JPEG files, in two classes
"""
import argparse
import json
import os
import sys
import time

import torch

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def numerics(options):
    tf32 = options.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.deterministic = bool(options.deterministic)
    torch.backends.cudnn.benchmark = not options.deterministic
    if options.threads:
        torch.set_num_threads(options.threads)


class Setup:
    def __init__(self, options):
        import torchvision

        numerics(options)
        self.options = options
        self.device = torch.device(options.device)
        torch.manual_seed(1)
        model = getattr(torchvision.models, options.model)(num_classes=options.classes)
        self.model = model.to(memory_format=torch.channels_last).to(self.device).train()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9, fused=True)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=options.precision == "fp16")
        self.call = torch.compile(self.model) if options.mode == "compile" else self.model

    def images(self, step):
        o = self.options
        values = (torch.arange(o.batch * 3 * o.image * o.image, dtype=torch.float64) * 0.37 + step).sin().float()
        return values.view(o.batch, 3, o.image, o.image).contiguous(memory_format=torch.channels_last).to(self.device)

    def targets(self):
        return (torch.arange(self.options.batch) % self.options.classes).to(self.device)

    def step(self, images, targets):
        self.optimizer.zero_grad(set_to_none=True)
        dtype = DTYPES.get(self.options.precision)
        with torch.autocast(self.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            loss = torch.nn.functional.cross_entropy(self.call(images), targets)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss


def steps(options):
    setup = Setup(options)
    targets = setup.targets()
    losses = [setup.step(setup.images(step), targets).item() for step in range(options.steps)]
    with open(options.out, "wb") as file:
        for parameter in setup.model.parameters():
            file.write(parameter.detach().cpu().contiguous().numpy().tobytes())
    return {"losses": losses}


def bench(options):
    setup = Setup(options)
    images, targets = setup.images(0), setup.targets()
    for _ in range(max(options.steps // 5, 6)):
        setup.step(images, targets)
    rates, stretch = [], max(options.steps // 5, 1)
    for _ in range(5):
        wait(setup.device)
        start = time.perf_counter()
        for _ in range(stretch):
            setup.step(images, targets)
        wait(setup.device)
        rates.append(options.batch * stretch / (time.perf_counter() - start))
    return {"images_per_second": sorted(rates)[2]}


def job(options):
    """The tutorial's recipe, or training from JPEG files with the usual settings for speed."""
    import torchvision
    from torchvision import datasets, transforms

    torch.manual_seed(0)
    fast = options.recipe == "jpeg"
    options.precision = options.precision if fast else "fp32"
    if fast:
        numerics(options)
    device = torch.device(options.device)
    normalise = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    crop, resize = options.image, round(options.image * 256 / 224)
    sets = {
        "train": datasets.ImageFolder(os.path.join(options.data, "train"), transforms.Compose(
            [transforms.RandomResizedCrop(crop), transforms.RandomHorizontalFlip(), transforms.ToTensor(), normalise])),
        "val": datasets.ImageFolder(os.path.join(options.data, "val"), transforms.Compose(
            [transforms.Resize(resize), transforms.CenterCrop(crop), transforms.ToTensor(), normalise]))}
    # The tutorial has 4 workers and starts them anew in each epoch.
    workers = options.workers if fast else min(4, options.workers)
    more = {"pin_memory": device.type == "cuda", "persistent_workers": workers > 0} if fast else {}
    loaders = {name: torch.utils.data.DataLoader(images, batch_size=options.batch, shuffle=True, num_workers=workers, **more) for name, images in sets.items()}
    model = getattr(torchvision.models, options.model)(num_classes=len(sets["train"].classes)).to(device)
    layout = torch.channels_last if fast else torch.contiguous_format
    model = model.to(memory_format=layout)
    dtype = DTYPES.get(options.precision)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9, **({"fused": True} if fast else {}))
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    answer = {"epoch_seconds": [], "images_per_second": [], "best_val_accuracy": [0.0]}
    for _ in range(options.epochs):
        start = time.perf_counter()
        for phase in ("train", "val"):
            model.train(phase == "train")
            total, right = torch.zeros((), device=device), torch.zeros((), device=device)
            for inputs, labels in loaders[phase]:
                inputs = inputs.to(device, non_blocking=fast, memory_format=layout)
                labels = labels.to(device, non_blocking=fast)
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    with torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
                        outputs = model(inputs)
                        loss = torch.nn.functional.cross_entropy(outputs, labels)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()
                if fast:
                    total += loss.detach() * len(labels)
                else:
                    total += loss.item() * len(labels)  # the tutorial waits for each loss
                right += (outputs.argmax(1) == labels).sum()
            accuracy = right.item() / len(sets[phase])
            if phase == "train":
                answer["images_per_second"].append(len(sets["train"]) / (time.perf_counter() - start))
        schedule.step()
        answer["best_val_accuracy"][0] = max(answer["best_val_accuracy"][0], accuracy)
        answer["epoch_seconds"].append(time.perf_counter() - start)
    return answer


def images(options):
    import numpy
    from PIL import Image

    random = numpy.random.default_rng(0)
    for part, count in (("train", options.count), ("val", max(options.count // 4, 4))):
        for index in range(count):
            label = index % 2
            folder = os.path.join(options.out, part, f"class{label}")
            os.makedirs(folder, exist_ok=True)
            # Smooth shapes with some noise: about the bytes per pixel of photographs.
            small = random.integers(0, 200, (12, 16, 3), dtype=numpy.uint8)
            picture = Image.fromarray(small).resize((options.width, options.height), Image.BICUBIC)
            noisy = numpy.asarray(picture, dtype=numpy.int16) + random.integers(0, 24, (options.height, options.width, 3))
            noisy[:, :, label] = numpy.minimum(noisy[:, :, label] + 30, 255)
            Image.fromarray(noisy.clip(0, 255).astype(numpy.uint8)).save(os.path.join(folder, f"{index}.jpg"), quality=88)
    return {"count": options.count}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["steps", "bench", "job", "images"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--graphs", default="auto")  # ours only
    parser.add_argument("--mode", default="eager")
    parser.add_argument("--recipe", default="tutorial")
    parser.add_argument("--data", default="")
    parser.add_argument("--out", default=os.devnull)
    for name, value in (("batch", 64), ("image", 224), ("classes", 1000), ("steps", 10), ("deterministic", 0), ("threads", 0), ("epochs", 1),
                        ("workers", os.cpu_count() or 1), ("count", 64), ("width", 500), ("height", 375)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    print(json.dumps({"steps": steps, "bench": bench, "job": job, "images": images}[options.what](options)))


if __name__ == "__main__":
    sys.exit(main())
