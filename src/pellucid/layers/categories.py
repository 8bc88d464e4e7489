"""Layers that make categories of numbers and texts, and zeros and ones of categories.

What works on texts works on the host, because devices hold no texts: see `OnHost`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from pellucid.arrays import Array, Shape, floatx
from pellucid.errors import ArgumentError, DataError, StateError, message
from pellucid.formula import Choice, Expression, Unit, largest, total
from pellucid.layers.fingerprint import fingerprint64, siphash64
from pellucid.layers.layer import CATALOGUE, Layer

NumPy = np.ndarray[Any, Any]
MODES = ("int", "one_hot", "multi_hot", "count")


class OnHost(Layer):
    """A layer that works on the host, on NumPy arrays, before the rows go to the device.

    It is called on arrays, lists and texts. In a model it can only come before all layers that work on
    the device, because it cannot be part of a compiled program.
    """

    on_host: ClassVar[bool] = True
    rows_independent = True

    def _convert(self, value: Any) -> Any:
        if isinstance(value, Tracer):
            raise StateError(
                message(
                    f"{self.describe()} works on the host, and was called in a compiled program.",
                    expected="rows as they are, before they go to the device",
                    mend=f"call it on the rows before fit: x = {self.name}(x).",
                )
            )
        return np.asarray(value)


def encoded(indices: Any, mode: str, depth: int, dtype: Any) -> Any:
    """Whole numbers from 0 to depth - 1 as they are, or as zeros and ones; NumPy and JAX arrays alike.

    >>> encoded(np.array([[0, 2, 2]]), "count", 3, "float32").tolist()
    [[1.0, 0.0, 2.0]]
    >>> encoded(np.array([[0], [2]]), "one_hot", 3, "int32").tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    if mode == "int":
        return indices.astype(dtype)
    if indices.ndim == 0:
        indices = indices.reshape(1)
    if mode == "one_hot" and indices.ndim > 1 and indices.shape[-1] == 1:
        indices = indices.reshape(indices.shape[:-1])
    ones = indices[..., None] == np.arange(depth)
    axis = 1 if indices.ndim > 1 else 0
    if mode == "multi_hot":
        ones = ones.any(axis=axis)
    elif mode == "count":
        ones = ones.sum(axis=axis)
    return ones.astype(dtype)


def encoded_shape(input_shape: Shape, mode: str, depth: int | None) -> Shape:
    """The shape of what `encoded` gives."""
    shape = tuple(input_shape)
    if mode == "int":
        return shape
    if mode == "one_hot":
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), depth)
    return (*shape[:1], *shape[2:], depth) if len(shape) > 1 else (depth,)


def encoding_formula(unit: Unit, mode: str, index_at: Any) -> Expression | None:
    """One number of what `encoded` gives, for rows of whole numbers.

    Args:
        unit: which number.
        mode: how it was encoded.
        index_at: gives the whole number, as an expression, at a place of the inputs.
    """
    row = unit.row("input")
    if mode == "int":
        return index_at(unit.index)
    *lead, category = unit.index

    def is_it(place: tuple[int, ...]) -> Expression:
        return Choice(index_at(place), "==", category, 1, 0)

    if mode == "one_hot":
        return is_it((*lead, 0) if row.shape and row.shape[-1] == 1 else tuple(lead))
    if not row.shape:
        return None
    every = [is_it((each, *lead)) for each in range(row.shape[0])]
    return largest(*every) if mode == "multi_hot" else total(every)


