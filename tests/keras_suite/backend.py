"""What Keras's tests ask its backend for, answered by JAX, NumPy and Pellucid."""

import contextlib
import os
import shutil
import types

import jax
import jax.numpy as jnp
import numpy as np

import pellucid
from pellucid.arrays import as_array, floatx
from pellucid.masks import mask_of, with_mask
from pellucid.variables import Scope, SeedGenerator

Variable = pellucid.Variable
set_floatx = pellucid.config.set_floatx
random = types.SimpleNamespace(**{**vars(pellucid.random), "SeedGenerator": SeedGenerator})
SUPPORTS_SPARSE_TENSORS = False
SUPPORTS_RAGGED_TENSORS = False
IS_THREAD_SAFE = True


def backend():
    """The backend that Pellucid is measured against."""
    return "jax"


def epsilon():
    return 1e-7


def image_data_format():
    return "channels_last"


def convert_to_tensor(x, dtype=None, sparse=None, ragged=None):
    return as_array(x, dtype)


def convert_to_numpy(x):
    return np.asarray(x)


def is_tensor(x):
    return isinstance(x, jax.Array)


def standardize_dtype(dtype):
    """The name of a type."""
    if dtype is None:
        return floatx()
    if isinstance(dtype, type) and dtype in (int, float, bool):
        return {int: "int32", float: floatx(), bool: "bool"}[dtype]
    return str(np.dtype(dtype).name if not hasattr(dtype, "name") else dtype.name)


def is_float_dtype(dtype):
    return bool(jnp.issubdtype(jnp.dtype(standardize_dtype(dtype)), jnp.floating))


def is_int_dtype(dtype):
    return bool(jnp.issubdtype(jnp.dtype(standardize_dtype(dtype)), jnp.integer))


@contextlib.contextmanager
def name_scope(name, **_):
    """Names of operations have no meaning here."""
    yield name


def clear_session(free_memory=True):
    from pellucid.naming import forget_names

    forget_names()


class StatelessScope(contextlib.AbstractContextManager):
    """Keras's scope of values, on ours."""

    def __init__(self, state_mapping=None, collect_losses=False, initialize_variables=True):
        pairs = list(state_mapping or ())
        self.scope = Scope([variable for variable, _ in pairs], [value for _, value in pairs])
        self._open = None

    def __enter__(self):
        self._open = self.scope()
        self._open.__enter__()
        return self

    def __exit__(self, *error):
        self._open.__exit__(*error)

    def get_current_value(self, variable):
        return self.scope.values.get(variable)


def shape(x):
    return tuple(x.shape)


def standardize_shape(shape):
    return tuple(shape)


def compute_output_spec(function, *args, **kwargs):
    """The symbols that a function gives for symbols: unknown sizes are tried with two sizes."""
    from pellucid.graph import KerasTensor

    def traced(size):
        def filled(each):
            sizes = tuple(size if one is None else one for one in each.shape)
            return jax.ShapeDtypeStruct(sizes, each.dtype) if isinstance(each, KerasTensor) else each

        return jax.eval_shape(function, *map(filled, args), **kwargs)

    first, second = traced(2), traced(3)

    def symbol(a, b):
        sizes = zip(a.shape, b.shape, strict=True)
        return KerasTensor(tuple(one if one == other else None for one, other in sizes), str(a.dtype))

    return jax.tree.map(symbol, first, second)


#: There is none; whether it would be used is asked and set nevertheless.
is_flash_attention_enabled, enable_flash_attention, disable_flash_attention = (lambda: False,) * 3
serialize = pellucid.saving.serialize_keras_object


def set_keras_mask(x, mask):
    with_mask(x, mask)


def get_keras_mask(x):
    return mask_of(x)


@contextlib.contextmanager
def nothing_changes(*_, **__):
    """What has no meaning here."""
    yield


enable_interactive_logging = disable_interactive_logging = set_logging_verbosity = lambda *_: None


# keras.src.utils.file_utils: files and folders of this machine.
join, exists, makedirs = os.path.join, os.path.exists, os.makedirs
File, copy, rmtree = open, shutil.copy, shutil.rmtree
