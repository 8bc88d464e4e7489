"""Attention: each place of a sequence takes what it needs from the places of another, or of its own."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import activations, constraints, initializers, regularizers
from pellucid.arrays import Array, Shape, as_array
from pellucid.errors import ArgumentError, ShapeError, message
from pellucid.formula import Expression, Number, Unit, derivative, indexed, tanh, times, total
from pellucid.layers.activation import Softmax
from pellucid.layers.einsum import EinsumDense, products, specifications
from pellucid.layers.layer import CATALOGUE, Layer, positive
from pellucid.layers.noise import Dropout
from pellucid.masks import mask_of, with_mask
from pellucid.variables import SeedGenerator, Variable

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _causal(queries: int, keys: int) -> Array:
    """Each place attends to itself and to those before it."""
    return jnp.arange(queries)[:, None] >= jnp.arange(keys)[None, :]


@CATALOGUE.entry()
class MultiHeadAttention(Layer):
    """Attention with several heads. Vaswani et al., 2017.

    For each head, with q, k, v the projections of query, key and value:

        z = q k / sqrt(key_dim)
        scores = softmax(z), over the places of the keys that the masks allow
        context = scores v
        y = context W + b, over all heads

    Args:
        num_heads: how many heads there are.
        key_dim: how many numbers queries and keys have in each head.
        value_dim: how many numbers values have; as `key_dim` if None.
        dropout: the part of the scores that is dropped while training.
        use_bias: whether the projections have biases.
        output_shape: the shape of what comes out for each place; that of the query if None.
        attention_axes: the axes of the places; all but rows and features if None.
        sliding_window: how far a place sees, itself included; None: everywhere.
        flash_attention: how it is computed, which is left to the compiler here.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, bias_constraint: of each projection.
        use_gate: whether what comes from the values is multiplied by a gate, sigmoid(query W + b).
        seed: of the dropout.

    Shapes: query (rows, places, features), value and key (rows, other places, features); the output is
    as the query. Called with `return_attention_scores=True`, it gives the scores as well:
    (rows, heads, places, other places).

    Example:
        >>> x = jnp.ones((2, 5, 3))
        >>> MultiHeadAttention(num_heads=2, key_dim=4)(x, x).shape
        (2, 5, 3)
    """

    rows_independent = supports_masking = True
    stated = ("z", "scores", "context", "output")
    #: How it is computed is left to the compiler.
    unwritten = (*Layer.unwritten, "flash_attention")

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        value_dim = key_dim if value_dim is None else value_dim
        self.num_heads = positive("num_heads", num_heads, "MultiHeadAttention")
        self.key_dim = positive("key_dim", key_dim, "MultiHeadAttention")
        self.value_dim = positive("value_dim", value_dim, "MultiHeadAttention")
        self.dropout, self.use_bias, self.use_gate, self.seed = dropout, use_bias, use_gate, seed
        self._shape_of_output = _several("output_shape", output_shape)
        self.attention_axes = _several("attention_axes", attention_axes)
        if sliding_window is not None:
            positive("sliding_window", sliding_window, "MultiHeadAttention")
        self.sliding_window = sliding_window
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        #: Of the projections, and so not of the layer itself.
        self._activity_regularizer = regularizers.get(activity_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def changed_arguments(self) -> dict[str, Any]:
        """The penalty of the projections goes by the name of the argument."""
        return {**super().changed_arguments(), "activity_regularizer": self._activity_regularizer}

    @property
    def query_dense(self) -> EinsumDense:
        """The projection of the query."""
        return self._query_dense

    @property
    def key_dense(self) -> EinsumDense:
        """The projection of the key."""
        return self._key_dense

    @property
    def value_dense(self) -> EinsumDense:
        """The projection of the value."""
        return self._value_dense

    @property
    def output_dense(self) -> EinsumDense:
        """What makes the output of the context."""
        return self._output_dense

    def build(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None
    ) -> None:
        """Make the projections."""
        key_shape = value_shape if key_shape is None else key_shape
        _require_alike(value_shape, key_shape)
        keys, values = (self.num_heads, self.key_dim), (self.num_heads, self.value_dim)
        self._query_dense = self._projection("query", query_shape, 1, keys)
        self._key_dense = self._projection("key", key_shape, 1, keys)
        if self.use_gate:
            self._gate_dense = self._projection("gate", query_shape, 1, values, activation="sigmoid")
        self._value_dense = self._projection("value", value_shape, 1, values)
        rank = len(query_shape) + 1
        axes = tuple(range(1, rank - 2)) if self.attention_axes is None else self.attention_axes
        axes = tuple(each if each >= 0 else rank - 1 + each for each in axes)
        self.attention_axes = axes
        self._to_scores, self._to_context = _equations(rank, axes)
        scores = len(specifications(self._to_scores)[2])
        self._softmax = Softmax(axis=tuple(range(scores - len(axes), scores)), dtype=self.dtype_policy)
        self._dropout_layer = Dropout(self.dropout, dtype=self.dtype_policy, seed=self.seed)
        shape = tuple(self._shape_of_output or query_shape[-1:])
        self._output_dense = self._projection("attention_output", (*query_shape[:-1], *values), 2, shape)

    def _projection(
        self, name: str, input_shape: Shape, summed: int, made: Sequence[int | None], **kwargs: Any
    ) -> EinsumDense:
        """A dense layer over the last `summed` axes, which become axes of the sizes `made`."""
        rank = len(input_shape)
        left, right = LETTERS[: rank - summed], LETTERS[rank : rank + len(made)]
        inner = LETTERS[rank - summed : rank]
        layer = EinsumDense(
            f"{left}{inner},{inner}{right}->{left}{right}",
            output_shape=(*(None for _ in left[1:]), *made),
            bias_axes=right if self.use_bias else None,
            # Each has initializers of its own, and so draws its own seed.
            kernel_initializer=_again(self.kernel_initializer),
            bias_initializer=_again(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            activity_regularizer=self._activity_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            dtype=self.dtype_policy,
            name=name,
            **kwargs,
        )
        layer.build_for(input_shape)
        return layer

    def call(
        self,
        query: Array,
        value: Array,
        key: Array | None = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """What each place of the query takes from the values.

        As in Keras, only the mask that travels with the query counts as its mask, and the masks of
        query, value and key travel no further with them: the `Add` after it sees that of the output.
        """
        key = value if key is None else key
        query_mask = mask_of(query)
        for each in (query, value, key):
            with_mask(each, None)
        mask = self._mask(query, value, (query_mask, value_mask, key_mask), attention_mask, use_causal_mask)
        gate = self._gate_dense(query) if self.use_gate else None
        q = self.hand_out("query", self._query_dense(query))
        k = self.hand_out("key", self._key_dense(key))
        v = self.hand_out("value", self._value_dense(value))
        context, scores = self._compute_attention(q, k, v, mask, training, return_attention_scores)
        output = self._output_dense(context if gate is None else context * gate)
        return (output, scores) if return_attention_scores else output

    def _compute_attention(
        self,
        query: Array,
        key: Array,
        value: Array,
        attention_mask: Any = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> tuple[Array, Array]:
        """The context, and the scores, of what is projected. Keras lets a subclass have another."""
        scale, mask = 1.0 / math.sqrt(self.key_dim), attention_mask
        if use_causal_mask:
            causal = _causal(query.shape[1], key.shape[1])[None]
            mask = causal if mask is None else jnp.asarray(mask, bool) & causal
        # Where scores are neither dropped nor asked for, Keras leaves the work to `jax.nn`, which
        # computes them in float32, and lets a place that may attend to nothing attend to everything.
        fused = self.dropout <= 0 and not return_attention_scores and query.ndim == 4
        if fused:
            wide = jnp.promote_types(query.dtype, jnp.float32)
            z = jnp.einsum(self._to_scores, key, query, preferred_element_type=wide) * scale
        else:
            z = jnp.einsum(self._to_scores, key, query * scale)
        z = self.hand_out("z", z)
        if mask is not None:
            # Heads, and what else lies before the places, are masked alike.
            for _ in range(z.ndim - mask.ndim):
                mask = jnp.expand_dims(mask, -2 * len(self.attention_axes or ()) - 1)
            mask = jnp.broadcast_to(mask, z.shape)
            self.hand_out("counts", mask)
        if fused:
            scores = self._scores_of_all(z, mask).astype(key.dtype)
        else:
            scores = self._softmax(z, mask=mask)
        scores = weights = self.hand_out("scores", scores)
        if self.dropout > 0:
            weights = self._dropout_layer(scores, training=training)
            self.hand_out("weights", weights)
        return self.hand_out("context", jnp.einsum(self._to_context, weights, value)), scores

    def _scores_of_all(self, z: Array, mask: Array | None) -> Array:
        """Softmax over the keys that the mask allows; the same for all of them if it allows none."""
        if mask is None:
            return jax.nn.softmax(z, axis=-1)
        even = ~jnp.any(mask, axis=-1, keepdims=True)
        self.hand_out("even", jnp.broadcast_to(even, z.shape))
        return jax.nn.softmax(jnp.where(mask, z, jnp.finfo(z.dtype).min / 2), axis=-1)

    def _mask(self, query: Array, value: Array, masks: Any, given: Any, causal: bool) -> Any:
        """Which place of the query may attend to which of the keys, by all masks that there are."""
        found: list[Any] = [] if given is None else [jnp.asarray(given, bool)]
        for mask, axis in zip(masks, (-1, -2, -2), strict=True):
            if mask is not None:
                found.append(jnp.expand_dims(jnp.asarray(mask, bool), axis))
        places = query.shape[1], value.shape[1]
        if causal:
            found.append(_causal(*places)[None])
        if self.sliding_window is not None:
            apart = jnp.arange(places[0])[:, None] - jnp.arange(places[1])[None, :]
            found.append((jnp.abs(apart) < self.sliding_window)[None])
        allowed = None
        for mask in found:
            allowed = mask if allowed is None else allowed & mask
        return allowed

    def _rows(self, equation: str) -> tuple[str, str, str]:
        """The letters of an equation without those of the rows."""
        one, other, outcome = specifications(equation)
        return one[1:], other[1:], outcome[1:]

    def _sum(self, unit: Unit, letters: tuple[str, str, str], one: Any, other: Any) -> Expression:
        """One number of an einsum of two things, each a name and what gives its numbers."""
        sizes: dict[str, int] = {}
        for spec, (what, _) in zip(letters, (one, other), strict=False):
            sizes |= dict(zip(spec, unit.row(what).shape, strict=True))
        numbers = [functools.partial(numbers, what) for what, numbers in (one, other)]
        return total(products(letters, unit.index, sizes, *numbers))

    def formula(self, unit: Unit) -> Expression | None:
        """z, scores, context and output, each of the one before."""
        if unit.what == "z":
            found = self._sum(unit, self._rows(self._to_scores), ("key", unit.number), ("query", unit.number))
            return found * (1.0 / math.sqrt(self.key_dim))
        if unit.what == "scores":
            places = self._along(unit)
            if unit.index not in places:
                even = unit.arrays.get("even")
                alike = even is not None and even[(unit.example, *unit.index)]
                return Number(1.0) / Number(float(unit.row("z").shape[-1])) if alike else Number(0.0)
            row = [unit.number("z", *place) for place in places]
            return activations.formula(activations.softmax, row, places.index(unit.index))
        if unit.what == "context":
            weights = "weights" if "weights" in unit.arrays else "scores"
            return self._sum(
                unit, self._rows(self._to_context), (weights, unit.number), ("value", unit.number)
            )
        return None if self.use_gate else self._output_dense.outcome(unit, "context", "output")

    def backward(self, unit: Unit) -> Expression | None:
        """The way back: context of outputs, scores of context, z of scores."""
        if unit.what == "context" and not self.use_gate:
            return self._output_dense.way_back(unit, "context", "output")
        if unit.what == "scores" and self.dropout <= 0:
            one, other, outcome = self._rows(self._to_context)
            return self._sum(unit, (outcome, other, one), ("context", unit.gradient), ("value", unit.number))
        if unit.what == "z":
            return softmax_slope(unit, self._along(unit))
        return None

    def _along(self, unit: Unit) -> list[tuple[int, ...]]:
        """The places of the keys that a place of the query may attend to."""
        shape = unit.row("z").shape
        lead = len(shape) - len(self.attention_axes or ())
        places = itertools.product(*map(range, shape[lead:]))
        counts = unit.arrays.get("counts")
        found = [(*unit.index[:lead], *place) for place in places]
        return [place for place in found if counts is None or counts[(unit.example, *place)]]

    def compute_output_shape(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, query_shape: Shape, value_shape: Shape | None = None, key_shape: Shape | None = None
    ) -> Shape:
        """The shape of the query, with `output_shape` in place of its last axis."""
        if value_shape is not None and key_shape is not None:
            _require_alike(value_shape, key_shape)
        return (*query_shape[:-1], *(self._shape_of_output or query_shape[-1:]))

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The output, and the scores if they are asked for."""
        if kwargs.get("return_attention_scores"):
            return self._traced_spec(args, kwargs)
        return super().compute_output_spec(*args, **kwargs)


