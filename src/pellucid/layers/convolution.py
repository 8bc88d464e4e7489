"""Convolutions: a small window of weights slides over an image or a sequence."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from pellucid import activations, constraints, initializers, regularizers
from pellucid.arrays import Array, Shape, as_array, known_data_format
from pellucid.errors import ArgumentError, ShapeError, message
from pellucid.formula import Expression, Unit, long_sum, total
from pellucid.layers.core import activated, activated_slope
from pellucid.layers.layer import CATALOGUE, Layer, positive
from pellucid.layers.windows import (
    Axis,
    Windows,
    channels_apart,
    channels_behind,
    known_padding,
    lengths,
    require_axes,
    whole_numbers,
    with_channel,
)
from pellucid.variables import Variable

NumPy = np.ndarray[Any, Any]
Index = tuple[int, ...]

_GIVEN: Mapping[str, Any] = {
    "initializer": initializers,
    "regularizer": regularizers,
    "constraint": constraints,
}


@dataclass(frozen=True)
class Pass:
    """A kernel at work: which of its numbers leads from which number to which.

    Args:
        kernel: the weights, of shape (*taps, ., .).
        given, made: what it is applied to, and what comes of it: "input", "z".
        windows: how the window lies: over what is given, at each place of what is made; if `spread`,
            over what is made, at each place of what is given.
        into, out: the channels that each number of the kernel leads from and to, by its last two indices.
        data_format: where the channels are.
        spread: whether the convolution is transposed.
    """

    kernel: Variable
    given: str
    made: str
    windows: Windows
    into: NumPy
    out: NumPy
    data_format: str
    spread: bool = False

    def sources(self, index: Index) -> list[tuple[Index, Index]]:
        """The numbers that one is made of, each with the index of its weight in the kernel."""
        place, channel = channels_apart(index, self.data_format)
        found = self.windows.over(place) if self.spread else self.windows.under(place)
        return self._linked(found, self.out == channel, self.into)

    def targets(self, index: Index) -> list[tuple[Index, Index]]:
        """The numbers that one is a part of, each with the index of its weight in the kernel."""
        place, channel = channels_apart(index, self.data_format)
        found = self.windows.under(place) if self.spread else self.windows.over(place)
        return self._linked(found, self.into == channel, self.out)

    def _linked(self, found: list[tuple[Index, Index]], these: NumPy, channels: NumPy) -> Any:
        pairs = [(int(channels[a, b]), (int(a), int(b))) for a, b in np.argwhere(these)]
        return [
            (with_channel(place, channel, self.data_format), (*taps, *last))
            for taps, place in found
            for channel, last in pairs
        ]

    def uses(self, index: Index) -> tuple[list[NumPy], list[NumPy], int, int]:
        """Where a weight of the kernel is used: places of what is given and made, and both channels."""
        *taps, a, b = index
        steps, places = self.windows.along(tuple(taps))
        given, made = (steps, places) if self.spread else (places, steps)
        return given, made, int(self.into[a, b]), int(self.out[a, b])


class Moves(NamedTuple):
    """How a kernel moves over an array, for each axis; `spread` puts zeros between the inputs."""

    strides: Index
    padding: tuple[tuple[int, int], ...]
    dilation: Index
    spread: Index
    groups: int = 1


def _moved_over(inputs: Array, kernel: Array, moves: Moves, axes: tuple[str, str, str]) -> Array:
    return jax.lax.conv_general_dilated(
        inputs,
        kernel,
        moves.strides,
        moves.padding,
        moves.spread,
        moves.dilation,
        axes,
        moves.groups,
    )


def convolved(inputs: Array, kernel: Array, moves: Moves) -> Array:
    """A kernel (*window, channels, filters) moved over an array (rows, *places, channels)."""
    return (_tap_by_tap if kernel.dtype == jnp.float64 else _in_order)(inputs, kernel, moves)


def _tap_by_tap(inputs: Array, kernel: Array, moves: Moves) -> Array:
    """A product of matrices for each tap: in float64, for checks, XLA has no fast convolution."""
    *window, channels, filters = kernel.shape
    edges = [(*ends, spread - 1) for ends, spread in zip(moves.padding, moves.spread, strict=True)]
    padded = jax.lax.pad(inputs, jnp.zeros((), inputs.dtype), [(0, 0, 0), *edges, (0, 0, 0)])
    axes = list(zip(padded.shape[1:-1], window, moves.strides, moves.dilation, strict=True))
    ends = [(size - (taps - 1) * apart - 1) // stride * stride + 1 for size, taps, stride, apart in axes]
    outputs: Any = 0.0
    for tap in np.ndindex(*window):
        starts = [at * apart for at, apart in zip(tap, moves.dilation, strict=True)]
        stops = [start + end for start, end in zip(starts, ends, strict=True)]
        seen = jax.lax.slice(
            padded, (0, *starts, 0), (len(inputs), *stops, padded.shape[-1]), (1, *moves.strides, 1)
        )
        seen = seen.reshape(*seen.shape[:-1], moves.groups, channels)
        weights = kernel[tap].reshape(channels, moves.groups, filters // moves.groups)
        outputs = outputs + jnp.einsum("...gi,igf->...gf", seen, weights)
    return outputs.reshape(*outputs.shape[:-2], filters)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _in_order(inputs: Array, kernel: Array, moves: Moves) -> Array:
    """A convolution with the axes in the order that XLA is fast at.

    On a CPU, XLA has a fast program for exactly this order of axes, and within a loop a very slow one for
    all others. The gradients are convolutions, too; the order of their axes is that of the linear maps
    below, which are these convolutions with their axes named so that the way back finds the fast program:
    a training step takes a twentieth of the time.
    """
    places = "HW"[: inputs.ndim - 2]
    return _moved_over(inputs, kernel, moves, (f"N{places}C", f"{places}IO", f"N{places}C"))


def _tangent(moves: Moves, primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Any]:
    """How the outputs change with inputs and kernel."""
    (inputs, kernel), (d_inputs, d_kernel) = primals, tangents
    places = "HW"[: inputs.ndim - 2]
    outputs = _in_order(inputs, kernel, moves)
    change = jnp.zeros_like(outputs)
    if not isinstance(d_inputs, SymbolicZero):
        turned = jnp.swapaxes(kernel, -1, -2)
        change += _moved_over(d_inputs, turned, moves, (f"N{places}C", f"{places}OI", f"N{places}C"))
    if not isinstance(d_kernel, SymbolicZero):
        turned, d_turned = jnp.swapaxes(inputs, 0, -1), jnp.moveaxis(d_kernel, -2, 0)
        found = _moved_over(turned, d_turned, moves, (f"C{places}N", f"I{places}O", f"{places}NC"))
        change += jnp.moveaxis(found, -2, 0)
    return outputs, change


_in_order.defjvp(_tangent, symbolic_zeros=True)


class _Convolving(Layer):
    """What all convolutions share: a window, a bias for each output channel, and an activation."""

    rows_independent = True
    rank: ClassVar[int]
    filters: int = 0

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: Any,
        data_format: Any,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
        paddings: Sequence[str] = ("valid", "same"),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.kernel_size = whole_numbers("kernel_size", kernel_size, self.rank, kind)
        self.strides = whole_numbers("strides", strides, self.rank, kind)
        self.dilation_rate = whole_numbers("dilation_rate", dilation_rate, self.rank, kind)
        self.padding = known_padding(padding, kind, paddings)
        self.data_format = known_data_format(data_format)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.bias: Any = None
        #: How many channels the layer was built for.
        self.channels = 0

    def _keep(self, **given: Any) -> None:
        """Keep initializers, regularizers and constraints, which draw their seeds in this order."""
        for name, value in given.items():
            setattr(self, name, _GIVEN[name.rpartition("_")[2]].get(value))

    def _weight(self, kind: str, name: str, shape: Sequence[int]) -> Variable:
        return self.add_weight(
            shape,
            getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
            name=name,
        )

    def _require_no_gaps(self) -> None:
        """A window that moves by several places at a time has no gaps."""
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ArgumentError(
                message(
                    f"`strides > 1` not supported in conjunction with `dilation_rate > 1` in "
                    f"{type(self).__name__}.",
                    came=f"strides={self.strides} and dilation_rate={self.dilation_rate}",
                    expected="one of both is 1",
                )
            )

    # What each kind of convolution says.

    def _build_kernels(self, channels: int) -> None:
        """Make the kernels, for so many input channels."""
        raise NotImplementedError

    def _made(self, channels: int | None) -> int | None:
        """How many channels come out."""
        raise NotImplementedError

    def _convolve(self, inputs: Array) -> Array:
        """z without the bias."""
        raise NotImplementedError

    def _passes(self, places: Sequence[int]) -> list[Pass]:
        """The kernels at work on inputs of this size, in the order they are applied."""
        raise NotImplementedError

    def _axis(self, number: int, places: int) -> Axis:
        """One axis under the window."""
        taps, stride, dilation = self.kernel_size[number], self.strides[number], self.dilation_rate[number]
        return Axis.under_window(places, taps, stride, dilation, self.padding)

    def _length(self, axis: Axis) -> int:
        """How long the axis is in what comes out."""
        return axis.steps

    # The layer.

    def build(self, input_shape: Shape) -> None:
        """Make the kernels and the bias."""
        self.compute_output_shape(input_shape)
        _, channels = channels_apart(input_shape[1:], self.data_format)
        if channels is None:
            raise ShapeError(
                message(
                    f"{self.describe()} needs to know how many channels there are.",
                    came=f"input of shape {tuple(input_shape)}",
                    mend="say keras.Input(shape=...) with the number of channels.",
                )
            )
        self._build_kernels(channels)
        if self.use_bias:
            made = self._made(channels)
            assert made is not None
            self.bias = self._weight("bias", "bias", (made,))
        self.channels = channels

    def call(self, inputs: Array) -> Array:
        """z = convolution of the inputs + bias, a = g(z)."""
        z = self._convolve(inputs)
        if self.use_bias:
            z = z + as_array(self.bias.value).reshape(with_channel((1,) * self.rank, -1, self.data_format))
        return self.activation(self.hand_out("z", z))

    def _windows(self, places: Sequence[int]) -> Windows:
        return Windows(tuple(self._axis(number, size) for number, size in enumerate(places)))

    def _convolved(self, inputs: Array, kernel: Array, moves: Moves) -> Array:
        """An array under the windows of a kernel; its channels may come first."""
        inputs = inputs.astype(kernel.dtype)
        if self.data_format == "channels_last":
            return convolved(inputs, kernel, moves)
        return jnp.moveaxis(convolved(jnp.moveaxis(inputs, 1, -1), kernel, moves), -1, 1)

    def _windows_of(self, inputs: Array) -> Windows:
        return self._windows(channels_apart(inputs.shape[1:], self.data_format)[0])

    def check_input(self, inputs: Array) -> None:
        """There must be as many axes as the window needs, and as many channels as the kernel."""
        self.compute_output_shape(inputs.shape)
        places, channels = channels_apart(inputs.shape[1:], self.data_format)
        if channels == self.channels:
            return
        place, before = self.place or ("this layer", "")
        row = ", ".join(map(str, with_channel(places, self.channels, self.data_format)))
        raise ShapeError(
            message(
                f"{place} ({self.describe()}) expects {self.channels} input channels, and got {channels}.",
                came=f"x of shape {tuple(inputs.shape)}{f', from {before}' if before else ''}",
                expected=f"(rows, {row}), as the layer was built for that, with {self.data_format}",
                mend="build the model again after changing it, or look at data_format.",
            )
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """How often the window fits along each axis, and the output channels."""
        require_axes(self, input_shape, self.rank + 2)
        along = [
            lambda size, number=number: self._length(self._axis(number, size)) for number in range(self.rank)
        ]
        sizes = lengths(self, input_shape, along, self.data_format)
        _, channels = channels_apart(input_shape[1:], self.data_format)
        return (input_shape[0], *with_channel(sizes, self._made(channels), self.data_format))

    def describe(self) -> str:
        """The layer in a few words."""
        count = f", {self.filters} filter{'s' if self.filters > 1 else ''}" if self.filters else ""
        return f'{type(self).__name__} "{self.name}"{count}'

    # Its arithmetic.

    def _passes_of(self, unit: Unit) -> list[Pass]:
        return self._passes(channels_apart(unit.row("input").shape, self.data_format)[0])

    def formula(self, unit: Unit) -> Expression | None:
        """z = sum of input * kernel over what lies under the window, + bias; a = g(z)."""
        if unit.what == "output":
            return activated(self.activation, unit, "z")
        (used,) = [each for each in self._passes_of(unit) if each.made == unit.what]
        terms: list[Expression] = [
            unit.number(used.given, *source) * unit.weight(used.kernel, *weight)
            for source, weight in used.sources(unit.index)
        ]
        if self.use_bias and unit.what == "z":
            terms.append(unit.weight(self.bias, channels_apart(unit.index, self.data_format)[1]))
        return total(terms)

    def backward(self, unit: Unit) -> Expression | None:
        """dJ/dz = dJ/da * g'(z); dJ/dx = sum of dJ/dz * kernel over the windows that look at x."""
        if unit.what == "z":
            return activated_slope(self.activation, unit, "z")
        (used,) = [each for each in self._passes_of(unit) if each.given == unit.what]
        return total(
            unit.gradient(used.made, *target) * unit.weight(used.kernel, *weight)
            for target, weight in used.targets(unit.index)
        )

    def gradient_terms(
        self, variable: Variable, index: Index, seen: Unit, slopes: Mapping[str, Any]
    ) -> list[Expression] | None:
        """x * dJ/dz at every place where a weight is used; dJ/dz at every place for a bias."""
        if variable is self.bias:
            slope = channels_behind(slopes["z"], self.data_format)[..., index[0]]
            return long_sum(slope, lambda place: self._slope(seen, "z", slope, place, index[0]))
        used = next(each for each in self._passes_of(seen) if each.kernel is variable)
        given, made, into, out = used.uses(index)
        x = channels_behind(seen.row(used.given), self.data_format)[..., into]
        slope = channels_behind(slopes[used.made], self.data_format)[..., out]

        def term(at: Index) -> Expression:
            from_place, to_place = (
                tuple(int(axis[each]) for axis, each in zip(axes, at, strict=True)) for axes in (given, made)
            )
            number = seen.number(used.given, *with_channel(from_place, into, self.data_format))
            return number * self._slope(seen, used.made, slope, to_place, out)

        products = np.asarray(x[np.ix_(*given)], np.float64) * slope[np.ix_(*made)]
        return long_sum(products, term)

    def _slope(self, seen: Unit, what: str, slope: NumPy, place: Index, channel: int) -> Expression:
        return seen.slope(what, slope[place], *with_channel(place, channel, self.data_format))


