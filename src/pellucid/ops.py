"""keras.ops: functions of arrays for layers, losses and training loops of one's own.

Thin names over jax.numpy, jax.nn and jax.lax, with the arguments and the types of Keras: whole
numbers become floats where Keras makes them floats, and `Variable`s, lists and numbers are taken
wherever arrays are. Most ops differ only in how their arguments are prepared: those are made by
`_of_one`, `_of_two`, `_reduction` and the like. Each takes symbolic tensors, too.

    >>> mean([1, 2, 6])
    Array(3., dtype=float32)
"""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
from jax.core import Tracer

from pellucid import activations, losses
from pellucid.arrays import (
    Array,
    ArrayLike,
    as_array,
    floatx,
    held_dtype,
    is_float,
    known_data_format,
    result_type,
    standardize_dtype,
)
from pellucid.errors import ArgumentError, ShapeError, message
from pellucid.graph import operation

# How arguments are prepared.

#: One axis, several, or None for all.
Axes = Any
Function = Callable[..., Any]


def _inexact(x: ArrayLike) -> Array:
    """An array of floats (or complex numbers): anything else becomes the default float."""
    array = as_array(x)
    return array if jnp.issubdtype(array.dtype, jnp.inexact) else array.astype(floatx())


def _arrays(tree: Any) -> Any:
    """A structure of arrays, in place of one that may hold variables and NumPy arrays."""
    return jax.tree.map(as_array, tree)


def _each(xs: Any) -> list[Array]:
    """The arrays to be joined: those of a list, or the rows of one array."""
    return [as_array(x) for x in xs]


def _hashable(axis: Axes) -> Axes:
    return tuple(axis) if isinstance(axis, list) else axis


def _type(dtype: Any) -> Any:
    """The type to make, or None for that of the numbers given."""
    return None if dtype is None else held_dtype(dtype)


def _wide(dtype: Any) -> Any:
    """The type to add up many numbers in: 16 bits are too few."""
    return jnp.promote_types(dtype, jnp.float32) if is_float(dtype) else jnp.dtype(jnp.float32)


def _made_of(compute: Function, op: Function) -> Function:
    op.__doc__ = f"As `{compute.__name__}` in JAX, with the types of Keras."
    return op


def _of_one(compute: Function, prepare: Function = as_array) -> Function:
    def op(x: ArrayLike) -> Any:
        return compute(prepare(x))

    return _made_of(compute, op)


def _of_two(compute: Function) -> Function:
    def op(x1: ArrayLike, x2: ArrayLike) -> Any:
        return compute(as_array(x1), as_array(x2))

    return _made_of(compute, op)


def _of_two_floats(compute: Function) -> Function:
    def op(x1: ArrayLike, x2: ArrayLike) -> Any:
        first, second = as_array(x1), as_array(x2)
        kind = result_type(first.dtype, second.dtype, float)
        return compute(first.astype(kind), second.astype(kind))

    return _made_of(compute, op)


def _of_bits(compute: Function) -> Function:
    def op(x: ArrayLike, y: ArrayLike) -> Array:
        return compute(as_array(x), as_array(y))

    return _made_of(compute, op)


def _of_several(compute: Function) -> Function:
    def op(xs: Any) -> Array:
        return compute(_each(xs))

    return _made_of(compute, op)


