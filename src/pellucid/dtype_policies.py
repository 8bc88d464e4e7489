"""In which type layers compute, and in which they keep their weights: "float32", "mixed_bfloat16", ...

With a mixed policy weights are float32, and layers compute in 16 bits.
"""

from __future__ import annotations

from typing import Any

from pellucid.arrays import floatx, type_of_floats
from pellucid.errors import ArgumentError, message
from pellucid.naming import Catalogue, Configurable

CATALOGUE = Catalogue("dtype policy")
_known = ("float16", "bfloat16", "float32", "float64")
_others = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "string")
_default: dict[str, DTypePolicy | None] = {"value": None}


@CATALOGUE.entry()
class DTypePolicy(Configurable):
    """The types of a layer.

    Args:
        name: a type ("float32"), or "mixed_float16" or "mixed_bfloat16"; by default the default float.

    Example:
        >>> policy = DTypePolicy("mixed_bfloat16")
        >>> policy.compute_dtype, policy.variable_dtype
        ('bfloat16', 'float32')
    """

    namespace = "keras"

    def __init__(self, name: str | None = None) -> None:
        name = name or floatx()
        stem = name.removeprefix("mixed_")
        if not isinstance(name, str) or stem not in (*_known, *(() if name != stem else _others)):
            raise ArgumentError(
                message(
                    "this is no dtype policy.",
                    came=repr(name),
                    expected='"float32", "mixed_float16", "mixed_bfloat16", or another type',
                )
            )
        if name != stem and stem not in ("float16", "bfloat16"):
            raise ArgumentError(
                message("only 16-bit types are mixed.", came=name, expected="mixed_float16 or mixed_bfloat16")
            )
        self.name = name
        self.compute_dtype = stem
        self.variable_dtype = "float32" if name != stem else stem

    @property
    def quantization_mode(self) -> None:
        """Nothing is quantized here."""
        return None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


def get(identifier: Any) -> DTypePolicy:
    """A policy by its name, its configuration, or itself; None is the default one."""
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return CATALOGUE.make(identifier)
    name = identifier if isinstance(identifier, str) else getattr(identifier, "__name__", str(identifier))
    return DTypePolicy({"int": "int32", "float": floatx()}.get(name, name))


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are given none."""
    return _default["value"] or DTypePolicy(floatx())


def set_dtype_policy(policy: Any) -> None:
    """Set the policy of layers that are given none.

    >>> set_dtype_policy("mixed_bfloat16"); dtype_policy()
    <DTypePolicy "mixed_bfloat16">
    >>> set_dtype_policy("float32")
    """
    made = get(policy)
    _default["value"] = None if made.name == type_of_floats["value"] else made


__all__ = ["DTypePolicy", "dtype_policy", "get", "set_dtype_policy"]
