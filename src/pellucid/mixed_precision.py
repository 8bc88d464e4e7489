"""keras.mixed_precision: the older names of dtype policies, and the optimizer for float16."""

from pellucid.dtype_policies import DTypePolicy as DTypePolicy
from pellucid.dtype_policies import dtype_policy as global_policy
from pellucid.dtype_policies import set_dtype_policy as set_global_policy
from pellucid.optimizers import LossScaleOptimizer as LossScaleOptimizer

Policy = DTypePolicy

__all__ = ["DTypePolicy", "LossScaleOptimizer", "Policy", "global_policy", "set_global_policy"]
