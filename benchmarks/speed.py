"""The speed benchmark: all contenders in turn, several rounds, ratios of medians.

make bench                                # everything; writes benchmarks/RESULTS.md
python benchmarks/speed.py --rounds 1     # a quick look
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from contenders import CONTENDERS, IMAGES, NETWORKS, OF_IMAGES, OF_SEQUENCES, SEQUENCES

HERE = Path(__file__).parent
NEEDS = {
    "pytorch": "torch",
    "scikit-learn": "sklearn",
    "keras-jax": "keras",
    "keras-tensorflow": "tensorflow",
}
#: What was promised: (network, the most that Pellucid may take, in the time of the bare JAX loop).
PROMISED = {"16-1": 1.5, "64-32-1": 1.1, "512-512-1": 1.1}
#: The most that a recorded fit may take, in the time of one that is not recorded.
RECORDING = {"16-1": 1.15, "64-32-1": 1.05, "512-512-1": 1.05}
START = {
    "pellucid": {},
    "keras-jax": {"KERAS_BACKEND": "jax"},
    "keras-tensorflow": {"KERAS_BACKEND": "tensorflow"},
}


def median(values: list[float]) -> float:
    """The middle value, or not a number if there is none."""
    return statistics.median(values) if values else float("nan")


def environment(home: str, **more: str) -> dict[str, str]:
    """The environment of a contender: a home of its own, and no chatter."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    return {**os.environ, "HOME": home, "XDG_CACHE_HOME": f"{home}/.cache", **quiet, **more}


