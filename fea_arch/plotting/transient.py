"""Histories under a load that changes: what each component holds over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.plotting.style import axes_for, cut, finish, in_short

if TYPE_CHECKING:
    from fea_arch.results.transient import TransientResult

__all__ = ["plot_transient"]

_LABELS = {
    "in_flight": "requests in flight", "throughput_per_s": "requests a second", "response_s": "response [s]",
    "success_share": "share answered",
}
_UNITS = {"in_flight": "requests in flight", "throughput_per_s": "requests a second", "response_s": "s"}
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


def plot_transient(
    result: TransientResult,
    ax: Any = None,
    *,
    quantity: str = "in_flight",
    components: Any = None,
    theme: str | None = None,
) -> Any:
    """Draw the history of the components that are disturbed most; the disturbance is shaded, kills are marked.

    Parameters
    ----------
    result : TransientResult
    ax : matplotlib.axes.Axes, optional
    quantity : {"in_flight", "throughput_per_s", "response_s", "success_share"}
    components : sequence of str, optional
        Default the five with the largest peak above rest.
    theme : {"light", "dark"}, optional

    Raises
    ------
    ModelError
        For an unknown quantity or component.
    """
    if quantity not in _LABELS:
        raise ModelError(f"is {quantity!r}", field="quantity", fix=", ".join(_LABELS))
    names = list(result.components)
    if components is None:
        order = np.argsort(-(result.peak - result.rest), kind="stable")[:5].tolist()
    else:
        unknown = next((c for c in components if c not in names), None)
        if unknown is not None:
            raise ModelError("no component of this name in the result", component=str(unknown))
        order = [names.index(c) for c in components]
    ax, colours = axes_for(ax, theme)
    values = getattr(result, quantity)
    disturbed = np.flatnonzero(np.abs(result.load_factor - result.load_factor[0]) > 1e-12)
    if disturbed.size:
        low, high = result.time_s[disturbed[0]], result.time_s[min(disturbed[-1] + 1, result.time_s.size - 1)]
        ax.axvspan(low, high, color=colours.faint, alpha=0.35, label="load differs from that at the start", zorder=0)
    for k, i in enumerate(order):
        ax.plot(result.time_s, values[:, i], linestyle=_DASHES[k % len(_DASHES)], linewidth=1.5,
                color=colours.cycle[k % len(colours.cycle)], label=cut(names[i]))
    for k, (when, name) in enumerate(result.kills[:20]):
        ax.axvline(when, color=colours.cycle[1], linewidth=0.9, linestyle=":",
                   label=f"out of memory: {cut(name)} first" if k == 0 else None)
    ax.set_ylim(bottom=0)
    title = "History under the changing load"
    if order and quantity != "success_share":
        most = float(np.nanmax(values[:, order[0]]))
        title += f": {cut(names[order[0]])} reaches {in_short(most)} {_UNITS[quantity]}"
    return finish(ax, colours, title=title, x="time [s]", y=_LABELS[quantity], above=True)
