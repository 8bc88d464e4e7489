"""One contender of the benchmark, trained in a process of its own, the way its own tutorial says.

    python benchmarks/contenders.py CONTENDER NETWORK

prints one line of JSON: seconds of training (without the first, compiling fit) and steps.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
import warnings
from typing import Any

import numpy as np

#: name: rows, features, units of the hidden layers, batch size, epochs that are timed
NETWORKS: dict[str, tuple[int, int, tuple[int, ...], int, int]] = {
    "16-1": (569, 30, (16,), 32, 1_000),
    "64-32-1": (20_000, 30, (64, 32), 256, 30),
    "512-512-1": (20_000, 784, (512, 512), 128, 3),
}
#: name: rows, height and width, filters of the convolutions, batch size, epochs that are timed
IMAGES: dict[str, tuple[int, int, tuple[int, ...], int, int]] = {
    "conv32-conv64-10": (6_000, 28, (32, 64), 128, 2),
}
#: Who trains on images: the bare loop and scikit-learn have no convolutions.
OF_IMAGES = ("pellucid", "pytorch", "keras-jax", "keras-tensorflow")
#: name: rows, times, features, units of the LSTM, batch size, epochs that are timed
SEQUENCES: dict[str, tuple[int, int, int, int, int, int]] = {"lstm-32-1": (4_000, 50, 8, 32, 32, 4)}
#: Who trains on sequences: the LSTM is written once, with the names of Keras.
OF_SEQUENCES = ("pellucid", "keras-jax", "keras-tensorflow")
#: Contenders that take long train fewer epochs; the time is per step.
SHORTER = {"scikit-learn": 10, "pytorch": 10, "keras-jax": 10, "keras-tensorflow": 40}


def table(rows: int, features: int) -> tuple[Any, Any]:
    """The same random table for everybody."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, features)).astype(np.float32)
    y = (x[:, 0] + 0.5 * generator.normal(size=rows) > 0).astype(np.float32)
    return x, y


def images(rows: int, size: int) -> tuple[Any, Any]:
    """The same random images, of ten classes, for everybody."""
    generator = np.random.default_rng(0)
    x = generator.random(size=(rows, size, size, 1)).astype(np.float32)
    return x, generator.integers(0, 10, rows)


def sequences(rows: int, times: int, features: int) -> tuple[Any, Any]:
    """The same random sequences for everybody, and the mean of one of their features."""
    x = np.random.default_rng(0).normal(size=(rows, times, features)).astype(np.float32)
    return x, x[:, :, 0].mean(axis=1)


def recurrent(contender: str, x: Any, y: Any, units: int, batch: int) -> Any:
    """An LSTM and one unit behind it, by a library with the names of Keras."""
    if contender == "pellucid":
        import pellucid as keras
    else:
        os.environ["KERAS_BACKEND"] = contender.removeprefix("keras-")
        import keras
    model = keras.Sequential(
        [keras.Input(shape=x.shape[1:]), keras.layers.LSTM(units), keras.layers.Dense(1)]
    )
    model.compile(optimizer="adam", loss="mse")
    return lambda epochs: model.fit(x, y, epochs=epochs, batch_size=batch, verbose=0)


def pellucid(x: Any, y: Any, hidden: tuple[int, ...], batch: int) -> Any:
    """Pellucid as it is by default, with accuracy and history."""
    import pellucid as keras

    return _keras(keras, x, y, hidden, batch)


def keras_jax(x: Any, y: Any, hidden: tuple[int, ...], batch: int) -> Any:
    """Keras 3 on JAX."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    return _keras(keras, x, y, hidden, batch)


def keras_tensorflow(x: Any, y: Any, hidden: tuple[int, ...], batch: int) -> Any:
    """Keras 3 on TensorFlow."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    return _keras(keras, x, y, hidden, batch)


def _keras(keras: Any, x: Any, y: Any, hidden: tuple[int, ...], batch: int) -> Any:
    model = _of_images(keras, x, hidden) if x.ndim > 2 else _of_tables(keras, x, hidden)
    return lambda epochs: model.fit(x, y, epochs=epochs, batch_size=batch, verbose=0)