def train(rounds: int, home: str) -> dict[str, dict[str, list[float]]]:
    """Microseconds per training step, by network and contender, one for each round."""
    networks = (*NETWORKS, *IMAGES, *SEQUENCES)
    found: dict[str, dict[str, list[float]]] = {network: {} for network in networks}
    here = [name for name in CONTENDERS if name not in NEEDS or importlib.util.find_spec(NEEDS[name])]
    for each in range(rounds):
        for network in networks:
            able = OF_IMAGES if network in IMAGES else OF_SEQUENCES if network in SEQUENCES else here
            for contender in [name for name in here if name in able]:
                command = [sys.executable, str(HERE / "contenders.py"), contender, network]
                done = subprocess.run(
                    command, capture_output=True, text=True, env=environment(home), check=False
                )
                if done.returncode:
                    print(f"{contender} on {network} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
                    continue
                told = json.loads(done.stdout.strip().splitlines()[-1])
                step = told["seconds"] / told["steps"] * 1e6
                found[network].setdefault(contender, []).append(step)
                print(f"round {each + 1}  {network:16} {contender:17} {step:10.1f} us per step", flush=True)
    return found


def start_to_prediction(rounds: int, home: str) -> dict[str, list[float]]:
    """Seconds of a fresh process that runs the thread's example, from start to a prediction."""
    found: dict[str, list[float]] = {}
    for each in range(rounds):
        for name, more in START.items():
            if name in NEEDS and not importlib.util.find_spec(NEEDS[name]):
                continue
            kinds = ("cold", "warm") if name == "pellucid" else ("",)
            for kind in kinds:
                if kind == "cold":
                    shutil.rmtree(f"{home}/.cache/pellucid", ignore_errors=True)
                began = time.perf_counter()
                subprocess.run(
                    [sys.executable, str(HERE / "thread.py"), name.split("-")[0]],
                    env=environment(home, **more),
                    capture_output=True,
                    check=True,
                )
                seconds = time.perf_counter() - began
                title = f"{name} {kind}".strip()
                found.setdefault(title, []).append(seconds)
                print(f"round {each + 1}  start to prediction {title:17} {seconds:6.2f} s", flush=True)
    return found


def one_row(rounds: int, home: str) -> list[float]:
    """Microseconds of `predict` on one row: the median of many, one for each round."""
    code = (
        "import time, statistics, numpy as np, pellucid as keras\n"
        "m = keras.Sequential([keras.Input((30,)), keras.layers.Dense(16, 'relu'), "
        "keras.layers.Dense(1, 'sigmoid')])\n"
        "x = np.zeros((1, 30), 'float32'); m.predict(x, verbose=0); t = []\n"
        "for _ in range(1000):\n"
        "    b = time.perf_counter(); m.predict(x, verbose=0); t.append(time.perf_counter() - b)\n"
        "print(statistics.median(t) * 1e6)\n"
    )
    command = [sys.executable, "-c", code]
    return [
        float(
            subprocess.run(command, capture_output=True, text=True, env=environment(home), check=True).stdout
        )
        for _ in range(rounds)
    ]


def opening(rounds: int, home: str) -> dict[str, Any]:
    """What recording costs, by network, and what opening takes: a list of what each round found."""
    found: dict[str, Any] = {"recording": {network: [] for network in NETWORKS}, "million": [], "file": []}
    for each in range(rounds):
        for network in NETWORKS:
            told = told_by("recording", network, home)
            found["recording"][network].append(told["recorded"] / told["not recorded"])
            print(
                f"round {each + 1}  {network:10} recording {found['recording'][network][-1]:.3f}", flush=True
            )
        file = f"{home}/million.pellucid"
        found["million"].append(told_by("million", file, home))
        told_by("file", file, home)  # now the programs are in the cache, as after any first use
        began = time.perf_counter()
        told_by("file", file, home)
        found["file"].append(time.perf_counter() - began)
        million = found["million"][-1]
        print(
            f"round {each + 1}  opening: median {million['median'] * 1e3:.1f} ms, worst "
            f"{million['worst'] * 1e3:.1f} ms, from a file in a new process {found['file'][-1]:.2f} s",
            flush=True,
        )
    return found


def told_by(what: str, argument: str, home: str) -> dict[str, Any]:
    """What benchmarks/opening.py says."""
    command = [sys.executable, str(HERE / "opening.py"), what, argument]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(home), check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def machine() -> str:
    """The machine and the versions, in a few lines."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        models = [
            line.split(":")[1].strip()
            for line in information.read_text().splitlines()
            if "model name" in line
        ]
        name = models[0] if models else name
    versions: list[str] = []
    for package in ("jax", "numpy", "keras", "tensorflow", "tensorflow_cpu", "scikit-learn", "torch"):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    python = f"{platform.system()}, Python {platform.python_version()}"
    return f"{name}, {cores} cores, {python}; {', '.join(versions)}"


def sizes(network: str) -> str:
    """Rows, times, features and batch size of a network's table."""
    if network in SEQUENCES:
        rows, times, features, _, batch, _ = SEQUENCES[network]
        return f"{rows:,} x {times} x {features}, {batch}"
    rows, features, _, batch, _ = {**NETWORKS, **IMAGES}[network]
    row = f"{features} x {features} images" if network in IMAGES else str(features)
    return f"{rows:,} x {row}, {batch}"


def report(
    steps: dict[str, Any],
    starts: dict[str, list[float]],
    rows: list[float],
    opened: dict[str, Any],
    rounds: int,
) -> str:
    """RESULTS.md."""
    names = [name for name in CONTENDERS if any(name in found for found in steps.values())]
    lines = [
        "# How fast Pellucid trains",
        "",
        "Written by `make bench`, from one run: every contender in a process of its own, all in turn,",
        f"{rounds} rounds, medians. Same table, network, batch size, shuffling and Adam for everybody;",
        "accuracy is measured while training, except by scikit-learn; each is written as its own tutorial",
        "says. Compiling is not in these times (it is in the start-up below). The bare loop is JAX written",
        "by hand for the one network, all epochs in one call: there is nothing around the arithmetic.",
        "",
        f"Machine: {machine()}.",
        "",
        "## Microseconds per training step",
        "",
        "| network, rows x features, batch | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for network, found in steps.items():
        cells = [f"{median(found[name]):,.1f}" if name in found else "-" for name in names]
        lines.append(f"| {network}, {sizes(network)} | " + " | ".join(cells) + " |")
    lines += ["", "## In the time of Pellucid (more than 1: slower than Pellucid)", ""]
    lines += ["| network | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for network, found in steps.items():
        own = median(found["pellucid"])
        cells = [f"{median(found[name]) / own:.2f}" if name in found else "-" for name in names]
        lines.append(f"| {network} | " + " | ".join(cells) + " |")
    lines += ["", "## Promised and measured", "", "| what | promised | measured | |", "|---|---|---|---|"]

    def line(what: str, promised: str, measured: str, kept: bool) -> None:
        lines.append(f"| {what} | {promised} | {measured} | {'kept' if kept else '**not kept**'} |")

    for network, most in PROMISED.items():
        ratio = median(steps[network]["pellucid"]) / median(steps[network]["bare-jax"])
        line(
            f"training {network}, in the time of the bare loop",
            f"at most {most}",
            f"{ratio:.2f}",
            ratio <= most,
        )
    for network in (*IMAGES, *SEQUENCES):
        if "keras-jax" in steps[network]:
            ratio = median(steps[network]["pellucid"]) / median(steps[network]["keras-jax"])
            line(f"training {network}, in the time of keras-jax", "at most 1", f"{ratio:.2f}", ratio <= 1)
    peers = {name: median(times) for name, times in starts.items() if not name.startswith("pellucid")}
    if peers:
        best = min(peers, key=lambda name: peers[name])
        for kind, most in (("warm", 0.4), ("cold", 0.7)):
            own = median(starts[f"pellucid {kind}"])
            line(
                f"a fresh process, from start to a prediction, {kind} cache, in the time of {best}",
                f"at most {most}",
                f"{own / peers[best]:.2f} ({own:.2f} s of {peers[best]:.2f} s)",
                own / peers[best] <= most,
            )
    line("`predict` on one row", "under 300 us", f"{median(rows):.0f} us", median(rows) < 300)
    for network, most in RECORDING.items():
        ratio = median(opened["recording"][network])
        line(
            f"`fit` recorded, in the time of `record=False`, {network}",
            f"at most {most}",
            f"{ratio:.3f}",
            ratio <= most,
        )
    millions = opened["million"]
    middle, worst = (median([each[what] * 1e3 for each in millions]) for what in ("median", "worst"))
    size = median([each["record"] / 2**20 for each in millions])
    line(
        "opening a step of a run of 1,000,000 (16-1), median",
        "at most 50 ms",
        f"{middle:.1f} ms",
        middle <= 50,
    )
    line("the same, worst of 200", "at most 300 ms", f"{worst:.1f} ms", worst <= 300)
    line("the record of that run", "at most 256 MB", f"{size:.0f} MB", size <= 256)
    exact = median([each["exact"] for each in millions])
    line("opened steps that are those of the training, bit for bit", "-", f"{exact:.0%}", True)
    file = median(opened["file"])
    line(
        "a new process opens a step of that run's file, start-up included",
        "at most 1.5 s",
        f"{file:.2f} s",
        file <= 1.5,
    )
    told = median([each["story"] * 1e3 for each in millions])
    line("a story of an opened step", "under 100 ms", f"{told:.1f} ms", told < 100)
    lines += ["", "From start to a prediction, seconds: "]
    lines[-1] += ", ".join(f"{name} {median(times):.2f}" for name, times in starts.items()) + "."
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        steps = train(options.rounds, home)
        starts = start_to_prediction(options.rounds, home)
        rows = one_row(options.rounds, home)
        opened = opening(options.rounds, home)
    text = report(steps, starts, rows, opened, options.rounds)
    options.out.write_text(text)
    print()
    print(text)


if __name__ == "__main__":
    main()
