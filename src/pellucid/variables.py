"""A layer's numbers, and the scope that makes a call pure.

Layers, metrics and optimizers keep their numbers in `Variable`s and read and assign them as in
Keras. JAX wants functions of plain values. A `Scope` joins the two: while it is open, reading a
variable gives the value the scope holds, and assigning changes the scope, not the variable. So
`pure(call, variables)` turns any call, a user's own layer included, into a function

    (values, *arguments) -> (result, values after the call)
"""

from __future__ import annotations

import contextlib
import contextvars
import math
import operator
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from pellucid.arrays import Array, ArrayLike, as_array, floatx, is_float
from pellucid.errors import ArgumentError, ShapeError, StateError, message
from pellucid.naming import Catalogue, automatic_name

#: Counts the changes to what variables there are and which are trained, so that others can see
#: with one look that nothing has changed.
_structure = [0]


def structure_changed() -> None:
    """Note that a variable was made, or that another set of variables is trained."""
    _structure[0] += 1


def structure() -> int:
    """A number that stays the same as long as no variable is made and none is frozen or freed."""
    return _structure[0]


_open: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("scope", default=None)

#: The type in which a layer of a mixed policy reads its weights, while it is called.
_cast: contextvars.ContextVar[str | None] = contextvars.ContextVar("cast", default=None)


@contextlib.contextmanager
def weights_cast(dtype: str | None) -> Generator[None]:
    """Let float variables be read in another type than their own, within a with block."""
    token = _cast.set(dtype)
    try:
        yield
    finally:
        _cast.reset(token)


class Handed:
    """What a pure call hands out on its way, by name: "dense.input", "dense.z", "learning_rate", ...

    Args:
        nudges: what is added to values as they are handed out. With zeros, nothing changes, and the
            gradient by a nudge is the gradient by that value.
        given: values that take the place of what the call computes: masks that were drawn before.
    """

    def __init__(self, nudges: Mapping[str, Any] | None = None, given: Mapping[str, Any] | None = None):
        self.values: dict[str, Any] = {}
        #: The calls of layers, as they began: the name, the layer, and how deep it lies.
        self.calls: list[tuple[str, Any, int]] = []
        self.nudges, self.given = nudges or {}, given or {}
        #: The names of random draws, and of what is for the whole batch rather than for each row.
        self.drawn: set[str] = set()
        self.shared: set[str] = set()
        #: In how many loops within each other the call is that hands out (see loops.py), and the calls of
        #: layers that began within one.
        self.loops = 0
        self.looped: dict[str, int] = {}
        self._calling: list[str] = []
        #: Where the inputs of a call came from, where they are just what another call gave: by
        #: "dense_1.input" the name "dense.output".
        self.origins: dict[str, str] = {}
        #: Outputs that are just what a layer within gave: by "bidirectional.output" the name of that.
        self.same: dict[str, str] = {}
        self._outputs: dict[int, tuple[Any, str]] = {}

    def given_to(self, name: str, inputs: Sequence[Any]) -> None:
        """Note what a call was given, and from which other call it came."""
        for number, value in enumerate(inputs):
            key = f"{name}.input" if len(inputs) == 1 else f"{name}.input_{number}"
            self.values[key] = value
            if (known := self.origin_of(value)) is not None:
                self.origins[key] = known

    def came_from(self, name: str, outputs: Sequence[Any]) -> None:
        """Note what a call gave."""
        for number, value in enumerate(outputs):
            key = f"{name}.output" if len(outputs) == 1 else f"{name}.output_{number}"
            known = self.origin_of(value)
            if known is not None and known.startswith(f"{name}/"):
                self.same[key] = known
            else:  # also of a call that gives on what it was given, as Flatten does with flat rows
                self._outputs[id(value)] = (value, key)  # which keeps the array alive

    def origin_of(self, value: Any) -> str | None:
        """The name under which a call gave this very array, if one did."""
        found = self._outputs.get(id(value))
        return None if found is None else found[1]

    def seen_as(self, value: Any, name: str | None) -> None:
        """Note that an array is what a call gave under this name, seen otherwise: at one time of a loop."""
        if name is not None:
            self._outputs[id(value)] = (value, name)

    def take(self, name: str, value: Any, drawn: bool = False, shared: bool = False) -> Any:
        """Keep a value, and give what the call goes on with; a name that is taken gets a number."""
        stem, again = name, 2
        while name in self.values:
            name, again = f"{stem}_{again}", again + 1
        if drawn:
            self.drawn.add(name)
        if shared:
            self.shared.add(name)
        if name in self.given:
            value = as_array(self.given[name]).astype(value.dtype)
        if name in self.nudges:
            value = value + self.nudges[name]
        self.values[name] = value
        return value

    @contextlib.contextmanager
    def calling(self, layer: Any) -> Generator[str]:
        """Name what is handed out after this call of a layer, until it ends; "" for the whole model."""
        whole = not self._calling
        outer = self._calling[-1] if self._calling else ""
        stem = "" if whole else f"{outer}/{layer.name}" if outer else str(layer.name)
        name, again = stem, 2
        while not whole and any(name == each for each, _, _ in self.calls):
            name, again = f"{stem}@{again}", again + 1
        if not whole:
            self.calls.append((name, layer, len(self._calling)))
        if self.loops:
            self.looped[name] = self.loops
        self._calling.append(name)
        try:
            yield name
        finally:
            self._calling.pop()

    def within(self, nudges: Mapping[str, Any], given: Mapping[str, Any]) -> Handed:
        """For one round of a loop: with the same names taken, and the same calls under way."""
        made = Handed(nudges, given)
        made.values, made.calls = dict(self.values), list(self.calls)
        made.loops, made._calling = self.loops + 1, list(self._calling)
        made._outputs = dict(self._outputs)
        return made

    @property
    def current(self) -> str:
        """The name of the call that is under way."""
        return self._calling[-1] if self._calling else ""


