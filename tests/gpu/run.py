"""Checks and measures the engine against PyTorch on one machine; tests/gpu/run.sh builds the driver and starts this. No package but torch and torchvision.

usage: run.py --driver FILE --work DIR [--device cuda|cpu] [--small] [--data DIR] [--only SECTION,...] [--rounds N]
Exit status 1: a check failed, or a contender did not run. Figures alone never fail.
"""
import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from array import array

HERE = os.path.dirname(os.path.abspath(__file__))
SECTIONS = ["checks", "ranks", "tutorial", "batch64", "large", "jpeg"]
failures, rows = [], []


def say(text):
    print(text, flush=True)


class Runner:
    def __init__(self, arguments):
        self.arguments = arguments
        self.small = arguments.small
        self.device = arguments.device
        self.environment = {**os.environ, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
        self.about = self.call([arguments.driver, "about"]) or {}

    def call(self, command):
        """The JSON line of a command, or None after its failure was noted."""
        try:
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=self.environment, timeout=self.arguments.timeout)
        except subprocess.TimeoutExpired:
            failures.append(f"{' '.join(map(str, command[:3]))}: no answer in {self.arguments.timeout} s")
            return None
        if done.returncode != 0:
            failures.append(f"{' '.join(map(str, command))}: {done.stderr.strip()[-800:]}")
            return None
        return json.loads(done.stdout.strip().splitlines()[-1])

    def ours(self, what, **options):
        return self.call([self.arguments.driver, what, *self.words(options)])

    def ranks(self, count, what, **options):
        """Starts so many ranks, as a launcher does: the processes, with their output and errors in files."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        started = []
        for rank in range(count):
            place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            words = [self.arguments.driver, what, "--ranks", "1", *self.words(options if rank == 0 else {**options, "out": "/dev/null"})]
            with open(self.path(f"rank{rank}.out"), "w") as out, open(self.path(f"rank{rank}.err"), "w") as err:
                started.append(subprocess.Popen([str(word) for word in words], stdout=out, stderr=err,
                                                env={**self.environment, **{name: str(value) for name, value in place.items()}}))
        return started

    def text(self, rank, kind):
        with open(self.path(f"rank{rank}.{kind}")) as file:
            return file.read()

    def our_ranks(self, count, what, **options):
        """Rank 0's JSON line, or None after a failure of any was noted."""
        started = self.ranks(count, what, **options)
        end = time.monotonic() + self.arguments.timeout
        for rank, process in enumerate(started):
            try:
                status = process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                status = "no answer"
            if status != 0:
                for other in started:
                    other.kill()
                    other.wait()
                failures.append(f"{what} on {count} ranks, rank {rank}: {status}: {self.text(rank, 'err').strip()[-800:]}")
                return None
        return json.loads(self.text(0, "out").strip().splitlines()[-1])

    def theirs(self, what, **options):
        return self.call([sys.executable, os.path.join(HERE, "gpu_peer.py"), what, *self.words(options)])

    def words(self, options):
        if self.small:
            options.setdefault("threads", 1)
        return [word for name, value in {"device": self.device, **options}.items() for word in (f"--{name}", value)]

    def path(self, name):
        return os.path.join(self.arguments.work, name)


def floats(path):
    values = array("f")
    with open(path, "rb") as file:
        values.frombytes(file.read())
    return values


def worst(a, b):
    return max((abs(x - y) for x, y in zip(a, b)), default=float("inf")) if len(a) == len(b) else float("inf")


def check(name, ok, detail):
    say(f"{'ok    ' if ok else 'FAILED'} {name}: {detail}")
    if not ok:
        failures.append(f"{name}: {detail}")


