"""Compare two architectures: what was edited, what it moved, and what fell by more than can be doubted."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fea_arch.advice.changes import differences
from fea_arch.advice.margins import MARGINS, margins
from fea_arch.architecture import Architecture, require_valid
from fea_arch.errors import FeaArchError, ModelError
from fea_arch.results.comparison import ComparisonResult
from fea_arch.scoring.uncertainty import relative_errors

__all__ = ["compare"]

#: Change of a margin below which it has not moved, relative to its size.
LEAST = 1e-6


def compare(
    base: Architecture,
    head: Architecture,
    *,
    samples: int = 8,
    seed: int = 0,
    margins_of: tuple[str, ...] | None = None,
) -> ComparisonResult:
    """Compare two architectures margin by margin.

    Parameters
    ----------
    base, head : Architecture
        Before and after.
    samples : int
        Samples of the intervals; 0 for none (every loss then counts).
    seed : int
        Of the samples.
    margins_of : tuple of str, optional
        Names of the margins; default all of ``MARGINS``.

    Returns
    -------
    ComparisonResult
        A margin has regressed where it is worse by the stated numbers and in most samples, and better in none: the
        whole interval of the change lies on the bad side.

    Raises
    ------
    ModelError
        An invalid architecture or an unknown margin.

    Notes
    -----
    What is not known about the numbers is the same on both sides: the service times of base and head are multiplied by
    the same log-normal factors per component (common random numbers), so that the interval is that of the difference,
    not of either value.

    Examples
    --------
    >>> import fea_arch as fa
    >>> base = fa.load_sample("chain", n=2)
    >>> result = fa.compare(base, base.replaced("s1", service_time_s=0.015), samples=4)
    >>> result.regressed, [str(c) for c in result.changes]
    (True, ['s1.service_time_s: 0.01 -> 0.015'])
    """
    names = tuple(MARGINS) if margins_of is None else tuple(margins_of)
    for name in names:
        if name not in MARGINS:
            raise ModelError(f"no margin {name!r}", field="margins_of", fix=f"some of {', '.join(MARGINS)}")
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 0:
        raise ModelError(f"is {samples!r}", field="samples", fix="a whole number of 0 or more")
    for arch in (base, head):
        require_valid(arch)
    changes = differences(base, head)
    before = margins(base, names)
    after = before if not changes else margins(head, names)
    moved = np.array([_moved(before[n], after[n]) for n in names])
    sign = np.array([MARGINS[n].sign for n in names])
    size = np.array([max(abs(before[n]), abs(after[n])) if math.isfinite(before[n] + after[n]) else 1.0 for n in names])
    rows = [moved]
    findings: list[str] = []
    for k in range(samples if changes else 0):
        try:
            pair = [margins(_shaken(arch, seed + k), names) for arch in (base, head)]
        except FeaArchError as error:
            findings.append(f"sample {k}: {error}")
            continue
        rows.append(np.array([_moved(pair[0][n], pair[1][n]) for n in names]))
    gain = sign * np.array(rows)
    near = LEAST * size
    # beyond doubt: the stated numbers and most samples say so, none says the opposite
    worse = (gain[0] < -near) & ((gain < -near).mean(axis=0) > 0.5) & (gain <= near).all(axis=0)
    better = (gain[0] > near) & ((gain > near).mean(axis=0) > 0.5) & (gain >= -near).all(axis=0)
    return ComparisonResult(
        base=base.name,
        head=head.name,
        changes=changes,
        margins=names,
        before=np.array([before[n] for n in names]),
        after=np.array([after[n] for n in names]),
        change=moved,
        low=np.array(rows).min(axis=0),
        high=np.array(rows).max(axis=0),
        verdicts=tuple("worse" if w else "better" if b else "same" for w, b in zip(worse.tolist(), better.tolist())),
        titles=tuple(MARGINS[n].title for n in names),
        units=tuple(MARGINS[n].unit for n in names),
        samples=samples,
        findings=tuple(findings),
    )


def _moved(before: float, after: float) -> float:
    if before == after or (math.isnan(before) and math.isnan(after)):
        return 0.0
    return after - before


def _shaken(arch: Architecture, seed: int) -> Architecture:
    """Return a copy with one draw of the service times; the draw of a component depends on its name only."""
    errors = relative_errors(arch)
    parts = []
    for c, error in zip(arch.components, errors.tolist()):
        draw = np.random.default_rng([seed, *c.name.encode()]).standard_normal()
        factor = math.exp(error * draw - 0.5 * error**2)
        cpu = None if c.cpu_s is None else c.cpu_s * factor
        parts.append(replace(c, service_time_s=c.service_time_s * factor, cpu_s=cpu))
    return replace(arch, components=parts)
