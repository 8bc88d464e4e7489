"""How quick the page is: opening a step, going through steps, and what it costs a training to be watched.

Writes benchmarks/PAGE.md. Run by `make bench-page`; it needs Chromium for what is measured in a browser.
"""

from __future__ import annotations

import json
import multiprocessing
import platform
import shutil
import statistics
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

import pellucid as keras
from pellucid import layers
from pellucid.views import payload

HERE = Path(__file__).parent
ROUNDS = 60
#: Counts how long each frame takes while the steps of a file are gone through, one each frame.
FRAMES = """async steps => {
  const slider = document.querySelector('input.time'), times = [];
  for (let place = 1; place < steps; place++) {
    const began = performance.now();
    slider.value = place;
    slider.dispatchEvent(new Event('input', {bubbles: true}));
    // The page is changed in a task of its own, which comes first; then its layout is asked for.
    for (let turn = 0; turn < 3; turn++) await Promise.resolve();
    document.querySelector('.network svg').getBoundingClientRect();
    times.push(performance.now() - began);
    await new Promise(requestAnimationFrame);
  }
  return times;
}"""


def network(*units: int) -> Any:
    model = keras.Sequential([keras.Input(shape=(units[0],))])
    for each in units[1:-1]:
        model.add(layers.Dense(each, "relu"))
    model.add(layers.Dense(units[-1], "sigmoid"))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def trained(units: tuple[int, ...], rows: int, epochs: int, **options: Any) -> Any:
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, units[0])).astype("float32")
    y = (x @ rng.normal(size=units[0]) > 0).astype("float32")
    return network(*units).fit(x, y, epochs=epochs, batch_size=32, verbose=0, **options)


def answered(view: str, question: str) -> bytes:
    """The answer of the server whose page has this address."""
    address, _, token = view.partition("/#token=")
    target = f"{address}/api/ask?q={urllib.parse.quote(question, safe='')}"
    request = urllib.request.Request(target, headers={"X-Pellucid-Token": token})
    with urllib.request.urlopen(request) as response:
        return response.read()


def asked(view: Any, question: str) -> float:
    """Seconds that an answer takes over the server."""
    began = time.perf_counter()
    answered(view.url, question)
    return time.perf_counter() - began


def opening() -> list[str]:
    """How long it takes to open a step on the server, that was not opened before."""
    lines = []
    for units in ((2, 1), (30, 16, 1)):
        history = trained(units, 640, 100)
        with history.view(open_browser=False) as view:
            asked(view, payload.question("step", step=0))
            steps = np.random.default_rng(1).permutation(np.arange(1, history.steps))[:100]
            times = [asked(view, payload.question("step", step=int(each))) for each in steps]
        name, middle = "-".join(map(str, units)), 1e3 * statistics.median(times)
        lines.append(f"| {name}: a step of {history.steps:,}, by the server | {middle:.0f} ms |")
    return lines


def follow(addresses: Any, counted: Any) -> None:
    """Do what an open page does: hear how far a training is, and ask for what it shows, each second.

    Runs in a process of its own, as a browser does: takes addresses, and gives the number of questions.
    """
    counted.put(0)
    while view := addresses.get():
        address, _, token = view.partition("/#token=")
        asks, last = 0, -1.0
        with urllib.request.urlopen(f"{address}/api/events?token={token}") as events:
            for line in events:
                if not line.startswith(b"data: "):
                    continue
                progress = json.loads(line.removeprefix(b"data: "))
                if progress["state"] == "ended":
                    break
                if progress["steps"] and time.perf_counter() - last >= 1:
                    last = time.perf_counter()
                    run = payload.decode(answered(view, "run"))
                    answered(view, "log")
                    answered(view, payload.question("step", step=run["at_hand"]))
                    asks += 3
        counted.put(asks)


