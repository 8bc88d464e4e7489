"""A step as it would have been: with another learning rate, another weight, another input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pellucid import optimizers
from pellucid.data import Rows
from pellucid.engine import Engine
from pellucid.errors import ArgumentError, ShapeError, did_you_mean, message
from pellucid.formula import indexed
from pellucid.opened.seen import parsed, require_index
from pellucid.replay import Place
from pellucid.step import Parts, State
from pellucid.views import html, story


class WhatIf:
    """A step as it would have been, beside the step as it was.

    Attributes:
        before: the step as it was.
        after: the step as it would have been: a `Step` with all its numbers.
        changes: what was changed, in words.
    """

    def __init__(self, before: Any, after: Any, changes: Sequence[str]) -> None:
        self.before, self.after, self.changes = before, after, list(changes)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.after, name)

    def __str__(self) -> str:
        return story.what_if(self)

    def __repr__(self) -> str:
        return f"<WhatIf {', '.join(self.changes)}: cost {self.after.cost:.6g}, was {self.before.cost:.6g}>"

    def _repr_html_(self) -> str:
        return html.plain(str(self))


def what_if(
    step: Any,
    learning_rate: float | None,
    optimizer: Any,
    weights: Mapping[str, float] | None,
    x: Mapping[Any, float] | None,
    y: Mapping[Any, float] | None,
    settings: Mapping[str, Any],
) -> WhatIf:
    """The same step with something changed; arguments as for `Step.what_if`."""
    changes: list[str] = []
    engine, state, place = step.engine, step.state, step.place
    if optimizer is not None or settings or learning_rate is not None:
        engine, state, said = _other_optimizer(step, learning_rate, optimizer, settings)
        changes += said
    if weights is not None and not isinstance(weights, Mapping):
        raise ArgumentError(
            message(
                "weights says which are changed.",
                came=type(weights).__name__,
                expected='{"dense/kernel[0,0]": value}',
            )
        )
    if weights:
        values = dict(zip(step.weights, state.weights, strict=True))
        for reference, value in weights.items():
            name, index, suffix = parsed(reference)
            if suffix:
                raise ArgumentError(
                    message(
                        "weights are changed, and their gradients follow.",
                        came=repr(reference),
                        expected=repr(reference.removesuffix(f".{suffix}")),
                    )
                )
            step.weight_place(name, reference)
            array = np.array(values[name])
            if index is None and np.shape(value) not in ((), array.shape):
                raise ShapeError(
                    message(
                        f"a whole array of weights takes the place of {name}.",
                        came=f"a value of shape {np.shape(value)}",
                        expected=f"shape {array.shape}",
                        mend=f'one weight is "{indexed(name, (0,) * array.ndim)}".',
                    )
                )
            if not _holds(array.dtype, value):
                raise ArgumentError(message("a weight is a number.", came=repr(value)))
            place_of = ... if index is None else require_index(reference, index, array.shape)
            array[place_of] = value
            values[name] = array
            changes.append(f"{reference} = {value}" if index is not None else f"other {reference}")
        state = state._replace(weights=tuple(values.values()))
    for what, given in (("x", x), ("y", y)):
        if given:
            place, said = _other_rows(step, place, what, given)
            changes += said
    if not changes:
        raise ArgumentError(message("nothing is changed.", mend="say what: step.what_if(learning_rate=0.1)."))
    after = type(step).of(engine, state, place, step.columns)
    after.number, after.epoch, after.batch = step.number, step.epoch, step.batch
    after.batches_in_epoch, after.rows_in_all = step.batches_in_epoch, step.rows_in_all
    after.changes = changes
    return WhatIf(step, after, changes)


def _other_rows(step: Any, place: Place, what: str, given: Mapping[Any, float]) -> tuple[Place, list[str]]:
    if not isinstance(given, Mapping):
        raise ArgumentError(
            message(
                f"{what} says which numbers are changed.",
                came=type(given).__name__,
                expected="{(example, feature): value}",
            )
        )
    array = getattr(place.batch, what)
    if not isinstance(array, np.ndarray):
        raise ArgumentError(message(f"{what} is not one array.", came=str(type(array).__name__)))
    array = np.array(array)
    for key, value in given.items():
        index = tuple(key) if isinstance(key, tuple | list) else (key,)
        index = tuple(_column(step, each) if isinstance(each, str) else each for each in index)
        if any(isinstance(each, bool) or not hasattr(each, "__index__") for each in index):
            raise ArgumentError(
                message(f"{what} is changed at places that are whole numbers.", came=repr(key))
            )
        if not index or not 0 <= index[0] < step.rows_count:
            raise ArgumentError(
                message(
                    "there is no such example in the batch.",
                    came=f"{what}={{{key!r}: ...}}",
                    expected=f"0 to {step.rows_count - 1}",
                )
            )
        if not _holds(array.dtype, value):
            raise ArgumentError(
                message(f"{what} holds numbers of another kind.", came=repr(value), expected=str(array.dtype))
            )
        try:
            array[index] = value
        except (IndexError, ValueError, TypeError):
            raise ArgumentError(
                message(f"there is no such number in {what}.", came=repr(key), expected=str(array.shape))
            ) from None
    cut = array[: step.rows_count]
    batch = place.batch._replace(**{what: array})
    whole = Rows(
        cut if what == "x" else place.whole.x, cut if what == "y" else place.whole.y, place.whole.weight
    )
    if what == "y":
        step.parts.objective.check_targets(cut, step.outputs)
    said = [f"{what}[{key}] = {value}" for key, value in given.items()]
    return Place(batch, place.rows, place.size, whole), said


def _holds(dtype: Any, value: Any) -> bool:
    """Whether an array of this type can hold a number, up to rounding."""
    try:
        if np.dtype(dtype).kind == "f":
            np.array(value, dtype)
            return True
        return bool(np.all(np.array(value).astype(dtype) == value))
    except (OverflowError, ValueError, TypeError):
        return False


def _column(step: Any, name: str) -> int:
    if name not in step.columns:
        raise ArgumentError(
            message("there is no such column.", came=repr(name), expected=did_you_mean(name, step.columns))
        )
    return list(step.columns).index(name)


def _with_rate(step: Any, rate: float) -> State:
    """The state with another learning rate, which the same programs take."""
    variable = step.parts.optimizer.by_name()["learning_rate"]
    values = [
        np.asarray(rate, value.dtype) if each is variable else value
        for each, value in zip(step.parts.remembered, step.state.optimizer, strict=True)
    ]
    return step.state._replace(optimizer=tuple(values))


def _other_optimizer(
    step: Any, learning_rate: float | None, optimizer: Any, settings: Mapping[str, Any]
) -> tuple[Engine, State, list[str]]:
    outer, current = step.parts.optimizer, step.optimizer.mover
    only_rate = optimizer is None and not settings and isinstance(learning_rate, int | float)
    if only_rate and current is not None and current.rate_is_state:
        state = _with_rate(step, optimizers.checked_rate(learning_rate))
        return step.engine, state, [f"learning_rate = {learning_rate}"]
    said = [f"{name} = {value}" for name, value in settings.items()]
    if optimizer is not None:
        made = optimizers.get(optimizer)
        outer = outer if made.mover is made else made
        config = {**made.mover.get_config(), **settings}
        made, said = type(made.mover), [f"optimizer {made.mover.name}", *said]
    else:
        assert current is not None
        config, made = {**current.get_config(), **settings}, type(current)
        if "learning_rate" not in config or current.rate_is_state:
            config["learning_rate"] = step.optimizer.learning_rate
    if learning_rate is not None:
        config["learning_rate"] = learning_rate
        said.append(f"learning_rate = {learning_rate}")

    def of_config() -> Engine:
        mover = made.from_config(config)
        if current is not None:
            mover.name = current.name
            mover.decays_like(current)
        known = mover if outer is None else outer.around(mover)
        known.build(step.parts.weights)
        return Engine(Parts(step.parts.model, step.parts.objective, known))

    # A number in the place of a schedule is part of the state, so that all numbers take the same programs.
    engine: Engine = step.engine.once("a number as rate", of_config) if only_rate else of_config()
    known: Any = engine.parts.optimizer
    mover = known.mover
    before = step.optimizer.before
    # Another optimizer begins anew; the scale of the cost stays where it is, unless it brings its own.
    anew = known if outer is not step.parts.optimizer else mover
    own = ("learning_rate",) if optimizer is None else anew.by_name()
    kept = {
        variable: before[name]
        for name, variable in known.by_name().items()
        if name in before and name not in own
    }
    if only_rate:
        variable = known.by_name()["learning_rate"]
        kept[variable] = np.asarray(optimizers.checked_rate(learning_rate), variable.value.dtype)
    values = [kept.get(variable, variable.value) for variable in known.variables]
    return engine, step.state._replace(optimizer=tuple(values)), said
