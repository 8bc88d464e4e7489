"""What Keras's tests reach into, under the names that Pellucid has for it."""

from pellucid import losses
from pellucid.keras_files import archive
from pellucid.layers import Layer
from pellucid.optimizers import Nadam, Optimizer

Optimizer._clip_gradients = Optimizer.clip
Optimizer._model_variables_moving_average = property(
    lambda self: [self.slot("average", variable) for variable in self._moved]
)
Optimizer._accumulated_gradients = property(
    lambda self: [self.slot("gradient_accumulator", variable) for variable in self._moved]
)
Nadam._u_product = property(lambda self: self._product)
losses.squeeze_or_expand_to_same_rank = losses.same_rank


class AUCCurve:
    """Keras's names of curves, as users write them."""

    ROC, PR, PRGAIN = "ROC", "PR", "PRGAIN"


class AUCSummationMethod:
    """The same for ways to sum."""

    INTERPOLATION, MAJORING, MINORING = "interpolation", "majoring", "minoring"


def _flat_layers(layer, include_self=True, recursive=True):
    inner = [each for held in layer.sublayers for each in (_flat_layers(held) if recursive else [held])]
    return [layer, *inner] if include_self else inner


Layer._flatten_layers = _flat_layers
_CONFIG_FILENAME, _METADATA_FILENAME = archive.CONFIG, archive.METADATA