def checks(run):
    size = {"batch": 4, "image": 64, "classes": 10} if run.small else {"batch": 16, "image": 224, "classes": 100}
    count = 3 if run.small else 10
    options = {"model": "resnet18", "deterministic": 1, "steps": count, **size}
    mine = run.ours("steps", precision="fp32", graphs="off", out=run.path("eager.bin"), **options)
    peer = run.theirs("steps", precision="fp32", out=run.path("peer.bin"), **options)
    if mine and peer:
        difference = worst(floats(run.path("eager.bin")), floats(run.path("peer.bin")))
        check(f"fp32, weights after {count} steps", difference <= 1e-4, f"largest difference {difference:.3g} (limit 1e-4)")
    graph = run.ours("steps", precision="fp32", graphs="auto", out=run.path("graph.bin"), **{**options, "steps": count + 4})
    eager = run.ours("steps", precision="fp32", graphs="off", out=run.path("eager.bin"), **{**options, "steps": count + 4})
    if graph and eager:
        difference = worst(floats(run.path("graph.bin")), floats(run.path("eager.bin")))
        check("steps from a CUDA graph are the ordinary ones", difference <= 1e-5 and graph["recorded"] == bool(run.device == "cuda" and run.about.get("graphs")),
              f"largest difference {difference:.3g} (limit 1e-5), recorded: {graph['recorded']}")
    for precision, limit in (("tf32", 0.02), ("bf16", 0.05), ("fp16", 0.02)):
        if run.small and precision != "bf16":
            continue
        length = 3 if run.small else 30
        mine = run.ours("steps", precision=precision, **{**options, "steps": length, "deterministic": 0})
        peer = run.theirs("steps", precision=precision, **{**options, "steps": length, "deterministic": 0})
        if mine and peer:
            gaps = [abs(a - b) for a, b in zip(mine["losses"], peer["losses"])]
            mean = statistics.mean(gaps)
            check(f"{precision}, losses of {length} steps", mean <= limit * max(peer["losses"]),
                  f"mean difference {mean:.3g}, last {mine['losses'][-1]:.4f} and {peer['losses'][-1]:.4f}")


def ranks(run):
    cuda = run.device == "cuda"
    if cuda and not run.about.get("nccl"):
        say("  skipped ranks: the driver was built without NCCL (see tests/gpu/README.md)")
        return
    there = run.about.get("gpus", 0) if cuda else 2
    counts = [count for count in (1, 2, there) if count <= there]
    size = {"batch": 2, "image": 64, "classes": 10} if run.small else {"batch": 16, "image": 224, "classes": 100}
    options = {"model": "resnet18", "precision": "fp32", "deterministic": 1, "graphs": "off", "steps": 2 if run.small else 5, **size}
    for count in sorted(set(counts)):
        sums = run.our_ranks(count, "sums")
        if sums:
            check(f"{count} rank(s) by {sums['by']}: sums, largest values, broadcasts", not sums["wrong"], sums["wrong"] or "all as they must be")
        whole = {**options, "batch": size["batch"] * count}
        alone = run.ours("steps", norms="still", out=run.path("alone.bin"), **whole)
        shared = run.our_ranks(count, "steps", norms="still", out=run.path("shared.bin"), **options)
        if alone and shared:
            difference = worst(floats(run.path("alone.bin")), floats(run.path("shared.bin")))
            check(f"{count} rank(s): the weights of one with {count} times the batch", difference <= 1e-4 and shared["same"],
                  f"largest difference {difference:.3g} (limit 1e-4), the same on all ranks: {shared['same']}")
        # In batch norms over few values rounding grows a thousandfold from step to step: two, by their losses.
        alone = run.ours("steps", norms="own", **{**whole, "steps": 2})
        shared = run.our_ranks(count, "steps", norms="sync", **{**options, "steps": 2})
        if alone and shared:
            gaps = [abs(a - b) / a for a, b in zip(alone["losses"], shared["losses"])]
            check(f"{count} rank(s), synchronised batch norms: the losses of one with {count} times the batch", gaps[0] <= 1e-4 and gaps[1] <= 0.1 and shared["same"],
                  f"differences {gaps[0]:.3g} and {gaps[1]:.3g} (limits 1e-4 and 0.1 of the loss), the same on all ranks: {shared['same']}")
    if there < 2:
        say("  skipped what needs two GPUs: two ranks against one, and a rank that is killed")
        return
    killed_rank(run, options)
    if not run.small:
        for count in sorted(set(counts)):
            for precision in ("fp32", "bf16"):
                bench = run.our_ranks(count, "bench", model="resnet50", precision=precision, graphs="off", batch=256, image=224, classes=1000, steps=50)
                if bench:
                    rows.append((f"resnet50 {precision} batch 256 on each of {count} GPU(s)", "ours", f"{bench['images_per_second']:.4g}", "images/s", "", ""))
                    say(f"  {rows[-1][0]}: {rows[-1][2]} images/s")