def watching() -> list[str]:
    """What recording, serving and a page that asks cost a training."""
    spawned = multiprocessing.get_context("spawn")
    addresses, counted = spawned.SimpleQueue(), spawned.SimpleQueue()
    page = spawned.Process(target=follow, args=(addresses, counted), daemon=True)
    page.start()
    asks = counted.get()

    class Opened(keras.callbacks.Callback):
        """Opens the page when the training begins."""

        def on_train_begin(self, logs: Any = None) -> None:
            addresses.put(self.model.history.view(open_browser=False).url)

    def once(kind: str, epochs: int) -> float:
        nonlocal asks
        options: dict[str, Any] = {"record": False} if kind == "unrecorded" else {}
        if kind in ("served", "followed"):
            options["view"] = {"open_browser": False}
        if kind == "followed":
            options["callbacks"] = [Opened()]
        began = time.perf_counter()
        history = trained((30, 16, 1), 20_000, epochs, **options)
        seconds = time.perf_counter() - began
        if kind == "followed":
            asks += counted.get()
        if kind in ("served", "followed"):
            history.view(open_browser=False).close()
        return seconds

    def compared(kinds: dict[str, str], rounds: int, epochs: int) -> list[str]:
        """Each kind in the time of the unrecorded one of its round; each round begins with another."""
        seconds: dict[str, list[float]] = {kind: [] for kind in ("unrecorded", *kinds)}
        for number in range(rounds):
            for kind in np.roll(list(seconds), number):
                seconds[kind].append(once(kind, epochs))
        base = seconds["unrecorded"]
        return [
            f"| {what}, {epochs} epochs, {rounds} rounds | "
            f"{statistics.median(np.divide(seconds[kind], base)):.3f} "
            f"(the fastest: {min(seconds[kind]) / min(base):.3f}) |"
            for kind, what in kinds.items()
        ]

    once("followed", 400)
    recorded = {"recorded": "recorded", "served": "recorded and served, no page open"}
    lines = compared(recorded, ROUNDS, 100)
    asks = 0
    followed = compared({"followed": "recorded and served, followed by a page"}, ROUNDS // 6, 2_000)
    addresses.put(None)
    page.join()
    return [*lines, *followed, f"| what that page asked, in all | {asks} questions |"]


def scrubbing() -> list[str]:
    """How long the page takes for a frame while 1,000 steps of a file are gone through."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return ["| going through steps | no Chromium |"]
    from playwright.sync_api import sync_playwright

    history = trained((2, 4, 1), 640, 60)
    lines = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = history.export_html(Path(folder) / "page.html", steps=1_000, budget_mb=60)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(viewport={"width": 1400, "height": 900})
        for screen in ("step", "boundary", "cost", "run"):
            opened.goto("about:blank")
            opened.goto(f"{page.path.as_uri()}#screen={screen}")
            opened.wait_for_selector("header nav")
            opened.wait_for_timeout(500)
            frames = FRAMES if screen == "step" else FRAMES.replace(".network svg", "main")
            times = opened.evaluate(frames, len(page.steps))
            lines.append(
                f"| {screen}: a frame while going through {len(page.steps):,} steps | "
                f"{statistics.median(times):.1f} ms (95 %: {np.quantile(times, 0.95):.1f} ms) |"
            )
        browser.close()
    return lines


def main() -> None:
    import os

    lines = [
        "# The page: how quick it is",
        "",
        f"Written by `make bench-page`, on {os.cpu_count()} cores ({platform.system()}, Python "
        f"{platform.python_version()}). Medians; trainings of 30-16-1 on 20,000 rows in batches of 32, in "
        "turn, in the time of the one that was not recorded in the same round. (The fastest are "
        "given, too: other work on a machine only adds. The page that follows is a process of its own.)",
        "",
        "| what | |",
        "|---|---|",
        *opening(),
        *watching(),
        *scrubbing(),
        "",
    ]
    print("\n".join(lines))
    (HERE / "PAGE.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