def require_mode(mode: str, layer: str, modes: Sequence[str] = MODES) -> str:
    """The output mode, or ArgumentError; names of older versions are understood."""
    mode = {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(mode, mode)
    if mode not in modes:
        raise ArgumentError(
            message(f"output_mode of {layer} is unknown.", came=repr(mode), expected=", ".join(modes))
        )
    return mode


def require_dense(sparse: bool, layer: str) -> None:
    """Raise ArgumentError if sparse arrays are asked for."""
    if sparse:
        raise ArgumentError(
            message(f"{layer} gives no sparse arrays.", came="sparse=True", expected="sparse=False")
        )


@CATALOGUE.entry()
class CategoryEncoding(Layer):
    """Categories 0, 1, 2, ... as zeros and ones.

    Args:
        num_tokens: how many categories there are.
        output_mode: "one_hot" gives each number a row of its own with a 1 at its place; "multi_hot" gives
            each row of numbers one row, with a 1 for all that are in it; "count" says how often they are.
        sparse: must be False.

    Example:
        >>> CategoryEncoding(4, output_mode="count")([[0, 1], [2, 2]]).tolist()
        [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]
    """

    rows_independent = True

    def __init__(
        self,
        num_tokens: int | None = None,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.output_mode = require_mode(output_mode, "CategoryEncoding", MODES[1:])
        if num_tokens is None or num_tokens < 1:
            raise ArgumentError(
                message(
                    "num_tokens must be set to use this layer, and be 1 or more.",
                    came=repr(num_tokens),
                    mend="use IntegerLookup if the categories are not known beforehand.",
                )
            )
        require_dense(sparse, "CategoryEncoding")
        self.num_tokens, self.sparse = int(num_tokens), sparse

    def call(self, inputs: Array, count_weights: Any = None) -> Array:
        """The categories, encoded; `count_weights` says how much each counts, in mode "count"."""
        indices = jnp.asarray(inputs).astype("int32")
        if count_weights is None:
            return encoded(indices, self.output_mode, self.num_tokens, self.dtype)
        if self.output_mode != "count":
            raise ArgumentError(
                message(
                    "`count_weights` is not used when `output_mode` is not `'count'`.",
                    came=f"output_mode={self.output_mode!r}",
                )
            )
        weights = jnp.asarray(count_weights, self.dtype)
        ones = jax.nn.one_hot(jnp.atleast_1d(indices), self.num_tokens, dtype=self.dtype)
        weighed = ones * jnp.atleast_1d(weights)[..., None]
        return weighed.sum(axis=1 if indices.ndim > 1 else 0)

    def formula(self, unit: Unit) -> Expression | None:
        """1 if it is this category, or how often it is."""
        made = encoding_formula(unit, self.output_mode, lambda place: unit.number("input", *place))
        return made if made is None or made.value == unit.row("output")[unit.index] else None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """An axis of `num_tokens`, for the last one or behind it."""
        return encoded_shape(input_shape, self.output_mode, self.num_tokens)


@CATALOGUE.entry()
class Discretization(Layer):
    """Which bin a number lies in: 0 below the first boundary, 1 from it to the second, and so on.

    Args:
        bin_boundaries: where bins end, in rising order.
        num_bins: instead: how many bins there are; `adapt` then finds boundaries between about equally
            many numbers.
        epsilon: how exactly `adapt` does that, as a part of all numbers.
        output_mode: "int", or one of those of `CategoryEncoding`.
        sparse: must be False.

    Example:
        >>> Discretization(bin_boundaries=[0.0, 1.0, 2.0])([[-1.5, 1.0, 3.4]]).tolist()
        [[0, 2, 3]]
    """

    rows_independent = True

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        self.output_mode = require_mode(output_mode, "Discretization")
        require_dense(sparse, "Discretization")
        if (num_bins is None) == (bin_boundaries is None) or (num_bins or 0) < 0:
            raise ArgumentError(
                message(
                    "Discretization needs either `num_bins` or `bin_boundaries`.",
                    came=f"num_bins={num_bins}, bin_boundaries={bin_boundaries}",
                )
            )
        self.bin_boundaries = None if bin_boundaries is None else [float(each) for each in bin_boundaries]
        self.num_bins, self.epsilon, self.sparse = num_bins, epsilon, sparse
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what has been seen of the data."""
        #: Values in rising order, and how many each stands for.
        self.summary: NumPy = np.zeros((2, 0), np.float32)

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find the boundaries: of an array, or of an iterable of batches, at most `steps` of them."""
        if self.num_bins is None:
            raise StateError(
                message(
                    "Cannot adapt a Discretization layer that has been initialized with `bin_boundaries`.",
                    mend="use `num_bins` instead.",
                )
            )
        self.reset_state()
        for number, batch in enumerate([data] if hasattr(data, "shape") else cast(Iterable[Any], data)):
            if steps is not None and number >= steps:
                break
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Take a batch into what has been seen."""
        values = np.sort(np.asarray(data).astype("float32").ravel())
        step = max(len(values) / (1.0 / self.epsilon), 1)
        picked = values[int(step - 1) :: int(step)]
        both = np.concatenate([np.stack([picked, np.full_like(picked, step)]), self.summary], axis=1)
        self.summary = _compressed(both[:, np.argsort(both[0])], self.epsilon)

    def finalize_state(self) -> None:
        """Make boundaries of what has been seen."""
        if self.num_bins is not None:
            self.bin_boundaries = _compressed(self.summary, 1.0 / self.num_bins)[0, :-1].tolist()

    def _depth(self) -> int | None:
        return self.num_bins if self.bin_boundaries is None else len(self.bin_boundaries) + 1

    def call(self, inputs: Array) -> Array:
        """The numbers of the bins."""
        if self.bin_boundaries is None:
            raise StateError(
                message(
                    f"{self.describe()} has no boundaries.",
                    mend="call adapt(X) on it, or give bin_boundaries.",
                )
            )
        bins = jnp.digitize(inputs, jnp.asarray(self.bin_boundaries))
        dtype = "int32" if self.output_mode == "int" else self.dtype
        return encoded(bins, self.output_mode, len(self.bin_boundaries) + 1, dtype)

    def formula(self, unit: Unit) -> Expression | None:
        """How many boundaries are not above x."""

        def bin_at(place: tuple[int, ...]) -> Expression:
            x = unit.number("input", *place)
            bounds = [float(np.float32(each)) for each in self.bin_boundaries or ()]
            return total(Choice(x, ">=", each, 1, 0) for each in bounds)

        return encoding_formula(unit, self.output_mode, bin_at)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs, or an axis of the bins."""
        return encoded_shape(input_shape, self.output_mode, self._depth())

    def changed_arguments(self) -> dict[str, Any]:
        """The boundaries that `adapt` found."""
        return {**super().changed_arguments(), "bin_boundaries": self.bin_boundaries}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make one, with the boundaries that were found."""
        arguments: dict[str, Any] = dict(config)
        found = arguments.pop("bin_boundaries", None)
        if arguments.get("num_bins") is None:
            return cls(found, **arguments)
        made = cls(**arguments)
        made.bin_boundaries = found
        return made


def _compressed(summary: NumPy, epsilon: float) -> NumPy:
    """Fewer values that stand for the same: one for each part `epsilon` of them, interpolated."""
    if summary.shape[1] * epsilon < 1:
        return summary
    parts = epsilon + np.arange(0.0, 1.0, epsilon)
    so_far = summary[1].cumsum()
    place = so_far / so_far[-1]
    values, counts = np.interp(parts, place, summary[0]), np.interp(parts, place, so_far)
    return np.stack([values, np.diff(counts, prepend=0)]).astype("float32")


@CATALOGUE.entry()
class Hashing(OnHost):
    """Which of `num_bins` bins a text or a whole number falls into, by its fingerprint.

    The bins are those of Keras: FarmHash's, or SipHash's with a salt. Whole numbers are hashed as they
    are written: 12 as "12".

    Args:
        num_bins: how many bins there are, that of the mask included.
        mask_value: a text or a number that falls into bin 0, where nothing else then falls.
        salt: a whole number, or two, that make other bins.
        output_mode: "int", or one of those of `CategoryEncoding`.
        sparse: must be False.

    Example:
        >>> Hashing(3)([["A"], ["B"], ["C"]]).tolist()
        [[1], [0], [1]]
    """

    def __init__(
        self,
        num_bins: int | None,
        mask_value: Any = None,
        salt: int | Sequence[int] | None = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        self.output_mode = require_mode(output_mode, "Hashing")
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if self.output_mode == "int" else floatx()
        super().__init__(**kwargs)
        if num_bins is None or num_bins <= 0:
            raise ArgumentError(
                message(
                    "The `num_bins` for `Hashing` cannot be `None` or non-positive values.", came=num_bins
                )
            )
        require_dense(sparse, "Hashing")
        self.num_bins, self.mask_value, self.sparse = num_bins, mask_value, sparse
        self.salt = as_salt(salt)

    def call(self, inputs: Any) -> Array:
        """The bins."""
        values = inputs.astype(np.int64) if inputs.dtype.kind == "f" else inputs
        masked = self.mask_value is not None and self.num_bins > 1
        kinds, place = np.unique(as_texts(values), return_inverse=True)
        bins = hashed(kinds, self.num_bins - masked, self.salt)[place].reshape(inputs.shape)
        if masked:
            bins = np.where(as_texts(values) == str(self.mask_value), 0, bins + 1)
        dtype = "int32" if self.output_mode == "int" else self.dtype
        return jnp.asarray(encoded(bins, self.output_mode, self.num_bins, dtype))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs, or an axis of the bins."""
        return encoded_shape(input_shape, self.output_mode, self.num_bins)


def as_salt(salt: int | Sequence[int] | None) -> list[int] | None:
    """Two words, of one or two."""
    if salt is None:
        return None
    both = [salt, salt] if isinstance(salt, int) else list(salt)
    if len(both) != 2:
        raise ArgumentError(
            message(
                "The `salt` argument can only be a tuple of size 2 integers, or a single integer.", came=salt
            )
        )
    return both


def hashed(texts: Any, bins: int, salt: Sequence[int] | None) -> NumPy:
    """The bin of each text."""
    data = [str(text).encode() for text in texts]
    words = [fingerprint64(each) if salt is None else siphash64(each, salt) for each in data]
    return np.array([word % bins for word in words], np.int64)


def as_texts(values: NumPy, encoding: str = "utf-8") -> NumPy:
    """An array of texts; bytes are decoded, whole numbers written out.

    >>> as_texts(np.array([b"a", "b", 3], dtype=object)).tolist()
    ['a', 'b', '3']
    """
    if values.dtype.kind == "S":
        return np.char.decode(values, encoding)
    if values.dtype.kind != "O":
        return values.astype(str)
    flat = [each.decode(encoding) if isinstance(each, bytes) else each for each in values.ravel().tolist()]
    missing = [each for each in flat if not isinstance(each, str | int | bool)]
    if missing:
        raise DataError(
            message(
                "texts are missing, or something else is in their place.",
                came=f"{missing[0]!r}, in {len(missing)} of {len(flat)} places",
                expected="a text in every place",
                mend='fill them in, for example with "".',
            )
        )
    return np.array([str(each) for each in flat], dtype=str).reshape(values.shape)
