"""Further answers of the report: the score and the progressive collapse, with a picture each."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fea_arch.errors import ConvergenceError, ModelError
from fea_arch.report.blocks import Table, shown
from fea_arch.report.quantities import number_text, time_text

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture

__all__ = ["Part", "analysed_further", "fracture_part", "score_part"]

#: Components up to which the report runs the longer analyses unasked.
MOST_COMPONENTS = 200


@dataclass(frozen=True)
class Part:
    """One part of a section: sentences, a table, a picture for light and for dark paper as data addresses."""

    sentences: tuple[str, ...]
    table: Table
    light: str
    dark: str
    caption: str


def analysed_further(arch: Architecture, load_factor: float) -> tuple[dict[str, Any], list[str]]:
    """Return the results of the longer analyses by name, and why one is missing.

    Parameters
    ----------
    arch : Architecture
    load_factor : float
        Multiple of the design load that counts as the design load of the score.
    """
    from fea_arch.analyses.fracture import fracture
    from fea_arch.scoring import score

    if not any((load.rate_per_s or load.users or 0) > 0 for load in arch.loads) or load_factor <= 0:
        return {}, ["Score and collapse need a load above zero."]
    found, missing = {}, []
    loaded = arch if load_factor == 1.0 else arch.scaled(load_factor)
    for name, analyse in (("score", lambda: score(loaded)), ("fracture", lambda: fracture(arch))):
        try:
            found[name] = analyse()
        except (ModelError, ConvergenceError) as error:
            missing.append(f"{name}: {error}")
    return found, missing


def picture(result: Any, theme: str, size: tuple[float, float], **options: Any) -> str:
    """Return a plot as a data address of an SVG image."""
    from io import BytesIO

    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "fea_arch", "svg.fonttype": "path"}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        result.plot(figure.add_subplot(), theme=theme, **options)
        data = BytesIO()
        figure.savefig(data, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(data.getvalue()).decode("ascii")


def score_part(result: Any) -> Part:
    """Return value, sub-scores and the largest losses."""
    low, high = result.interval
    groups = [(g, getattr(result, g)) for g in ("static", "dynamic", "modal", "nonlinear")]
    known = ", ".join(f"{name} {value:.0f}" for name, value in groups if not math.isnan(value))
    assumed = "" if result.objective_stated else f" of {time_text(result.objective_s)} (assumed)"
    between = f" (95 % interval {low:.0f} to {high:.0f})" if not math.isnan(low) else ""
    sentences = (
        f"Score {result.value:.1f} of 100, {result.label}{between}: the share of requests that are answered within "
        f"the objective{assumed}, averaged over a catalogue of situations.",
        f"By group: {known}.",
    )
    rows = [[shown(c), shown(s), f"{points:.2f}"] for c, s, points in result.worst(12)]
    table = Table(("component", "situation", "points lost"), rows, "", (2,))
    size = (6.6, 4.9)
    return Part(sentences, table, picture(result, "light", size), picture(result, "dark", size),
                f"Where the points are lost: from 100 down to {result.value:.1f}, one step for each situation.")


def fracture_part(result: Any) -> Part:
    """Return the crack path and the pushover curve."""
    if math.isfinite(result.collapse_factor):
        first = (
            f"The system gives way at {result.collapse_factor:.3g} times the design load"
            + (f", by {shown(result.limiting)}" if result.limiting else "")
            + f"; the failure is {result.failure}."
        )
    else:
        first = "Nothing gave way up to the largest load that was tried."
    sentences = [first]
    if math.isfinite(result.residual_capacity) and math.isfinite(result.collapse_factor):
        sentences.append(
            f"At one and a half times that load it still serves {100 * result.residual_capacity:.0f} % of what it "
            "served at the collapse."
        )
    rows = [
        [f"{e.load_factor:.3g}x", shown(e.component), e.criterion, shown(e.cause), "breaks" if e.breaks else "limit"]
        for e in result.path[:15]
    ]
    table = Table(("at load", "component", "criterion", "because", "event"), rows, "", (0,))
    size = (6.6, 4.2)
    events = f"{number_text(len(result.path))} event{'' if len(result.path) == 1 else 's'}"
    caption = f"Requests served over requests offered; {events} on the crack path."
    return Part(tuple(sentences), table, picture(result, "light", size), picture(result, "dark", size), caption)