def hand_out(name: str, value: Any, drawn: bool = False, shared: bool = False) -> Any:
    """Hand out a value on the way of a call; gives the value to go on with.

    Outside of an opened step this does nothing: what is not asked for is not computed.

    Args:
        name: what it is; a layer's values get the layer's name before it.
        value: an array.
        drawn: whether it was drawn at random. It is then the same when the call is done again.
        shared: whether it is for the whole batch, such as a mean over it, rather than for each row.
    """
    scope = _open.get()
    if scope is None or scope.handed is None:
        return value
    owner = scope.handed.current
    return scope.handed.take(f"{owner}.{name}" if owner else name, value, drawn, shared)


class Scope:
    """The values that variables have within one pure call, and what the call leaves behind."""

    def __init__(self, variables: Sequence[Variable] = (), values: Sequence[Any] = ()) -> None:
        self.values: dict[Variable, Any] = dict(zip(variables, values, strict=True))
        self.losses: list[Array] = []
        self.training: bool | None = None
        #: Where the call hands out what it computes on its way, if somebody asked.
        self.handed: Handed | None = None
        #: The type that layers compute with, where it is not their own: float64, for checks.
        self.dtype: str | None = None
        #: Whether any variable may be assigned, and has its own value again afterwards: the call is
        #: traced to build what it uses, before it is known which variables there are.
        self.building = False

    @contextlib.contextmanager
    def standing_in(self, variable: Variable, value: Any) -> Generator[None]:
        """Let a variable have another value within a with block."""
        before = self.values.get(variable)
        self.values[variable] = value
        try:
            yield
        finally:
            if before is None:
                del self.values[variable]
            else:
                self.values[variable] = before

    def after(self, variables: Sequence[Variable]) -> tuple[Any, ...]:
        """The values of these variables now."""
        return tuple(self.values[variable] for variable in variables)

    @contextlib.contextmanager
    def __call__(self) -> Generator[Scope]:
        """Open the scope for the length of a with block."""
        token = _open.set(self)
        try:
            yield self
        finally:
            _open.reset(token)


def current_scope() -> Scope | None:
    """The scope that is open now, if any."""
    return _open.get()


def pure(
    call: Callable[..., Any], variables: Sequence[Variable]
) -> Callable[..., tuple[Any, tuple[Any, ...]]]:
    """Turn a call that reads and assigns variables into a function of their values.

    >>> steps = Variable(0.0, name="steps")
    >>> count = pure(lambda by: steps.assign_add(by), [steps])
    >>> result, (after,) = count((10.0,), 5.0)
    >>> float(after), float(steps.value)
    (15.0, 0.0)
    """

    def function(values: Sequence[Any], *args: Any, **kwargs: Any) -> tuple[Any, tuple[Any, ...]]:
        with Scope(variables, values)() as scope:
            result = call(*args, **kwargs)
        return result, scope.after(variables)

    return function


