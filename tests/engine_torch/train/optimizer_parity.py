"""Compares optimizers, learning rate schedules, losses, clipping and moving averages with torch's, step by step.

usage: optimizer_parity.py <optimizer_driver>
"""
import json
import math
import os
import subprocess
import sys
import tempfile

import torch
from torch.optim import SGD, Adam, AdamW, RMSprop, lr_scheduler as schedules
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

driver = sys.argv[1]
EPOCHS, STEPS = 12, 5
failures = []
torch.set_num_threads(1)


def inputs(step):
    return (torch.arange(15, dtype=torch.float32) * 0.37 + step).sin().view(5, 3)


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter((torch.arange(12, dtype=torch.float32) * 0.7).cos().view(4, 3))
        self.bias = torch.nn.Parameter(torch.arange(4, dtype=torch.float32) * 0.1)

    def forward(self, x):
        return torch.nn.functional.linear(x, self.weight, self.bias)


def flat(*tensors):
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def check(name, settings, make_optimizer, make_schedule=None, per_step=False, plateau=False, loss=None, clip=None, decay=0.0):
    settings = {"data": {"directory": "none"}, "schedule": {"name": "constant"}, **settings}
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump(settings, file)
    done = subprocess.run([driver, file.name, str(EPOCHS), str(STEPS)], capture_output=True, text=True)
    os.unlink(file.name)
    if done.returncode != 0:
        return failures.append(f"{name}: {done.stderr}")
    lines = [[float(value) for value in line.split()] for line in done.stdout.splitlines()]
    model = Linear()
    lr = settings["optimizer"]["lr"]
    # Half the rate for the bias, as the driver has it.
    optimizer = make_optimizer([{"params": [model.weight], "lr": lr}, {"params": [model.bias], "lr": lr / 2}])
    schedule = make_schedule(optimizer) if make_schedule else None
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay else None
    criterion = loss or torch.nn.CrossEntropyLoss()
    targets = torch.arange(5) % 4
    worst = 0.0
    if len(lines) != EPOCHS * STEPS:
        return failures.append(f"{name}: {len(lines)} steps")
    for epoch in range(1, EPOCHS + 1):
        for step in range(1, STEPS + 1):
            ours = lines[(epoch - 1) * STEPS + step - 1]
            rate = optimizer.param_groups[0]["lr"]
            if abs(ours[0] - rate) > 1e-9 * abs(rate) + 1e-18:
                return failures.append(f"{name}: epoch {epoch} step {step}: rate {ours[0]}, not {rate}")
            optimizer.zero_grad()
            criterion(model(inputs((epoch - 1) * STEPS + step)), targets).backward()
            if clip:
                clip(model.parameters())
            optimizer.step()
            theirs = [model.weight, model.bias]
            if average:
                average.update_parameters(model)
                theirs += [average.module.weight, average.module.bias]
            theirs = flat(*theirs)
            difference = (torch.tensor(ours[1:]) - theirs).abs().max().item()
            worst = max(worst, difference)
            if not difference <= 2e-6 * max(1.0, theirs.abs().max().item()):
                return failures.append(f"{name}: epoch {epoch} step {step}: parameters differ by {difference}")
            if schedule and per_step:
                if epoch < EPOCHS or step < STEPS:
                    schedule.step()
        if plateau:
            schedule.step(1.0 / min(epoch, 3))
        elif schedule and not per_step:
            schedule.step()
    print(f"{name}: largest difference {worst:.2g}")


def sgd(**more):
    return lambda groups: SGD(groups, momentum=0.9, **more)


def settings(lr, schedule=None, **optimizer):
    return {"optimizer": {"lr": lr, **optimizer}, **({"schedule": schedule} if schedule else {})}


check("sgd", settings(0.1), sgd())
check("sgd without momentum", settings(0.1, momentum=0), lambda g: SGD(g))
check("sgd nesterov, weight decay", settings(0.1, nesterov=True, weight_decay=0.01), sgd(nesterov=True, weight_decay=0.01))
check("adam", settings(0.05, name="adam"), lambda g: Adam(g))
check("adam, weight decay, betas", settings(0.05, name="adam", weight_decay=0.1, beta1=0.8, beta2=0.99, epsilon=1e-6),
      lambda g: Adam(g, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1))
check("adamw", settings(0.05, name="adamw", weight_decay=0.1), lambda g: AdamW(g, weight_decay=0.1))
check("rmsprop", settings(0.01, name="rmsprop", momentum=0), lambda g: RMSprop(g))
check("rmsprop, momentum, weight decay", settings(0.01, name="rmsprop", momentum=0.7, alpha=0.9, weight_decay=0.1),
      lambda g: RMSprop(g, momentum=0.7, alpha=0.9, weight_decay=0.1))

