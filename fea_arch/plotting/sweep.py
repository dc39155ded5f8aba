"""A sweep: response times over one parameter, one curve for each value of the second, or a map where there are many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.errors import ModelError, suggestion
from fea_arch.plotting.style import axes_for, cut, finish

if TYPE_CHECKING:
    from fea_arch.plotting.style import Theme
    from fea_arch.results.sweep import SweepResult

__all__ = ["plot_sweep"]

_LABELS = {
    "response_s": "mean response", "percentile_s": "response percentile of the objective",
    "worst_utilisation": "highest utilisation",
}
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
#: Curves that are told apart; more values of the second parameter make a map.
CURVES = 5


def plot_sweep(
    result: SweepResult, ax: Any = None, *, quantity: str = "response_s", theme: str | None = None
) -> Any:
    """Draw a quantity over the parameters of a sweep; designs without a steady state are left out and counted.

    Parameters
    ----------
    result : SweepResult
    ax : matplotlib.axes.Axes, optional
    quantity : {"response_s", "percentile_s", "worst_utilisation"}
    theme : {"light", "dark"}, optional

    Raises
    ------
    ModelError
        For another quantity.

    Examples
    --------
    >>> import fea_arch as fa, matplotlib
    >>> matplotlib.use("Agg")
    >>> found = fa.sweep(fa.load_sample("shop"), {"orders.servers": [1, 2, 4]})
    >>> found.plot().get_ylabel()
    'mean response [ms]'
    """
    if quantity not in _LABELS:
        raise ModelError(f"is {quantity!r}.{suggestion(quantity, _LABELS)}", field="quantity", fix=", ".join(_LABELS))
    share = quantity == "worst_utilisation"
    values = np.asarray(getattr(result, quantity), float) * (100.0 if share else 1e3)
    values = np.where(result.stable, values, np.nan)
    unit = "%" if share else "ms"
    label = f"{_LABELS[quantity]} [{unit}]"
    ax, colours = axes_for(ax, theme)
    title = _title(result, values, quantity, unit)
    first = cut(result.parameters[0], 50)
    if values.ndim == 2 and values.shape[1] > CURVES:
        return _map(result, ax, colours, values, label, title)
    x = result.values[0]
    for k in range(values.shape[1] if values.ndim == 2 else 1):
        row = values[:, k] if values.ndim == 2 else values
        name = f"{cut(result.parameters[1], 40)} {result.values[1][k]:g}" if values.ndim == 2 else None
        ax.plot(x, row, linestyle=_DASHES[k % len(_DASHES)], marker="osD^v"[k % 5], markersize=4, linewidth=1.5,
                color=colours.cycle[k % len(colours.cycle)], label=name)
    known = values[np.isfinite(values)]
    if not share and known.size and known.min() > 0 and known.max() > 30.0 * known.min():
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0.0)
    if x.size > 1:  # designs that do not stand keep their place on the axis
        room = 0.04 * float(np.ptp(x))
        ax.set_xlim(float(x.min()) - room, float(x.max()) + room)
    return finish(ax, colours, title=title, x=first, y=label, above=True)


def _title(result: SweepResult, values: Any, quantity: str, unit: str) -> str:
    if not np.isfinite(values).any():
        return "Sweep: no design has a steady state"
    best = np.unravel_index(int(np.nanargmin(values)), values.shape)
    where = ", ".join(f"{cut(n, 40)} {v[k]:.4g}" for n, v, k in zip(result.parameters, result.values, best))
    least = "lowest" if quantity == "worst_utilisation" else "shortest"
    left = int(result.stable.size - np.count_nonzero(result.stable))
    more = f"; {left} of {result.stable.size} designs do not stand" if left else ""
    return f"Sweep: {least} {_LABELS[quantity].removeprefix('highest ')} {values[best]:.3g} {unit} at {where}{more}"


def _map(result: SweepResult, ax: Any, colours: Theme, values: Any, label: str, title: str) -> Any:
    """Draw a map of two parameters; what does not stand is hatched."""
    mesh = ax.pcolormesh(
        *result.values, np.ma.masked_invalid(values.T), shading="nearest",
        cmap="cividis_r" if colours.name == "light" else "cividis",
    )
    ax.patch.set(hatch="///", edgecolor=colours.muted)
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.01)
    bar.set_label(label, color=colours.ink, fontsize=9)
    bar.ax.tick_params(colors=colours.ink, labelsize=8.5)
    x, y = (cut(name, 50) for name in result.parameters)
    return finish(ax, colours, title=title + (" (hatched)" if "do not stand" in title else ""), x=x, y=y, grid="")