def _of_images(keras: Any, x: Any, filters: tuple[int, ...]) -> Any:
    """The usual network for handwritten digits."""
    layers = keras.layers
    stages = [[layers.Conv2D(each, 3, activation="relu"), layers.MaxPooling2D(2)] for each in filters]
    last = [layers.Flatten(), layers.Dropout(0.5), layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input(shape=x.shape[1:]), *itertools.chain(*stages), *last])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _of_tables(keras: Any, x: Any, hidden: tuple[int, ...]) -> Any:
    layers = [keras.layers.Dense(units, activation="relu") for units in hidden]
    model = keras.Sequential(
        [keras.Input(shape=(x.shape[1],)), *layers, keras.layers.Dense(1, activation="sigmoid")]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def scikit_learn(x: Any, y: Any, hidden: tuple[int, ...], batch: int) -> Any:
    """scikit-learn's MLPClassifier."""
    from sklearn.neural_network import MLPClassifier

    def fit(epochs: int) -> None:
        model = MLPClassifier(
            hidden, batch_size=batch, max_iter=epochs, tol=0.0, n_iter_no_change=10**9, alpha=0.0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x, y)

    return fit


def pytorch(x: Any, y: Any, hidden: tuple[int, ...], batch: int) -> Any:
    """PyTorch, with the DataLoader and the loop of its quickstart."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    layers: list[Any] = []
    if x.ndim > 2:
        x, size = np.moveaxis(x, -1, 1).copy(), x.shape[1]
        for before, after in itertools.pairwise([1, *hidden]):
            layers += [nn.Conv2d(before, after, 3), nn.ReLU(), nn.MaxPool2d(2)]
            size = (size - 2) // 2
        layers += [nn.Flatten(), nn.Dropout(0.5), nn.Linear(size * size * hidden[-1], 10)]
        targets, loss_of = torch.tensor(y), nn.CrossEntropyLoss()
    else:
        for before, after in itertools.pairwise([x.shape[1], *hidden]):
            layers += [nn.Linear(before, after), nn.ReLU()]
        layers += [nn.Linear(hidden[-1], 1), nn.Sigmoid()]
        targets, loss_of = torch.tensor(y[:, None]), nn.BCELoss()
    model = nn.Sequential(*layers)
    loader = DataLoader(TensorDataset(torch.tensor(x), targets), batch_size=batch, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def hits(answers: Any, targets: Any) -> Any:
        if answers.shape[1] > 1:
            return answers.argmax(dim=1) == targets
        return (answers > 0.5) == (targets > 0.5)

    def fit(epochs: int) -> None:
        for _ in range(epochs):
            total = right = 0.0
            for rows, targets in loader:
                answers = model(rows)
                loss = loss_of(answers, targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(rows)
                right += hits(answers, targets).sum().item()

    return fit


def bare_jax(x: Any, y: Any, hidden: tuple[int, ...], batch: int) -> Any:
    """A loop in JAX, written by hand for this one network: all epochs in one call, nothing around it."""
    import jax
    import jax.numpy as jnp

    generator = np.random.default_rng(1)
    sizes = [x.shape[1], *hidden, 1]
    rows = len(x)
    steps = -(-rows // batch)
    weights = [
        (generator.normal(size=(a, b)).astype(np.float32) / np.sqrt(a), np.zeros(b, np.float32))
        for a, b in itertools.pairwise(sizes)
    ]

    def cost_of(weights: Any, x: Any, y: Any, mask: Any, count: Any) -> Any:
        for kernel, bias in weights[:-1]:
            x = jax.nn.relu(x @ kernel + bias)
        p = jax.nn.sigmoid(x @ weights[-1][0] + weights[-1][1])[:, 0]
        p = jnp.clip(p, 1e-7, 1 - 1e-7)
        return jnp.sum(-(y * jnp.log(p) + (1 - y) * jnp.log(1 - p)) * mask) / count, p

    def step(i: Any, carry: Any, data: Any, order: Any) -> Any:
        weights, m, v, t, total, right = carry
        places = jax.lax.dynamic_slice(order, (i * batch,), (batch,))
        x, y = (array.at[places].get(mode="promise_in_bounds") for array in data)
        count = jnp.minimum(batch, rows - i * batch).astype(jnp.float32)
        mask = (jnp.arange(batch) < count).astype(jnp.float32)
        (cost, p), g = jax.value_and_grad(cost_of, has_aux=True)(weights, x, y, mask, count)
        t = t + 1.0
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        m = jax.tree.map(lambda m, g: m + (g - m) * 0.1, m, g)
        v = jax.tree.map(lambda v, g: v + (g * g - v) * 0.001, v, g)
        weights = jax.tree.map(lambda w, m, v: w - m * rate / (jnp.sqrt(v) + 1e-7), weights, m, v)
        right = right + jnp.sum(((p > 0.5) == (y > 0.5)) * mask)
        return weights, m, v, t, total + cost * count, right

    @jax.jit
    def train(carry: Any, data: Any, orders: Any) -> Any:
        def epoch(number: Any, carry: Any) -> Any:
            carry = (*carry[:4], jnp.float32(0), jnp.float32(0))
            return jax.lax.fori_loop(0, steps, lambda i, c: step(i, c, data, orders[number]), carry)

        return jax.lax.fori_loop(0, len(orders), epoch, carry)

    zeros = jax.tree.map(np.zeros_like, weights)
    data = jax.device_put((x, y))
    carry: Any = (weights, zeros, zeros, np.float32(0), np.float32(0), np.float32(0))

    def fit(epochs: int) -> None:
        nonlocal carry
        orders = np.zeros((epochs, steps * batch), np.int32)
        for order in orders:
            order[:rows] = np.random.permutation(rows)
        carry = jax.block_until_ready(train(carry, data, orders))

    return fit


CONTENDERS = {
    "pellucid": pellucid,
    "bare-jax": bare_jax,
    "scikit-learn": scikit_learn,
    "pytorch": pytorch,
    "keras-jax": keras_jax,
    "keras-tensorflow": keras_tensorflow,
}


def main() -> None:
    """Time one contender on one network."""
    contender, network = sys.argv[1:3]
    if network in SEQUENCES:
        rows, times, features, units, batch, epochs = SEQUENCES[network]
        x, y = sequences(rows, times, features)
        fit = recurrent(contender, x, y, units, batch)
    else:
        rows, features, hidden, batch, epochs = {**NETWORKS, **IMAGES}[network]
        if network in NETWORKS:
            epochs = max(1, epochs // SHORTER.get(contender, 1))
        x, y = images(rows, features) if network in IMAGES else table(rows, features)
        fit = CONTENDERS[contender](x, y, hidden, batch)
    fit(epochs if contender == "bare-jax" else 2)  # what is compiled is compiled here
    began = time.perf_counter()
    fit(epochs)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "steps": epochs * -(-rows // batch)}))


if __name__ == "__main__":
    main()
