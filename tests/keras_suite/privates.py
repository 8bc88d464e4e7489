"""What Keras's tests reach into, under the names that Pellucid has for it."""

from pellucid import losses
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
