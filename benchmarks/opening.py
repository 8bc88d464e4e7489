"""What recording costs, and how fast steps open; prints one line of JSON for benchmarks/speed.py.

python benchmarks/opening.py recording NETWORK    seconds of fit, recorded and not, in turn
python benchmarks/opening.py million FILE         a run of 1,000,000 steps: opening any of them
python benchmarks/opening.py file FILE            opens a step of a saved file, as a new process does
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import numpy as np
from contenders import NETWORKS, table

#: Recorded and not, in turn: so many fits of each.
TURNS = 7
STEPS = 1_000_000


def model_for(hidden: tuple[int, ...], features: int) -> Any:
    """The benchmark's network, compiled."""
    import pellucid as keras

    layers = [keras.layers.Dense(units, activation="relu") for units in hidden]
    model = keras.Sequential([keras.Input((features,)), *layers, keras.layers.Dense(1, activation="sigmoid")])
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def recording(network: str) -> dict[str, Any]:
    """Medians of the seconds of fit, recorded and not."""
    rows, features, hidden, batch, epochs = NETWORKS[network]
    x, y = table(rows, features)
    model = model_for(hidden, features)
    seconds: dict[str, list[float]] = {"recorded": [], "not recorded": []}
    model.fit(x, y, epochs=2, batch_size=batch, verbose=0)
    for turn in range(2 * TURNS):
        kind = ("recorded", "not recorded")[turn % 2]
        record = "auto" if kind == "recorded" else False
        began = time.perf_counter()
        model.fit(x, y, epochs=epochs, batch_size=batch, verbose=0, record=record)
        seconds[kind].append(time.perf_counter() - began)
    return {kind: statistics.median(each) for kind, each in seconds.items()}


def million(file: str) -> dict[str, Any]:
    """A run of a million steps of the smallest network, and what it takes to open 200 of them."""
    rows, features, hidden, batch, _ = NETWORKS["16-1"]
    x, y = table(rows, features)
    model = model_for(hidden, features)
    epochs = -(-STEPS // -(-rows // batch))
    began = time.perf_counter()
    history = model.fit(x, y, epochs=epochs, batch_size=batch, verbose=0)
    trained = time.perf_counter() - began
    history.open(0)  # what is compiled is compiled here
    seconds, stories = [], []
    exact = 0
    for number in np.random.default_rng(0).integers(0, history.steps, 200).tolist():
        began = time.perf_counter()
        step = history.open(number)
        seconds.append(time.perf_counter() - began)
        exact += step.exact
        began = time.perf_counter()
        str(step)
        stories.append(time.perf_counter() - began)
    history.save(file)
    return {
        "steps": history.steps,
        "trained": trained,
        "median": statistics.median(seconds),
        "worst": max(seconds),
        "exact": exact / len(seconds),
        "story": statistics.median(stories),
        "record": history.nbytes,
    }


def file(name: str) -> dict[str, Any]:
    """Open a step in the middle of a saved run."""
    import pellucid

    history = pellucid.History.load(name)
    step = history.open(history.steps // 2)
    return {"steps": history.steps, "cost": step.cost}


if __name__ == "__main__":
    print(json.dumps({"recording": recording, "million": million, "file": file}[sys.argv[1]](sys.argv[2])))
