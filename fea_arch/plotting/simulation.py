"""Pictures of an event simulation: requests a second over time, or utilisation with confidence intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.plotting.style import axes_for, finish

if TYPE_CHECKING:
    from fea_arch.results.simulation import SimulationResult

__all__ = ["plot_simulation"]


def plot_simulation(
    result: SimulationResult, ax: Any = None, *, theme: str | None = None, limit: int = 20
) -> Any:
    """Draw offered, served and good requests over time; without a series the utilisation of each component.

    Parameters
    ----------
    result : SimulationResult
    ax : matplotlib.axes.Axes, optional
    theme : {"light", "dark"}, optional
    limit : int
        Components that are shown when there is no series.
    """
    if not result.time_s.size:
        from fea_arch.plotting.static import stress_bars
        from fea_arch.plotting.view import state_of

        states = [state_of(float(rho)) for rho in result.utilisation]
        title = f"Simulated stress, {result.replications} replications (bars: 95 % confidence)"
        return stress_bars(
            result, states, ax, limit=limit, theme=theme, title=title, error=result.utilisation_half_width
        )
    ax, colours = axes_for(ax, theme)
    drawn = (
        ("offered", result.offered_series, "-"), ("served", result.served_series, "--"),
        ("within objective", result.good_series, ":"),
    )
    begun = result.time_s < result.duration_s * (1 - 1e-9)  # an interval that begins at the end is empty
    time = result.time_s[begun]
    for (name, series, style), colour in zip(drawn, (colours.ink, colours.cycle[0], colours.cycle[1])):
        ax.step(time, np.asarray(series)[begun], style, where="post", color=colour, label=name, linewidth=1.6)
    ax.set_ylim(bottom=0)
    share = float(result.served_within_objective)
    title = "Simulated requests a second"
    title += f": {100 * share:.4g} % are answered within the objective" if share == share else ""
    return finish(ax, colours, title=title, x="time [s]", y="requests a second", above=True)
