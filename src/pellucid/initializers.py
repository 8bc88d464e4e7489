"""The values that weights start from.

A random initializer takes its seed when it is made, and gives the same values every time it is
called, as in Keras: two layers that share one object start equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import naming
from pellucid.arrays import floatx
from pellucid.errors import ArgumentError, ShapeError, message
from pellucid.naming import Catalogue, Configurable
from pellucid.seeds import draw_seed, key, uniform
from pellucid.variables import SeedGenerator

CATALOGUE = Catalogue("initializer")


class Initializer(Configurable):
    """A rule for first values: called with a shape, gives an array."""

    namespace = "keras.initializers"

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Values of this shape."""
        raise NotImplementedError


class _Random(Initializer):
    def __init__(self, seed: Any = None) -> None:
        if seed is not None and not isinstance(seed, int | np.integer | SeedGenerator):
            raise ArgumentError(
                message("`seed` is a whole number or a SeedGenerator.", came=repr(seed), expected="seed=42")
            )
        self.seed = draw_seed() if seed is None else seed

    def _key(self) -> Any:
        """The key to draw with: always the same, unless a generator gives them."""
        seed = self.seed
        return np.asarray(seed.next()) if isinstance(seed, SeedGenerator) else key(int(seed))

    def _uniform(self, shape: Sequence[int], low: float, high: float, dtype: Any) -> Any:
        dtype = dtype or floatx()
        if str(dtype) == "float32":
            return uniform(self._key(), tuple(shape), low, high)
        return np.asarray(jax.random.uniform(self._key(), tuple(shape), dtype, low, high))

    def _normal(self, shape: Sequence[int], mean: float, stddev: float, dtype: Any) -> Any:
        return jax.random.normal(self._key(), tuple(shape), dtype or floatx()) * stddev + mean

    def _truncated(self, shape: Sequence[int], mean: float, stddev: float, dtype: Any) -> Any:
        values = jax.random.truncated_normal(self._key(), -2.0, 2.0, tuple(shape), dtype or floatx())
        return values * stddev + mean


@CATALOGUE.entry("zero")
class Zeros(Initializer):
    """All zeros."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Zeros of this shape."""
        return np.zeros(tuple(shape), dtype or floatx())


@CATALOGUE.entry("one")
class Ones(Initializer):
    """All ones."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Ones of this shape."""
        return np.ones(tuple(shape), dtype or floatx())


@CATALOGUE.entry()
class Constant(Initializer):
    """One value everywhere."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """The value, in this shape."""
        return np.broadcast_to(np.asarray(self.value, dtype or floatx()), tuple(shape)).copy()


@CATALOGUE.entry("identity_initializer", "IdentityInitializer")
class Identity(Initializer):
    """The identity matrix times `gain`."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """An identity matrix of this shape."""
        if len(shape) != 2:
            raise ArgumentError(
                message("Identity makes matrices only.", came=tuple(shape), expected="2 sizes")
            )
        return self.gain * np.eye(*shape, dtype=dtype or floatx())


@CATALOGUE.entry("uniform")
class RandomUniform(_Random):
    """Uniform between `minval` and `maxval`."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Uniform values of this shape."""
        return self._uniform(shape, self.minval, self.maxval, dtype)


@CATALOGUE.entry("normal")
class RandomNormal(_Random):
    """Normal with this mean and standard deviation."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Normal values of this shape."""
        return self._normal(shape, self.mean, self.stddev, dtype)


@CATALOGUE.entry()
class TruncatedNormal(_Random):
    """Normal, drawn again beyond two standard deviations."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Truncated normal values of this shape."""
        return self._truncated(shape, self.mean, self.stddev, dtype)


