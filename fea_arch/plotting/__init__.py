"""Pictures; matplotlib is imported here only, and only when something is drawn.

Every result has ``plot(ax=None, ...)``; it comes here by the name of its class, so that results do not know about
pictures. A class without an entry of its own is drawn like the nearest base class that has one.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fea_arch.errors import ModelError

__all__ = ["DRAWN_BY", "draw"]

#: Class name -> (module in this package, function).
DRAWN_BY: dict[str, tuple[str, str]] = {
    "Architecture": ("architecture", "plot_architecture"),
    "StaticResult": ("static", "plot_static"),
    "SimulationResult": ("simulation", "plot_simulation"),
    "ModalResult": ("modal", "plot_modal"),
    "TransientResult": ("transient", "plot_transient"),
    "HarmonicResult": ("harmonic", "plot_harmonic"),
    "FrequencyResponse": ("harmonic", "plot_frequency_response"),
    "BurstSpectrum": ("harmonic", "plot_burst_spectrum"),
    "ContingencyResult": ("contingency", "plot_contingency"),
    "FractureResult": ("fracture", "plot_fracture"),
    "MetastabilityResult": ("metastability", "plot_metastability"),
    "FragilityResult": ("fragility", "plot_fragility"),
    "ReinforcementResult": ("reinforcement", "plot_reinforcement"),
    "ComparisonResult": ("comparison", "plot_comparison"),
    "SensitivityResult": ("sensitivity", "plot_sensitivity"),
    "SweepResult": ("sweep", "plot_sweep"),
    "RecoveryResult": ("recovery", "plot_recovery"),
    "Score": ("score", "plot_score"),
    "SolveResult": ("structure", "plot_solve"),
    "BreakDownResult": ("break_down", "plot_break_down"),
    "ModesResult": ("structure", "plot_modes"),
    "HistoryResult": ("structure", "plot_history"),
    "PathResult": ("structure", "plot_path"),
}


def draw(thing: Any, ax: Any = None, **options: Any) -> Any:
    """Draw a result or an architecture and return the matplotlib Axes.

    Parameters
    ----------
    thing : Architecture or a result
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a new figure.
    **options
        Those of the drawing function, for instance ``theme="dark"``.

    Raises
    ------
    ModelError
        If there is no picture of this kind of thing.
    """
    for kind in type(thing).__mro__:
        if kind.__name__ in DRAWN_BY:
            module, name = DRAWN_BY[kind.__name__]
            return getattr(import_module(f"fea_arch.plotting.{module}"), name)(thing, ax=ax, **options)
    raise ModelError(f"there is no picture of a {type(thing).__name__}", field="plot", fix=", ".join(DRAWN_BY))