check("step", settings(0.1, {"name": "step", "step_size": 3, "gamma": 0.5}), sgd(), lambda o: schedules.StepLR(o, 3, 0.5))
check("multistep", settings(0.1, {"name": "multistep", "milestones": [2, 7], "gamma": 0.3}), sgd(),
      lambda o: schedules.MultiStepLR(o, [2, 7], 0.3))
check("exponential", settings(0.1, {"name": "exponential", "gamma": 0.8}), sgd(), lambda o: schedules.ExponentialLR(o, 0.8))
check("cosine", settings(0.1, {"name": "cosine", "minimum_lr": 0.001}), sgd(),
      lambda o: schedules.LambdaLR(o, lambda t: (0.001 + 0.099 * (1 + torch.cos(torch.tensor(torch.pi * t / EPOCHS, dtype=torch.float64)).item()) / 2) / 0.1))
check("cosine, period", settings(0.1, {"name": "cosine", "period": 6}), sgd(), lambda o: schedules.CosineAnnealingLR(o, 6))
# OneCycleLR sets every group's highest rate.
check("onecycle", settings(0.1, {"name": "onecycle"}), sgd(),
      lambda o: schedules.OneCycleLR(o, [0.1, 0.05], total_steps=EPOCHS * STEPS), per_step=True)
check("onecycle, fixed momentum", settings(0.1, {"name": "onecycle", "cycle_momentum": False, "rise": 0.1, "division": 10, "final_division": 100}), sgd(),
      lambda o: schedules.OneCycleLR(o, [0.1, 0.05], total_steps=EPOCHS * STEPS, cycle_momentum=False, pct_start=0.1, div_factor=10, final_div_factor=100),
      per_step=True)
check("onecycle, adamw", settings(0.1, {"name": "onecycle"}, name="adamw", weight_decay=0.01), lambda g: AdamW(g, weight_decay=0.01),
      lambda o: schedules.OneCycleLR(o, [0.1, 0.05], total_steps=EPOCHS * STEPS), per_step=True)
# Where the rise is one step (12 * 5 steps), the first has the highest rate: torch divides by zero there.
check("onecycle, no rise", settings(0.1, {"name": "onecycle", "rise": 1 / 60, "cycle_momentum": False}), sgd(),
      lambda o: schedules.LambdaLR(o, lambda t: 4e-6 + (1 - 4e-6) * (1 + math.cos(math.pi * t / 59)) / 2), per_step=True)
check("plateau", settings(0.1, {"name": "plateau", "patience": 1, "gamma": 0.5, "minimum_lr": 0.02}), sgd(),
      lambda o: schedules.ReduceLROnPlateau(o, factor=0.5, patience=1, min_lr=[0.02, 0.01]), plateau=True)
check("warm-up", settings(0.1, {"name": "constant", "warmup_steps": 7, "warmup_start": 0.2}), sgd(),
      lambda o: schedules.LinearLR(o, 0.2, total_iters=7), per_step=True)

check("label smoothing", {**settings(0.1), "loss": {"label_smoothing": 0.1}}, sgd(), loss=torch.nn.CrossEntropyLoss(label_smoothing=0.1))
check("class weights", {**settings(0.1), "loss": {"class_weights": "1,2.5,0,4"}}, sgd(),
      loss=torch.nn.CrossEntropyLoss(torch.tensor([1, 2.5, 0, 4])))
check("balanced, smoothing", {**settings(0.1), "loss": {"class_weights": "balanced", "label_smoothing": 0.2}}, sgd(),
      loss=torch.nn.CrossEntropyLoss(torch.tensor([10 / 12, 10 / 4, 10 / 4, 10 / 20]), label_smoothing=0.2))
check("clipping by norm", {**settings(0.5), "train": {"clip_norm": 0.05}}, sgd(),
      clip=lambda p: torch.nn.utils.clip_grad_norm_(list(p), 0.05))
check("clipping by value", {**settings(0.5), "train": {"clip_value": 0.02}}, sgd(),
      clip=lambda p: torch.nn.utils.clip_grad_value_(list(p), 0.02))
check("moving average", {**settings(0.1), "train": {"ema_decay": 0.9}}, sgd(), decay=0.9)

for failure in failures:
    print("FAILED:", failure)
print(f"{len(failures)} failures")
sys.exit(bool(failures))