@CATALOGUE.entry()
class Attention(Layer):
    """Attention without projections, of Luong et al., 2015: y = softmax(query key) value.

    Called on [query, value] or [query, value, key].

    Args:
        use_scale: whether scores are multiplied by a number that is learned.
        score_mode: "dot": z = query key; "concat": z = w * sum(tanh(query + key)), with a learned w.
        dropout: the part of the scores that is dropped while training.
        seed: of the dropout.

    Shapes: query (rows, places, features), value and key (rows, other places, features); the output is
    (rows, places, features of the values).

    Example:
        >>> x = jnp.ones((2, 5, 3))
        >>> Attention()([x, x]).shape
        (2, 5, 3)
    """

    rows_independent = True
    stated = ("z", "scores", "output")

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if score_mode not in ("dot", "concat"):
            raise ArgumentError(
                message("score_mode is unknown.", came=repr(score_mode), expected="dot or concat")
            )
        self.use_scale, self.score_mode, self.dropout, self.seed = use_scale, score_mode, dropout, seed
        self.seed_generator = SeedGenerator(seed, path=f"{self.name}/seed") if dropout > 0 else None
        self.scale: Any = None
        self.concat_score_weight: Any = None

    def build(self, input_shape: Any) -> None:
        """Make the numbers that are learned, if there are any."""
        self._require(input_shape)
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def _require(self, given: Any) -> None:
        if (
            not isinstance(given, list | tuple)
            or len(given) not in (2, 3)
            or isinstance(given[0], int | None)
        ):
            raise ShapeError(
                message(
                    f"{self.describe()} must be called on a list of inputs.",
                    came=type(given).__name__,
                    expected="[query, value] or [query, value, key]",
                )
            )

    def _scores(self, query: Array, key: Array) -> Array:
        """How well each place of the query fits each of the keys."""
        scale = 1.0 if self.scale is None else as_array(self.scale.value)
        if self.score_mode == "dot":
            return jnp.matmul(query, jnp.swapaxes(key, -2, -1)) * scale
        both = query[..., :, None, :] + key[..., None, :, :]
        return as_array(self.concat_score_weight.value) * jnp.sum(jnp.tanh(scale * both), axis=-1)

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """What each place of the query takes from the values."""
        self._require(inputs)
        query, value, key = inputs[0], inputs[1], inputs[-1]
        query_mask, value_mask = (None, None) if mask is None else mask[:2]
        z = self.hand_out("z", self._scores(query, key))
        allowed = None if value_mask is None else jnp.asarray(value_mask, bool)[..., None, :]
        if use_causal_mask:
            causal = _causal(*z.shape[-2:])[None]
            allowed = causal if allowed is None else allowed & causal
        masked = z
        if allowed is not None:
            self.hand_out("counts", jnp.broadcast_to(allowed, z.shape))
            masked = jnp.where(allowed, z, z - (65504.0 if z.dtype == "float16" else 1e9))
        scores = self.hand_out("scores", jax.nn.softmax(masked, axis=-1))
        if training and self.seed_generator is not None:
            drawn = jax.random.bernoulli(self.seed_generator.next(), 1.0 - self.dropout, scores.shape)
            kept = self.hand_out("kept", drawn, drawn=True)
            scores = jnp.where(kept, scores / (1.0 - self.dropout), 0.0)
        output = jnp.matmul(scores, value)
        if query_mask is not None:
            answered = jnp.asarray(query_mask, bool)[..., None]
            self.hand_out("answered", jnp.broadcast_to(answered, output.shape))
            output = jnp.where(answered, output, 0)
        return (output, scores) if return_attention_scores else output

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """That of the query."""
        return None if mask is None else mask[0]

    def _score(self, unit: Unit, query: Sequence[Expression], key: Sequence[Expression]) -> Expression:
        """The score of one place of the query with one of the keys."""
        pairs = list(zip(query, key, strict=True))
        scale = [] if self.scale is None else [unit.weight(self.scale)]
        if self.score_mode == "dot":
            return times(total(q * k for q, k in pairs), *scale)
        found = total(tanh(times(*scale, q + k)) for q, k in pairs)
        return unit.weight(self.concat_score_weight) * found

    def _keys(self, unit: Unit) -> str:
        return "input_2" if "input_2" in unit.arrays else "input_1"

    def _row(self, unit: Unit, what: str, *place: int) -> list[Expression]:
        return [unit.number(what, *place, each) for each in range(unit.row(what).shape[-1])]

    def _along(self, unit: Unit) -> list[tuple[int, ...]]:
        """The places of the keys that a place of the query may attend to; all, if it is none."""
        every = [(*unit.index[:-1], place) for place in range(unit.row("z").shape[-1])]
        counts = unit.arrays.get("counts")
        return [each for each in every if counts is None or counts[(unit.example, *each)]]

    def formula(self, unit: Unit) -> Expression | None:
        """z of query and key, scores of z, and the output of scores and values."""
        if unit.what == "z":
            *lead, query, key = unit.index
            return self._score(
                unit, self._row(unit, "input_0", *lead, query), self._row(unit, self._keys(unit), *lead, key)
            )
        if unit.what == "scores":
            places = self._along(unit)
            if not places:
                return None
            if unit.index not in places:
                return Number(0.0)
            row = [unit.number("z", *place) for place in places]
            return activations.formula(activations.softmax, row, places.index(unit.index))
        *lead, query, feature = unit.index
        if (answered := unit.arrays.get("answered")) is not None and not answered[
            (unit.example, *unit.index)
        ]:
            return Number(0.0)
        places = range(unit.row("z").shape[-1])
        return total(
            self._weight(unit, (*lead, query, key)) * unit.number("input_1", *lead, key, feature)
            for key in places
        )

    def _weight(self, unit: Unit, place: tuple[int, ...]) -> Expression:
        """A score, after dropout."""
        score = unit.number("scores", *place)
        kept = unit.arrays.get("kept")
        if kept is None:
            return score
        mask = Number(kept[(unit.example, *place)], indexed(f"{unit.layer}.kept", place), 0.0)
        return score * mask / (1.0 - Number(self.dropout))

    def backward(self, unit: Unit) -> Expression | None:
        """The way back to scores, to z, and to query, value and key."""
        if unit.what == "z":
            places = self._along(unit)
            return softmax_slope(unit, places) if places else None
        if "answered" in unit.arrays:
            return None
        *lead, place, feature = unit.index
        if unit.what == "scores":
            return None if "kept" in unit.arrays else self._by_score(unit)
        *_, queries, keys = unit.row("z").shape
        if unit.what == "input_0":
            return total(self._by_z(unit, (*lead, place, key)) for key in range(keys))
        terms: list[Expression] = []
        for query in range(queries):
            there = (*lead, query, place)
            if unit.what == "input_1":
                terms.append(self._weight(unit, there) * unit.gradient("output", *lead, query, feature))
            if unit.what == self._keys(unit):
                terms.append(self._by_z(unit, there))
        return total(terms)

    def _by_score(self, unit: Unit) -> Expression:
        *lead, query, key = unit.index
        return total(
            unit.gradient("output", *lead, query, each) * unit.number("input_1", *lead, key, each)
            for each in range(unit.row("input_1").shape[-1])
        )

    def _by_z(self, unit: Unit, place: tuple[int, ...]) -> Expression:
        """dJ/dz * dz/dx, for the number x that is asked for."""
        score = self.formula(replace(unit, what="z", index=place))
        assert score is not None
        name = unit.number(unit.what, *unit.index).name
        return times(unit.gradient("z", *place), derivative(score, name))

    def gradient_terms(
        self, variable: Variable, index: tuple[int, ...], seen: Unit, slopes: Mapping[str, Any]
    ) -> list[Expression] | None:
        """dJ/dz * dz/dw, for every score."""
        terms: list[Expression] = []
        for place in np.ndindex(*slopes["z"].shape):
            score = self.formula(replace(seen, what="z", index=place))
            assert score is not None
            slope = seen.slope("z", slopes["z"][place], *place)
            terms.append(times(slope, derivative(score, indexed(variable.path, index))))
        return terms

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The places of the query, and the features of the values."""
        self._require(input_shape)
        return (*input_shape[0][:-1], input_shape[1][-1])

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The output, and the scores if they are asked for."""
        if kwargs.get("return_attention_scores"):
            return self._traced_spec(args, kwargs)
        return super().compute_output_spec(*args, **kwargs)


