"""A table to a trained network: `fit` trains and reports, `load` reads what was saved.

    network = pellucid.tables.fit("tumours.csv", "diagnosis", out="tumours.pellucid")
    network.predict("new_tumours.csv").answer

Names are loaded when they are first used: a schema or a report can be read without JAX.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.tables.contributions import Contributions as Contributions
    from pellucid.tables.network import Answers as Answers
    from pellucid.tables.network import TableNetwork as TableNetwork
    from pellucid.tables.network import load as load
    from pellucid.tables.recipe import fit as fit
    from pellucid.tables.report import Report as Report
    from pellucid.tables.schema import Schema as Schema

_names = {
    "Answers": "network",
    "Contributions": "contributions",
    "Report": "report",
    "Schema": "schema",
    "TableNetwork": "network",
    "fit": "recipe",
    "load": "network",
}

__all__ = ["Answers", "Contributions", "Report", "Schema", "TableNetwork", "fit", "load"]


def __getattr__(name: str) -> Any:
    if name in _names:
        return getattr(importlib.import_module(f"pellucid.tables.{_names[name]}"), name)
    raise AttributeError(f"module 'pellucid.tables' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
