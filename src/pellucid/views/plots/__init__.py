"""Pictures of a training: curves, decision boundaries, the surface of the cost, networks, gradients.

Each is a display that holds computed numbers: `from_...` computes them once, by asking the history, step
or model; `plot` draws them with matplotlib, which is imported only then.
"""

from pellucid.views.plots.boundary import DecisionBoundaryDisplay as DecisionBoundaryDisplay
from pellucid.views.plots.curve import HistoryDisplay as HistoryDisplay
from pellucid.views.plots.gradient import GradientDisplay as GradientDisplay
from pellucid.views.plots.network import NetworkDisplay as NetworkDisplay
from pellucid.views.plots.surface import CostSurfaceDisplay as CostSurfaceDisplay
