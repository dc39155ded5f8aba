"""Health of a live platform: probe everything quickly, count what answers, derive the incident level."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from fea_arch.architecture.health import Health, health
from fea_arch.probes.measure import measure

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.architecture.measurement import Measurement
    from fea_arch.probes.targets import Target

__all__ = ["check_health"]


def check_health(
    arch: Architecture,
    targets: Iterable[Target] | None = None,
    *,
    score: float | Callable[[Architecture], float | None] | None = None,
    required_mcp: int | None = None,
    required_share: float | None = None,
    workers: int = 4,
    start_timeout_s: float = 20.0,
    timeout_s: float = 5.0,
    on_result: Callable[[Measurement], None] | None = None,
) -> tuple[Health, Mapping[str, Measurement]]:
    """Probe a platform and return its health and the measurements behind it.

    Parameters
    ----------
    arch : Architecture
    targets : iterable of Target, optional
        As for :func:`fea_arch.probes.measure`.
    score : float or callable, optional
        Architecture score, 0 to 100, or what computes it from the measured architecture.
    required_mcp, required_share
        As for :func:`fea_arch.architecture.health.health`.
    workers : int
        Parts probed at the same time; a health check counts, it does not time.
    start_timeout_s, timeout_s : float
        Longest start and longest request [s].
    on_result : callable, optional
        Called with each measurement as it arrives.

    Returns
    -------
    Health, mapping of str to Measurement

    Raises
    ------
    ModelError, MissingExtraError
        As for :func:`fea_arch.probes.measure`.
    """
    found = measure(
        arch, targets, samples=1, workers=workers, start_timeout_s=start_timeout_s, timeout_s=timeout_s,
        on_result=on_result,
    )  # fmt: skip
    value = score(arch.measured(found)) if callable(score) else score
    return health(arch, found, value, required_mcp=required_mcp, required_share=required_share), found
