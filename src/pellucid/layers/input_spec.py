"""InputSpec: what a layer says of the inputs that it can take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax

from pellucid.errors import ShapeError, message
from pellucid.naming import Configurable


class InputSpec(Configurable):
    """What an input must be like.

    Args:
        dtype: its type.
        shape: its shape; None is a size that may be any.
        ndim, max_ndim, min_ndim: how many axes it has.
        axes: sizes of some axes: {-1: 30}.
        allow_last_axis_squeeze: whether a last axis of size one may be there or not.
        name: the name of the input, where inputs come by name.
        optional: whether it may be None.

    Example:
        >>> InputSpec(ndim=2, axes={-1: 30})
        InputSpec(ndim=2, axes={-1: 30})
    """

    namespace = "keras"

    def __init__(
        self,
        dtype: Any = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else str(dtype)
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name, self.optional = name, optional

    def trouble(self, shape: tuple[int | None, ...]) -> str | None:
        """What is wrong with an input of this shape, or None."""
        rank = len(shape)
        if self.shape is not None:
            wanted = self.shape
            if self.allow_last_axis_squeeze and rank:
                wanted = wanted[:-1] if wanted and wanted[-1] == 1 and rank == len(wanted) - 1 else wanted
                shape = shape[:-1] if shape[-1] == 1 and rank == len(wanted) + 1 else shape
            pairs = zip(shape, wanted, strict=False)
            fits = all(size is None or given is None or size == given for given, size in pairs)
            if len(shape) != len(wanted) or not fits:
                return f"expected shape={self.shape}"
        elif self.ndim is not None and rank != self.ndim:
            return f"expected ndim={self.ndim}, found ndim={rank}"
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"expected max_ndim={self.max_ndim}, found ndim={rank}"
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"expected min_ndim={self.min_ndim}, found ndim={rank}"
        for axis, size in self.axes.items():
            given = shape[axis] if -rank <= axis < rank else -1
            if size is not None and given is not None and given != size:
                return f"expected axis {axis} of input shape to have value {size}"
        return None

    def __repr__(self) -> str:
        kept = {
            name: value
            for name in ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")
            if (value := getattr(self, name)) and not (name == "ndim" and self.shape is not None)
        }
        return f"InputSpec({', '.join(f'{name}={value}' for name, value in kept.items())})"


def require_input(spec: Any, inputs: Any, layer: str) -> None:
    """Raise ShapeError if inputs are not what a layer's `input_spec` says."""
    if spec is None:
        return
    specs = jax.tree.leaves(spec, is_leaf=lambda leaf: isinstance(leaf, InputSpec))
    leaves = jax.tree.leaves(inputs)
    if isinstance(spec, dict) and isinstance(inputs, dict):
        specs = [spec[name] for name in spec if name in inputs]
        leaves = [inputs[name] for name in spec if name in inputs]
    if len(specs) != len(leaves):
        raise ShapeError(
            message(f'Layer "{layer}" expects {len(specs)} input(s).', came=f"{len(leaves)} input tensors")
        )
    for each, leaf in zip(specs, leaves, strict=True):
        shape = getattr(leaf, "shape", None)
        if each is None or shape is None:
            continue
        trouble = each.trouble(tuple(shape))
        if trouble is not None:
            raise ShapeError(
                message(
                    f'Input 0 of layer "{layer}" is incompatible with the layer: {trouble}.',
                    came=f"an input of shape {tuple(shape)}",
                    expected=repr(each),
                )
            )


__all__ = ["InputSpec", "require_input"]
