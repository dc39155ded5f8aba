"""Frequency response and burst spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.plotting.style import axes_for, cut, finish

if TYPE_CHECKING:
    from fea_arch.results.frequency_response import FrequencyResponse
    from fea_arch.results.harmonic import BurstSpectrum, HarmonicResult

__all__ = ["plot_burst_spectrum", "plot_frequency_response", "plot_harmonic"]

_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_SPECTRA = {
    "peak_backlog": "largest backlog [requests]", "drain_time_s": "time to drain [s]",
    "within_objective_share": "share within the objective",
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
    low, high = float(result.frequencies_hz.min()), float(result.frequencies_hz.max())
    for period in result.periods:
        frequency = 1.0 / float(period["period_s"])
        if low <= frequency <= high:
            bold = bool(period["resonates"])
            ax.axvline(frequency, color=colours.ink, linewidth=1.6 if bold else 0.7, linestyle="-" if bold else ":")
            ax.annotate(cut(period["name"]) + (" (resonates)" if bold else ""), (frequency, 0.02),
                        xycoords=("data", "axes fraction"), rotation=90, fontsize=7.5, color=colours.muted,
                        xytext=(2, 0), textcoords="offset points", va="bottom")
    top = float(result.gain[:, order].max(initial=1e-300))
    ax.set_ylim(max(1e-6 * top, 0.5 * float(result.gain[:, order].min(initial=top))), 2.0 * top)
    ax.legend(fontsize=8, loc="best")
    where = cut(result.at) if result.at else "all entries"
    return finish(ax, colours, title=f"Frequency response to a load at {where}", x="frequency [Hz]",
                  y="gain [requests per request/s]")


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
    for k, node in enumerate(np.argsort(-gain.max(axis=0), kind="stable")[:limit].tolist()):
        ax.semilogy(result.frequencies_hz, np.maximum(gain[:, node], 1e-300), linestyle=_DASHES[k % len(_DASHES)],
                    color=colours.cycle[k % len(colours.cycle)], linewidth=1.5, label=f"node {node}")
    ax.legend(fontsize=8, loc="best")
    return finish(ax, colours, title="Frequency response", x="frequency [Hz]", y="amplitude")


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
    shown = values[np.isfinite(values) & (values > 0.0)]
    if quantity != "within_objective_share" and shown.size and shown.max() > 100.0 * shown.min():
        ax.set_yscale("log")
    ax.legend(fontsize=8, loc="best")
    left_out = int(np.count_nonzero(~np.isfinite(values)))
    title = "Burst spectrum" + (f" ({left_out} bursts do not drain in the window)" if left_out else "")
    return finish(ax, colours, title=title, x="duration of the burst [s]", y=_SPECTRA[quantity])
