# A script in the manner of those published for Azure ML: no training, metrics only.
import argparse
import os

from azureml.core.run import Run

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--learning-rate", dest="learning_rate", type=float, default=0.1)
args = parser.parse_args()

run = Run.get_context()
run.log("learning rate", args.learning_rate)
run.log("optimizer", "sgd")

loss = 1.0
for epoch in range(args.epochs):
    loss *= 1 - args.learning_rate
    run.log("loss", loss)
    print("epoch", epoch, "loss", loss)

os.makedirs("./outputs", exist_ok=True)
with open("./outputs/model.txt", "w") as file:
    file.write(str(loss))

run.complete()
