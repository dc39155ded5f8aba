"""Colours, sizes and axes of every picture: colour-blind safe, legible in print, on light and on dark paper.

The qualitative colours are those of Okabe and Ito (Color universal design, 2008). States differ in brightness and in
the shape of their mark too, so that a grey print can be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fea_arch.errors import ModelError

__all__ = [
    "MARKS", "STATE_COLOURS", "Theme", "axes_for", "columns_that_fit", "cut", "finish", "in_short", "signed_map",
    "stress_map", "text_width", "theme_named",
]

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


def in_short(value: float) -> str:
    """Return a number in two digits, or without decimals where it is large.

    Examples
    --------
    >>> in_short(0.0123), in_short(6.42), in_short(1234.5)
    ('0.012', '6.4', '1,234')
    """
    return f"{value:,.0f}" if abs(value) >= 99.5 else f"{value:.2g}"


def text_width(text: str, size: float = 8.0) -> float:
    """Return the width of a line of text in the font of the picture [inch]; ``size`` in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    width, _, _ = text_to_path.get_text_width_height_descent(text or " ", FontProperties(size=size), ismath=False)
    return float(width) / 72.0


def columns_that_fit(labels: Sequence[str], width: float, size: float = 8.0) -> int:
    """Return the largest number of columns of a legend that is not wider than ``width`` [inch]."""
    wide = [text_width(label, size) + 0.5 for label in labels]
    for columns in range(len(wide), 1, -1):
        # matplotlib fills a legend column by column, the first ones longer where it does not come out even
        rows, more = divmod(len(wide), columns)
        lengths = [rows + 1] * more + [rows] * (columns - more)
        starts = [sum(lengths[:k]) for k in range(columns)]
        if sum(max(wide[s : s + n]) for s, n in zip(starts, lengths)) <= width:
            return columns
    return 1


def _room(ax: Any) -> float:
    """Return the width to the right of the labels of the y axis, powers of ten not counted [inch]."""
    names = [text for label in ax.get_yticklabels() if not (text := label.get_text()).startswith("$")]
    beside = max((text_width(text, 8.5) for text in names), default=0.0)
    return max(float(ax.figure.get_size_inches()[0]) - beside - 0.7, 2.5)


def _wrapped(title: str, room: float) -> str:
    """Return a title whose lines are at most ``room`` wide [inch], as far as its words allow."""
    lines = []
    for line in title.split("\n"):
        lines.append("")
        for word in line.split(" "):
            longer = f"{lines[-1]} {word}" if lines[-1] else word
            if lines[-1] and text_width(longer, 11.0) > room:
                lines.append(word)
            else:
                lines[-1] = longer
    return "\n".join(lines)


def _legend_above(ax: Any) -> int:
    """Put the legend between title and axes, where it covers no data; return its rows."""
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return 0
    columns = columns_that_fit(labels, _room(ax))
    ax.legend(handles, labels, fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, frameon=False,
              borderaxespad=0.2, borderpad=0.2, columnspacing=1.4, handletextpad=0.6)
    return -(-len(labels) // columns)


def finish(
    ax: Any, theme: Theme, *, title: str = "", x: str = "", y: str = "", grid: str = "both", above: bool = False
) -> Any:
    """Write title and axis labels, colour everything for the paper, and return the axes.

    ``above`` puts the legend above the axes; a title that is too long for the paper continues on a second line.
    """
    rows = _legend_above(ax) if above else 0
    if title:
        room = _room(ax) if grid else float(ax.figure.get_size_inches()[0]) - 0.1
        ax.set_title(_wrapped(title, room), color=theme.ink, fontsize=11, loc="left", pad=9 + 13.5 * rows)
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


def signed_map(theme: Theme) -> Any:
    """Return the colour map of values from -1 to 1: the paper in the middle, purple below, orange above."""
    from matplotlib.colors import LinearSegmentedColormap

    if theme.name == "light":
        stops = ["#40257a", "#9a88c4", "#f4f4f6", "#f0a04b", "#8f4300"]
    else:
        stops = ["#b9a5ff", "#6a58a8", "#2a313b", "#b06a1e", "#ffb35c"]
    return LinearSegmentedColormap.from_list("signed", stops, N=256)


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