def _forward(name: str, swapped: bool = False) -> Callable[..., Any]:
    operation = getattr(operator, name)

    def method(self: Variable, other: Any) -> Any:
        other = as_array(other) if isinstance(other, Variable) else other
        mine = as_array(self.value)
        return operation(other, mine) if swapped else operation(mine, other)

    return method


#: How many numbers may still be made, where that is bounded.
_room: contextvars.ContextVar[list[int] | None] = contextvars.ContextVar("room", default=None)


@contextlib.contextmanager
def room_for(numbers: int) -> Generator[None]:
    """Let variables of no more numbers than these be made, within a with block.

    A few bytes of a file can ask for a billion weights; they are refused before they are made.

    >>> with room_for(100):
    ...     Variable(np.zeros, (10, 20))
    Traceback (most recent call last):
    ...
    pellucid.errors.ArgumentError: there is no room for a variable of shape (10, 20)...
    """
    token = _room.set([numbers])
    try:
        yield
    finally:
        _room.reset(token)


def _take_room(shape: Sequence[int]) -> None:
    room = _room.get()
    if room is None:
        return
    room[0] -= math.prod(shape)
    if room[0] < 0:
        raise ArgumentError(
            message(f"there is no room for a variable of shape {tuple(shape)}: the file holds fewer numbers.")
        )


class Variable:
    """An array that can be assigned: a layer's weights, a metric's sums, an optimizer's averages.

    Args:
        initializer: the value, or a function `(shape, dtype) -> array` together with `shape`.
        shape: the shape, when the initializer is a function.
        dtype: the type; by default that of the value, and the default float for functions.
        trainable: whether gradient descent moves it.
        name: its name; its `path` also says whose it is: "dense/kernel".
        regularizer: a function from the value to a penalty, added to the cost.
        constraint: a function from the value to the nearest allowed one, applied after each update.
        autocast: whether layers of a mixed policy read it in the type they compute in.

    Example:
        >>> weight = Variable([1.0, 2.0], name="weight")
        >>> weight.assign([3.0, 4.0])
        <Variable weight, shape (2,), float32, value [3. 4.]>
        >>> float((weight * 2).sum())
        14.0
    """

    def __init__(
        self,
        initializer: Any,
        shape: Sequence[int] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        *,
        name: str | None = None,
        path: str | None = None,
        regularizer: Callable[[Any], Any] | None = None,
        constraint: Callable[[Any], Any] | None = None,
        autocast: bool = True,
    ) -> None:
        value: Any
        _take_room(tuple(shape or ()) if callable(initializer) else np.shape(initializer))
        if callable(initializer):
            # Layers may be built while their model is traced: first values are numbers all the same.
            with jax.ensure_compile_time_eval():
                value = initializer(tuple(shape or ()), dtype=dtype or floatx())
        elif isinstance(initializer, Variable):
            value = initializer.value
        else:
            value = np.asarray(initializer)
            if value.dtype.kind == "f" and dtype is None:
                value = value.astype(floatx())
        if dtype is not None and str(value.dtype) != str(np.dtype(dtype)):
            value = value.astype(dtype)
        self._value: Any = value
        self.name = name or automatic_name("variable")
        self.path = path or self.name
        self.trainable = trainable
        self.regularizer = regularizer
        self.constraint = constraint
        self.autocast = autocast
        #: Whether `evaluate` and `predict` leave it changed, too, and not only training.
        self.moves_when_asked = False
        structure_changed()

    @property
    def value(self) -> Any:
        """The array: the open scope's, if it holds one for this variable, else the variable's own."""
        scope = _open.get()
        value = scope.values[self] if scope is not None and self in scope.values else self._value
        if (dtype := _cast.get()) is not None and self.autocast and is_float(value.dtype):
            return as_array(value, dtype)
        return value

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return tuple(self._value.shape)

    @property
    def ndim(self) -> int:
        """How many axes the array has."""
        return len(self._value.shape)

    @property
    def dtype(self) -> str:
        """The type of the array's numbers, as a name."""
        return str(self._value.dtype)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return int(np.prod(self.shape, dtype=np.int64))

    def assign(self, value: ArrayLike) -> Variable:
        """Set the value. The shape must stay the same."""
        array = value.value if isinstance(value, Variable) else value
        if not hasattr(array, "shape"):
            array = np.asarray(array)
        if tuple(array.shape) != self.shape:
            raise ShapeError(
                message(
                    f'variable "{self.path}" keeps its shape.',
                    came=f"a value of shape {tuple(array.shape)}",
                    expected=f"shape {self.shape}",
                )
            )
        if str(array.dtype) != self.dtype:
            array = array.astype(self.dtype)
        scope = _open.get()
        if scope is None:
            self._value = array
        elif scope.building or self in scope.values:
            scope.values[self] = array
        else:
            raise StateError(
                message(
                    f'variable "{self.path}" was assigned inside a compiled call that does not know it.',
                    expected="a variable made with add_weight (or as an attribute) of a layer of this model",
                    mend="make it in build() or __init__() with self.add_weight(..., trainable=False).",
                )
            )
        return self

    def receive(self, value: Any) -> None:
        """Take a value that a compiled program computed for this variable; nothing is checked."""
        self._value = value

    def assign_add(self, value: ArrayLike) -> Variable:
        """Add to the value."""
        return self.assign(as_array(self.value) + as_array(value))

    def assign_sub(self, value: ArrayLike) -> Variable:
        """Subtract from the value."""
        return self.assign(as_array(self.value) - as_array(value))

    def numpy(self) -> np.ndarray[Any, Any]:
        """A NumPy copy of the value."""
        return np.array(self.value)

    def __jax_array__(self) -> Array:
        return as_array(self.value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.value, dtype=dtype)

    def __getitem__(self, index: Any) -> Array:
        return as_array(self.value)[index]

    def __len__(self) -> int:
        return self.shape[0]

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __getattr__(self, name: str) -> Any:
        # sum, mean, T, astype, reshape, ...: what the array has, the variable has.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(as_array(self.value), name)

    def __neg__(self) -> Array:
        return -as_array(self.value)

    def __repr__(self) -> str:
        text = np.array2string(np.asarray(self._value), threshold=6, edgeitems=2, precision=6)
        return f"<Variable {self.path}, shape {self.shape}, {self.dtype}, value {' '.join(text.split())}>"

    __add__, __radd__ = _forward("add"), _forward("add", swapped=True)
    __sub__, __rsub__ = _forward("sub"), _forward("sub", swapped=True)
    __mul__, __rmul__ = _forward("mul"), _forward("mul", swapped=True)
    __truediv__, __rtruediv__ = _forward("truediv"), _forward("truediv", swapped=True)
    __pow__, __rpow__ = _forward("pow"), _forward("pow", swapped=True)
    __matmul__, __rmatmul__ = _forward("matmul"), _forward("matmul", swapped=True)
    __lt__, __le__ = _forward("lt"), _forward("le")
    __gt__, __ge__ = _forward("gt"), _forward("ge")


