"""Colours, sizes and axes of every picture: colour-blind safe, legible in print, on light and on dark paper.

The qualitative colours are those of Okabe and Ito (Color universal design, 2008). States differ in brightness and in
the shape of their mark too, so that a grey print can be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fea_arch.errors import ModelError

__all__ = ["MARKS", "STATE_COLOURS", "Theme", "axes_for", "cut", "finish", "stress_map", "theme_named"]

#: Longest text beside a component.
LABEL = 30
#: Mark of each state.
MARKS = {"idle": "o", "elastic": "o", "yielding": "s", "failing": "D", "down": "X"}
#: Limits between the bands of stress: elastic, yielding, failing.
BANDS = (0.70, 0.90)


@dataclass(frozen=True)
class Theme:
    """Colours of one paper."""

    name: str
    paper: str
    ink: str
    muted: str
    faint: str
    cycle: tuple[str, ...]


LIGHT = Theme(
    "light", "#ffffff", "#1a1a1a", "#595959", "#c9ced6",
    ("#0072b2", "#d55e00", "#009e73", "#b6679b", "#a87200", "#2f8fc4", "#5a5a5a"),
)
DARK = Theme(
    "dark", "#14171c", "#f2f2f2", "#b4bac4", "#444c58",
    ("#56b4e9", "#ff8a3d", "#2fc99a", "#e09bc8", "#f0c02a", "#8fd0ff", "#bdbdbd"),
)
#: Fill of a component by state, in the light and the dark theme.
STATE_COLOURS = {
    "light": {"idle": "#eef2f6", "elastic": "#5aa5d6", "yielding": "#e69f00", "failing": "#c03a00", "down": "#8c8c8c"},
    "dark": {"idle": "#2a313b", "elastic": "#3f8fc6", "yielding": "#f0b428", "failing": "#ff6a2b", "down": "#7d8590"},
}


def theme_named(name: str) -> Theme:
    """Return a theme by name.

    Raises
    ------
    ModelError
        For a name other than light and dark.
    """
    if name not in ("light", "dark"):
        raise ModelError(f"no theme {name!r}", field="theme", fix="light or dark")
    return DARK if name == "dark" else LIGHT


def axes_for(ax: Any, theme: str | None, size: tuple[float, float] = (8.0, 4.5)) -> tuple[Any, Theme]:
    """Return the axes to draw on and the theme: that asked for, else the one that suits the paper.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
        Axes given by the caller; None makes a figure of ``size`` [inch].
    theme : {"light", "dark"}, optional
    """
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=size, layout="constrained")
        theme = theme or ("dark" if _is_dark(ax.get_facecolor()) else "light")
    colours = theme_named(theme or ("dark" if _is_dark(ax.get_facecolor()) else "light"))
    ax.set_facecolor(colours.paper)
    ax.figure.set_facecolor(colours.paper)
    ax.set_prop_cycle(color=list(colours.cycle))
    return ax, colours


def _is_dark(colour: tuple[float, ...]) -> bool:
    red, green, blue = colour[:3]
    return bool(0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.4 and (len(colour) < 4 or colour[3] > 0.5))


def finish(ax: Any, theme: Theme, *, title: str = "", x: str = "", y: str = "", grid: str = "both") -> Any:
    """Write title and axis labels, colour everything for the paper, and return the axes."""
    if title:
        ax.set_title(title, color=theme.ink, fontsize=11, loc="left", pad=9)
    ax.set_xlabel(x, color=theme.ink, fontsize=9)
    ax.set_ylabel(y, color=theme.ink, fontsize=9)
    ax.tick_params(colors=theme.muted, labelcolor=theme.ink, labelsize=8.5)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.muted)
    if grid:
        ax.grid(visible=True, axis=grid, color=theme.faint, linewidth=0.6, alpha=0.7)
        ax.set_axisbelow(True)
    legend = ax.get_legend()
    if legend is not None:
        legend.get_frame().set_facecolor(theme.paper)
        legend.get_frame().set_edgecolor(theme.faint)
        for text in legend.get_texts():
            text.set_color(theme.ink)
    return ax


def stress_map(theme: Theme) -> Any:
    """Return the colour map of utilisation from 0 to 1: brighter or darker up to 70 %, then the two warning bands."""
    from matplotlib.colors import LinearSegmentedColormap

    fill = STATE_COLOURS[theme.name]
    stops = [
        (0.0, fill["idle"]), (BANDS[0], "#1f6fa8" if theme.name == "light" else "#5cb8f5"),
        (BANDS[0], fill["yielding"]), (BANDS[1], "#d98200" if theme.name == "light" else "#ffd06a"),
        (BANDS[1], fill["failing"]), (1.0, "#8f1d00" if theme.name == "light" else "#ff3b1f"),
    ]
    return LinearSegmentedColormap.from_list("stress", stops, N=512)


def cut(text: str, length: int = LABEL) -> str:
    """Return a name from outside as a label: printable, short, and never read as a formula.

    Examples
    --------
    >>> cut("a" * 40, 8), cut("$x$")
    ('aaaaaaa…', '\\\\$x\\\\$')
    """
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    short = printable if len(printable) <= length else printable[: length - 1] + "…"
    return short.replace("$", r"\$")
