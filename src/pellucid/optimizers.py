"""How a gradient moves a weight: the update, with everything it remembers kept in variables.

An optimizer gives one rule, `update_step(gradient, variable, learning_rate)`. What happens around
it is the same for all, in Keras's order: divide gradients by what the cost was scaled by, gather them
over several steps if that is asked for, clip them, decay the weights, apply the rule, average the
weights if that is asked for, apply the constraints, count the step.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import naming
from pellucid import schedules as schedules
from pellucid.arrays import Array, ArrayLike, as_array, floatx
from pellucid.errors import ArgumentError, KindError, ShapeError, StateError, did_you_mean, message
from pellucid.formula import Expression, Let, Moved, Number, largest, sign, sqrt, sum_over, total, within
from pellucid.naming import Catalogue, Configurable, automatic_name, snake_case
from pellucid.schedules import LearningRateSchedule
from pellucid.variables import Scope, Variable, hand_out

# As in Keras, `from pellucid.optimizers.schedules import CosineDecay` works.
sys.modules[f"{__name__}.schedules"] = schedules

CATALOGUE = Catalogue("optimizer")
#: The arguments that every optimizer takes.
_SHARED = (
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
    "name",
)


class Optimizer(Configurable):
    """The part that all optimizers share. One of your own overrides `build` and `update_step`.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        weight_decay: the part of each weight, times the learning rate, taken off before each update.
        clipnorm: the largest length (2-norm) of the gradient of one variable.
        clipvalue: the largest absolute value of one entry of a gradient.
        global_clipnorm: the largest length of all gradients taken together.
        use_ema: whether a running mean of each weight is kept; `fit` ends with these means as weights.
        ema_momentum: how much of the mean is kept in each step.
        ema_overwrite_frequency: after how many steps, each time, the means become the weights; or never
            before the end.
        loss_scale_factor: what the cost is multiplied by before it is differentiated, and the gradients are
            divided by again, so that small ones are not lost in float16.
        gradient_accumulation_steps: how many steps share one update, by the mean of their gradients.
        name: its name.

    Example, an optimizer of one's own:
        >>> class Half(Optimizer):
        ...     def build(self, variables):
        ...         super().build(variables)
        ...         self.means = self.add_optimizer_variables(variables, "mean")
        ...     def update_step(self, gradient, variable, learning_rate):
        ...         mean = self.means[self._get_variable_index(variable)]
        ...         self.assign(mean, (mean + gradient) / 2)
        ...         self.assign_sub(variable, learning_rate * mean)
        >>> weight = Variable([1.0])
        >>> Half(0.5).apply([[2.0]], [weight]); float(weight[0])
        0.5
    """

    namespace = "keras.optimizers"
    #: What is remembered for each weight, in the order of Keras's files.
    slots: tuple[str, ...] = ()
    #: Those of them that lie behind the others, for all weights together.
    apart: tuple[str, ...] = ()

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        for argument, value in unknown.items():
            known = [*inspect.signature(type(self).__init__).parameters, *_SHARED]
            names = [each for each in known if each not in ("self", "kwargs")]
            mend = "write learning_rate." if argument == "lr" else did_you_mean(argument, names)
            raise ArgumentError(
                message(
                    f"{type(self).__name__} has no argument {argument!r}.",
                    came=f"{argument}={value!r}",
                    expected=", ".join(names),
                    mend=mend,
                )
            )
        if loss_scale_factor is not None and not loss_scale_factor > 0:
            raise ArgumentError(message("loss_scale_factor must be positive.", came=loss_scale_factor))
        if gradient_accumulation_steps and not gradient_accumulation_steps >= 2:
            raise ArgumentError(
                message(
                    "`gradient_accumulation_steps` must be an integer >= 2.",
                    came=gradient_accumulation_steps,
                )
            )
        if use_ema and not 0.0 <= ema_momentum <= 1.0:
            raise ArgumentError(message("`ema_momentum` must be in the range [0, 1].", came=ema_momentum))
        every = ema_overwrite_frequency
        if use_ema and every and (not isinstance(every, int) or every < 1):
            raise ArgumentError(
                message("`ema_overwrite_frequency` must be an integer >= 1 or None.", came=every)
            )
        limits = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        set_limits = [name for name, limit in limits.items() if limit is not None]
        if len(set_limits) > 1:
            raise ArgumentError(
                message(
                    "Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set.", came=set_limits
                )
            )
        if any(limit is not None and limit <= 0 for limit in limits.values()):
            raise ArgumentError(message(f"{set_limits[0]} must be positive.", came=limits[set_limits[0]]))
        if weight_decay is not None and weight_decay < 0:
            raise ArgumentError(message("weight_decay cannot be negative.", came=weight_decay))
        self.name = name or automatic_name(snake_case(type(self).__name__))
        self.weight_decay, self.clipnorm, self.clipvalue = weight_decay, clipnorm, clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.built = False
        self._iterations = Variable(
            np.zeros((), np.int32), trainable=False, name="iteration", path=f"{self.name}/iteration"
        )
        self._variables: list[Variable] = [self._iterations]
        #: The weights that it was built for.
        self._moved: list[Variable] = []
        self._schedule: Any = None
        self._rate: Variable | None = None
        if isinstance(learning_rate, Mapping | str):
            # A function that gives the rate has only a name in a configuration.
            learning_rate = schedules.get(learning_rate)
        if isinstance(learning_rate, LearningRateSchedule) or callable(learning_rate):
            self._schedule = learning_rate
        else:
            self._rate = Variable(
                np.asarray(checked_rate(learning_rate), floatx()),
                trainable=False,
                name="learning_rate",
                path=f"{self.name}/learning_rate",
            )
            self._variables.append(self._rate)
        self._state_of: dict[Variable, dict[str, Variable]] = {}
        self._not_decayed: set[Variable] = set()
        self._not_decayed_names: list[str] = []

    @property
    def iterations(self) -> Any:
        """How many updates there have been."""
        steps = self.gradient_accumulation_steps
        return as_array(self._iterations.value) // steps if steps else self._iterations

    def number_of_update(self, dtype: Any) -> Array:
        """The number of the update that is being made, from 1."""
        return (as_array(self.iterations) + 1).astype(dtype)

    @property
    def learning_rate(self) -> Any:
        """The learning rate: a variable that can be assigned, or the value of the schedule now."""
        if self._rate is not None:
            return self._rate
        if self._schedule is None:
            return as_array(np.nan)  # it is inside an optax transformation, and not known
        if isinstance(self._schedule, LearningRateSchedule):
            return self._schedule(self._iterations.value)
        return as_array(self._schedule()).astype(floatx())

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, LearningRateSchedule) or (callable(value) and not hasattr(value, "shape")):
            self._variables = [each for each in self._variables if each is not self._rate]
            self._schedule, self._rate = value, None
        elif self._rate is None:
            raise KindError(
                message(
                    "This optimizer was created with a `LearningRateSchedule`, and its rate cannot be set.",
                    came=value,
                    expected="an optimizer made with a number as its learning_rate",
                )
            )
        else:
            self._rate.assign(np.asarray(checked_rate(value), floatx()))

    lr = learning_rate

    @property
    def rate_is_state(self) -> bool:
        """Whether the learning rate is a variable, rather than a schedule."""
        return self._rate is not None

    @property
    def variables(self) -> list[Variable]:
        """All variables: iteration, learning rate, then the slots of each weight in turn."""
        return list(self._variables)

    @property
    def mover(self) -> Optimizer:
        """The optimizer whose rule moves the weights: itself, or the one that it wraps."""
        return self

    def around(self, mover: Optimizer) -> Optimizer:
        """Another optimizer, wrapped as the mover of this one is."""
        return mover

    def by_name(self) -> dict[str, Variable]:
        """What an opened step shows of it: "iteration", "learning_rate", "dense/kernel/momentum", ..."""
        return {variable.path.partition("/")[2]: variable for variable in self._variables}

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the slots of these weights."""
        if self.built:
            return
        for group in self._groups():
            for variable in variables:
                self._add_group(variable, group)
        self._moved = list(variables)
        self.built = True

    def _groups(self) -> list[tuple[str, ...]]:
        """The slots that lie together for each weight, in the order of Keras's files."""
        groups: list[tuple[str, ...]] = [("average",)] if self.use_ema else []
        groups += [("gradient_accumulator",)] if self.gradient_accumulation_steps else []
        groups.append(tuple(slot for slot in self.slots if slot not in self.apart))
        return groups + [(slot,) for slot in self.slots if slot in self.apart]

    def add_slots(self, variable: Variable) -> None:
        """Make the slots of one weight more."""
        if variable not in self._moved:
            for group in self._groups():
                self._add_group(variable, group)
            self._moved.append(variable)

    def _add_group(self, variable: Variable, group: tuple[str, ...]) -> None:
        for slot in group:
            own = slot in self.slots
            made = Variable(
                self.first_value(slot, variable) if own else np.zeros(variable.shape, variable.dtype),
                trainable=False,
                name=f"{variable.path.replace('/', '_')}_{slot}",
                path=f"{self.name}/{variable.path}/{slot}",
            )
            self._state_of.setdefault(variable, {})[slot] = made
            self._variables.append(made)

    def first_value(self, slot: str, variable: Variable) -> Any:
        """What a slot starts from."""
        return np.zeros(variable.shape, variable.dtype)

    def slot(self, name: str, variable: Variable) -> Variable:
        """What is remembered under this name for this weight."""
        return self._state_of[variable][name]

    # For optimizers written the Keras way.

    def add_variable(
        self, shape: Sequence[int], initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> Variable:
        """A variable of one's own, which is kept from step to step."""
        from pellucid import initializers

        path = f"{self.name}/{name or automatic_name('variable')}"
        made = Variable(initializers.get(initializer), shape, dtype, trainable=False, name=name, path=path)
        self._variables.append(made)
        return made

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """A variable of the shape of another."""
        from pellucid import initializers

        path, name = reference_variable.path, name or "var"
        made = Variable(
            initializers.get(initializer),
            reference_variable.shape,
            reference_variable.dtype,
            trainable=False,
            name=f"{path.replace('/', '_')}_{name}",
            path=f"{self.name}/{path}/{name}",
        )
        self._variables.append(made)
        return made

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Variable], name: str | Sequence[str], initializer: Any = "zeros"
    ) -> Any:
        """A variable of the shape of each weight; for several names, a list for each name."""
        names = [name] if isinstance(name, str) else list(name)
        firsts = initializer if isinstance(initializer, list | tuple) else [initializer] * len(names)
        made = [
            [self.add_variable_from_reference(variable, *each) for each in zip(names, firsts, strict=True)]
            for variable in trainable_variables
        ]
        lists = tuple([row[place] for row in made] for place in range(len(names)))
        return lists[0] if isinstance(name, str) else lists

    def _get_variable_index(self, variable: Variable) -> int:
        """The place of a weight among those that the optimizer was built for. Named as in Keras."""
        return next(place for place, each in enumerate(self._moved) if each is variable)

    def assign(self, variable: Variable, value: ArrayLike) -> None:
        """Set a variable."""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: ArrayLike) -> None:
        """Add to a variable."""
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: ArrayLike) -> None:
        """Subtract from a variable."""
        variable.assign_sub(value)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all variables, in their order."""
        if not self.built:
            raise StateError(
                message("You are calling `set_weights()` on an optimizer that has not yet been built.")
            )
        for variable, weight in zip(self.variables, weights, strict=True):
            variable.assign(weight)

    def scale_loss(self, loss: Any) -> Any:
        """What is differentiated in the place of a loss; `apply` takes gradients of it.

        >>> SGD(0.1).scale_loss(2.0), SGD(0.1, loss_scale_factor=8.0).scale_loss(2.0)
        (2.0, 16.0)
        """
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave these variables, or those in whose names one of these words is, out of the weight decay."""
        self._not_decayed = set(var_list or ())
        self._not_decayed_names = list(var_names or ())

    # The step.

    def update_step(self, gradient: Array, variable: Variable, learning_rate: Array) -> None:
        """The rule: assign the variable, and what is remembered for it."""
        raise NotImplementedError

    def rule(self, moved: Moved) -> Expression | None:
        """The arithmetic of `update_step`: what it adds to one weight; None if it states none.

        >>> weight, gradient = Number(1.0, "w"), Number(2.0, "g")
        >>> SGD(0.1).rule(Moved("w", (), weight, gradient, Number(0.1), Number(1), {}))
        <-0.1*2 = -0.2>
        """
        return None

    def apply(
        self, grads: Sequence[ArrayLike], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """Update the variables by their gradients: clip, decay, rule, average, constraints, count."""
        if len(grads) == 0:
            return
        gradients, variables = self._paired(grads, trainable_variables)
        if self.loss_scale_factor is not None:
            gradients = [gradient / self.loss_scale_factor for gradient in gradients]
        if self.gradient_accumulation_steps:
            self._gather(gradients, variables, self.gradient_accumulation_steps)
        else:
            self._move(gradients, variables)
        if self.use_ema:
            self._average()
        for variable in variables:
            if variable.constraint is not None:
                moved = hand_out(f"{variable.path}.moved", as_array(variable.value))
                variable.assign(variable.constraint(moved))
        self._iterations.assign(as_array(self._iterations.value) + 1)

    def _paired(
        self, grads: Sequence[ArrayLike], trainable_variables: Sequence[Variable] | None
    ) -> tuple[list[Array], list[Variable]]:
        """The gradients that there are, and the weights that they belong to."""
        variables = self._built_for(trainable_variables)
        if len(grads) != len(variables):
            raise ShapeError(
                message("each weight has one gradient.", came=f"{len(grads)}", expected=f"{len(variables)}")
            )
        for variable in variables:
            if not any(variable is each for each in self._moved):
                raise ArgumentError(
                    message(
                        "Unknown variable: an optimizer moves the weights that it was built with.",
                        came=repr(variable),
                        mend="make another optimizer for other weights.",
                    )
                )
        missing = [v.path for g, v in zip(grads, variables, strict=True) if g is None]
        if len(missing) == len(variables):
            raise ArgumentError(message("No gradients provided for any variable."))
        if missing:
            warnings.warn(f"Gradients do not exist for variables {missing}.", stacklevel=3)
        pairs = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
        return [as_array(gradient) for gradient, _ in pairs], [variable for _, variable in pairs]

    def _built_for(self, variables: Sequence[Variable] | None) -> list[Variable]:
        """These weights, or those that it was built for if none are said; it is built if it was not."""
        if variables is None and not self.built:
            raise StateError(
                message(
                    "When passing `grads` without `variables`, the optimizer must already be built.",
                    mend="optimizer.build(variables).",
                )
            )
        found = list(self._moved if variables is None else variables)
        if not self.built:
            self.build(found)
        return found

    def _move(self, gradients: list[Array], variables: list[Variable]) -> None:
        """Clip the gradients, decay the weights, and apply the rule."""
        gradients = self.clip(gradients)
        rate = hand_out("learning_rate", as_array(self.learning_rate))
        for gradient, variable in zip(gradients, variables, strict=True):
            hand_out(f"{variable.path}.clipped", gradient)
        for variable in variables:
            if self.decays(variable):
                value = as_array(variable.value)
                variable.assign(value - value * (self.weight_decay or 0.0) * rate)
        self.begin_step()
        for gradient, variable in zip(gradients, variables, strict=True):
            self.update_step(gradient, variable, rate.astype(variable.dtype))

    def _gather(self, gradients: list[Array], variables: list[Variable], steps: int) -> None:
        """Add the gradients to those kept; every `steps` steps, move by their mean and keep none."""
        kept = [self.slot("gradient_accumulator", variable) for variable in variables]
        changing = [*variables, *(each for each in self._variables if each not in kept)]
        before = [as_array(each.value) for each in changing]
        gathered = [g + as_array(each.value) for g, each in zip(gradients, kept, strict=True)]
        moves = (as_array(self._iterations.value) + 1) % steps == 0
        self._move([each / steps for each in gathered], variables)
        for variable, value in zip(changing, before, strict=True):
            variable.assign(jnp.where(moves, as_array(variable.value), value))
        for each, value in zip(kept, gathered, strict=True):
            each.assign(jnp.where(moves, 0.0, value))

    def _average(self) -> None:
        """Move the running means towards the weights; now and then, make them the weights."""
        updates = as_array(self.iterations)
        momentum = jnp.where(updates == 0, 0.0, self.ema_momentum)
        for variable in self._moved:
            kept, value = self.slot("average", variable), as_array(variable.value)
            mean = (momentum * as_array(kept.value) + (1 - momentum) * value).astype(value.dtype)
            kept.assign(mean)
            if self.ema_overwrite_frequency:
                overwrites = (updates + 1) % self.ema_overwrite_frequency == 0
                variable.assign(jnp.where(overwrites, mean, value))

    def keeps_still(self, steps: Any) -> bool:
        """Whether the step after so many only gathers gradients."""
        gathered = self.gradient_accumulation_steps
        return bool(gathered) and (int(steps) + 1) % gathered != 0

    def average_formula(self, weight: Expression, moved: Moved) -> Expression:
        """The arithmetic of a weight after a step in which the running means may become the weights."""
        if self.ema_overwrite_frequency is None or moved.t.value % self.ema_overwrite_frequency:
            return weight
        momentum = self.ema_momentum if moved.t.value > 1 else 0.0
        return momentum * moved.slots["average"] + (1 - momentum) * weight

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """Make the running means, if there are any, the weights. `fit` ends with this."""
        if self.use_ema:
            for variable in var_list:
                variable.assign(self.slot("average", variable).value)

    def stateless_apply(
        self, optimizer_variables: Sequence[Any], grads: Sequence[Any], trainable_variables: Sequence[Any]
    ) -> tuple[list[Any], list[Any]]:
        """The same as a function of values: gives those of the weights, and of the optimizer, after.

        Args:
            optimizer_variables, trainable_variables: values, one for each of `variables` and of the
                weights that the optimizer was built for.
            grads: a gradient for each weight.
        """
        remembered = self.variables
        for name, values, own in (
            ("optimizer_variables", optimizer_variables, remembered),
            ("trainable_variables", trainable_variables, self._moved),
        ):
            if len(values) != len(own):
                raise ShapeError(
                    message(
                        f"`{name}` has a value for each variable; build the optimizer first.",
                        came=f"{len(values)} values",
                        expected=f"{len(own)}",
                    )
                )
        values = [*map(as_array, trainable_variables), *map(as_array, optimizer_variables)]
        with Scope([*self._moved, *remembered], values)() as scope:
            self.apply(grads)
        return list(scope.after(self._moved)), list(scope.after(remembered))

    def apply_gradients(self, grads_and_vars: Iterable[tuple[ArrayLike, Variable]]) -> Variable:
        """The same, from pairs (gradient, variable). Gives the number of steps so far."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])
        return self._iterations

    def begin_step(self) -> None:
        """What happens once in each step, before the variables are updated."""

    def clip(self, gradients: list[Array]) -> list[Array]:
        """Clip by length each, by length together, or by value."""
        if self.clipnorm is not None:
            return [clip_by_norm(gradient, self.clipnorm) for gradient in gradients]
        if self.global_clipnorm is not None:
            length = jnp.sqrt(sum(jnp.sum(jnp.square(gradient)) for gradient in gradients))
            scale = self.global_clipnorm / jnp.maximum(length, self.global_clipnorm)
            return [gradient * scale for gradient in gradients]
        if self.clipvalue is not None:
            return [jnp.clip(gradient, -self.clipvalue, self.clipvalue) for gradient in gradients]
        return gradients

    def clip_formula(
        self,
        gradient: Expression,
        index: tuple[int, ...],
        own: tuple[str, np.ndarray[Any, Any]],
        all_gradients: Mapping[str, np.ndarray[Any, Any]],
    ) -> Expression:
        """The arithmetic of what `clip` makes of one entry of a gradient.

        Args:
            gradient: the entry.
            index: its place.
            own: the gradient that it belongs to, and before it that gradient's name.
            all_gradients: all gradients by their names.
        """
        if self.clipvalue is not None:
            return within(gradient, -self.clipvalue, self.clipvalue)
        limit = self.clipnorm if self.clipnorm is not None else self.global_clipnorm
        if limit is None:
            return gradient
        arrays = all_gradients if self.clipnorm is None else dict([own])
        squares = [sum_over(array, name, lambda g: g**2) for name, array in arrays.items()]
        length = Let("length", sqrt(total(squares)))
        return gradient if length.value <= limit else gradient * limit / length

    def save_own_variables(self, store: dict[str, Any]) -> None:
        """Put all that is remembered into the dict of a file."""
        for number, variable in enumerate(self.variables):
            store[str(number)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take all that is remembered from the dict of a file, or nothing if it is of other weights."""
        variables = self.variables
        if len(store) != len(variables):
            warnings.warn(
                f"Skipping variable loading for optimizer '{self.name}', because it has {len(variables)} "
                f"variables whereas the saved optimizer has {len(store)} variables.",
                stacklevel=2,
            )
            return
        for number, variable in enumerate(variables):
            variable.assign(store[str(number)])

    def decays_like(self, other: Optimizer) -> None:
        """Leave out of the weight decay what another optimizer leaves out."""
        self._not_decayed = set(other._not_decayed)
        self._not_decayed_names = list(other._not_decayed_names)

    def decays(self, variable: Variable) -> bool:
        """Whether weight decay takes a part off this weight."""
        if not self.weight_decay:
            return False
        named = any(re.search(name, variable.name) for name in self._not_decayed_names)
        return not named and variable not in self._not_decayed

    def changed_arguments(self) -> dict[str, Any]:
        """What all optimizers take; the learning rate may have been set since."""
        rate = float(self._rate.value) if self._rate is not None else self._schedule
        shared = {name: getattr(self, name) for name in _SHARED}
        return {**super().changed_arguments(), **shared, "learning_rate": rate}

    def described(self) -> dict[str, Any]:
        """The configuration without what changes while it trains."""
        config = self.get_config()
        if self.rate_is_state:
            config.pop("learning_rate", None)
        return config


def checked_rate(value: Any) -> float:
    """A learning rate as a number, or ArgumentError."""
    try:
        rate = float(value)
    except (TypeError, ValueError):
        raise ArgumentError(
            message("this is not a learning rate.", came=repr(value), expected="a number or a schedule")
        ) from None
    if not 0.0 <= rate < float("inf"):
        raise ArgumentError(message("the learning rate does not fit.", came=rate, expected="0 or more"))
    return rate


def clip_by_norm(gradient: Array, limit: float) -> Array:
    """The gradient, shortened to this length if it is longer."""
    length = jnp.sqrt(jnp.sum(jnp.square(gradient)))
    return gradient * limit / jnp.maximum(length, limit)


@CATALOGUE.entry()
class SGD(Optimizer):
    """Gradient descent: w <- w - learning_rate * g; with momentum m <- momentum * m - learning_rate * g.

    With momentum w <- w + m, and with `nesterov` w <- w + momentum * m - learning_rate * g.

    Example:
        >>> w = Variable([1.0])
        >>> SGD(0.1).apply([[2.0]], [w]); round(float(w[0]), 6)
        0.8
    """

    def __init__(
        self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not 0.0 <= momentum <= 1.0:
            raise ArgumentError(
                message("`momentum` must be a float between [0, 1].", came=momentum, expected="0 to 1")
            )
        self.momentum, self.nesterov = momentum, nesterov
        self.slots = ("momentum",) if momentum else ()

    def update_step(self, gradient: Array, variable: Variable, learning_rate: Array) -> None:
        """Move against the gradient."""
        step = -learning_rate * gradient
        if self.momentum:
            memory = self.slot("momentum", variable)
            m = self.momentum * as_array(memory.value) + step
            memory.assign(m)
            step = self.momentum * m + step if self.nesterov else m
        variable.assign(as_array(variable.value) + step)

    def rule(self, moved: Moved) -> Expression | None:
        """-learning_rate * g; m with momentum; momentum * m - learning_rate * g with `nesterov`."""
        step = -(moved.learning_rate * moved.gradient)
        if not self.momentum:
            return step
        m = Let("m", self.momentum * moved.slots["momentum"] + step)
        return self.momentum * m + step if self.nesterov else m


@CATALOGUE.entry("rmsprop")
class RMSprop(Optimizer):
    """v <- rho * v + (1 - rho) * g^2; w <- w - learning_rate * g / sqrt(v + epsilon). Hinton, 2012."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered
        self.slots = (
            "velocity",
            *(("momentum",) if momentum else ()),
            *(("average_gradient",) if centered else ()),
        )
        self.apart = ("momentum", "average_gradient")

    def update_step(self, gradient: Array, variable: Variable, learning_rate: Array) -> None:
        """Move against the gradient, measured in its own usual size."""
        velocity = self.slot("velocity", variable)
        v = self.rho * as_array(velocity.value) + (1 - self.rho) * jnp.square(gradient)
        velocity.assign(v)
        if self.centered:
            average = self.slot("average_gradient", variable)
            mean = self.rho * as_array(average.value) + (1 - self.rho) * gradient
            average.assign(mean)
            v = v - jnp.square(mean)
        step = learning_rate * gradient / jnp.sqrt(v + self.epsilon)
        if self.momentum:
            memory = self.slot("momentum", variable)
            step = self.momentum * as_array(memory.value) + step
            memory.assign(step)
        variable.assign(as_array(variable.value) - step)

    def rule(self, moved: Moved) -> Expression | None:
        """-learning_rate * g / sqrt(v + epsilon); v is less the squared mean, if centered."""
        g, slots = moved.gradient, moved.slots
        v = Let("v", self.rho * slots["velocity"] + (1 - self.rho) * g**2)
        if self.centered:
            average = Let("mean", self.rho * slots["average_gradient"] + (1 - self.rho) * g)
            v = Let("variance", v - average**2)
        step = moved.learning_rate * g / sqrt(v + self.epsilon)
        return -Let("m", self.momentum * slots["momentum"] + step) if self.momentum else -step


@CATALOGUE.entry()
class Adagrad(Optimizer):
    """s <- s + g^2; w <- w - learning_rate * g / sqrt(s + epsilon). Duchi et al., 2011."""

    slots = ("accumulator",)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def first_value(self, slot: str, variable: Variable) -> Any:
        """The sum starts above zero."""
        return np.full(variable.shape, self.initial_accumulator_value, variable.dtype)

    def update_step(self, gradient: Array, variable: Variable, learning_rate: Array) -> None:
        """Move against the gradient, ever more slowly where gradients were large."""
        accumulator = self.slot("accumulator", variable)
        s = as_array(accumulator.value) + jnp.square(gradient)
        accumulator.assign(s)
        step = learning_rate * gradient / jnp.sqrt(s + self.epsilon)
        variable.assign(as_array(variable.value) - step)

    def rule(self, moved: Moved) -> Expression | None:
        """-learning_rate * g / sqrt(s + epsilon)."""
        s = Let("s", moved.slots["accumulator"] + moved.gradient**2)
        return -(moved.learning_rate * moved.gradient / sqrt(s + self.epsilon))


@CATALOGUE.entry()
class Adam(Optimizer):
    """m and v are running means of g and g^2; w <- w - alpha * m / (sqrt(v) + epsilon).

    alpha = learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) corrects that both start from 0;
    t counts the steps from 1. Kingma & Ba, 2015, with epsilon in the place of their section 2.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad
        self.slots = ("momentum", "velocity", *(("velocity_hat",) if amsgrad else ()))
        self.apart = ("velocity_hat",)

    def update_step(self, gradient: Array, variable: Variable, learning_rate: Array) -> None:
        """Move against the mean gradient, measured in its own usual size."""
        t = self.number_of_update(learning_rate.dtype)
        alpha = learning_rate * jnp.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        momentum, velocity = self.slot("momentum", variable), self.slot("velocity", variable)
        m, v = as_array(momentum.value), as_array(velocity.value)
        m = m + (gradient - m) * (1 - self.beta_1)
        v = v + (jnp.square(gradient) - v) * (1 - self.beta_2)
        momentum.assign(m)
        velocity.assign(v)
        if self.amsgrad:
            largest = self.slot("velocity_hat", variable)
            v = jnp.maximum(as_array(largest.value), v)
            largest.assign(v)
        variable.assign(as_array(variable.value) - m * alpha / (jnp.sqrt(v) + self.epsilon))

    def rule(self, moved: Moved) -> Expression | None:
        """-m * alpha / (sqrt(v) + epsilon); the largest v so far with `amsgrad`."""
        corrected = sqrt(1 - self.beta_2**moved.t) / (1 - self.beta_1**moved.t)
        alpha = Let("alpha", moved.learning_rate * corrected)
        m, v = _means(moved, self.beta_1, self.beta_2)
        if self.amsgrad:
            v = Let("v_hat", largest(moved.slots["velocity_hat"], v))
        return -(m * alpha / (sqrt(v) + self.epsilon))


def _means(moved: Moved, beta_1: float, beta_2: float) -> tuple[Let, Let]:
    """The running means of g and g^2 after the step."""
    g, m, v = moved.gradient, moved.slots["momentum"], moved.slots["velocity"]
    return Let("m", m + (g - m) * (1 - beta_1)), Let("v", v + (g**2 - v) * (1 - beta_2))


@CATALOGUE.entry("adamw")
class AdamW(Adam):
    """Adam with weight decay apart from the gradient: w <- w - w * weight_decay * learning_rate first.

    Loshchilov & Hutter, 2019.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs)
        if self.weight_decay is None:
            raise ArgumentError(message("Argument `weight_decay` must be a float.", came=weight_decay))


@CATALOGUE.entry()
class Nadam(Optimizer):
    """Adam that looks one step of its momentum ahead. Dozat, 2016."""

    slots = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self._product: Any = None

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the slots, and the product of the momentum factors of all steps."""
        if not self.built:
            super().build(variables)
            dtype = variables[0].dtype if variables else floatx()
            self._product = self.add_variable((), "ones", dtype, "u_product")

    def _momentum_at(self, t: Array) -> Array:
        return self.beta_1 * (1.0 - 0.5 * jnp.power(jnp.asarray(0.96, t.dtype), t))

    def begin_step(self) -> None:
        """Multiply up the momentum factors of all steps so far."""
        t = self.number_of_update(self._product.dtype)
        self._product.assign(as_array(self._product.value) * self._momentum_at(t))

    def update_step(self, gradient: Array, variable: Variable, learning_rate: Array) -> None:
        """Move as Adam would one step later."""
        t = self.number_of_update(learning_rate.dtype)
        now, following = self._momentum_at(t), self._momentum_at(t + 1)
        product = as_array(self._product.value).astype(learning_rate.dtype)
        momentum, velocity = self.slot("momentum", variable), self.slot("velocity", variable)
        m, v = as_array(momentum.value), as_array(velocity.value)
        m = m + (gradient - m) * (1 - self.beta_1)
        v = v + (jnp.square(gradient) - v) * (1 - self.beta_2)
        momentum.assign(m)
        velocity.assign(v)
        ahead = following * m / (1 - product * following) + (1 - now) * gradient / (1 - product)
        size = jnp.sqrt(v / (1 - self.beta_2**t)) + self.epsilon
        variable.assign(as_array(variable.value) - ahead * learning_rate / size)

    def rule(self, moved: Moved) -> Expression | None:
        """-ahead * learning_rate / (sqrt(v / (1 - beta_2^t)) + epsilon)."""
        t, g = moved.t, moved.gradient
        now = Let("mu", self.beta_1 * (1 - 0.5 * Number(0.96) ** t))
        following = Let("mu_next", self.beta_1 * (1 - 0.5 * Number(0.96) ** (t + 1)))
        product = Let("product", moved.slots["u_product"] * now)
        m, v = _means(moved, self.beta_1, self.beta_2)
        ahead = Let("ahead", following * m / (1 - product * following) + (1 - now) * g / (1 - product))
        return -(ahead * moved.learning_rate / (sqrt(v / (1 - self.beta_2**t)) + self.epsilon))


@CATALOGUE.entry()
class Adadelta(Optimizer):
    """A and D are running means of g^2 and of the squared steps; w <- w - learning_rate * step.

    step = sqrt(D + epsilon) / sqrt(A + epsilon) * g, so that a step has the unit of a weight.
    Zeiler, 2012.
    """

    slots = ("accumulated_grad", "accumulated_delta_var")

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho, self.epsilon = rho, epsilon

    def update_step(self, gradient: Array, variable: Variable, learning_rate: Array) -> None:
        """Move against the gradient, as far as usual for the size that it has."""
        squares = self.slot("accumulated_grad", variable)
        steps = self.slot("accumulated_delta_var", variable)
        a, d = as_array(squares.value), as_array(steps.value)
        a = self.rho * a + (1 - self.rho) * jnp.square(gradient)
        step = -(jnp.sqrt(d + self.epsilon) * gradient / jnp.sqrt(a + self.epsilon))
        squares.assign(a)
        steps.assign(self.rho * d + (1 - self.rho) * jnp.square(step))
        variable.assign(as_array(variable.value) + learning_rate * step)

    def rule(self, moved: Moved) -> Expression | None:
        """-learning_rate * sqrt(D + epsilon) * g / sqrt(A + epsilon)."""
        g, slots = moved.gradient, moved.slots
        a = Let("A", self.rho * slots["accumulated_grad"] + (1 - self.rho) * g**2)
        step = sqrt(slots["accumulated_delta_var"] + self.epsilon) * g / sqrt(a + self.epsilon)
        return -(moved.learning_rate * step)


@CATALOGUE.entry()
class Adamax(Optimizer):
    """Adam with the largest recent |g| in the place of sqrt(v). Kingma & Ba, 2015, section 7.1.

    u <- max(beta_2 * u, |g|); w <- w - learning_rate / (1 - beta_1^t) * m / (u + epsilon).
    """

    slots = ("momentum", "norm")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def update_step(self, gradient: Array, variable: Variable, learning_rate: Array) -> None:
        """Move against the mean gradient, measured in its largest recent size."""
        t = self.number_of_update(learning_rate.dtype)
        momentum, norm = self.slot("momentum", variable), self.slot("norm", variable)
        m = as_array(momentum.value)
        m = m + (gradient - m) * (1 - self.beta_1)
        u = jnp.maximum(self.beta_2 * as_array(norm.value), jnp.abs(gradient))
        momentum.assign(m)
        norm.assign(u)
        step = learning_rate * m / ((1 - self.beta_1**t) * (u + self.epsilon))
        variable.assign(as_array(variable.value) - step)

    def rule(self, moved: Moved) -> Expression | None:
        """-learning_rate * m / ((1 - beta_1^t) * (u + epsilon))."""
        g, slots = moved.gradient, moved.slots
        m = Let("m", slots["momentum"] + (g - slots["momentum"]) * (1 - self.beta_1))
        u = Let("u", largest(self.beta_2 * slots["norm"], abs(g)))
        return -(moved.learning_rate * m / ((1 - self.beta_1**moved.t) * (u + self.epsilon)))


@CATALOGUE.entry()
class Ftrl(Optimizer):
    """Follow the regularized leader: the best weight for all gradients so far, under penalties.

    s <- s + g^2, and z <- z + g - (s_after^p - s_before^p) / learning_rate * w with p =
    -learning_rate_power; then w <- (z within [-l1, l1] - z) / (s^p / learning_rate + 2 * l2).
    McMahan et al., 2013.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        learning_rate_power: -p; 0 keeps the rate, below 0 it falls as gradients come.
        initial_accumulator_value: what s starts from.
        l1_regularization_strength, l2_regularization_strength: the penalties.
        l2_shrinkage_regularization_strength: 2 * this * w is added to the gradient in z.
        beta: added to l2 as beta / (2 * learning_rate).
        kwargs: what all optimizers take.
    """

    slots = ("accumulator", "linear")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        for name, value in (
            ("initial_accumulator_value", initial_accumulator_value),
            ("l1_regularization_strength", l1_regularization_strength),
            ("l2_regularization_strength", l2_regularization_strength),
            ("l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength),
        ):
            if value < 0.0:
                raise ArgumentError(message(f"`{name}` needs to be positive or zero.", came=value))
        if learning_rate_power > 0.0:
            raise ArgumentError(
                message("`learning_rate_power` needs to be negative or zero.", came=learning_rate_power)
            )
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    def first_value(self, slot: str, variable: Variable) -> Any:
        """The sum of squares starts above zero."""
        first = self.initial_accumulator_value if slot == "accumulator" else 0.0
        return np.full(variable.shape, first, variable.dtype)

    def update_step(self, gradient: Array, variable: Variable, learning_rate: Array) -> None:
        """Go to the weight that is best for all gradients so far."""
        power, l1 = -self.learning_rate_power, self.l1_regularization_strength
        l2 = self.l2_regularization_strength + self.beta / (2.0 * learning_rate)
        accumulator, linear = self.slot("accumulator", variable), self.slot("linear", variable)
        w, before = as_array(variable.value), as_array(accumulator.value)
        s = before + jnp.square(gradient)
        shrunk = gradient + 2 * self.l2_shrinkage_regularization_strength * w
        risen = (jnp.power(s, power) - jnp.power(before, power)) / learning_rate
        z = as_array(linear.value) + (shrunk - risen * w)
        accumulator.assign(s)
        linear.assign(z)
        variable.assign((jnp.clip(z, -l1, l1) - z) / (jnp.power(s, power) / learning_rate + 2 * l2))

    def rule(self, moved: Moved) -> Expression | None:
        """(z within [-l1, l1] - z) / (s^p / learning_rate + 2 * l2) - w."""
        power, l1 = -self.learning_rate_power, self.l1_regularization_strength
        g, w, rate, slots = moved.gradient, moved.weight, moved.learning_rate, moved.slots
        s = Let("s", slots["accumulator"] + g**2)
        shrinkage = 2 * self.l2_shrinkage_regularization_strength
        shrunk = g + shrinkage * w if shrinkage else g
        risen = (s**power - slots["accumulator"] ** power) / rate
        z = Let("z", slots["linear"] + shrunk - risen * w)
        below = s**power / rate
        if self.l2_regularization_strength or self.beta:
            below = below + 2 * (self.l2_regularization_strength + self.beta / (2 * rate))
        return (within(z, -l1, l1) - z) / below - w if l1 else -z / below - w


@CATALOGUE.entry()
class Lion(Optimizer):
    """w <- w - learning_rate * sign(beta_1 * m + (1 - beta_1) * g); m is a running mean of g.

    Each weight moves by the learning rate itself, up or down. Chen et al., 2023.
    """

    slots = ("momentum",)

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not 0.0 < beta_1 <= 1.0:
            raise ArgumentError(
                message("Argument `beta_1` must be in the [0, 1] range, and not 0.", came=beta_1)
            )
        self.beta_1, self.beta_2 = beta_1, beta_2

    def update_step(self, gradient: Array, variable: Variable, learning_rate: Array) -> None:
        """Move by the learning rate against the sign of the mean gradient."""
        momentum = self.slot("momentum", variable)
        m = as_array(momentum.value)
        way = jnp.sign(m * self.beta_1 + gradient * (1.0 - self.beta_1))
        variable.assign(as_array(variable.value) - learning_rate * way)
        momentum.assign(m * self.beta_2 + gradient * (1.0 - self.beta_2))

    def rule(self, moved: Moved) -> Expression | None:
        """-learning_rate * sign(beta_1 * m + (1 - beta_1) * g)."""
        m, g = moved.slots["momentum"], moved.gradient
        return -(moved.learning_rate * sign(m * self.beta_1 + g * (1.0 - self.beta_1)))


@CATALOGUE.entry()
class LossScaleOptimizer(Optimizer):
    """Another optimizer, for float16: the cost is multiplied by a scale before it is differentiated.

    Gradients that float16 would round to nothing are kept by that, and are divided by the scale before the
    other optimizer is given them. Where one is too large for float16, no weight moves in that step, and the
    scale is halved; after `dynamic_growth_steps` steps in a row without that, it is doubled.

    `compile` wraps the optimizer of a model of the policy "mixed_float16" like this.

    Args:
        inner_optimizer: the optimizer that moves the weights.
        initial_scale: the scale to begin with, rather too large than too small.
        dynamic_growth_steps: after how many steps the scale is doubled.
        name: its name.
        kwargs: none: what other optimizers take, the inner one is given.

    Example:
        >>> weight, scaled = Variable([1.0]), LossScaleOptimizer(SGD(0.5), initial_scale=8.0)
        >>> scaled.apply([[8.0]], [weight]); float(weight[0])
        0.5
        >>> scaled.apply([[float("inf")]], [weight]); float(weight[0]), float(scaled.dynamic_scale)
        (0.5, 4.0)
    """

    unwritten = ("dynamic", *(name for name in _SHARED if name != "name"))
    step_counter: Variable
    dynamic_scale: Variable

    def __init__(
        self,
        inner_optimizer: Any,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        _refuse_beside_scale(kwargs)
        super().__init__(0.0, name=name)
        inner = get(inner_optimizer)
        if not isinstance(inner, Optimizer) or isinstance(inner, LossScaleOptimizer):
            raise ArgumentError(
                message(
                    "`inner_optimizer` is the optimizer that moves the weights.",
                    came=repr(inner_optimizer),
                    expected="an optimizer that is not wrapped already",
                )
            )
        if not 0.0 < initial_scale < float("inf") or not dynamic_growth_steps >= 1:
            raise ArgumentError(
                message(
                    "`initial_scale` must be positive, and `dynamic_growth_steps` 1 or more.",
                    came=f"initial_scale={initial_scale}, dynamic_growth_steps={dynamic_growth_steps}",
                )
            )
        self.inner_optimizer: Optimizer = inner
        self.initial_scale, self.dynamic_growth_steps = initial_scale, dynamic_growth_steps
        # There is one scale, and it is this one's.
        inner.loss_scale_factor = None

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the scale and its count, and the slots of the inner optimizer."""
        from pellucid.initializers import Constant

        if self.built:
            return
        self.step_counter = self.add_variable((), "zeros", "int32", "step_counter")
        self.dynamic_scale = self.add_variable((), Constant(self.initial_scale), "float32", "dynamic_scale")
        self.inner_optimizer.build(variables)
        self.built = True
        for variable in variables:
            self.add_slots(variable)

    def add_slots(self, variable: Variable) -> None:
        """Make the slots of one weight more, in the inner optimizer."""
        self.inner_optimizer.add_slots(variable)
        if variable not in self._moved:
            self._moved.append(variable)

    def scale_loss(self, loss: Any) -> Any:
        """The loss times the scale."""
        return loss * (as_array(self.dynamic_scale.value) if self.built else self.initial_scale)

    def apply(
        self, grads: Sequence[ArrayLike], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """Give the inner optimizer the gradients, divided by the scale; halve it if one is not finite."""
        variables = self._built_for(trainable_variables)
        scale, counted = as_array(self.dynamic_scale.value), as_array(self.step_counter.value)
        finite = as_array(True)
        for gradient in grads:
            finite = finite if gradient is None else finite & jnp.all(jnp.isfinite(as_array(gradient)))
        hand_out("finite", finite)
        changing = [*variables, *self.inner_optimizer.variables]
        before = [as_array(each.value) for each in changing]
        unscaled: list[Any] = [None if each is None else as_array(each) / scale for each in grads]
        self.inner_optimizer.apply(unscaled, variables)
        for variable, value in zip(changing, before, strict=True):
            variable.assign(jnp.where(finite, as_array(variable.value), value))
        grows = counted == self.dynamic_growth_steps - 1
        self.step_counter.assign(jnp.where(finite & ~grows, counted + 1, 0))
        self.dynamic_scale.assign(scale * jnp.where(finite, jnp.where(grows, 2.0, 1.0), 0.5))

    def rule(self, moved: Moved) -> Expression | None:
        """That of the inner optimizer."""
        return self.inner_optimizer.rule(moved)

    # All else is that of the inner optimizer.

    @property
    def variables(self) -> list[Variable]:
        """Its own, and behind them those of the inner optimizer."""
        return [*self._variables, *self.inner_optimizer.variables]

    @property
    def mover(self) -> Optimizer:
        """The inner optimizer."""
        return self.inner_optimizer

    def around(self, mover: Optimizer) -> Optimizer:
        """Another inner optimizer, wrapped like this one."""
        return LossScaleOptimizer(mover, self.initial_scale, self.dynamic_growth_steps, self.name)

    def by_name(self) -> dict[str, Variable]:
        """The scale and its count, and what the inner optimizer knows. Its own count and rate stand still."""
        own = {"step_counter": self.step_counter, "dynamic_scale": self.dynamic_scale} if self.built else {}
        return {**own, **self.inner_optimizer.by_name()}

    @property
    def iterations(self) -> Any:
        """How many updates the inner optimizer has made."""
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the inner optimizer."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    lr = learning_rate

    @property
    def rate_is_state(self) -> bool:
        """Whether the learning rate is a variable of the inner optimizer."""
        return self.inner_optimizer.rate_is_state

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave these variables out of the weight decay of the inner optimizer."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def decays_like(self, other: Optimizer) -> None:
        """Leave out of the weight decay what another optimizer leaves out."""
        self.inner_optimizer.decays_like(other.mover)

    def decays(self, variable: Variable) -> bool:
        """Whether the inner optimizer takes a part off this weight."""
        return self.inner_optimizer.decays(variable)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """Make the running means of the inner optimizer, if there are any, the weights."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def changed_arguments(self) -> dict[str, Any]:
        """Its name."""
        return {"name": self.name}

    def described(self) -> dict[str, Any]:
        """The configuration without what changes while it trains."""
        return {**super().described(), "inner_optimizer": self.inner_optimizer.described()}


def _refuse_beside_scale(arguments: Mapping[str, Any]) -> None:
    """Raise ArgumentError for what the inner optimizer is given. Older files have it here, unchanged."""
    usual = {
        name: each.default
        for name, each in inspect.signature(Optimizer.__init__).parameters.items()
        if name in _SHARED
    }
    if not arguments.get("dynamic", True):
        raise ArgumentError(
            message(
                "LossScaleOptimizer has a scale that changes.",
                came="dynamic=False",
                mend="set `loss_scale_factor` of the inner optimizer, and leave LossScaleOptimizer out.",
            )
        )
    unknown = [name for name in arguments if name not in (*usual, "dynamic")]
    if unknown:
        names = ", ".join(f"`{name}`" for name in unknown)
        raise ArgumentError(message(f"LossScaleOptimizer does not support arguments: {names}."))
    for name, value in arguments.items():
        if name != "dynamic" and value != usual[name]:
            raise ArgumentError(
                message(
                    f"LossScaleOptimizer does not support `{name}`.",
                    came=f"{name}={value!r}",
                    mend=f"set `{name}` on the `inner_optimizer`.",
                )
            )


class Transformation(Optimizer):
    """An optax gradient transformation, as an optimizer.

    Args:
        transformation: anything with optax's `init(params)` and `update(gradients, state, params)`.
    """

    def __init__(self, transformation: Any, name: str | None = None) -> None:
        super().__init__(0.0, name=name or "transformation")
        self.transformation = transformation
        # The rate lives inside the transformation.
        self._variables, self._rate = [self._iterations], None
        self._structure: Any = None

    def add_slots(self, variable: Variable) -> None:
        """The state was made for certain weights, as a whole, and takes no others."""
        if variable not in self._moved:
            raise StateError(
                message(
                    "an optax transformation keeps to the weights that it began with.",
                    came=f"another weight, {variable.path}",
                    mend="compile the model again.",
                )
            )

    def build(self, variables: Sequence[Variable]) -> None:
        """Keep the transformation's state, leaf by leaf, in variables."""
        state = self.transformation.init([as_array(variable.value) for variable in variables])
        leaves, self._structure = jax.tree.flatten(state)
        self._moved = list(variables)
        for number, leaf in enumerate(leaves):
            name = f"state_{number}"
            self._variables.append(
                Variable(np.asarray(leaf), trainable=False, name=name, path=f"{self.name}/{name}")
            )
        self.built = True

    def apply(
        self, grads: Sequence[ArrayLike], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """Let the transformation turn gradients into updates, and add them."""
        variables = list(trainable_variables or ())
        if not self.built:
            self.build(variables)
        kept = self._variables[1:]
        state = jax.tree.unflatten(self._structure, [as_array(variable.value) for variable in kept])
        weights = [as_array(variable.value) for variable in variables]
        updates, state = self.transformation.update([as_array(each) for each in grads], state, weights)
        for variable, leaf in zip(kept, jax.tree.leaves(state), strict=True):
            variable.assign(leaf)
        for variable, weight, update in zip(variables, weights, updates, strict=True):
            moved = weight + update
            variable.assign(moved if variable.constraint is None else variable.constraint(moved))
        self._iterations.assign(as_array(self._iterations.value) + 1)

    def get_config(self) -> dict[str, Any]:
        """A transformation is code, and has no configuration."""
        raise ArgumentError(message("an optax transformation cannot be written into a configuration."))


def get(identifier: Any) -> Any:
    """The optimizer that a name, configuration, object or optax transformation stands for; None is none.

    >>> get("adam").name
    'adam'
    """
    if hasattr(identifier, "init") and hasattr(identifier, "update") and not isinstance(identifier, type):
        return Transformation(identifier)
    found = CATALOGUE.make(identifier)
    if found is not None and not isinstance(found, Optimizer):
        raise ArgumentError(
            message("this is not an optimizer.", came=repr(identifier), expected="a name or an optimizer")
        )
    return found


def scaled(optimizer: Optimizer | None) -> Optimizer | None:
    """The optimizer, wrapped so that it scales the cost, unless it is already."""
    if optimizer is None or isinstance(optimizer, LossScaleOptimizer):
        return optimizer
    return LossScaleOptimizer(optimizer, name="loss_scale_optimizer")


def serialize(optimizer: Optimizer) -> Any:
    """An optimizer as plain data."""
    return naming.serialize(optimizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The optimizer that `serialize` wrote down.

    >>> deserialize(serialize(SGD(0.5))).get_config()["learning_rate"]
    0.5
    """
    return CATALOGUE.make(config, custom_objects)
