"""A training step, opened: every number in it, the arithmetic behind each, and how to check it.

    step = history.open(712)
    print(step)                               # the step as a story
    step.layers["dense"].z                    # what the layer computed, for every row of the batch
    step.formula("dense/kernel[2,3].gradient")
    step.check()                              # against central differences in float64

The weights before and after come from the compiled loop that trained. What is inside comes from the same
step, once more, with everything it computes returned; it is compared with the loop and with the log.
"""

from pellucid.opened.examples import Push as Push
from pellucid.opened.examples import Pushes as Pushes
from pellucid.opened.explanation import Explanation as Explanation
from pellucid.opened.seen import LayerPass as LayerPass
from pellucid.opened.seen import Layers as Layers
from pellucid.opened.step import OptimizerPass as OptimizerPass
from pellucid.opened.step import Step as Step
from pellucid.opened.step import open_step as open_step
from pellucid.opened.what_if import WhatIf as WhatIf
