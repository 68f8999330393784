# The shape of the PyTorch MNIST sample: arguments, epochs with training and evaluation, a model file in ./outputs.
from __future__ import print_function

import argparse
import json
import os
import random

from azureml.core import Run

run = Run.get_context()


class Net:
    """Logistic regression on two features, by hand."""

    def __init__(self):
        self.weights = [0.0, 0.0, 0.0]

    def __call__(self, point):
        return 1 if sum(weight * value for weight, value in zip(self.weights, point)) > 0 else 0


def examples(count):
    for _ in range(count):
        point = [random.uniform(-1, 1), random.uniform(-1, 1), 1.0]
        yield point, 1 if point[0] + point[1] > 0 else 0


def train(args, model, data, epoch):
    errors = 0
    for number, (point, target) in enumerate(data):
        error = target - model(point)
        errors += abs(error)
        model.weights = [weight + args.lr * error * value for weight, value in zip(model.weights, point)]
        if number % args.log_interval == 0:
            run.log("train_errors", errors, step=epoch * len(data) + number)


def test(model, data):
    accuracy = sum(model(point) == target for point, target in data) / len(data)
    run.log("accuracy", accuracy)
    return accuracy


def main():
    parser = argparse.ArgumentParser(description="A small classifier")
    parser.add_argument("--data-folder", type=str, dest="data_folder", default="data")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log-interval", type=int, default=50)
    parser.add_argument("--output_dir", type=str, default="outputs")
    args = parser.parse_args()
    random.seed(args.seed)

    run.tag("seed", args.seed)
    model, training, validation = Net(), list(examples(200)), list(examples(100))
    for epoch in range(args.epochs):
        train(args, model, training, epoch)
        accuracy = test(model, validation)
    os.makedirs(args.output_dir, exist_ok=True)
    with open(os.path.join(args.output_dir, "model.json"), "w") as file:
        json.dump(model.weights, file)
    run.add_properties({"final_accuracy": "%.3f" % accuracy})
    # Some scripts add what is in ./outputs already.
    run.upload_file(name="outputs/model.json", path_or_stream=os.path.join(args.output_dir, "model.json"))
    model = run.register_model(model_name="mnist-like", model_path="outputs/model.json", tags={"kind": "linear"})
    print("registered", model.name, model.id, model.version, sep="\t")


if __name__ == "__main__":
    main()
