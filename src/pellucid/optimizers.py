"""How a gradient moves a weight: the update, with everything it remembers kept in variables.

An optimizer gives one rule, `update_step(gradient, variable, learning_rate)`. What happens around
it is the same for all, in Keras's order: clip the gradients, decay the weights, apply the rule,
apply the constraints, count the step.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import schedules as schedules
from pellucid.arrays import Array, ArrayLike, as_array, floatx
from pellucid.errors import ArgumentError, StateError, did_you_mean, message
from pellucid.formula import Expression, Let, Moved, Number, largest, sqrt, sum_over, total, within
from pellucid.naming import Catalogue, Configurable, snake_case
from pellucid.schedules import LearningRateSchedule
from pellucid.variables import Variable, hand_out

CATALOGUE = Catalogue("optimizer")
#: The arguments that every optimizer takes.
_SHARED = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "name")


class Optimizer(Configurable):
    """The part that all optimizers share. One of your own overrides `build` and `update_step`.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        weight_decay: the part of each weight, times the learning rate, taken off before each update.
        clipnorm: the largest length (2-norm) of the gradient of one variable.
        clipvalue: the largest absolute value of one entry of a gradient.
        global_clipnorm: the largest length of all gradients taken together.
        name: its name.
    """

    namespace = "keras.optimizers"
    #: What is remembered for each weight, in the order of Keras's files.
    slots: tuple[str, ...] = ()
    #: The slots that Keras's files have side by side for each weight; others come one slot after another.
    together: tuple[str, ...] = ("momentum", "velocity")

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
        for option, given in (
            ("use_ema", use_ema),
            ("loss_scale_factor", loss_scale_factor),
            ("gradient_accumulation_steps", gradient_accumulation_steps),
        ):
            if given:
                raise ArgumentError(
                    message(f"{option} is not supported yet.", came=given, mend=f"leave {option} out.")
                )
        limits = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        set_limits = [name for name, limit in limits.items() if limit is not None]
        if len(set_limits) > 1:
            raise ArgumentError(
                message("gradients are clipped in one way only.", came=set_limits, expected="one of them")
            )
        if any(limit is not None and limit <= 0 for limit in limits.values()):
            raise ArgumentError(message(f"{set_limits[0]} must be positive.", came=limits[set_limits[0]]))
        if weight_decay is not None and weight_decay < 0:
            raise ArgumentError(message("weight_decay cannot be negative.", came=weight_decay))
        self.name = name or snake_case(type(self).__name__)
        self.weight_decay, self.clipnorm, self.clipvalue = weight_decay, clipnorm, clipvalue
        self.global_clipnorm = global_clipnorm
        self.built = False
        self.iterations = Variable(
            np.zeros((), np.int32), trainable=False, name="iteration", path=f"{self.name}/iteration"
        )
        self._variables: list[Variable] = [self.iterations]
        self._schedule: Any = None
        self._rate: Variable | None = None
        if isinstance(learning_rate, Mapping | str):
            # A function that gives the rate has only a name in a configuration.
            learning_rate = schedules.get(learning_rate)
        if isinstance(learning_rate, LearningRateSchedule) or callable(learning_rate):
            self._schedule = learning_rate
        else:
            self._rate = Variable(
                np.asarray(_checked_rate(learning_rate), floatx()),
                trainable=False,
                name="learning_rate",
                path=f"{self.name}/learning_rate",
            )
            self._variables.append(self._rate)
        self._state_of: dict[Variable, dict[str, Variable]] = {}
        self._not_decayed: set[Variable] = set()
        self._not_decayed_names: list[str] = []

    @property
    def learning_rate(self) -> Any:
        """The learning rate: a variable that can be assigned, or the value of the schedule now."""
        if self._rate is not None:
            return self._rate
        if self._schedule is None:
            return as_array(np.nan)  # it is inside an optax transformation, and not known
        if isinstance(self._schedule, LearningRateSchedule):
            return self._schedule(self.iterations.value)
        return as_array(self._schedule()).astype(floatx())

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, LearningRateSchedule):
            self._schedule, self._rate = value, None
            self._variables = [each for each in self._variables if each.name != "learning_rate"]
        elif self._rate is None:
            raise StateError(
                message(
                    "this learning rate follows a schedule and cannot be set.",
                    came=value,
                    expected="an optimizer made with a number as its learning_rate",
                )
            )
        else:
            self._rate.assign(np.asarray(_checked_rate(value), floatx()))

    lr = learning_rate

    @property
    def rate_is_state(self) -> bool:
        """Whether the learning rate is a variable, rather than a schedule."""
        return self._rate is not None

    @property
    def variables(self) -> list[Variable]:
        """All variables: iteration, learning rate, then the slots of each weight in turn."""
        return list(self._variables)

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the slots of these weights."""
        for variable in variables:
            self.add_slots(variable)
        self.built = True

    def add_slots(self, variable: Variable) -> None:
        """Make the slots of one weight, filled with zeros."""
        if variable in self._state_of:
            return
        made = {
            slot: Variable(
                self.first_value(slot, variable),
                trainable=False,
                name=f"{variable.path.replace('/', '_')}_{slot}",
                path=f"{self.name}/{variable.path}/{slot}",
            )
            for slot in self.slots
        }
        self._state_of[variable] = made
        self._variables.extend(made.values())

    def first_value(self, slot: str, variable: Variable) -> Any:
        """What a slot starts from."""
        return np.zeros(variable.shape, variable.dtype)

    def slot(self, name: str, variable: Variable) -> Variable:
        """What is remembered under this name for this weight."""
        return self._state_of[variable][name]

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """A variable of the shape of another, for optimizers written the Keras way."""
        from pellucid import initializers

        made = Variable(
            initializers.get(initializer),
            reference_variable.shape,
            reference_variable.dtype,
            trainable=False,
            name=name,
            path=f"{self.name}/{reference_variable.path}/{name}",
        )
        self._variables.append(made)
        return made

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave these variables, or those with these words in their paths, out of the weight decay."""
        self._not_decayed |= set(var_list or ())
        self._not_decayed_names += list(var_names or ())

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
        """Update the variables by their gradients: clip, decay, rule, constraints, count."""
        variables = list(trainable_variables if trainable_variables is not None else self._state_of)
        if not self.built:
            self.build(variables)
        gradients = self.clip([as_array(gradient) for gradient in grads])
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
        for variable in variables:
            if variable.constraint is not None:
                moved = hand_out(f"{variable.path}.moved", as_array(variable.value))
                variable.assign(variable.constraint(moved))
        self.iterations.assign(as_array(self.iterations.value) + 1)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[ArrayLike, Variable]]) -> None:
        """The same, from pairs (gradient, variable)."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])

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
        for number, variable in enumerate(self._stored()):
            store[str(number)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take all that is remembered from the dict of a file, or nothing if it is of other weights."""
        variables = self._stored()
        if len(store) != len(variables):
            warnings.warn(
                f"Skipping variable loading for optimizer '{self.name}', because it has {len(variables)} "
                f"variables whereas the saved optimizer has {len(store)} variables.",
                stacklevel=2,
            )
            return
        for number, variable in enumerate(variables):
            variable.assign(store[str(number)])

    def _stored(self) -> list[Variable]:
        """The variables in the order of Keras's files, which have most slots one after another."""
        of_weights = [(slot, made) for each in self._state_of.values() for slot, made in each.items()]
        slots = {variable for _, variable in of_weights}
        own = [variable for variable in self._variables if variable not in slots]
        counts = [variable for variable in own if variable.name in ("iteration", "learning_rate")]
        ordered = [made for slot, made in of_weights if slot in self.together]
        for slot in self.slots:
            ordered += [made for each, made in of_weights if each == slot and slot not in self.together]
        return [*counts, *ordered, *(variable for variable in own if variable not in counts)]

    def decays_like(self, other: Optimizer) -> None:
        """Leave out of the weight decay what another optimizer leaves out."""
        self._not_decayed = set(other._not_decayed)
        self._not_decayed_names = list(other._not_decayed_names)

    def decays(self, variable: Variable) -> bool:
        """Whether weight decay takes a part off this weight."""
        if not self.weight_decay:
            return False
        named = any(name in variable.path for name in self._not_decayed_names)
        return not named and variable not in self._not_decayed

    def changed_arguments(self) -> dict[str, Any]:
        """The learning rate may have been set since."""
        rate = float(self._rate.value) if self._rate is not None else self._schedule
        shared = {
            name: vars(self).get(name, parameter.default)
            for name, parameter in inspect.signature(Optimizer.__init__).parameters.items()
            if parameter.default is not parameter.empty
        }
        return {**shared, **super().changed_arguments(), "learning_rate": rate}


def _checked_rate(value: Any) -> float:
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
            raise ArgumentError(message("momentum does not fit.", came=momentum, expected="0 to 1"))
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

    together = ()

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

    def update_step(self, gradient: Array, variable: Variable, learning_rate: Array) -> None:
        """Move against the mean gradient, measured in its own usual size."""
        t = (as_array(self.iterations.value) + 1).astype(learning_rate.dtype)
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
        self._product = Variable(
            np.ones((), floatx()), trainable=False, name="u_product", path=f"{self.name}/u_product"
        )
        self._variables.append(self._product)

    def _momentum_at(self, t: Array) -> Array:
        return self.beta_1 * (1.0 - 0.5 * jnp.power(jnp.asarray(0.96, t.dtype), t))

    def begin_step(self) -> None:
        """Multiply up the momentum factors of all steps so far."""
        t = (as_array(self.iterations.value) + 1).astype(self._product.dtype)
        self._product.assign(as_array(self._product.value) * self._momentum_at(t))

    def update_step(self, gradient: Array, variable: Variable, learning_rate: Array) -> None:
        """Move as Adam would one step later."""
        t = (as_array(self.iterations.value) + 1).astype(learning_rate.dtype)
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


class Transformation(Optimizer):
    """An optax gradient transformation, as an optimizer.

    Args:
        transformation: anything with optax's `init(params)` and `update(gradients, state, params)`.
    """

    def __init__(self, transformation: Any, name: str | None = None) -> None:
        super().__init__(0.0, name=name or "transformation")
        self.transformation = transformation
        # The rate lives inside the transformation.
        self._variables, self._rate = [self.iterations], None
        self._structure: Any = None
        self._built_for: set[Variable] = set()

    def add_slots(self, variable: Variable) -> None:
        """The state was made for certain weights, as a whole, and takes no others."""
        if variable not in self._built_for:
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
        self._built_for = set(variables)
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
        self.iterations.assign(as_array(self.iterations.value) + 1)

    def get_config(self) -> dict[str, Any]:
        """A transformation is code, and has no configuration."""
        raise ArgumentError(message("an optax transformation cannot be written into a configuration."))


def get(identifier: Any) -> Optimizer:
    """The optimizer that a name, configuration, object or optax transformation stands for.

    >>> get("adam").name
    'adam'
    """
    if hasattr(identifier, "init") and hasattr(identifier, "update") and not isinstance(identifier, type):
        return Transformation(identifier)
    found = CATALOGUE.make(identifier)
    if not isinstance(found, Optimizer):
        raise ArgumentError(
            message("this is not an optimizer.", came=repr(identifier), expected="a name or an optimizer")
        )
    return found