def _reduction(compute: Function, prepare: Function = as_array) -> Function:
    def op(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Array:
        return compute(prepare(x), axis=_hashable(axis), keepdims=keepdims)

    return _made_of(compute, op)


def _running(compute: Function) -> Function:
    def op(x: ArrayLike, axis: int | None = None, dtype: Any = None) -> Array:
        return compute(as_array(x), axis=axis, dtype=_type(dtype))

    return _made_of(compute, op)


def _quantiles(compute: Function) -> Function:
    def op(
        x: ArrayLike, q: ArrayLike, axis: Axes = None, method: str = "linear", keepdims: bool = False
    ) -> Array:
        return compute(_inexact(x), _inexact(q), axis=_hashable(axis), method=method, keepdims=keepdims)

    return _made_of(compute, op)


def _segments(compute: Function) -> Function:
    def op(
        data: ArrayLike, segment_ids: ArrayLike, num_segments: int | None = None, sorted: bool = False
    ) -> Array:
        if num_segments is None:
            raise ArgumentError(
                message(
                    "Argument `num_segments` must be set.",
                    expected="how many segments there are: the shape of the result",
                )
            )
        numbers, ids = as_array(data), as_array(segment_ids)
        if ids.ndim != 1 or numbers.shape[:1] != ids.shape:
            raise ShapeError(
                message(
                    "segment_ids says of each row of data which segment it belongs to.",
                    came=f"data of shape {numbers.shape}, segment_ids of shape {ids.shape}",
                    expected=f"segment_ids of shape {numbers.shape[:1]}",
                )
            )
        return compute(numbers, ids, num_segments, indices_are_sorted=sorted)

    return _made_of(compute, op)


# Of one array, number by number.

abs = _of_one(jnp.abs)
absolute = _of_one(jnp.absolute)
angle = _of_one(jnp.angle, _inexact)
arccos = _of_one(jnp.arccos, _inexact)
arccosh = _of_one(jnp.arccosh, _inexact)
arcsin = _of_one(jnp.arcsin, _inexact)
arcsinh = _of_one(jnp.arcsinh, _inexact)
arctan = _of_one(jnp.arctan, _inexact)
arctanh = _of_one(jnp.arctanh, _inexact)
cbrt = _of_one(jnp.cbrt, _inexact)
ceil = _of_one(jnp.ceil, _inexact)
conj = _of_one(jnp.conj)
conjugate = _of_one(jnp.conjugate)
copy = _of_one(jnp.copy)
cos = _of_one(jnp.cos, _inexact)
cosh = _of_one(jnp.cosh, _inexact)
deg2rad = _of_one(jnp.deg2rad, _inexact)
erf = _of_one(jax.lax.erf, _inexact)
erfc = _of_one(jsp.special.erfc, _inexact)
erfinv = _of_one(jsp.special.erfinv, _inexact)
exp = _of_one(jnp.exp, _inexact)
exp2 = _of_one(jnp.exp2, _inexact)
expm1 = _of_one(jnp.expm1, _inexact)
fabs = _of_one(jnp.fabs, _inexact)
floor = _of_one(jnp.floor, _inexact)
i0 = _of_one(jnp.i0, _inexact)
imag = _of_one(jnp.imag)
isfinite = _of_one(jnp.isfinite)
isinf = _of_one(jnp.isinf)
isnan = _of_one(jnp.isnan)
isneginf = _of_one(jnp.isneginf)
isposinf = _of_one(jnp.isposinf)
isreal = _of_one(jnp.isreal)
log = _of_one(jnp.log, _inexact)
log10 = _of_one(jnp.log10, _inexact)
log1p = _of_one(jnp.log1p, _inexact)
log2 = _of_one(jnp.log2, _inexact)
logical_not = _of_one(jnp.logical_not)
negative = _of_one(jnp.negative)
rad2deg = _of_one(jnp.rad2deg, _inexact)
real = _of_one(jnp.real)
reciprocal = _of_one(jnp.reciprocal, _inexact)
rsqrt = _of_one(jax.lax.rsqrt, _inexact)
sign = _of_one(jnp.sign)
signbit = _of_one(jnp.signbit)
sin = _of_one(jnp.sin, _inexact)
sinc = _of_one(jnp.sinc, _inexact)
sinh = _of_one(jnp.sinh, _inexact)
sqrt = _of_one(jnp.sqrt, _inexact)
square = _of_one(jnp.square)
tan = _of_one(jnp.tan, _inexact)
tanh = _of_one(jnp.tanh, _inexact)
bitwise_invert = _of_one(jnp.invert)
bitwise_not = _of_one(jnp.invert)

# Of two arrays, number by number.

add = _of_two(jnp.add)
subtract = _of_two(jnp.subtract)
multiply = _of_two(jnp.multiply)
divide = _of_two(jnp.divide)
true_divide = _of_two(jnp.true_divide)
floor_divide = _of_two(jnp.floor_divide)
mod = _of_two(jnp.mod)
fmod = _of_two(jnp.fmod)
power = _of_two(jnp.power)
maximum = _of_two(jnp.maximum)
minimum = _of_two(jnp.minimum)
fmax = _of_two(jnp.fmax)
fmin = _of_two(jnp.fmin)
arctan2 = _of_two_floats(jnp.arctan2)
logaddexp = _of_two_floats(jnp.logaddexp)
logaddexp2 = _of_two_floats(jnp.logaddexp2)
hypot = _of_two(jnp.hypot)
heaviside = _of_two(jnp.heaviside)
nextafter = _of_two(jnp.nextafter)
gcd = _of_two(jnp.gcd)
lcm = _of_two(jnp.lcm)
ldexp = _of_two(jnp.ldexp)
equal = _of_two(jnp.equal)
not_equal = _of_two(jnp.not_equal)
greater = _of_two(jnp.greater)
greater_equal = _of_two(jnp.greater_equal)
less = _of_two(jnp.less)
less_equal = _of_two(jnp.less_equal)
logical_and = _of_two(jnp.logical_and)
logical_or = _of_two(jnp.logical_or)
logical_xor = _of_two(jnp.logical_xor)
bitwise_and = _of_bits(jnp.bitwise_and)
bitwise_or = _of_bits(jnp.bitwise_or)
bitwise_xor = _of_bits(jnp.bitwise_xor)
bitwise_left_shift = left_shift = _of_bits(jnp.left_shift)
bitwise_right_shift = right_shift = _of_bits(jnp.right_shift)


def divide_no_nan(x1: ArrayLike, x2: ArrayLike) -> Array:
    """x1 / x2, and 0 where x2 is 0."""
    upper, lower = as_array(x1), as_array(x2)
    return jnp.where(lower == 0, 0, jnp.divide(upper, jnp.where(lower == 0, 1, lower)))


def clip(x: ArrayLike, x_min: ArrayLike, x_max: ArrayLike) -> Array:
    """Numbers below x_min become x_min, those above x_max become x_max."""
    array = as_array(x)
    array = array.astype("int32") if array.dtype == bool else array
    return jnp.clip(array, as_array(x_min), as_array(x_max))


def round(x: ArrayLike, decimals: int = 0) -> Array:
    """To so many decimals; halves go to the even neighbour."""
    array = as_array(x)
    if decimals < 0 and not is_float(array.dtype):
        return jnp.round(_inexact(array), decimals=decimals).astype(array.dtype)
    return jnp.round(array, decimals=decimals)


def trunc(x: ArrayLike) -> Array:
    """Without the decimals."""
    array = as_array(x)
    return jnp.trunc(array) if is_float(array.dtype) else array


def nan_to_num(
    x: ArrayLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Array:
    """Numbers in place of NaN and of infinities."""
    return jnp.nan_to_num(as_array(x), nan=nan, posinf=posinf, neginf=neginf)


def isclose(
    x1: ArrayLike, x2: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Array:
    """Whether |x1 - x2| <= atol + rtol * |x2|."""
    return jnp.isclose(as_array(x1), as_array(x2), rtol, atol, equal_nan)


def allclose(
    x1: ArrayLike, x2: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Array:
    """Whether |x1 - x2| <= atol + rtol * |x2| everywhere."""
    return jnp.allclose(as_array(x1), as_array(x2), rtol, atol, equal_nan)


def where(condition: ArrayLike, x1: Any = None, x2: Any = None) -> Any:
    """x1 where the condition holds, else x2; the places where it holds, if they are not given."""
    if x1 is None and x2 is None:
        return jnp.where(as_array(condition))
    return jnp.where(as_array(condition), as_array(x1), as_array(x2))


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: ArrayLike = 0) -> Array:
    """At each place the choice of the first condition that holds."""
    return jnp.select(_each(condlist), _each(choicelist), default=as_array(default))


# Of many numbers, one.

all = _reduction(jnp.all)
any = _reduction(jnp.any)
amax = _reduction(jnp.amax)
amin = _reduction(jnp.amin)
argmax = _reduction(jnp.argmax)
argmin = _reduction(jnp.argmin)
logsumexp = _reduction(jsp.special.logsumexp, _inexact)
median = _reduction(jnp.median, _inexact)
ptp = _reduction(jnp.ptp)
std = _reduction(jnp.std, _inexact)
sum = _reduction(jnp.sum)
nanargmax = _reduction(jnp.nanargmax)
nanargmin = _reduction(jnp.nanargmin)
nanmax = _reduction(jnp.nanmax)
nanmean = _reduction(jnp.nanmean)
nanmedian = _reduction(jnp.nanmedian)
nanmin = _reduction(jnp.nanmin)
nanprod = _reduction(jnp.nanprod)
nanstd = _reduction(jnp.nanstd)
nansum = _reduction(jnp.nansum)
nanvar = _reduction(jnp.nanvar)
cumprod = _running(jnp.cumprod)
cumsum = _running(jnp.cumsum)
nancumprod = _running(jnp.nancumprod)
nancumsum = _running(jnp.nancumsum)
quantile = _quantiles(jnp.quantile)
percentile = _quantiles(jnp.percentile)
nanquantile = _quantiles(jnp.nanquantile)
nanpercentile = _quantiles(jnp.nanpercentile)
segment_sum = _segments(jax.ops.segment_sum)
segment_max = _segments(jax.ops.segment_max)
segment_min = _segments(jax.ops.segment_min)
segment_prod = _segments(jax.ops.segment_prod)


def max(x: ArrayLike, axis: Axes = None, keepdims: bool = False, initial: Any = None) -> Array:
    """The largest number, or `initial` if that is larger."""
    return jnp.max(as_array(x), axis=_hashable(axis), keepdims=keepdims, initial=initial)


def min(x: ArrayLike, axis: Axes = None, keepdims: bool = False, initial: Any = None) -> Array:
    """The smallest number, or `initial` if that is smaller."""
    return jnp.min(as_array(x), axis=_hashable(axis), keepdims=keepdims, initial=initial)


def mean(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Array:
    """The mean, a float; added up in at least 32 bits."""
    array = _inexact(x)
    wide = array.dtype if jnp.iscomplexobj(array) else _wide(array.dtype)
    return jnp.mean(array, axis=_hashable(axis), keepdims=keepdims, dtype=wide).astype(array.dtype)


def var(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Array:
    """The mean square distance from the mean, a float; added up in at least 32 bits."""
    array = _inexact(x)
    wide = jnp.var(array, axis=_hashable(axis), keepdims=keepdims, dtype=_wide(array.dtype))
    return wide.astype(array.real.dtype)


def prod(x: ArrayLike, axis: Axes = None, keepdims: bool = False, dtype: Any = None) -> Array:
    """The product."""
    return jnp.prod(as_array(x), axis=_hashable(axis), keepdims=keepdims, dtype=_type(dtype))


def average(x: ArrayLike, axis: Axes = None, weights: Any = None) -> Array:
    """The mean, weighted if there are weights."""
    given = None if weights is None else _inexact(weights)
    return jnp.average(_inexact(x), axis=_hashable(axis), weights=given)


def count_nonzero(x: ArrayLike, axis: Axes = None) -> Array:
    """How many numbers are not 0."""
    return jnp.count_nonzero(as_array(x), axis=_hashable(axis)).astype("int32")


def moments(
    x: ArrayLike, axes: Axes, keepdims: bool = False, synchronized: bool = False
) -> tuple[Array, Array]:
    """The mean and the variance along some axes; of 16-bit numbers computed in 32."""
    if synchronized:
        raise ArgumentError(message("moments are those of one device.", came="synchronized=True"))
    array, axes = as_array(x), _hashable(axes)
    half = array.dtype in (jnp.float16, jnp.bfloat16)
    wide = array.astype("float32") if half else array
    found = (jnp.mean(wide, axes, keepdims=keepdims), jnp.var(wide, axes, keepdims=keepdims))
    if not half:
        return found
    held = jnp.finfo(jnp.float16)
    mean, variance = (jnp.clip(each, held.min, held.max).astype(array.dtype) for each in found)
    return mean, variance


def bincount(x: ArrayLike, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Array:
    """How often each whole number occurs, of each row if there are several."""
    _require_dense(sparse)
    numbers, given = as_array(x), None if weights is None else as_array(weights)
    if numbers.ndim < 2:
        return jnp.bincount(numbers, given, minlength)
    length = builtins.max(int(numbers.max(initial=-1)) + 1, minlength)
    rows = (numbers,) if given is None else (numbers, given)
    return jax.vmap(lambda row, *weight: jnp.bincount(row, *weight, length=length))(*rows)


def histogram(x: ArrayLike, bins: Any = 10, range: Any = None) -> tuple[Array, Array]:
    """How many numbers lie in each bin, and the edges of the bins."""
    return jnp.histogram(as_array(x), bins=bins, range=range)


# Of another shape.

expand_dims = _made_of(jnp.expand_dims, lambda x, axis: jnp.expand_dims(as_array(x), _hashable(axis)))
ravel = _of_one(jnp.ravel)
fliplr = _of_one(jnp.fliplr)
flipud = _of_one(jnp.flipud)
hstack = _of_several(jnp.hstack)
vstack = _of_several(jnp.vstack)
dstack = _of_several(jnp.dstack)


def reshape(x: ArrayLike, newshape: Any) -> Array:
    """The same numbers in another shape; -1 stands for the size that is left."""
    return jnp.reshape(as_array(x), newshape)


def transpose(x: ArrayLike, axes: Any = None) -> Array:
    """The axes in another order; the other way round if none is given."""
    return jnp.transpose(as_array(x), axes)


def squeeze(x: ArrayLike, axis: Axes = None) -> Array:
    """Without axes of size one: all, or those named."""
    return jnp.squeeze(as_array(x), _hashable(axis))


def concatenate(xs: Any, axis: int = 0) -> Array:
    """Arrays one after another along an axis."""
    return jnp.concatenate(_each(xs), axis=axis)


def stack(x: Any, axis: int = 0) -> Array:
    """Arrays of one shape along a new axis."""
    return jnp.stack(_each(x), axis=axis)


def unstack(x: ArrayLike, num: int | None = None, axis: int = 0) -> list[Array]:
    """The parts of an array along an axis, which is gone."""
    return list(jnp.unstack(as_array(x), axis=axis))


def split(x: ArrayLike, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """Parts along an axis: so many equal ones, or those between indices."""
    return jnp.split(as_array(x), _hashable(indices_or_sections), axis=axis)


def array_split(x: ArrayLike, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """Parts along an axis, as equal as can be."""
    return jnp.array_split(as_array(x), _hashable(indices_or_sections), axis=axis)


def hsplit(x: ArrayLike, indices_or_sections: Any) -> list[Array]:
    """Parts along the second axis."""
    return jnp.hsplit(as_array(x), _hashable(indices_or_sections))


def vsplit(x: ArrayLike, indices_or_sections: Any) -> list[Array]:
    """Parts along the first axis."""
    return jnp.vsplit(as_array(x), _hashable(indices_or_sections))


def dsplit(x: ArrayLike, indices_or_sections: Any) -> list[Array]:
    """Parts along the third axis."""
    return jnp.dsplit(as_array(x), _hashable(indices_or_sections))


def append(x1: ArrayLike, x2: ArrayLike, axis: int | None = None) -> Array:
    """x2 after x1, both flat if no axis is given."""
    return jnp.append(as_array(x1), as_array(x2), axis=axis)


def tile(x: ArrayLike, repeats: Any) -> Array:
    """The whole array again and again."""
    return jnp.tile(as_array(x), repeats)


def repeat(x: ArrayLike, repeats: Any, axis: int | None = None) -> Array:
    """Each entry again and again."""
    times = repeats if isinstance(repeats, int) else as_array(repeats)
    return jnp.repeat(as_array(x), times, axis=axis)


def pad(x: ArrayLike, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Array:
    """More entries before and after along each axis."""
    if constant_values is None:
        return jnp.pad(as_array(x), pad_width, mode)
    if mode != "constant":
        raise ArgumentError(
            message("`constant_values` goes with mode 'constant'.", came=f"mode={mode!r} and constant_values")
        )
    return jnp.pad(as_array(x), pad_width, mode, constant_values=constant_values)


def flip(x: ArrayLike, axis: Axes = None) -> Array:
    """The other way round along an axis, or along all."""
    return jnp.flip(as_array(x), _hashable(axis))


def roll(x: ArrayLike, shift: Any, axis: Axes = None) -> Array:
    """Entries moved along; those that leave come in at the other end."""
    return jnp.roll(as_array(x), shift, _hashable(axis))


def rot90(array: ArrayLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Array:
    """Turned k times by 90 degrees in the plane of two axes."""
    return jnp.rot90(as_array(array), k=k, axes=axes)


def moveaxis(x: ArrayLike, source: Any, destination: Any) -> Array:
    """Axes moved to other places; the others keep their order."""
    return jnp.moveaxis(as_array(x), source, destination)


def swapaxes(x: ArrayLike, axis1: int, axis2: int) -> Array:
    """Two axes exchanged."""
    return jnp.swapaxes(as_array(x), axis1, axis2)


def broadcast_to(x: ArrayLike, shape: Any) -> Array:
    """The array again and again, up to a shape."""
    return jnp.broadcast_to(as_array(x), shape)


def meshgrid(*x: ArrayLike, indexing: str = "xy") -> list[Array]:
    """The coordinates of a grid, from those along its axes."""
    return jnp.meshgrid(*_each(x), indexing=indexing)


def rearrange(tensor: ArrayLike, pattern: str, **axes_lengths: int) -> Array:
    """Axes split, moved and joined as a pattern says, in the manner of einops.

    Args:
        tensor: an array.
        pattern: names of the axes before and after; axes in brackets are one.
        axes_lengths: the sizes of axes that are split off, as far as they do not follow.

    Example:
        >>> rearrange(arange(6), "(row column) -> column row", row=2).tolist()
        [[0, 3], [1, 4], [2, 5]]
    """
    array = as_array(tensor)
    before, after = (
        [re.findall(r"\w+", axis) for axis in re.findall(r"\w+|\([^)]*\)", side)]
        for side in pattern.split("->")
    )
    sizes = dict(axes_lengths)
    for names, size in zip(before, array.shape, strict=True):
        unknown = [name for name in names if name not in sizes]
        known = int(np.prod([sizes[name] for name in names if name in sizes]))
        sizes |= dict.fromkeys(unknown, size // known)
    order = [name for names in before for name in names]
    apart = jnp.reshape(array, [sizes[name] for name in order])
    moved = jnp.transpose(apart, [order.index(name) for names in after for name in names])
    return jnp.reshape(moved, [int(np.prod([sizes[name] for name in names])) for names in after])


def depth_to_space(x: ArrayLike, block_size: int, data_format: str = "channels_last") -> Array:
    """Channels as blocks of pixels: fewer channels, a larger image."""
    pattern = {
        "channels_last": "n h w (i j c) -> n (h i) (w j) c",
        "channels_first": "n (c i j) h w -> n c (h i) (w j)",
    }[known_data_format(data_format)]
    return rearrange(x, pattern, i=block_size, j=block_size)


def space_to_depth(x: ArrayLike, block_size: int, data_format: str = "channels_last") -> Array:
    """Blocks of pixels as channels: a smaller image, more channels."""
    pattern = {
        "channels_last": "n (h i) (w j) c -> n h w (i j c)",
        "channels_first": "n c (h i) (w j) -> n (c i j) h w",
    }[known_data_format(data_format)]
    return rearrange(x, pattern, i=block_size, j=block_size)


# Parts of arrays, and where they are.


def get_item(x: ArrayLike, key: Any) -> Array:
    """The part that a key names: x[tuple(key) if isinstance(key, list) else key]."""
    return as_array(x)[tuple(key) if isinstance(key, list) else key]


def take(x: ArrayLike, indices: ArrayLike, axis: int | None = None) -> Array:
    """The entries of these numbers along an axis."""
    return jnp.take(as_array(x), as_array(indices), axis=axis)


def take_along_axis(x: ArrayLike, indices: ArrayLike, axis: int | None = None) -> Array:
    """Along an axis the entry of this number, for each place of the other axes."""
    return jnp.take_along_axis(as_array(x), as_array(indices), axis=axis)


def slice(inputs: ArrayLike, start_indices: Any, shape: Sequence[int]) -> Array:
    """The part of this shape that begins at these indices; -1 is the size that is left."""
    array = as_array(inputs)
    sizes = [
        array.shape[axis] - start_indices[axis] if size == -1 else size for axis, size in enumerate(shape)
    ]
    return jax.lax.dynamic_slice(array, start_indices, sizes)


def slice_update(inputs: ArrayLike, start_indices: Any, updates: ArrayLike) -> Array:
    """The array, with another part from these indices on."""
    return jax.lax.dynamic_update_slice(as_array(inputs), as_array(updates), start_indices)


def scatter(indices: ArrayLike, values: ArrayLike, shape: Sequence[int]) -> Array:
    """Zeros, with these values added at these indices."""
    added, places = as_array(values), as_array(indices)
    return jnp.zeros(tuple(shape), added.dtype).at[tuple(jnp.moveaxis(places, -1, 0))].add(added)


def scatter_update(
    inputs: ArrayLike, indices: ArrayLike, updates: ArrayLike, reduction: str | None = None
) -> Array:
    """The array, with these values set at these indices (or added, "max", "min", "mul")."""
    places = as_array(inputs).at[tuple(jnp.transpose(as_array(indices)))]
    how = {None: "set", "add": "add", "max": "max", "min": "min", "mul": "multiply"}
    if reduction not in how:
        raise ArgumentError(
            message("Unsupported reduction.", came=repr(reduction), expected="None, add, max, min or mul")
        )
    return getattr(places, how[reduction])(as_array(updates))


def nonzero(x: ArrayLike) -> tuple[Array, ...]:
    """Where the numbers are that are not 0: their indices, axis by axis."""
    return jnp.nonzero(as_array(x))


def unravel_index(indices: ArrayLike, shape: Any) -> tuple[Array, ...]:
    """The indices, axis by axis, of numbers that are counted through."""
    return jnp.unravel_index(as_array(indices), shape)


def diagonal(x: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The diagonal of two axes."""
    return jnp.diagonal(as_array(x), offset, axis1, axis2)


def diag(x: ArrayLike, k: int = 0) -> Array:
    """The diagonal of a matrix, or the matrix of a diagonal."""
    return jnp.diag(as_array(x), k)


def diagflat(x: ArrayLike, k: int = 0) -> Array:
    """The matrix whose diagonal these numbers are."""
    return jnp.diagflat(as_array(x), k)


def tril(x: ArrayLike, k: int = 0) -> Array:
    """Zeros above a diagonal."""
    return jnp.tril(as_array(x), k)


def triu(x: ArrayLike, k: int = 0) -> Array:
    """Zeros below a diagonal."""
    return jnp.triu(as_array(x), k)


def trace(x: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The sum of a diagonal."""
    return jnp.trace(as_array(x), offset, axis1, axis2)


# In order.


def sort(x: ArrayLike, axis: int = -1) -> Array:
    """In order, the smallest first."""
    return jnp.sort(as_array(x), axis=axis)


def argsort(x: ArrayLike, axis: int | None = -1) -> Array:
    """The numbers of the entries in order, the smallest first."""
    array = as_array(x)
    return jnp.argsort(array, axis=axis if array.ndim else None)


def argpartition(x: ArrayLike, kth: int, axis: int | None = -1) -> Array:
    """The numbers of the entries, those up to the kth smallest before the others."""
    array = as_array(x)
    return jnp.argpartition(array.ravel() if axis is None else array, kth, axis=0 if axis is None else axis)


def top_k(x: ArrayLike, k: int, sorted: bool = True) -> Sequence[Array]:
    """The k largest numbers along the last axis, and where they are."""
    return jax.lax.top_k(as_array(x), k)


def in_top_k(targets: ArrayLike, predictions: ArrayLike, k: int) -> Array:
    """Whether the class is among the k with the largest predictions, for each row."""
    given = as_array(predictions)
    right = jnp.take_along_axis(given, as_array(targets)[..., None], axis=-1)
    right = jnp.where(jnp.isnan(right), -jnp.inf, right)
    return jnp.sum(given > right, axis=-1) < k


def searchsorted(sorted_sequence: ArrayLike, values: ArrayLike, side: str = "left") -> Array:
    """Where values would have to stand in a sequence that is in order."""
    sequence = as_array(sorted_sequence)
    if sequence.ndim != 1:
        raise ShapeError(
            message("`searchsorted` takes one sequence.", came=f"shape {sequence.shape}", expected="one axis")
        )
    return jnp.searchsorted(sequence, as_array(values), side=side)


def digitize(x: ArrayLike, bins: ArrayLike) -> Array:
    """In which bin each number lies."""
    return jnp.digitize(as_array(x), as_array(bins))


def isin(x1: ArrayLike, x2: ArrayLike, assume_unique: bool = False, invert: bool = False) -> Array:
    """Whether each number of x1 is in x2."""
    return jnp.isin(as_array(x1), as_array(x2), assume_unique=assume_unique, invert=invert)


def unique(
    x: ArrayLike,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """Each different number once; `size` says how many, so that the op can be compiled."""
    return jnp.unique(
        as_array(x),
        return_index=return_index,
        return_inverse=return_inverse,
        return_counts=return_counts,
        axis=axis,
        equal_nan=False,
        size=size,
        fill_value=fill_value,
        sorted=sorted,
    )


# New arrays.


def array(x: ArrayLike, dtype: Any = None) -> Array:
    """A new array of these numbers."""
    return jnp.array(as_array(x), _type(dtype))


def zeros(shape: Any, dtype: Any = None) -> Array:
    """Zeros."""
    return jnp.zeros(shape, held_dtype(dtype))


def ones(shape: Any, dtype: Any = None) -> Array:
    """Ones."""
    return jnp.ones(shape, held_dtype(dtype))


def empty(shape: Any, dtype: Any = None) -> Array:
    """An array whose numbers do not matter."""
    return jnp.empty(shape, held_dtype(dtype))


def full(shape: Any, fill_value: ArrayLike, dtype: Any = None) -> Array:
    """One number everywhere."""
    return jnp.full(shape, as_array(fill_value), held_dtype(dtype))


def zeros_like(x: ArrayLike, dtype: Any = None) -> Array:
    """Zeros of the shape and the type of x."""
    return jnp.zeros_like(as_array(x), _type(dtype))


def ones_like(x: ArrayLike, dtype: Any = None) -> Array:
    """Ones of the shape and the type of x."""
    return jnp.ones_like(as_array(x), _type(dtype))


def empty_like(x: ArrayLike, dtype: Any = None) -> Array:
    """An array of the shape and the type of x, whose numbers do not matter."""
    return jnp.empty_like(as_array(x), _type(dtype))


def full_like(x: ArrayLike, fill_value: ArrayLike, dtype: Any = None) -> Array:
    """One number everywhere, in the shape and the type of x."""
    return jnp.full_like(as_array(x), as_array(fill_value), _type(dtype))


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Array:  # noqa: N803
    """Ones on a diagonal, zeros elsewhere."""
    return jnp.eye(N, M, k, held_dtype(dtype))


def identity(n: int, dtype: Any = None) -> Array:
    """The matrix that changes nothing."""
    return jnp.identity(n, held_dtype(dtype))


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Array:  # noqa: N803
    """Ones up to a diagonal, zeros above it."""
    return jnp.tri(N, M, k, held_dtype(dtype))


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Array:
    """Numbers from start to before stop; from 0 to before start, if that is all that is given."""
    bounds = [each for each in (start, stop, step) if each is not None]
    found = result_type(*(getattr(each, "dtype", type(each)) for each in bounds)) if dtype is None else dtype
    return jnp.arange(start, stop, step, dtype=held_dtype(found))


def linspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """So many numbers at equal distances from start to stop."""
    return jnp.linspace(as_array(start), as_array(stop), num, endpoint, retstep, _type(dtype), axis)


def logspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10,
    dtype: Any = None,
    axis: int = 0,
) -> Array:
    """Powers of the base, with exponents at equal distances from start to stop."""
    return jnp.logspace(as_array(start), as_array(stop), num, endpoint, base, _type(dtype), axis)


def geomspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> Array:
    """So many numbers from start to stop, each a fixed multiple of the one before."""
    return jnp.geomspace(as_array(start), as_array(stop), num, endpoint, _type(dtype), axis)


def vander(x: ArrayLike, N: int | None = None, increasing: bool = False) -> Array:  # noqa: N803
    """The powers of each number as a row."""
    return jnp.vander(as_array(x), N, increasing)


def _window(compute: Function) -> Function:
    def op(x: ArrayLike) -> Array:
        return compute(int(x)).astype(floatx())

    return _made_of(compute, op)


bartlett = _window(jnp.bartlett)
blackman = _window(jnp.blackman)
hamming = _window(jnp.hamming)
hanning = _window(jnp.hanning)


def kaiser(x: ArrayLike, beta: ArrayLike) -> Array:
    """The Kaiser window of x points."""
    return jnp.kaiser(int(x), as_array(beta)).astype(floatx())


# Linear algebra.

vdot = _of_two(jnp.vdot)
inner = _of_two(jnp.inner)
outer = _of_two(jnp.outer)
dot = _of_two(jnp.dot)
kron = _of_two(jnp.kron)
det = _of_one(jnp.linalg.det)
eig = _of_one(jnp.linalg.eig)
eigh = _of_one(jnp.linalg.eigh)
inv = _of_one(jnp.linalg.inv)
slogdet = _of_one(lambda x: tuple(jnp.linalg.slogdet(x)))
logdet = _of_one(lambda x: jnp.linalg.slogdet(x)[1])
corrcoef = _of_one(jnp.corrcoef)


def _sum_type(*xs: Array) -> Any:
    """Products of 8-bit integers are added up in 32 bits."""
    return jnp.int32 if {x.dtype for x in xs} == {jnp.dtype("int8")} else None


def matmul(x1: ArrayLike, x2: ArrayLike) -> Array:
    """The matrix product: sums over the last axis of x1 and the last but one of x2."""
    first, second = as_array(x1), as_array(x2)
    return jnp.matmul(first, second, preferred_element_type=_sum_type(first, second))


def einsum(subscripts: str, *operands: ArrayLike, **kwargs: Any) -> Array:
    """A sum of products, written with letters for axes.

    >>> einsum("ij,j->i", [[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0]).tolist()
    [3.0, 7.0]
    """
    arrays = _each(operands)
    return jnp.einsum(subscripts, *arrays, **{"preferred_element_type": _sum_type(*arrays), **kwargs})


def tensordot(x1: ArrayLike, x2: ArrayLike, axes: Any = 2) -> Array:
    """Sums of products over several axes."""
    return jnp.tensordot(as_array(x1), as_array(x2), axes)


def cross(
    x1: ArrayLike,
    x2: ArrayLike,
    axisa: int = -1,
    axisb: int = -1,
    axisc: int = -1,
    axis: int | None = None,
) -> Array:
    """The cross product of vectors."""
    return jnp.cross(as_array(x1), as_array(x2), axisa, axisb, axisc, axis)


def norm(x: ArrayLike, ord: Any = None, axis: Axes = None, keepdims: bool = False) -> Array:
    """The length of vectors, or the norm of matrices."""
    return jnp.linalg.norm(_inexact(x), ord=ord, axis=_hashable(axis), keepdims=keepdims)


def cholesky(x: ArrayLike, upper: bool = False) -> Array:
    """The triangular matrix whose product with its transpose is x."""
    found = jnp.linalg.cholesky(as_array(x), upper=upper)
    if not isinstance(found, Tracer) and bool(jnp.isnan(found).any()):
        raise ArgumentError(
            message("Cholesky decomposition failed.", expected="a symmetric, positive definite matrix")
        )
    return found


def cholesky_inverse(x: ArrayLike, upper: bool = False) -> Array:
    """The inverse of the matrix whose Cholesky factor is x."""
    factor = as_array(x)
    root = solve_triangular(factor, jnp.eye(factor.shape[-1], dtype=factor.dtype), lower=not upper)
    return jnp.matmul(root, root.T) if upper else jnp.matmul(root.T, root)


def solve(a: ArrayLike, b: ArrayLike) -> Array:
    """The x with a x = b."""
    return jnp.linalg.solve(as_array(a), as_array(b))


def solve_triangular(a: ArrayLike, b: ArrayLike, lower: bool = False) -> Array:
    """The x with a x = b, for a triangular a."""
    return jsp.linalg.solve_triangular(as_array(a), as_array(b), lower=lower)


def lstsq(a: ArrayLike, b: ArrayLike, rcond: float | None = None) -> Array:
    """The x for which a x comes nearest to b."""
    return jnp.linalg.lstsq(as_array(a), as_array(b), rcond=rcond)[0]


def lu_factor(x: ArrayLike) -> Any:
    """The LU decomposition, and its pivots."""
    return jsp.linalg.lu_factor(as_array(x))


def qr(x: ArrayLike, mode: str = "reduced") -> Any:
    """An orthogonal and an upper triangular matrix whose product is x."""
    if mode not in ("reduced", "complete"):
        raise ArgumentError(
            message(
                "`mode` argument value not supported.", came=repr(mode), expected='"reduced" or "complete"'
            )
        )
    return jnp.linalg.qr(as_array(x), mode=mode)


def svd(x: ArrayLike, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """The singular value decomposition."""
    return jnp.linalg.svd(as_array(x), full_matrices=full_matrices, compute_uv=compute_uv)


def pinv(x: ArrayLike, rcond: float | None = None) -> Array:
    """The inverse as far as there is one (Moore and Penrose)."""
    return jnp.linalg.pinv(as_array(x), rtol=rcond)


def matrix_rank(x: ArrayLike, tol: float | None = None) -> Array:
    """How many singular values are above `tol`."""
    return jnp.linalg.matrix_rank(as_array(x), rtol=tol).astype("int32")


def cdist(x: ArrayLike, y: ArrayLike) -> Array:
    """The distance of each row of x from each row of y."""
    between = jnp.expand_dims(as_array(x), -2) - jnp.expand_dims(as_array(y), -3)
    return jnp.sqrt(jnp.sum(between * between, axis=-1))


def correlate(x1: ArrayLike, x2: ArrayLike, mode: str = "valid") -> Array:
    """The sums of products of two sequences, one moved along the other."""
    return jnp.correlate(as_array(x1), as_array(x2), mode)


def diff(a: ArrayLike, n: int = 1, axis: int = -1) -> Array:
    """Each entry less the one before it, n times."""
    return jnp.diff(as_array(a), n=n, axis=axis)


def trapezoid(y: ArrayLike, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Array:
    """The integral of y by the trapezoidal rule."""
    return jnp.trapezoid(as_array(y), None if x is None else as_array(x), dx=as_array(dx), axis=axis)


# Fourier transforms: complex numbers come and go as (real, imaginary).


def _complex(x: Any) -> Array:
    if not isinstance(x, tuple | list) or len(x) != 2:
        raise ArgumentError(
            message(
                "complex numbers are given as two arrays.", came=type(x).__name__, expected="(real, imag)"
            )
        )
    first, second = (as_array(each) for each in x)
    return jax.lax.complex(first, second)


def _apart(z: Array) -> tuple[Array, Array]:
    return jnp.real(z), jnp.imag(z)


def fft(x: Any) -> tuple[Array, Array]:
    """The Fourier transform along the last axis."""
    return _apart(jnp.fft.fft(_complex(x)))


def fft2(x: Any) -> tuple[Array, Array]:
    """The Fourier transform along the last two axes."""
    return _apart(jnp.fft.fft2(_complex(x)))


def ifft2(x: Any) -> tuple[Array, Array]:
    """The inverse of `fft2`."""
    return _apart(jnp.fft.ifft2(_complex(x)))


def rfft(x: ArrayLike, fft_length: int | None = None) -> tuple[Array, Array]:
    """The Fourier transform of real numbers along the last axis."""
    return _apart(jnp.fft.rfft(as_array(x), n=fft_length))


def irfft(x: Any, fft_length: int | None = None) -> Array:
    """The inverse of `rfft`."""
    return jnp.fft.irfft(_complex(x), n=fft_length)


def view_as_complex(x: ArrayLike) -> Array:
    """Pairs along the last axis as complex numbers."""
    array = as_array(x)
    return jax.lax.complex(array[..., 0], array[..., 1])


def view_as_real(x: ArrayLike) -> Array:
    """Complex numbers as pairs along a new last axis."""
    return jnp.stack(_apart(as_array(x)), axis=-1)


def polar(abs_: ArrayLike, angle: ArrayLike) -> Array:
    """The complex numbers of these sizes and angles."""
    size, turn = _inexact(abs_), _inexact(angle)
    return jax.lax.complex(size * jnp.cos(turn), size * jnp.sin(turn))


# Types and values.


def cast(x: ArrayLike, dtype: Any) -> Array:
    """The same numbers in another type."""
    return as_array(x).astype(held_dtype(dtype))


def saturate_cast(x: ArrayLike, dtype: Any) -> Array:
    """The same numbers in another type; those that it cannot hold become the nearest that it can."""
    numbers, kind = as_array(x), held_dtype(dtype)
    if kind.name == "bool":
        return jnp.clip(numbers, 0, 1).astype(kind)
    held = jnp.finfo(kind) if jnp.issubdtype(kind, jnp.floating) else jnp.iinfo(kind)
    own: Any = jnp.finfo(numbers.dtype) if is_float(numbers.dtype) else None
    own = own or (jnp.iinfo("int8") if numbers.dtype == bool else jnp.iinfo(numbers.dtype))
    low = builtins.max(float(held.min), float(own.min))
    high = builtins.min(float(held.max), float(own.max))
    if numbers.dtype == bool or (low, high) == (float(own.min), float(own.max)):
        return numbers.astype(kind)
    if not is_float(numbers.dtype):
        return jnp.clip(numbers, int(low), int(high)).astype(kind)
    # The largest whole number may round up in the type of the floats, out of what can be held.
    top = jnp.asarray(high, numbers.dtype)
    top = jnp.where(top.astype("float32") > high, jnp.nextafter(top, jnp.zeros_like(top)), top)
    return jnp.clip(numbers, jnp.asarray(low, numbers.dtype), top).astype(kind)


def view(x: ArrayLike, dtype: Any = None) -> Array:
    """The same bits, read as another type."""
    return as_array(x).view(_type(dtype))


def convert_to_tensor(x: ArrayLike, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Array:
    """A JAX array of anything array-like."""
    _require_dense(sparse or ragged)
    return as_array(x, _type(dtype))


def convert_to_numpy(x: ArrayLike) -> np.ndarray[Any, Any]:
    """A NumPy copy of an array."""
    return np.array(x.value if hasattr(x, "assign") else x)


def is_tensor(x: Any) -> bool:
    """Whether this is a JAX array, rather than a NumPy array, a list or a variable."""
    return isinstance(x, jax.Array)


def shape(x: Any) -> tuple[Any, ...]:
    """The sizes of the axes; None is a size of a symbolic tensor that may be any."""
    return tuple(x.shape if hasattr(x, "shape") else np.shape(x))


def ndim(x: Any) -> int:
    """How many axes there are."""
    return len(shape(x))


def size(x: ArrayLike) -> Any:
    """How many numbers there are."""
    return jnp.size(as_array(x))


def dtype(x: Any) -> str:
    """The name of the type of an array's numbers."""
    return standardize_dtype(x.dtype if hasattr(x, "dtype") else as_array(x).dtype)


def _require_dense(sparse: Any) -> None:
    if sparse:
        raise ArgumentError(
            message("sparse and ragged arrays are not supported.", mend="leave out sparse=True.")
        )


# Control flow, loops and gradients.


def cond(pred: ArrayLike, true_fn: Function, false_fn: Function) -> Any:
    """What one of two functions gives: the first if `pred` holds."""
    return jax.lax.cond(as_array(pred), true_fn, false_fn)


def switch(index: ArrayLike, branches: Sequence[Function], *operands: Any) -> Any:
    """What the function of this number gives for the operands."""
    return jax.lax.switch(as_array(index), branches, *_arrays(operands))


def while_loop(cond: Function, body: Function, loop_vars: Any, maximum_iterations: int | None = None) -> Any:
    """Go from variables to the next ones while a condition holds.

    >>> int(while_loop(lambda n: n < 100, lambda n: 2 * n, 3))
    192
    """
    several = isinstance(loop_vars, tuple | list)
    begin = tuple(loop_vars) if several else (loop_vars,)

    def goes_on(carried: Any) -> Any:
        count, values = carried
        within = True if maximum_iterations is None else count < maximum_iterations
        return jnp.logical_and(cond(*values), within)

    def go(carried: Any) -> Any:
        count, values = carried
        made = body(*values)
        return count + 1, tuple(made) if several else (made,)

    _, values = jax.lax.while_loop(goes_on, go, (jnp.int32(0), _arrays(begin)))
    return values if several else values[0]


def fori_loop(lower: Any, upper: Any, body_fun: Function, init_val: Any) -> Any:
    """Go from a value to the next one by `body_fun(i, value)`, for each i from lower to before upper."""
    return jax.lax.fori_loop(lower, upper, body_fun, _arrays(init_val))


def scan(
    f: Function,
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: Any = 1,
) -> Any:
    """Go along the first axis by `carry, y = f(carry, x)`; gives the last carry and all y.

    >>> scan(lambda total, x: (total + x, total), 0, arange(4))[1].tolist()
    [0, 0, 1, 3]
    """
    return jax.lax.scan(f, _arrays(init), _arrays(xs), length, reverse, unroll)


def associative_scan(f: Function, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """What `f` makes of the first, of the first two, of the first three, ...; in parallel."""
    return jax.lax.associative_scan(f, _arrays(elems), reverse, axis)


def map(f: Function, xs: Any) -> Any:
    """What a function gives for each entry along the first axis, one after another."""
    return jax.lax.map(f, _arrays(xs))


def vectorized_map(function: Function, elements: Any) -> Any:
    """What a function gives for each entry along the first axis, all at once."""
    return jax.vmap(function)(_arrays(elements))


def vectorize(pyfunc: Function, *, excluded: Any = None, signature: str | None = None) -> Function:
    """A function of arrays, from one of single numbers."""
    return jnp.vectorize(pyfunc, excluded=excluded or set(), signature=signature)


def stop_gradient(variable: ArrayLike) -> Any:
    """The same numbers, as if they did not depend on anything."""
    return jax.lax.stop_gradient(_arrays(variable))


def custom_gradient(f: Function) -> Function:
    """Give a function a gradient of its own: it gives `(result, gradient)`.

    >>> @custom_gradient
    ... def clipped(x):
    ...     return x, lambda upstream: jnp.clip(upstream, -1.0, 1.0)
    >>> float(jax.grad(lambda x: 5.0 * clipped(x))(2.0))
    1.0
    """
    own = jax.custom_gradient(f)

    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = jax.tree.map(lambda x: as_array(x) if hasattr(x, "assign") else x, (args, kwargs))
        return own(*args, **kwargs)

    return call


def jvp(fun: Function, primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """A function's value, and its change in a direction."""
    return jax.jvp(fun, _arrays(primals), _arrays(tangents), has_aux=has_aux)


# Activations.


def _activation(compute: Function) -> Function:
    op = _of_one(compute)
    op.__doc__ = compute.__doc__ if compute.__module__ == activations.__name__ else op.__doc__
    return op


sigmoid = _activation(activations.sigmoid)
silu = _activation(activations.silu)
swish = _activation(activations.silu)
selu = _activation(activations.selu)
softplus = _activation(activations.softplus)
softsign = _activation(activations.softsign)
hard_sigmoid = _activation(activations.hard_sigmoid)
relu = _activation(jax.nn.relu)
relu6 = _activation(jax.nn.relu6)
hard_silu = hard_swish = _activation(activations.hard_silu)
hard_tanh = _activation(activations.hard_tanh)
log_sigmoid = _activation(activations.log_sigmoid)
sparse_plus = _activation(activations.sparse_plus)
sparse_sigmoid = _activation(activations.sparse_sigmoid)
tanh_shrink = _activation(activations.tanh_shrink)


def leaky_relu(x: ArrayLike, negative_slope: float = 0.2) -> Array:
    """a = z above 0, negative_slope * z below."""
    return activations.leaky_relu(x, negative_slope)


def elu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """a = z above 0, alpha * (exp(z) - 1) below."""
    return activations.elu(x, alpha)


def celu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """a = z above 0, alpha * (exp(z / alpha) - 1) below."""
    return activations.celu(x, alpha)


def gelu(x: ArrayLike, approximate: bool = True) -> Array:
    """a = z * P(N <= z) for a standard normal N; with tanh unless `approximate` is False."""
    return activations.gelu(x, approximate)


def glu(x: ArrayLike, axis: int = -1) -> Array:
    """a_i = z_i * sigmoid(z_(i + n)): the second half of a row are gates of the first."""
    return activations.glu(x, axis)


def squareplus(x: ArrayLike, b: float = 4) -> Array:
    """a = (z + sqrt(z^2 + b)) / 2."""
    return activations.squareplus(x, b)


def hard_shrink(x: ArrayLike, threshold: float = 0.5) -> Array:
    """a = z where |z| > threshold, else 0."""
    return activations.hard_shrink(x, threshold)


def soft_shrink(x: ArrayLike, threshold: float = 0.5) -> Array:
    """a = z, nearer to 0 by `threshold`; 0 where |z| <= threshold."""
    return activations.soft_shrink(x, threshold)


def threshold(x: ArrayLike, threshold: float, default_value: float) -> Array:
    """a = z above the threshold, `default_value` elsewhere."""
    return activations.threshold(x, threshold, default_value)


def softmax(x: ArrayLike, axis: Axes = -1) -> Array:
    """a_i = exp(z_i) / sum_j exp(z_j)."""
    return jax.nn.softmax(_inexact(x), axis=_hashable(axis))


def log_softmax(x: ArrayLike, axis: Axes = -1) -> Array:
    """a_i = z_i - log(sum_j exp(z_j))."""
    return jax.nn.log_softmax(_inexact(x), axis=_hashable(axis))


def sparsemax(x: ArrayLike, axis: int = -1) -> Array:
    """The shares nearest to z; many are 0."""
    return activations.sparsemax(x, axis)


# Networks: codes, losses, normalization.


def one_hot(x: ArrayLike, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Array:
    """1 at the number of the class, 0 elsewhere, along a new axis."""
    _require_dense(sparse)
    return jax.nn.one_hot(as_array(x), num_classes, axis=axis, dtype=held_dtype(dtype))


def multi_hot(
    inputs: ArrayLike,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
    **kwargs: Any,
) -> Array:
    """1 at the number of each class of a row, 0 elsewhere."""
    classes = as_array(inputs)
    count = kwargs.pop("num_tokens", num_classes)
    if count is None:
        raise ArgumentError(message("Argument `num_classes` must be set.", expected="the number of classes"))
    hot = one_hot(classes.astype("int32"), count, axis, dtype, sparse)
    return jnp.max(hot, axis=1 if classes.ndim > 1 else 0)


def binary_crossentropy(target: ArrayLike, output: ArrayLike, from_logits: bool = False) -> Array:
    """-(y * log(p) + (1 - y) * log(1 - p)), for each output."""
    y, p = as_array(target), as_array(output)
    if y.shape != p.shape:
        raise ShapeError(
            message(
                "Arguments `target` and `output` must have the same shape.",
                came=f"targets of shape {y.shape}, outputs of shape {p.shape}",
            )
        )
    return losses.binary_crossentropy(y[..., None], p[..., None], from_logits)


def categorical_crossentropy(
    target: ArrayLike, output: ArrayLike, from_logits: bool = False, axis: int = -1
) -> Array:
    """-sum(y * log(p)), with y one-hot, for each row."""
    return losses.categorical_crossentropy(target, output, from_logits, axis=axis)


def sparse_categorical_crossentropy(
    target: ArrayLike, output: ArrayLike, from_logits: bool = False, axis: int = -1
) -> Array:
    """-log(p of the right class), with y the number of the class, for each row."""
    return losses.sparse_categorical_crossentropy(target, output, from_logits, axis=axis)


def psnr(x1: ArrayLike, x2: ArrayLike, max_val: float) -> Array:
    """The peak signal-to-noise ratio of two images, in decibels."""
    first, second = as_array(x1), as_array(x2)
    if first.shape != second.shape:
        raise ShapeError(
            message("images to compare have one shape.", came=f"shapes {first.shape} and {second.shape}")
        )
    error = jnp.mean(jnp.square(first - second))
    return 20 * jnp.log10(jnp.asarray(max_val, second.dtype)) - 10 * jnp.log10(error)


def normalize(x: ArrayLike, axis: Axes = -1, order: int = 2, epsilon: float | None = None) -> Array:
    """x / max(|x|, epsilon), along an axis."""
    if not isinstance(order, int) or order < 1:
        raise ArgumentError(message("Argument `order` must be an int >= 1.", came=repr(order)))
    array = jnp.atleast_1d(as_array(x))
    least = losses.EPSILON if epsilon is None else epsilon
    if order == 2:
        squares = jnp.sum(jnp.square(array), axis=_hashable(axis), keepdims=True)
        return array * jnp.minimum(jax.lax.rsqrt(_inexact(squares)), 1.0 / least)
    return jnp.divide(array, jnp.maximum(norm(array, order, axis, keepdims=True), least))


def batch_normalization(
    x: ArrayLike,
    mean: ArrayLike,
    variance: ArrayLike,
    axis: int,
    offset: Any = None,
    scale: Any = None,
    epsilon: float = 1e-3,
) -> Array:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, for each entry of an axis."""
    array = as_array(x)
    along = [1] * array.ndim
    along[axis] = -1

    def lined_up(value: ArrayLike) -> Array:
        return jnp.reshape(as_array(value), along)

    inverse = jax.lax.rsqrt(lined_up(variance) + epsilon)
    if scale is not None:
        inverse = inverse * lined_up(scale)
    moved = -lined_up(mean) * inverse
    if offset is not None:
        moved = moved + lined_up(offset)
    return array * inverse + moved


def _axes_of(array: Array, axis: Axes) -> list[int]:
    axes = axis if isinstance(axis, tuple | list) else [axis]
    return sorted(each % array.ndim for each in axes)


def layer_normalization(
    x: ArrayLike,
    gamma: Any = None,
    beta: Any = None,
    axis: Axes = -1,
    epsilon: float | None = None,
) -> Array:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, for each row. Ba et al., 2016."""
    given = as_array(x)
    array = given.astype(_wide(given.dtype))
    axes = _axes_of(array, axis)
    along = [size if place in axes else 1 for place, size in enumerate(array.shape)]

    def lined_up(value: ArrayLike) -> Array:
        weight = as_array(value).astype(array.dtype)
        return weight if weight.ndim == array.ndim or axes == [array.ndim - 1] else weight.reshape(along)

    mean, variance = moments(array, tuple(axes), keepdims=True)
    inverse = jax.lax.rsqrt(variance + (losses.EPSILON if epsilon is None else epsilon))
    if gamma is not None:
        inverse = inverse * lined_up(gamma)
    moved = -mean * inverse
    if beta is not None:
        moved = moved + lined_up(beta)
    return (array * inverse + moved).astype(given.dtype)


def rms_normalization(
    x: ArrayLike, scale: Any = None, axis: Axes = -1, epsilon: float | None = None
) -> Array:
    """x / sqrt(mean(x^2) + epsilon) * scale, for each row. Zhang & Sennrich, 2019."""
    given = jnp.atleast_1d(as_array(x))
    array = given.astype(_wide(given.dtype))
    squares = jnp.mean(jnp.square(array), axis=tuple(_axes_of(array, axis)), keepdims=True)
    normed = array * jax.lax.rsqrt(squares + (losses.EPSILON if epsilon is None else epsilon))
    return (normed if scale is None else normed * as_array(scale).astype(array.dtype)).astype(given.dtype)


def dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Array:
    """softmax(query . key * scale) . value, head by head. Vaswani et al., 2017.

    Args:
        query, key, value: shape (rows, steps, heads, numbers).
        bias, mask: added to the products; which of them count. Shape (rows, heads, steps, steps).
        scale: by default 1 / sqrt(numbers).
        is_causal: whether a step sees only those up to itself.
        flash_attention: whether XLA may not choose; there is one way here.
        attn_logits_soft_cap: not supported.
    """
    if flash_attention or attn_logits_soft_cap is not None:
        raise ArgumentError(
            message("flash attention and attn_logits_soft_cap are not supported.", mend="leave them out.")
        )
    asked, keys, values = (as_array(each) for each in (query, key, value))
    if {asked.ndim, keys.ndim, values.ndim} != {4}:
        raise ShapeError(
            message(
                "`dot_product_attention` only supports 4D inputs.",
                came=f"shapes {asked.shape}, {keys.shape}, {values.shape}",
                expected="(rows, steps, heads, numbers)",
            )
        )
    kind = result_type(asked.dtype, keys.dtype, values.dtype)
    asked, keys, values = (each.astype(kind) for each in (asked, keys, values))
    return jax.nn.dot_product_attention(
        asked,
        keys,
        values,
        None if bias is None else as_array(bias).astype(kind),
        None if mask is None else as_array(mask).astype(bool),
        scale=scale,
        is_causal=is_causal,
    )


# Networks: windows that slide over images and sequences.


def _along(value: Any, axes: int) -> tuple[int, ...]:
    """A size for each axis that the window moves along, from one or several."""
    return (value,) * axes if isinstance(value, int) else tuple(value)


def _window_axes(value: Any, axes: int, data_format: str) -> tuple[int, ...]:
    sizes = _along(value, axes)
    return (1, *sizes, 1) if data_format == "channels_last" else (1, 1, *sizes)


def _numbers_of_axes(axes: int, data_format: str) -> jax.lax.ConvDimensionNumbers:
    """Which axes are what: those of the inputs and outputs, and those of a kernel (*window, in, out)."""
    window = tuple(range(axes))
    if data_format == "channels_last":
        image = (0, axes + 1, *(each + 1 for each in window))
    else:
        image = (0, 1, *(each + 2 for each in window))
    return jax.lax.ConvDimensionNumbers(image, (axes + 1, axes, *window), image)


def _channels(inputs: Array, data_format: str) -> int:
    return inputs.shape[-1 if data_format == "channels_last" else 1]


def _require_channels(inputs: Array, kernel: Array, data_format: str, grouped: bool = False) -> int:
    """How many groups of channels are convolved apart."""
    channels, expected = _channels(inputs, data_format), kernel.shape[-2]
    if channels != expected and not (grouped and channels % expected == 0):
        raise ShapeError(
            message(
                "the kernel is for another number of channels.",
                came=f"inputs of shape {inputs.shape}, kernel of shape {kernel.shape}",
                expected=f"{expected} channels" + (", or a multiple of it" if grouped else ""),
            )
        )
    return channels // expected


def conv(
    inputs: ArrayLike,
    kernel: ArrayLike,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Array:
    """The convolution with a kernel of shape (*window, channels in, channels out)."""
    weights, place = as_array(kernel), known_data_format(data_format)
    images = as_array(inputs).astype(weights.dtype)
    axes = images.ndim - 2
    made = jax.lax.conv_general_dilated(
        images,
        weights,
        _along(strides, axes),
        padding.upper(),
        rhs_dilation=_along(dilation_rate, axes),
        dimension_numbers=_numbers_of_axes(axes, place),
        feature_group_count=_require_channels(images, weights, place, grouped=True),
    )
    if made.size == 0 and images.size:
        raise ShapeError(
            message(
                "The convolution operation resulted in an empty output.",
                came=f"inputs of shape {images.shape}, kernel of shape {weights.shape}",
                mend="take a smaller kernel, or padding='same'.",
            )
        )
    return made


def depthwise_conv(
    inputs: ArrayLike,
    kernel: ArrayLike,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Array:
    """The convolution of each channel by itself; the kernel has shape (*window, channels, outputs each)."""
    images, weights, place = as_array(inputs), as_array(kernel), known_data_format(data_format)
    _require_channels(images, weights, place)
    apart = weights.reshape(*weights.shape[:-2], 1, -1)
    return conv(images, apart, strides, padding, place, dilation_rate)


def separable_conv(
    inputs: ArrayLike,
    depthwise_kernel: ArrayLike,
    pointwise_kernel: ArrayLike,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Array:
    """A convolution of each channel by itself, then one that mixes the channels at each place."""
    apart = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(apart, pointwise_kernel, 1, "valid", data_format, dilation_rate)


def _transposed_padding(taps: int, stride: int, dilation: int, padding: str, more: int | None) -> Any:
    """How many zeros go before and after an axis, between whose numbers `stride` - 1 zeros were put."""
    reach = (taps - 1) * dilation + 1
    if padding == "valid":
        return reach - 1, reach - 1 + (builtins.max(stride - reach, 0) if more is None else more)
    missing = reach - 2 + (stride if more is None else reach % 2 + more)
    before = builtins.min(missing - missing // 2, reach - 1)
    return before, missing - before


def conv_transpose(
    inputs: ArrayLike,
    kernel: ArrayLike,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Array:
    """A convolution's way back: the kernel has shape (*window, channels out, channels in)."""
    images, weights, place = as_array(inputs), as_array(kernel), known_data_format(data_format)
    if _channels(images, place) != weights.shape[-1]:
        raise ShapeError(
            message(
                "the kernel is for another number of channels.",
                came=f"inputs of shape {images.shape}, kernel of shape {weights.shape}",
                expected=f"{weights.shape[-1]} channels",
            )
        )
    if padding.lower() not in ("valid", "same"):
        raise ArgumentError(
            message("The `padding` argument is unknown.", came=repr(padding), expected="valid or same")
        )
    axes = images.ndim - 2
    stride, dilation = _along(strides, axes), _along(dilation_rate, axes)
    more = (None,) * axes if output_padding is None else _along(output_padding, axes)
    return jax.lax.conv_transpose(
        images,
        weights,
        stride,
        [
            _transposed_padding(taps, along, gap, padding.lower(), extra)
            for taps, along, gap, extra in zip(weights.shape[:axes], stride, dilation, more, strict=True)
        ],
        rhs_dilation=dilation,
        dimension_numbers=_numbers_of_axes(axes, place),
        transpose_kernel=True,
    )


def _pool(
    images: Array, begin: Any, joined: Function, pool_size: Any, strides: Any, padding: str, place: str
) -> Array:
    axes = images.ndim - 2
    window = _window_axes(pool_size, axes, place)
    moves = window if strides is None else _window_axes(strides, axes, place)
    if padding.lower() not in ("valid", "same"):
        raise ArgumentError(
            message("The `padding` argument is unknown.", came=repr(padding), expected="valid or same")
        )
    return jax.lax.reduce_window(images, begin, joined, window, moves, padding.upper())


def max_pool(
    inputs: ArrayLike,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Array:
    """The largest number under a window, at each of its places."""
    images = as_array(inputs)
    least = -jnp.inf if is_float(images.dtype) else jnp.iinfo(images.dtype).min
    return _pool(images, least, jax.lax.max, pool_size, strides, padding, known_data_format(data_format))


def average_pool(
    inputs: ArrayLike,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Array:
    """The mean of the numbers under a window, at each of its places; padding does not count."""
    images, place = _inexact(inputs), known_data_format(data_format)
    total = _pool(images, 0.0, jax.lax.add, pool_size, strides, padding, place)
    if padding.lower() == "valid":
        return total / int(np.prod(_along(pool_size, images.ndim - 2)))
    one = jnp.ones([1, *images.shape[1:-1], 1] if place == "channels_last" else [1, 1, *images.shape[2:]])
    return total / _pool(one.astype(images.dtype), 0.0, jax.lax.add, pool_size, strides, padding, place)


def _adaptive(inputs: Array, output_size: Any, data_format: str | None, joined: Function) -> Array:
    """Axis by axis, what lies in each of `output_size` parts of equal length, made one number."""
    first = 1 if known_data_format(data_format) == "channels_last" else 2
    made = inputs
    for axis, count in enumerate(_along(output_size, inputs.ndim - 2), first):
        length = inputs.shape[axis]
        edges = [(part * length // count, -(-(part + 1) * length // count)) for part in range(count)]
        parts = [jax.lax.slice_in_dim(made, low, high, axis=axis) for low, high in edges]
        made = jnp.concatenate([joined(part, axis=axis, keepdims=True) for part in parts], axis=axis)
    return made


def adaptive_average_pool(inputs: ArrayLike, output_size: Any, data_format: str | None = None) -> Array:
    """The means of `output_size` parts of each axis."""
    return _adaptive(_inexact(inputs), output_size, data_format, jnp.mean)


def adaptive_max_pool(inputs: ArrayLike, output_size: Any, data_format: str | None = None) -> Array:
    """The largest numbers of `output_size` parts of each axis."""
    return _adaptive(as_array(inputs), output_size, data_format, jnp.max)


def unfold(x: ArrayLike, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Array:
    """The windows of images (rows, channels, height, width) as columns: (rows, numbers, windows)."""
    images = as_array(x)
    made = jax.lax.conv_general_dilated_patches(
        images,
        _along(kernel_size, 2),
        _along(stride, 2),
        [(each, each) for each in _along(padding, 2)],
        rhs_dilation=_along(dilation, 2),
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )
    return made.reshape(*made.shape[:2], -1)


def fold(
    x: ArrayLike, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Array:
    """Columns laid back as windows of images, and added up where these overlap: `unfold`, transposed."""
    columns = as_array(x)
    channels = columns.shape[1] // int(np.prod(_along(kernel_size, 2)))
    images = jax.ShapeDtypeStruct((columns.shape[0], channels, *_along(output_size, 2)), columns.dtype)
    back = jax.linear_transpose(lambda x: unfold(x, kernel_size, dilation, padding, stride), images)
    return back(columns)[0]


def extract_sequences(x: ArrayLike, sequence_length: int, sequence_stride: int) -> Array:
    """The sequences under a window that moves along the last axis."""
    array = as_array(x)
    begins = np.arange(0, array.shape[-1] - sequence_length + 1, sequence_stride)
    return array[..., begins[:, None] + np.arange(sequence_length)]


#: What tells about arrays or takes functions; all others take symbolic tensors, too.
_AS_THEY_ARE = {
    "convert_to_numpy",
    "custom_gradient",
    "dtype",
    "is_tensor",
    "jvp",
    "ndim",
    "shape",
    "vectorize",
}


def _public() -> list[str]:
    """The names of the ops: what was made here, and has no underscore before it."""
    return builtins.sorted(
        name
        for name, thing in globals().items()
        if not name.startswith("_") and callable(thing) and getattr(thing, "__module__", "") == __name__
    )


for _name in _public():
    _op = globals()[_name]
    if _op.__name__ in ("op", "<lambda>"):
        _op.__name__ = _op.__qualname__ = _name
    globals()[_name] = _op if _name in _AS_THEY_ARE else operation(_op)

__all__ = [*_public()]  # noqa: PLE0604 # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    # keras.ops.numpy.sum, keras.ops.nn.relu, ...: the files that Keras has its ops in.
    if name in ("core", "linalg", "math", "nn", "numpy"):
        return sys.modules[__name__]
    raise AttributeError(f"module 'keras.ops' has no attribute {name!r}")
