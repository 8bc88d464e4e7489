"""Pictures of a training, drawn with matplotlib: `pip install 'pellucid[plots]'`.

Each picture is a display, as in scikit-learn: `from_...` computes its numbers once, and they are its
attributes; `plot(ax)` draws them, as often as wanted, and leaves `ax_` and `figure_`.
"""

from pellucid.views.plots import CostSurfaceDisplay as CostSurfaceDisplay
from pellucid.views.plots import DecisionBoundaryDisplay as DecisionBoundaryDisplay
from pellucid.views.plots import GradientDisplay as GradientDisplay
from pellucid.views.plots import HistoryDisplay as HistoryDisplay
from pellucid.views.plots import NetworkDisplay as NetworkDisplay

__all__ = [
    "CostSurfaceDisplay",
    "DecisionBoundaryDisplay",
    "GradientDisplay",
    "HistoryDisplay",
    "NetworkDisplay",
]