def killed_rank(run, options):
    started = run.ranks(2, "steps", **{**options, "steps": 1000000})
    end = time.monotonic() + 120
    while len(run.text(1, "out").split(",")) < 4 and time.monotonic() < end and started[1].poll() is None:
        time.sleep(0.05)
    started[1].send_signal(signal.SIGKILL)
    start = time.monotonic()
    try:
        status = started[0].wait(60)
    except subprocess.TimeoutExpired:
        status = None
        started[0].kill()
        started[0].wait()
    started[1].wait()
    check("a rank that is killed ends the other one, which names it", status not in (None, 0) and "rank 1 has gone" in run.text(0, "err"),
          f"status {status} after {time.monotonic() - start:.1f} s: {run.text(0, 'err').strip()[-300:]}")


def race(run, name, unit, contenders):
    """contenders: {label: function that gives a figure or None}; ours are the labels that begin with 'ours'. Interleaved; the ratio is to the best peer."""
    figures = {label: [] for label in contenders}
    for _ in range(run.arguments.rounds):
        for label, measure in contenders.items():
            figure = measure()
            if figure is not None:
                figures[label].append(figure)
    medians = {label: statistics.median(values) for label, values in figures.items() if values}
    better = max if unit == "images/s" else min
    for label, median in medians.items():
        ratio = ""
        if label.startswith("ours"):
            ratios = [f"{peer} {(median / other if unit == 'images/s' else other / median):.2f}" for peer, other in medians.items() if not peer.startswith("ours")]
            ratio = ", ".join(ratios)
        values = figures[label]
        rows.append((name, label, f"{median:.4g}", unit, f"{min(values):.4g}..{max(values):.4g}", ratio))
        say(f"  {name} | {label}: {median:.4g} {unit} ({len(values)} rounds, {min(values):.4g}..{max(values):.4g}) {'ratio to ' + ratio if ratio else ''}")
    if medians:
        say(f"  best: {better(medians, key=medians.get)}")


def rate(answer):
    return answer and answer["images_per_second"]


def step_race(run, model, batch, precision):
    options = {"model": model, "batch": batch, "precision": precision, "steps": 5 if run.small else (100 if batch <= 256 else 40)}
    options |= {"image": 64, "classes": 10} if run.small else {"image": 224, "classes": 1000}
    contenders = {"ours": lambda: rate(run.ours("bench", graphs="auto", **options)),
                  "ours, no graph": lambda: rate(run.ours("bench", graphs="off", **options)),
                  "eager": lambda: rate(run.theirs("bench", mode="eager", **options))}
    if not run.small:
        contenders["compile"] = lambda: rate(run.theirs("bench", mode="compile", **options))
    race(run, f"{model} {precision} batch {batch}, data on the device", "images/s", contenders)


def batch64(run):
    step_race(run, "resnet18", 2 if run.small else 64, "bf16")


def large(run):
    for model in ("resnet18", "resnet50"):
        for batch in (2,) if run.small else (256, 1024):
            step_race(run, model, batch, "bf16")
        if run.small:
            break


def generated(run, count, width, height):
    folder = run.path(f"images{count}")
    if not os.path.isdir(folder):
        run.theirs("images", out=folder, count=count, width=width, height=height)
    return folder