def _moves(windows: Windows, groups: int = 1) -> Moves:
    return Moves(
        tuple(axis.stride for axis in windows.axes),
        tuple((axis.before, axis.after) for axis in windows.axes),
        tuple(axis.dilation for axis in windows.axes),
        (1,) * len(windows.axes),
        groups,
    )


class _Conv(_Convolving):
    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            ("valid", "same", "causal") if self.rank == 1 else ("valid", "same"),
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        kind = type(self).__name__
        self.filters = positive("filters", filters, kind)
        self.groups = positive("groups", groups, kind)
        if self.filters % self.groups:
            raise ArgumentError(
                message(
                    "The number of filters must be evenly divisible by the number of groups.",
                    came=f"groups={groups}, filters={filters}",
                    expected=f"a multiple of {groups} filters",
                )
            )
        self._require_no_gaps()
        self._keep(
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )
        self.kernel: Any = None

    def _build_kernels(self, channels: int) -> None:
        if channels % self.groups:
            raise ShapeError(
                message(
                    "The number of input channels must be evenly divisible by the number of groups.",
                    came=f"groups={self.groups}, and {channels} channels",
                    expected=f"a multiple of {self.groups} channels",
                )
            )
        self.kernel = self._weight(
            "kernel", "kernel", (*self.kernel_size, channels // self.groups, self.filters)
        )

    def _made(self, channels: int | None) -> int | None:
        return self.filters

    def _convolve(self, inputs: Array) -> Array:
        moves = _moves(self._windows_of(inputs), self.groups)
        return self._convolved(inputs, as_array(self.kernel.value), moves)

    def _passes(self, places: Sequence[int]) -> list[Pass]:
        a, b = np.indices(self.kernel.shape[-2:])
        into = b // (self.filters // self.groups) * a.shape[0] + a
        return [Pass(self.kernel, "input", "z", self._windows(places), into, b, self.data_format)]


@CATALOGUE.entry("Convolution1D")
class Conv1D(_Conv):
    """A window slides along a sequence; at each step, each filter sums what it sees, and adds its bias.

        z[t,c] = sum_k,i input[t*stride + k*dilation - before, i] * kernel[k,i,c] + bias[c]
        a = activation(z)

    Args:
        filters: how many filters, that is, channels that come out.
        kernel_size: how many steps the window looks at.
        strides: how far it moves at a time.
        padding: "valid": the window stays inside; "same": zeros around, so that with strides=1 the
            outputs are as many as the inputs; "causal": zeros before, so that no output sees later steps.
        data_format: "channels_last" for (rows, steps, channels), "channels_first" for (rows, channels,
            steps); None for the default.
        dilation_rate: how far the steps that the window looks at lie apart.
        groups: into how many groups channels and filters are split; a filter sees its own group only.
        activation: a name or a function; None leaves a = z.
        use_bias: whether each filter has a bias.
        kernel_initializer, bias_initializer: first values.
        kernel_regularizer, bias_regularizer, activity_regularizer: penalties added to the cost.
        kernel_constraint, bias_constraint: rules applied after each update.

    Shapes: (rows, steps, channels) in, (rows, new steps, filters) out; kernel (kernel_size, channels /
    groups, filters), bias (filters,).

    Example:
        >>> layer = Conv1D(1, 2, kernel_initializer="ones")
        >>> layer([[[1.0], [2.0], [4.0]]]).ravel().tolist()
        [3.0, 6.0]
    """

    rank = 1


@CATALOGUE.entry("Convolution2D")
class Conv2D(_Conv):
    """A window slides over an image; at each place, each filter sums what it sees, and adds its bias.

        z[y,x,c] = sum_k,l,i input[y*stride + k*dilation - before, x*..., i] * kernel[k,l,i,c] + bias[c]
        a = activation(z)

    Args:
        filters: how many filters, that is, channels that come out.
        kernel_size: height and width of the window, or one number for both.
        strides: how far it moves at a time, down and to the right.
        padding: "valid": the window stays inside; "same": zeros around, so that with strides=1 the
            outputs are as many as the inputs.
        data_format: "channels_last" for (rows, height, width, channels), "channels_first" for (rows,
            channels, height, width); None for the default.
        dilation_rate: how far the places that the window looks at lie apart.
        groups: into how many groups channels and filters are split; a filter sees its own group only.
        activation: a name or a function; None leaves a = z.
        use_bias: whether each filter has a bias.
        kernel_initializer, bias_initializer: first values.
        kernel_regularizer, bias_regularizer, activity_regularizer: penalties added to the cost.
        kernel_constraint, bias_constraint: rules applied after each update.

    Shapes: (rows, height, width, channels) in, (rows, new height, new width, filters) out; kernel
    (*kernel_size, channels / groups, filters), bias (filters,).

    LeCun et al., 1998.

    Example:
        >>> layer = Conv2D(1, (1, 2), kernel_initializer="ones")
        >>> layer([[[[1.0], [2.0], [4.0]]]]).shape
        (1, 1, 2, 1)
    """

    rank = 2


class _ConvTranspose(_Convolving):
    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        kind = type(self).__name__
        self.filters = positive("filters", filters, kind)
        self.output_padding: tuple[int, ...] | None = None
        if output_padding is not None:
            self.output_padding = whole_numbers("output_padding", output_padding, self.rank, kind, least=0)
            if any(more >= stride for more, stride in zip(self.output_padding, self.strides, strict=True)):
                raise ArgumentError(
                    message(
                        "`output_padding` must be strictly less than `strides` for all dimensions.",
                        came=f"output_padding={self.output_padding}, strides={self.strides}",
                    )
                )
        self._require_no_gaps()
        self._keep(
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )
        self.kernel: Any = None

    def _build_kernels(self, channels: int) -> None:
        self.kernel = self._weight("kernel", "kernel", (*self.kernel_size, self.filters, channels))

    def _made(self, channels: int | None) -> int | None:
        return self.filters

    def _axis(self, number: int, places: int) -> Axis:
        """One axis: each place of the inputs is a step of the window over the outputs."""
        taps, stride, dilation = self.kernel_size[number], self.strides[number], self.dilation_rate[number]
        more = None if self.output_padding is None else self.output_padding[number]
        return Axis.spread_out(places, taps, stride, dilation, self.padding, more)

    def _length(self, axis: Axis) -> int:
        return axis.places

    def _convolve(self, inputs: Array) -> Array:
        padding = tuple(axis.around for axis in self._windows_of(inputs).axes)
        kernel = jnp.flip(as_array(self.kernel.value), range(self.rank)).swapaxes(-1, -2)
        moves = Moves((1,) * self.rank, padding, self.dilation_rate, self.strides)
        return self._convolved(inputs, kernel, moves)

    def _passes(self, places: Sequence[int]) -> list[Pass]:
        a, b = np.indices(self.kernel.shape[-2:])
        return [Pass(self.kernel, "input", "z", self._windows(places), b, a, self.data_format, spread=True)]


@CATALOGUE.entry("Convolution1DTranspose")
class Conv1DTranspose(_ConvTranspose):
    """A convolution the other way round: each input is spread over a window of outputs.

        z[t,c] = sum of input[s,i] * kernel[k,c,i] wherever s*stride + k*dilation - before is t, + bias[c]

    Args:
        filters: how many channels come out.
        kernel_size: how many steps an input is spread over.
        strides: how far apart the inputs come to lie.
        padding: "valid": all that is spread counts; "same": the outputs are inputs times strides.
        output_padding: how many steps are added at the end; less than strides.
        data_format: "channels_last", "channels_first", or None for the default.
        dilation_rate: how far the steps of the window lie apart.
        activation, use_bias, and what follows: as for `Conv1D`.

    Shapes: (rows, steps, channels) in, (rows, new steps, filters) out; kernel (kernel_size, filters,
    channels), bias (filters,).

    Example:
        >>> layer = Conv1DTranspose(1, 2, strides=2, kernel_initializer="ones")
        >>> layer([[[1.0], [2.0]]]).ravel().tolist()
        [1.0, 1.0, 2.0, 2.0]
    """

    rank = 1


@CATALOGUE.entry("Convolution2DTranspose")
class Conv2DTranspose(_ConvTranspose):
    """A convolution the other way round: each place of the input is spread over a window of outputs.

        z[y,x,c] = sum of input[s,t,i] * kernel[k,l,c,i] wherever the window at s,t lies on y,x, + bias[c]

    Args:
        filters: how many channels come out.
        kernel_size: height and width of the window that an input is spread over.
        strides: how far apart the inputs come to lie.
        padding: "valid": all that is spread counts; "same": the outputs are inputs times strides.
        output_padding: how many places are added at the end; less than strides.
        data_format: "channels_last", "channels_first", or None for the default.
        dilation_rate: how far the places of the window lie apart.
        activation, use_bias, and what follows: as for `Conv2D`.

    Shapes: (rows, height, width, channels) in, (rows, new height, new width, filters) out; kernel
    (*kernel_size, filters, channels), bias (filters,).

    Dumoulin & Visin, 2016.

    Example:
        >>> Conv2DTranspose(3, 2, strides=2).compute_output_shape((None, 7, 7, 8))
        (None, 14, 14, 3)
    """

    rank = 2


class _DepthwiseConv(_Convolving):
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.depth_multiplier = positive("depth_multiplier", depth_multiplier, type(self).__name__)
        self._keep(
            depthwise_initializer=depthwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            bias_regularizer=bias_regularizer,
            depthwise_constraint=depthwise_constraint,
            bias_constraint=bias_constraint,
        )
        self.kernel: Any = None

    def _build_kernels(self, channels: int) -> None:
        self.kernel = self._weight(
            "depthwise", "kernel", (*self.kernel_size, channels, self.depth_multiplier)
        )

    def _made(self, channels: int | None) -> int | None:
        return None if channels is None else channels * self.depth_multiplier

    def _convolve(self, inputs: Array) -> Array:
        return _depthwise(self, inputs, self.kernel)

    def _passes(self, places: Sequence[int]) -> list[Pass]:
        return [_depthwise_pass(self, self.kernel, places, "z")]


def _depthwise(layer: Any, inputs: Array, kernel: Variable) -> Array:
    """Each channel under windows of its own."""
    weights = as_array(kernel.value)
    weights = weights.reshape(*weights.shape[:-2], 1, -1)
    return layer._convolved(inputs, weights, _moves(layer._windows_of(inputs), kernel.shape[-2]))


def _depthwise_pass(layer: Any, kernel: Variable, places: Sequence[int], made: str) -> Pass:
    a, b = np.indices(kernel.shape[-2:])
    out = a * layer.depth_multiplier + b
    return Pass(kernel, "input", made, layer._windows(places), a, out, layer.data_format)


@CATALOGUE.entry()
class DepthwiseConv1D(_DepthwiseConv):
    """A convolution in which each channel has windows of its own, and channels are not mixed.

        z[t,i*m+q] = sum_k input[t*stride + k*dilation - before, i] * kernel[k,i,q] + bias[i*m+q]

    Args:
        kernel_size, strides, padding, data_format, dilation_rate: as for `Conv1D`, without "causal".
        depth_multiplier: m, how many channels come out for each that comes in.
        activation, use_bias, and what follows: as for `Conv1D`; the kernel's are called depthwise.

    Shapes: (rows, steps, channels) in, (rows, new steps, channels * m) out; kernel (kernel_size,
    channels, m), bias (channels * m,).

    Example:
        >>> layer = DepthwiseConv1D(2, depthwise_initializer="ones")
        >>> layer([[[1.0, 10.0], [2.0, 20.0]]]).tolist()
        [[[3.0, 30.0]]]
    """

    rank = 1


@CATALOGUE.entry()
class DepthwiseConv2D(_DepthwiseConv):
    """A convolution in which each channel has windows of its own, and channels are not mixed.

        z[y,x,i*m+q] = sum_k,l input[y*stride + k*dilation - before, ..., i] * kernel[k,l,i,q] + bias[i*m+q]

    Args:
        kernel_size, strides, padding, data_format, dilation_rate: as for `Conv2D`.
        depth_multiplier: m, how many channels come out for each that comes in.
        activation, use_bias, and what follows: as for `Conv2D`; the kernel's are called depthwise.

    Shapes: (rows, height, width, channels) in, (rows, new height, new width, channels * m) out; kernel
    (*kernel_size, channels, m), bias (channels * m,).

    Example:
        >>> DepthwiseConv2D(3, depth_multiplier=2).compute_output_shape((None, 8, 8, 5))
        (None, 6, 6, 10)
    """

    rank = 2


class _SeparableConv(_Convolving):
    stated = ("depthwise", "z", "output")

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.filters = positive("filters", filters, type(self).__name__)
        self.depth_multiplier = positive("depth_multiplier", depth_multiplier, type(self).__name__)
        self._keep(
            depthwise_initializer=depthwise_initializer,
            pointwise_initializer=pointwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer,
            bias_regularizer=bias_regularizer,
            depthwise_constraint=depthwise_constraint,
            pointwise_constraint=pointwise_constraint,
            bias_constraint=bias_constraint,
        )
        self.depthwise_kernel: Any = None
        self.pointwise_kernel: Any = None

    def _build_kernels(self, channels: int) -> None:
        between = channels * self.depth_multiplier
        self.depthwise_kernel = self._weight(
            "depthwise", "depthwise_kernel", (*self.kernel_size, channels, self.depth_multiplier)
        )
        self.pointwise_kernel = self._weight(
            "pointwise", "pointwise_kernel", (*(1,) * self.rank, between, self.filters)
        )

    def _made(self, channels: int | None) -> int | None:
        return self.filters

    def _convolve(self, inputs: Array) -> Array:
        between = self.hand_out("depthwise", _depthwise(self, inputs, self.depthwise_kernel))
        moves = _moves(_single(channels_apart(between.shape[1:], self.data_format)[0]))
        return self._convolved(between, as_array(self.pointwise_kernel.value), moves)

    def _passes(self, places: Sequence[int]) -> list[Pass]:
        first = _depthwise_pass(self, self.depthwise_kernel, places, "depthwise")
        steps = [axis.steps for axis in first.windows.axes]
        a, b = np.indices(self.pointwise_kernel.shape[-2:])
        return [first, Pass(self.pointwise_kernel, "depthwise", "z", _single(steps), a, b, self.data_format)]


def _single(places: Sequence[int]) -> Windows:
    """Windows that look at one place."""
    return Windows(tuple(Axis.under_window(size, 1) for size in places))


@CATALOGUE.entry("SeparableConvolution1D")
class SeparableConv1D(_SeparableConv):
    """A convolution in two: windows within each channel, and then a mix of the channels at each step.

        depthwise[t,i*m+q] = sum_k input[t*stride + k*dilation - before, i] * depthwise_kernel[k,i,q]
        z[t,c] = sum_j depthwise[t,j] * pointwise_kernel[0,j,c] + bias[c]

    Args:
        filters: how many channels come out.
        kernel_size, strides, padding, data_format, dilation_rate: as for `Conv1D`, without "causal".
        depth_multiplier: m, how many channels lie between for each that comes in.
        activation, use_bias, and what follows: as for `Conv1D`, for both kernels.

    Shapes: (rows, steps, channels) in, (rows, new steps, filters) out.

    Example:
        >>> SeparableConv1D(4, 3).compute_output_shape((None, 10, 2))
        (None, 8, 4)
    """

    rank = 1


@CATALOGUE.entry("SeparableConvolution2D")
class SeparableConv2D(_SeparableConv):
    """A convolution in two: windows within each channel, and then a mix of the channels at each place.

        depthwise[y,x,i*m+q] = sum_k,l input[y*stride + k*dilation - before, ..., i] * kernel[k,l,i,q]
        z[y,x,c] = sum_j depthwise[y,x,j] * pointwise_kernel[0,0,j,c] + bias[c]

    Chollet, 2017.

    Args:
        filters: how many channels come out.
        kernel_size, strides, padding, data_format, dilation_rate: as for `Conv2D`.
        depth_multiplier: m, how many channels lie between for each that comes in.
        activation, use_bias, and what follows: as for `Conv2D`, for both kernels.

    Shapes: (rows, height, width, channels) in, (rows, new height, new width, filters) out.

    Example:
        >>> SeparableConv2D(4, 3).compute_output_shape((None, 10, 10, 2))
        (None, 8, 8, 4)
    """

    rank = 2
