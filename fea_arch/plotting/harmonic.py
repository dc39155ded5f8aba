"""Frequency response and burst spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.plotting.style import axes_for, cut, finish, in_short

if TYPE_CHECKING:
    from fea_arch.results.frequency_response import FrequencyResponse
    from fea_arch.results.harmonic import BurstSpectrum, HarmonicResult

__all__ = ["plot_burst_spectrum", "plot_frequency_response", "plot_harmonic"]

_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_SPECTRA = {
    "peak_backlog": "largest backlog [requests]", "drain_time_s": "time to drain [s]",
    "within_objective_share": "share within the objective",
}
_FOUND = {
    "peak_backlog": "piles up {} requests", "drain_time_s": "takes {} s to drain",
    "within_objective_share": "leaves {} within the objective",
}


def plot_harmonic(result: HarmonicResult, ax: Any = None, *, limit: int = 5, theme: str | None = None) -> Any:
    """Draw the gain over the frequency of the load; known periods are marked, those in resonance boldly.

    Parameters
    ----------
    result : HarmonicResult
    ax : matplotlib.axes.Axes, optional
    limit : int
        Components, those with the largest gain first.
    theme : {"light", "dark"}, optional
    """
    ax, colours = axes_for(ax, theme)
    order = np.argsort(-result.gain.max(axis=0), kind="stable")[:limit].tolist()
    for k, i in enumerate(order):
        ax.loglog(result.frequencies_hz, np.maximum(result.gain[:, i], 1e-300), linestyle=_DASHES[k % len(_DASHES)],
                  color=colours.cycle[k % len(colours.cycle)], linewidth=1.5, label=cut(result.components[i]))
    strip = {"facecolor": colours.paper, "edgecolor": "none", "alpha": 0.75, "pad": 0.4}
    low, high = float(result.frequencies_hz.min()), float(result.frequencies_hz.max())
    for period in result.periods:
        frequency = 1.0 / float(period["period_s"])
        if low <= frequency <= high:
            bold = bool(period["resonates"])
            ax.axvline(frequency, color=colours.ink, linewidth=1.6 if bold else 0.7, linestyle="-" if bold else ":")
            ax.annotate(cut(period["name"]) + (" (resonates)" if bold else ""), (frequency, 0.02),
                        xycoords=("data", "axes fraction"), rotation=90, fontsize=7.5, color=colours.muted, bbox=strip,
                        xytext=(2, 0), textcoords="offset points", va="bottom")
    top = float(result.gain[:, order].max(initial=1e-300))
    ax.set_ylim(max(1e-6 * top, 0.5 * float(result.gain[:, order].min(initial=top))), 2.0 * top)
    where = cut(result.at) if result.at else "all entries"
    title = f"Frequency response to a load at {where}"
    if order:
        peak = float(result.frequencies_hz[int(np.argmax(result.gain[:, order[0]]))])
        slowest = result.gain[int(np.argmin(result.frequencies_hz)), order[0]]
        swings = result.gain[:, order[0]].max() > 1.1 * slowest
        name = cut(result.components[order[0]])
        title += f": {name} swings most, at {peak:.3g} Hz" if swings else f": {name} answers most, without resonance"
    return finish(ax, colours, title=title, x="frequency [Hz]", y="gain [requests per request/s]", above=True)


def plot_frequency_response(
    result: FrequencyResponse, ax: Any = None, *, limit: int = 5, theme: str | None = None
) -> Any:
    """Draw the amplitude of the nodes that swing most over the frequency of the load.

    Parameters
    ----------
    result : FrequencyResponse
    ax : matplotlib.axes.Axes, optional
    limit : int
        Nodes.
    theme : {"light", "dark"}, optional
    """
    ax, colours = axes_for(ax, theme)
    gain = result.gain
    order = np.argsort(-gain.max(axis=0), kind="stable")[:limit].tolist()
    for k, node in enumerate(order):
        ax.semilogy(result.frequencies_hz, np.maximum(gain[:, node], 1e-300), linestyle=_DASHES[k % len(_DASHES)],
                    color=colours.cycle[k % len(colours.cycle)], linewidth=1.5, label=f"node {node}")
    peak = float(result.frequencies_hz[int(np.argmax(gain[:, order[0]]))])
    title = f"Frequency response: node {order[0]} swings most, at {peak:.3g} Hz"
    return finish(ax, colours, title=title, x="frequency [Hz]", y="amplitude", above=True)


def plot_burst_spectrum(
    result: BurstSpectrum, ax: Any = None, *, quantity: str = "peak_backlog", theme: str | None = None
) -> Any:
    """Draw the burst spectrum: one curve per height of the burst over its duration.

    Parameters
    ----------
    result : BurstSpectrum
    ax : matplotlib.axes.Axes, optional
    quantity : {"peak_backlog", "drain_time_s", "within_objective_share"}
    theme : {"light", "dark"}, optional

    Raises
    ------
    ModelError
        For another quantity.
    """
    if quantity not in _SPECTRA:
        raise ModelError(f"is {quantity!r}", field="quantity", fix=", ".join(_SPECTRA))
    ax, colours = axes_for(ax, theme)
    values = getattr(result, quantity)
    for k, factor in enumerate(result.factors.tolist()):
        row = np.where(np.isfinite(values[k]), values[k], np.nan)
        ax.plot(result.durations_s, row, linestyle=_DASHES[k % len(_DASHES)], marker="osD^v"[k % 5], markersize=4,
                color=colours.cycle[k % len(colours.cycle)], label=f"{factor:g} times the load")
    if result.durations_s.size > 1 and result.durations_s.min() > 0:
        ax.set_xscale("log")
        ax.set_xticks(result.durations_s, [f"{duration:g}" for duration in result.durations_s])
        ax.minorticks_off()
    shown = values[np.isfinite(values) & (values > 0.0)]
    if quantity != "within_objective_share" and shown.size and shown.max() > 100.0 * shown.min():
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0.0)
    left_out = int(np.count_nonzero(~np.isfinite(values)))
    title = "Burst spectrum"
    finite = np.where(np.isfinite(values), values, -np.inf)
    worst = -finite if quantity == "within_objective_share" else finite
    if np.isfinite(values).any():
        at = np.unravel_index(int(np.argmax(np.where(np.isfinite(values), worst, -np.inf))), values.shape)
        value = float(values[at])
        amount = f"{value:.0%}" if quantity == "within_objective_share" else in_short(value)
        title += f": {result.factors[at[0]]:g} times the load for {result.durations_s[at[1]]:g} s "
        title += _FOUND[quantity].format(amount)
    title += f" ({left_out} bursts do not drain in the window)" if left_out else ""
    return finish(ax, colours, title=title, x="duration of the burst [s]", y=_SPECTRA[quantity], above=True)