@CATALOGUE.entry()
class VarianceScaling(_Random):
    """Values whose variance is `scale / n`, where n is the number of inputs, outputs, or their mean.

    Args:
        scale: a positive factor.
        mode: "fan_in" (n inputs), "fan_out" (n outputs) or "fan_avg" (their mean).
        distribution: "truncated_normal", "untruncated_normal" or "uniform".
        seed: a whole number; drawn when None.
        input_axes, output_axes: which axes of the shape are inputs and which outputs, if not the last
            two, with the axes before them as a field of inputs.
    """

    fixed = {"input_axes": None, "output_axes": None}

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        if scale <= 0:
            raise ArgumentError(message("scale must be positive.", came=scale, expected="more than 0"))
        modes, distributions = ("fan_in", "fan_out", "fan_avg"), ("truncated_normal", "normal")
        if mode not in modes:
            raise ArgumentError(message("mode is unknown.", came=repr(mode), expected=", ".join(modes)))
        if distribution not in (*distributions, "untruncated_normal", "uniform"):
            raise ArgumentError(
                message(
                    "distribution is unknown.",
                    came=repr(distribution),
                    expected="truncated_normal, untruncated_normal or uniform",
                )
            )
        super().__init__(seed)
        self.scale, self.mode, self.distribution = scale, mode, distribution
        self.input_axes, self.output_axes = input_axes, output_axes

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Values of this shape, scaled by its fans."""
        fan_in, fan_out = fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return self._uniform(shape, -limit, limit, dtype)
        if self.distribution == "untruncated_normal":
            return self._normal(shape, 0.0, math.sqrt(variance), dtype)
        # The constant is the standard deviation of a normal cut at two standard deviations.
        return self._truncated(shape, 0.0, math.sqrt(variance) / 0.87962566103423978, dtype)


def fans(
    shape: Sequence[int],
    input_axes: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
) -> tuple[float, float]:
    """How many inputs and outputs a weight of this shape joins.

    >>> fans((30, 16)), fans((3, 3, 8, 4)), fans((5,)), fans((32, 4, 16), [0], [1, 2])
    ((30.0, 16.0), (72.0, 36.0), (5.0, 5.0), (32.0, 64.0))
    """
    if input_axes is not None and output_axes is not None:
        inputs, outputs = (math.prod(shape[axis] for axis in axes) for axes in (input_axes, output_axes))
        return float(inputs), float(outputs)
    if len(shape) == 0:
        return 1.0, 1.0
    if len(shape) == 1:
        return float(shape[0]), float(shape[0])
    field = math.prod(shape[:-2])
    return float(shape[-2] * field), float(shape[-1] * field)


def _scaled(name: str, scale: float, mode: str, distribution: str, source: str) -> Any:
    def make(
        self: VarianceScaling,
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        VarianceScaling.__init__(self, scale, mode, distribution, seed, input_axes, output_axes)

    shape = "uniform" if distribution == "uniform" else "truncated normal"
    made = type(
        name,
        (VarianceScaling,),
        {
            "__init__": make,
            "__module__": __name__,
            "__doc__": f"{shape.capitalize()} values of variance {scale:g} / {mode}. {source}",
        },
    )
    return CATALOGUE.add(made)


GlorotUniform: Any = _scaled("GlorotUniform", 1.0, "fan_avg", "uniform", "Glorot & Bengio, 2010.")
GlorotNormal: Any = _scaled("GlorotNormal", 1.0, "fan_avg", "truncated_normal", "Glorot & Bengio, 2010.")
HeUniform: Any = _scaled("HeUniform", 2.0, "fan_in", "uniform", "He et al., 2015.")
HeNormal: Any = _scaled("HeNormal", 2.0, "fan_in", "truncated_normal", "He et al., 2015.")
LecunUniform: Any = _scaled("LecunUniform", 1.0, "fan_in", "uniform", "LeCun et al., 1998.")
LecunNormal: Any = _scaled("LecunNormal", 1.0, "fan_in", "truncated_normal", "LeCun et al., 1998.")


@CATALOGUE.entry("orthogonal", "OrthogonalInitializer")
class Orthogonal(_Random):
    """An orthogonal matrix times `gain`, from the QR decomposition of a normal one. Saxe et al., 2014."""

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Orthogonal values; axes before the last are taken together."""
        if len(shape) < 2:
            raise ArgumentError(message("Orthogonal needs 2 axes or more.", came=tuple(shape)))
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = jax.random.normal(self._key(), (max(rows, columns), min(rows, columns)), dtype or floatx())
        q, r = jnp.linalg.qr(tall)
        q = q * jnp.sign(jnp.diag(r))
        return self.gain * (q.T if rows < columns else q).reshape(tuple(shape))


zeros, ones, constant, identity = Zeros, Ones, Constant, Identity
random_uniform, random_normal, truncated_normal = RandomUniform, RandomNormal, TruncatedNormal
variance_scaling, orthogonal = VarianceScaling, Orthogonal
glorot_uniform, glorot_normal = GlorotUniform, GlorotNormal
he_uniform, he_normal = HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal


def get(identifier: Any) -> Callable[..., Any] | None:
    """The initializer that a name, configuration, class, object or array stands for.

    >>> get("he_normal").mode
    'fan_in'
    """
    if isinstance(identifier, np.ndarray | np.generic | jax.Array):
        return _given(cast(Any, identifier))
    return CATALOGUE.make(identifier)


def _given(values: Any) -> Callable[..., Any]:
    """What gives these values, for a weight of just their shape."""

    def give(shape: Sequence[int], dtype: Any = None) -> Any:
        if tuple(shape) != tuple(values.shape):
            raise ShapeError(
                message(
                    f"Expected `shape` to be {tuple(values.shape)}, that of the given values.",
                    came=tuple(shape),
                )
            )
        return values.astype(dtype or floatx())

    return give


def serialize(initializer: Any) -> Any:
    """An initializer as plain data."""
    return naming.serialize(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The initializer that `serialize` wrote down.

    >>> deserialize(serialize(Constant(2.0))).value
    2.0
    """
    return CATALOGUE.make(config, custom_objects)