#: Where configurations find it.
SEED_GENERATORS = Catalogue("seed generator")


@SEED_GENERATORS.entry()
class SeedGenerator:
    """The position in a seed's stream of random numbers, kept in a variable.

    Each draw uses the key `[seed, position]` and moves one position on, so what a training step
    draws depends on the seed and the number of the step, and on nothing else.
    """

    namespace = "keras.random"

    def __init__(self, seed: int | None = None, name: str | None = None, path: str = "") -> None:
        from pellucid.seeds import draw_seed, key

        if seed is not None and not isinstance(seed, int):
            raise ArgumentError(message("Argument `seed` must be an integer.", came=repr(seed)))
        self.name = name or "seed_generator"
        self.seed = draw_seed() if seed is None else seed
        self._given = {"seed": seed, "name": name}
        self.state = Variable(
            key(self.seed), dtype="uint32", trainable=False, name="state", path=path or f"{self.name}/state"
        )

    def skip(self, draws: int) -> None:
        """Move on as that many draws would."""
        self.state.assign(as_array(self.state.value) + np.array([0, draws], dtype=np.uint32))

    def next(self, ordered: bool = True) -> Array:
        """The key for one draw; then the state moves on, or jumps if not `ordered`."""
        from pellucid.seeds import jump

        words = as_array(self.state.value)
        self.state.assign(words + np.array([0, 1], dtype=np.uint32) if ordered else jump(words))
        return words

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return dict(self._given)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SeedGenerator:
        """Make one from what `get_config` gave."""
        return cls(**config)
