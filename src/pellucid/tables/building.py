"""The network for a table, from public layers: an encoding, a learned scale, dense layers, the answer.

    row > encoding > input_scale > hidden_1 > hidden_2 > answer

Weights are drawn with spread 1, and each layer's inputs are divided by the root of their number instead (the
neural tangent parametrisation), so that one learning rate suits all layers. The answer starts at zero.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.tables import encoding as encodings
from pellucid.tables.encoding import Encoding
from pellucid.tables.schema import Kind, Target

#: How much faster than the others the scale of the inputs is learned.
SCALE_RATE = 6.0
#: Below this many rows a table is small.
SMALL = 2_000


@dataclass(frozen=True)
class Recipe:
    """How a network for a table is built and trained.

    Args:
        hidden: the units of the hidden layers; none makes a linear network.
        ramps: whether numbers get a piecewise-linear encoding.
        rate: the largest learning rate, after the first tenth of the steps; then it falls to 0 as a cosine.
        dropout: the part of the hidden units that is dropped in each step.
        decay: the part of each weight, times the learning rate, that is taken off in each step.
        batch: rows in a batch.
        epochs: how often all rows are gone through.
    """

    hidden: tuple[int, ...]
    ramps: bool
    rate: float
    dropout: float
    decay: float
    batch: int
    epochs: int

    def steps(self, rows: int) -> int:
        """How many steps train on so many rows."""
        return self.epochs * -(-rows // min(self.batch, rows))

    def work(self, rows: int, columns: int) -> float:
        """Roughly how many multiplications the training takes."""
        sizes = [columns, *self.hidden, 1]
        weights = sum(a * b for a, b in itertools.pairwise(sizes))
        return 6.0 * rows * self.epochs * weights


def recipe_for(rows: int, hidden: Sequence[int] | None = None, epochs: int | None = None) -> Recipe:
    """The recipe for a table of so many training rows.

    >>> recipe_for(400).hidden, recipe_for(30_000).hidden
    ((128, 128), (256, 256))
    """
    if rows < SMALL:
        batch = min(256, rows)
        steps_each = -(-rows // batch)
        found = Recipe((128, 128), False, 0.01, 0.2, 0.1, batch, max(16, min(64, 256 // steps_each)))
    else:
        passes = 16 if rows <= 30_000 else 12 if rows <= 200_000 else max(2, 2_400_000 // rows)
        found = Recipe((256, 256), True, 0.02, 0.25, 0.0, 256, passes)
    changed = {
        "hidden": found.hidden if hidden is None else tuple(hidden),
        "epochs": found.epochs if epochs is None else epochs,
    }
    return Recipe(**{**vars(found), **changed})


def network(made: Encoding, target: Target, recipe: Recipe) -> Any:
    """A network, not trained: a `Model` from rows to answers.

    Args:
        made: the encoding of its rows.
        target: what it answers.
        recipe: how it is built.
    """
    from pellucid import Model
    from pellucid.initializers import Constant, RandomNormal
    from pellucid.layers import Dense, Dropout, EinsumDense, Input, Rescaling

    units, last = {
        "yes/no": (1, "sigmoid"),
        "classes": (len(target.labels), "softmax"),
        "number": (1, None),
    }[target.kind]
    activation = "mish" if target.kind == "number" else "selu"
    row = Input(shape=(made.features,), name="row")
    z = encodings.layers(made, row)
    size = z.shape[-1]
    scale = Constant(1.0 / SCALE_RATE)
    z = EinsumDense("ab,b->ab", output_shape=(size,), kernel_initializer=scale, name="input_scale")(z)
    factor = SCALE_RATE
    for number, width in enumerate(recipe.hidden, 1):
        z = Rescaling(factor / math.sqrt(size), name=f"divided_{number}")(z)
        drawn = RandomNormal(stddev=1.0)
        z = Dense(width, activation=activation, kernel_initializer=drawn, name=f"hidden_{number}")(z)
        if recipe.dropout:
            z = Dropout(recipe.dropout, name=f"dropout_{number}")(z)
        size, factor = width, 1.0
    z = Rescaling(factor / math.sqrt(size), name="divided")(z)
    answer = Dense(units, activation=last, kernel_initializer="zeros", name="answer")(z)
    return Model(row, answer, name="network")


def compile_for(model: Any, kind: Kind, recipe: Recipe, rows: int) -> None:
    """Say how a network is trained on so many rows."""
    from pellucid.optimizers import Adam
    from pellucid.schedules import CosineDecay

    loss = {
        "yes/no": "binary_crossentropy",
        "classes": "sparse_categorical_crossentropy",
        "number": "mean_squared_error",
    }[kind]
    steps = recipe.steps(rows)
    warming = max(1, steps // 10)
    rate = CosineDecay(0.0, max(1, steps - warming), warmup_target=recipe.rate, warmup_steps=warming)
    optimizer = Adam(rate, beta_1=0.9, beta_2=0.95, weight_decay=recipe.decay or None)
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"] if kind != "number" else None)
