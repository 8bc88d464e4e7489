"""The network for a table, from public layers: an encoding, a learned scale, dense layers, the answer.

    row > encoding > input_scale > hidden_1 > hidden_2 > answer

Folds are members of one network: its layers hold the weights of all of them side by side, each is trained on
all rows but those of its own fold (whose weight is 0 for it), and the answer is the mean of theirs. So five
networks are one program, one file and one training that can be opened, and for each row there is an answer
that was not trained on it.

Weights are drawn with spread 1, and each layer's inputs are divided by the root of their number instead (the
neural tangent parametrisation), so that one learning rate suits all layers. The answer starts at zero.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

from pellucid.errors import ArgumentError, message
from pellucid.tables import encoding as encodings
from pellucid.tables.encoding import Encoding
from pellucid.tables.schema import Kind, Target

#: How much faster than the others the scale of the inputs is learned.
SCALE_RATE = 6.0
#: Below this many rows a table is small.
SMALL = 2_000
#: How many folds, and the fewest rows for them.
FOLDS, FEWEST_FOR_FOLDS = 5, 40
#: About how many multiplications and additions a second two cores do for one network, and for folds.
RATE, RATE_OF_FOLDS = 1e11, 4e10
#: The part of the rows to learn from that is held out from a first network.
VALIDATION_PART = 0.2
#: Dropout is tried against none where a training is no more than this many multiplications.
TRIED = 4e12


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
        folds: how many members the network has; 0 is one network without more ado.
        tries: whether single networks for held-out rows first say if dropout helps.
    """

    hidden: tuple[int, ...]
    ramps: bool
    rate: float
    dropout: float
    decay: float
    batch: int
    epochs: int
    folds: int = 0
    tries: bool = False

    def steps(self, rows: int) -> int:
        """How many steps train on so many rows."""
        return self.epochs * -(-rows // min(self.batch, rows))

    def work(self, rows: int, columns: int) -> float:
        """Roughly how many multiplications and additions the training takes."""
        sizes = [columns, *self.hidden, 1]
        weights = sum(a * b for a, b in itertools.pairwise(sizes))
        return 6.0 * rows * self.epochs * weights * max(1, self.folds)

    def seconds(self, rows: int, columns: int) -> float:
        """About how long two cores take for it."""
        return self.work(rows, columns) / (RATE_OF_FOLDS if self.folds else RATE)


@dataclass(frozen=True)
class Asked:
    """What was asked for instead of what the recipe says; None leaves it to the recipe.

    Args:
        hidden: the units of the hidden layers.
        epochs: how often all rows are gone through.
        folds: how many folds; 0 for one network.
        seconds: about how long the training may take.
    """

    hidden: tuple[int, ...] | None = None
    epochs: int | None = None
    folds: int | None = None
    seconds: float = 30.0

    def __post_init__(self) -> None:
        whole = [
            ("epochs", self.epochs, 1),
            ("folds", self.folds, 0),
            *(("network", n, 1) for n in self.hidden or ()),
        ]
        for name, value, least in whole:
            if value is not None and (
                type(value) is not int or value < least or (name, value) == ("folds", 1)
            ):
                expected = "0, or 2 or more" if name == "folds" else f"whole numbers, {least} or more"
                raise ArgumentError(message(f"{name} does not fit.", came=repr(value), expected=expected))
        seconds: Any = self.seconds
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
            raise ArgumentError(
                message("the time does not fit.", came=repr(seconds), expected="seconds, more than 0")
            )


def recipe_for(rows: int, columns: int, asked: Asked | None = None, kind: Kind = "yes/no") -> Recipe:
    """The recipe for a table.

    Nothing is timed, so that the same table gives the same network on every machine: how long a training
    takes is reckoned from its size.

    Args:
        rows: how many rows there are to learn from.
        columns: about how many columns the encoding will have.
        asked: what was asked for instead.
        kind: what is answered. For numbers, dropout is tried against none: it may well do harm.

    >>> recipe_for(400, 30).folds, recipe_for(30_000, 500).folds
    (5, 0)
    >>> recipe_for(30_000, 500, Asked(seconds=90)).folds
    5
    """
    asked = Asked() if asked is None else asked
    if rows < SMALL:
        batch = min(256, rows)
        steps_each = -(-rows // batch)
        found = Recipe((128, 128), False, 0.01, 0.2, 0.1, batch, max(16, min(64, 256 // steps_each)))
    else:
        passes = 16 if rows <= 30_000 else 12 if rows <= 200_000 else max(2, 2_400_000 // rows)
        found = Recipe((256, 256), True, 0.02, 0.25, 0.0, 256, passes)
    found = replace(
        found,
        hidden=found.hidden if asked.hidden is None else asked.hidden,
        epochs=found.epochs if asked.epochs is None else asked.epochs,
    )
    found = replace(found, tries=kind == "number" and len(found.hidden) > 0)
    found = replace(found, tries=found.tries and found.work(rows, columns) <= TRIED)
    once = (1 - VALIDATION_PART) * found.seconds(rows, columns)
    # Few rows held out say too little of dropout to overrule folds by it.
    folded = replace(
        found, folds=FOLDS if asked.folds is None else asked.folds, tries=found.tries and rows >= SMALL
    )
    whole = folded.seconds(rows, columns) + (2 * once if folded.tries else 0.0)
    fits = whole <= asked.seconds and rows >= FEWEST_FOR_FOLDS
    if fits if asked.folds is None else asked.folds:
        return folded
    held_out = (2 if found.tries else 1) * once
    most = int(found.epochs * asked.seconds / (held_out + found.seconds(rows, columns)))
    return found if asked.epochs is not None else replace(found, epochs=max(2, min(found.epochs, most)))


def network(made: Encoding, target: Target, recipe: Recipe) -> Any:
    """A network, not trained: a `Model` from rows to answers; with folds, also to those of its members.

    Args:
        made: the encoding of its rows.
        target: what it answers.
        recipe: how it is built.
    """
    from pellucid.initializers import Constant, RandomUniform
    from pellucid.layers import Dropout, EinsumDense, GlobalAveragePooling1D, Input, Rescaling
    from pellucid.models import Model

    units, last = {
        "yes/no": (1, "sigmoid"),
        "classes": (len(target.labels), "softmax"),
        "number": (1, None),
    }[target.kind]
    activation = "mish" if target.kind == "number" else "selu"
    folds = recipe.folds
    row = Input(shape=(made.features,), name="row")
    z = encodings.layers(made, row)
    size = z.shape[-1]
    equation, shape = ("ab,kb->akb", (folds, size)) if folds else ("ab,b->ab", (size,))
    first = Constant(1.0 / SCALE_RATE)
    z = EinsumDense(equation, output_shape=shape, kernel_initializer=first, name="input_scale")(z)
    factor = SCALE_RATE
    for number, width in enumerate(recipe.hidden, 1):
        z = Rescaling(factor / math.sqrt(size), name=f"divided_{number}")(z)
        z = _dense(
            folds, width, activation, RandomUniform(-math.sqrt(3.0), math.sqrt(3.0)), f"hidden_{number}"
        )(z)
        if recipe.dropout:
            z = Dropout(recipe.dropout, name=f"dropout_{number}")(z)
        size, factor = width, 1.0
    z = Rescaling(factor / math.sqrt(size), name="divided")(z)
    z = _dense(folds, units, last, "zeros", "members" if folds else "answer")(z)
    if not folds:
        return Model(row, z, name="network")
    return Model(row, [GlobalAveragePooling1D(name="answer")(z), z], name="network")


def _dense(folds: int, units: int, activation: str | None, initializer: Any, name: str) -> Any:
    """A dense layer, or those of all members side by side."""
    from pellucid.layers import Dense, EinsumDense

    if not folds:
        return Dense(units, activation=activation, kernel_initializer=initializer, name=name)
    return EinsumDense(
        "aki,kio->ako",
        output_shape=(folds, units),
        bias_axes="ko",
        activation=activation,
        kernel_initializer=initializer,
        name=name,
    )


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
    metrics = ["accuracy"] if kind != "number" else None
    if recipe.folds:
        model.compile(optimizer=optimizer, loss=[None, loss], weighted_metrics=[None, metrics])
    else:
        model.compile(optimizer=optimizer, loss=loss, metrics=metrics)
