"""The folded equilibrium curve of retries: normal, unstable and failed branch, with the vulnerable range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.plotting.style import axes_for, cut, finish

if TYPE_CHECKING:
    from fea_arch.results.metastability import MetastabilityResult

__all__ = ["plot_metastability"]

_STYLE = {
    "normal": ("-", 0, "normal"), "unstable": ("--", 1, "unstable"), "failed": ("-.", 5, "failed: retries feed it"),
}


def plot_metastability(
    result: MetastabilityResult, ax: Any = None, *, quantity: str = "late_share", theme: str | None = None
) -> Any:
    """Draw the equilibrium curve of the governing station over the offered load.

    Parameters
    ----------
    result : MetastabilityResult
    ax : matplotlib.axes.Axes, optional
    quantity : {"late_share", "arrivals_per_s"}
        What stands upwards: the share of calls that are late, or the calls that arrive with their retries.
    theme : {"light", "dark"}, optional

    Raises
    ------
    ModelError
        For another quantity.
    """
    if quantity not in ("late_share", "arrivals_per_s"):
        raise ModelError(f"is {quantity!r}", field="quantity", fix="late_share or arrivals_per_s")
    ax, colours = axes_for(ax, theme)
    branches = result.branches
    load = np.asarray(branches.load_per_s)
    values = np.asarray(getattr(branches, quantity)) * (100.0 if quantity == "late_share" else 1.0)
    kinds = np.array(branches.branch)
    low, high = result.recovery_load_per_s, result.collapse_load_per_s
    folds = np.isfinite(low) and np.isfinite(high) and 0 < low < high
    if folds:
        ax.axvspan(low, high, color=colours.faint, alpha=0.35, linewidth=0, label="vulnerable range")
    for kind, (dashes, number, label) in _STYLE.items():
        rows = np.flatnonzero(kinds == kind)
        for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            if run.size:
                # one point beyond the branch, so that branches meet in the fold
                first, last = max(run[0] - 1, 0) if kind != "normal" else run[0], run[-1] + 1
                ax.plot(load[first:last], values[first:last], dashes, color=colours.cycle[number], linewidth=2.0,
                        label=label)
                label = "_nolegend_"
    if folds:
        for value, word in ((low, "recovery"), (high, "collapse")):
            ax.axvline(value, color=colours.muted, linewidth=0.9)
            ax.annotate(f"{word} {value:.3g}/s", (value, 0.5), xycoords=("data", "axes fraction"), xytext=(-4, 0),
                        textcoords="offset points", rotation=90, ha="right", va="center", fontsize=8,
                        color=colours.ink)
    design = result.design_load_per_s
    if design > 0:
        ax.axvline(design, color=colours.cycle[2], linewidth=1.6, linestyle=":", label=f"design load {design:.3g}/s")
    top = 1.25 * max([v for v in (high, design, low) if np.isfinite(v)], default=float(load.max(initial=1.0)))
    ax.set_xlim(0, top or 1.0)
    shown = values[load <= (top or np.inf)]
    highest = float(shown.max(initial=1e-9))
    ax.set_ylim(-0.04 * highest, 1.08 * highest)
    if not load.size:
        ax.text(0.5, 0.5, "No call is retried after a time-out:\nnothing can hold the system down.", ha="center",
                transform=ax.transAxes, color=colours.ink, fontsize=9)
        ax.set_yticks([])
    state = "vulnerable" if result.vulnerable else "not vulnerable"
    where = f" of {cut(result.components[0])}" if len(result.components) == 1 else ""
    name = "late calls [%]" if quantity == "late_share" else "calls that arrive, retries included [1/s]"
    return finish(ax, colours, title=f"Equilibria{where} with retries: {state} at the design load",
                  x="offered load [requests/s]", y=name, above=True)