@CATALOGUE.entry()
class AdditiveAttention(Attention):
    """Attention of Bahdanau et al., 2015: z = sum(scale * tanh(query + key)), y = softmax(z) value.

    Called on [query, value] or [query, value, key].

    Args:
        use_scale: whether there is a scale for each feature, which is learned.
        dropout: the part of the scores that is dropped while training.
    """

    unwritten = (*Layer.unwritten, "score_mode")

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Make the scale, if there is one."""
        self._require(input_shape)
        if self.use_scale:
            self.scale = self.add_weight((input_shape[0][-1],), "glorot_uniform", name="scale")

    def _scores(self, query: Array, key: Array) -> Array:
        """How well each place of the query fits each of the keys."""
        both = jnp.tanh(query[..., :, None, :] + key[..., None, :, :])
        return jnp.sum(both if self.scale is None else as_array(self.scale.value) * both, axis=-1)

    def _score(self, unit: Unit, query: Sequence[Expression], key: Sequence[Expression]) -> Expression:
        """The score of one place of the query with one of the keys."""
        pairs = enumerate(zip(query, key, strict=True))
        scale = [] if self.scale is None else [unit.weight(self.scale, i) for i in range(len(query))]
        return total(times(*scale[i : i + 1], tanh(q + k)) for i, (q, k) in pairs)


def softmax_slope(unit: Unit, places: Sequence[tuple[int, ...]]) -> Expression | None:
    """dJ/dz_j = sum_i dJ/dscore_i * dscore_i/dz_j, over the places that share a softmax."""
    if unit.index not in places:
        return Number(0.0)
    row = [unit.number("z", *place) for place in places]
    given = [unit.number("scores", *place) for place in places]
    terms: list[Expression] = []
    for i, place in enumerate(places):
        made = activations.slope(activations.softmax, row, given, i, places.index(unit.index))
        if made is None:
            return None
        terms.append(unit.gradient("scores", *place) * made)
    return total(terms)


def _several(name: str, given: Any) -> tuple[int, ...] | None:
    """One whole number, or some."""
    found = (given,) if isinstance(given, int) else given
    if found is None:
        return None
    if not isinstance(found, Sequence) or not all(isinstance(each, int) for each in cast(Any, found)):
        raise ArgumentError(
            message(
                f"Invalid `{name}` of MultiHeadAttention: `{name}` must be an int, list, or tuple.",
                came=repr(given),
                expected="a whole number, or some",
            )
        )
    return tuple(cast(Any, found)) or None


def _require_alike(value_shape: Shape, key_shape: Shape) -> None:
    if tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
        raise ShapeError(
            message(
                "All dimensions of `value` and `key`, except the last one, must be equal.",
                came=f"value of shape {value_shape}, key of shape {key_shape}",
            )
        )


def _again(initializer: Any) -> Any:
    """A new initializer of the same kind: it draws a seed of its own if none was given."""
    return type(initializer).from_config(initializer.get_config())


def _equations(rank: int, axes: tuple[int, ...]) -> tuple[str, str]:
    """How keys and queries make scores, and scores and values the context.

    >>> _equations(4, (1,))
    ('aecd,abcd->acbe', 'acbe,aecd->abcd')
    """
    query = LETTERS[:rank]
    spare = iter(LETTERS[rank:])
    key = "".join(next(spare) if place in axes else letter for place, letter in enumerate(query))
    lead = "".join(letter for place, letter in enumerate(query[:-1]) if place not in axes)
    scores = lead + "".join(query[place] for place in axes) + "".join(key[place] for place in axes)
    return f"{key},{query}->{scores}", f"{scores},{key}->{query}"