def config(run, folder, **more):
    side = 64 if run.small else 224
    settings = {"data": {"directory": folder, **more.get("data", {})}, "transform": {"resize": round(side * 256 / 224), "crop": side},
                "model": {"architecture": "resnet18"}, "train": more["train"], "checkpoint": {"every_epochs": 0}, "device": run.device}
    name = run.path("config.json")
    with open(name, "w") as file:
        json.dump(settings, file)
    return name


def our_job(run, folder, **more):
    output = run.path("output")
    os.makedirs(output, exist_ok=True)
    start = time.perf_counter()
    answer = run.call([run.arguments.driver, "job", config(run, folder, **more), output])
    return answer and {**answer, "seconds": time.perf_counter() - start}


def their_job(run, data, **options):
    start = time.perf_counter()
    answer = run.theirs("job", data=data, image=64 if run.small else 224, **options)
    return answer and {**answer, "seconds": time.perf_counter() - start}


def has_jobs(run, section):
    if run.about.get("jobs"):
        return True
    say(f"  skipped {section}: the driver was built without whole jobs (see tests/gpu/README.md, carry.sh)")
    return False


def tutorial(run):
    if not has_jobs(run, "tutorial"):
        return
    data = run.arguments.data or generated(run, 16 if run.small else 244, *((90, 70) if run.small else (500, 375)))
    epochs = 2 if run.small else 25

    def mine(cache):
        answer = our_job(run, data, data={"cache": cache}, train={"epochs": epochs, "batch_size": 4})
        return answer and answer["seconds"]

    def peer():
        answer = their_job(run, data, recipe="tutorial", epochs=epochs, batch=4)
        return answer and answer["seconds"]

    race(run, f"tutorial, {epochs} epochs, batch 4, whole process", "s", {"ours": lambda: mine("auto"), "ours, data.cache gpu": lambda: mine("gpu"), "tutorial": peer})


def jpeg(run):
    if not has_jobs(run, "jpeg"):
        return
    data = generated(run, 12 if run.small else 4096, *((90, 70) if run.small else (500, 375)))
    batch, epochs = (4, 2) if run.small else (256, 3)

    def mine(cache):
        answer = our_job(run, data, data={"cache": cache}, train={"epochs": epochs, "batch_size": batch, "precision": "bf16"})
        return answer and statistics.median(answer["images_per_second"][1:])

    def peer():
        answer = their_job(run, data, recipe="jpeg", epochs=epochs, batch=batch, precision="bf16")
        return answer and statistics.median(answer["images_per_second"][1:])

    race(run, f"resnet18 bf16 batch {batch}, from JPEG, after the first epoch", "images/s",
         {"ours, nothing kept": lambda: mine("none"), "ours, data.cache memory": lambda: mine("memory"), "ours, data.cache gpu": lambda: mine("gpu"), "DataLoader": peer})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--data", default="")
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--timeout", type=int, default=540)
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (1 if arguments.small else 3)
    unknown = set(arguments.only.split(",")) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown section {', '.join(sorted(unknown))}: there are {', '.join(SECTIONS)}")
    run = Runner(arguments)
    say(f"driver: {run.about}; load {os.getloadavg()[0]:.1f}; {os.cpu_count()} CPUs")
    if arguments.device == "cuda" and not run.about.get("cuda"):
        say("FAILED: the driver sees no GPU")
        return 1
    for section in arguments.only.split(","):
        say(f"{section}:")
        {"checks": checks, "ranks": ranks, "tutorial": tutorial, "batch64": batch64, "large": large, "jpeg": jpeg}[section](run)
    if rows:
        say("\n| what | who | median | unit | range | ratio to (above 1: ours is better) |\n|---|---|---|---|---|---|")
        for row in rows:
            say("| " + " | ".join(row) + " |")
    for failure in failures:
        say(f"FAILED: {failure}")
    say(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
