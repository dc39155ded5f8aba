"""Health of a platform of tools: what runs, which incident level that is and what to do about it.

The levels follow the operating rules of the platform the library was first made for: level 1 when too few MCP servers
run, level 2 when the architecture score is critical or a core part (the event bus, the memory layer) is down, level 3
when nothing runs at all. Level 0 is normal operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import ceil, isfinite
from typing import TYPE_CHECKING, Any

from fea_arch.errors import ModelError

if TYPE_CHECKING:
    from fea_arch.architecture.container import Architecture
    from fea_arch.architecture.measurement import Measurement

__all__ = ["CRITICAL_SCORE", "REQUIRED_MCP", "REQUIRED_SHARE", "Health", "health"]

#: MCP servers that must run on a platform of 17 or more.
REQUIRED_MCP = 15
#: Share of the configured MCP servers that must run on a smaller platform: the same 15 of 17 [1].
REQUIRED_SHARE = 15 / 17
#: Architecture score below which the platform is critical.
CRITICAL_SCORE = 50.0

#: Kinds whose loss is a level 2 incident, with the words for it.
_CORE = {"bus": "event bus", "memory": "memory layer"}
_NAMED = 10


@dataclass(frozen=True, slots=True)
class Health:
    """What runs, the incident level and the response.

    Parameters
    ----------
    mcp_running, mcp_total : int
        MCP servers that answer, and that are configured.
    cli_available, cli_total : int
        Command line tools that can be started, and that are configured.
    level : int
        Incident level: 0 none, 1 degraded, 2 major component failure, 3 complete failure.
    reasons : tuple of str
        Why the level is what it is.
    steps : tuple of str
        What to do at this level, in order.
    down : tuple of str
        Components that do not answer.
    """

    mcp_running: int
    mcp_total: int
    cli_available: int
    cli_total: int
    level: int
    reasons: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    down: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the health check as lines of text, the two counts first."""
        out = [
            f"MCP Servers: {self.mcp_running}/{self.mcp_total} running",
            f"CLI Tools: {self.cli_available}/{self.cli_total} available",
            f"Incident level: {self.level}{'' if self.level else ' (none)'}",
        ]
        out += [f"  because {reason}" for reason in self.reasons]
        out += [f"  {i}. {step}" for i, step in enumerate(self.steps, 1)]
        return out

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def health(
    arch: Architecture,
    measurements: Mapping[str, Measurement] | Iterable[Measurement] | None = None,
    score: float | None = None,
    *,
    required_mcp: int | None = None,
    required_share: float | None = None,
) -> Health:
    """Count what runs and derive the incident level.

    Parameters
    ----------
    arch : Architecture
        Components of kind ``mcp`` and ``cli`` are counted; ``bus`` and ``memory`` (and a component named after Cipher)
        are the core.
    measurements : mapping or iterable of Measurement, optional
        Live probes; where there is none the component's ``available`` flag counts.
    score : float, optional
        Architecture score, 0 to 100.
    required_mcp : int, optional
        MCP servers that must run; default 15, or fewer on a platform of fewer than 17.
    required_share : float, optional
        Share of the configured MCP servers that must run [1], instead of a number.

    Returns
    -------
    Health

    Raises
    ------
    ModelError
        If a share lies outside 0 to 1, a count is negative or the score is not a number.

    Examples
    --------
    >>> from fea_arch.architecture import Architecture, Component
    >>> arch = Architecture(name="tools", components=[Component("time", kind="mcp"), Component("git", kind="cli")])
    >>> print(*health(arch).lines()[:2], sep="\\n")
    MCP Servers: 1/1 running
    CLI Tools: 1/1 available
    """
    if required_share is not None and not 0 <= required_share <= 1:
        raise ModelError(f"is {required_share:g}", field="required_share", fix="a share between 0 and 1")
    if required_mcp is not None and required_mcp < 0:
        raise ModelError(f"is {required_mcp}", field="required_mcp", fix="a count of 0 or more")
    if score is not None and not isfinite(score):
        raise ModelError(f"is {score!r}", field="score", fix="a number between 0 and 100")
    running = _running(arch, measurements)
    kinds = dict(zip(arch.names, map(str, arch.component_columns.column("kind"))))
    mcp = [name for name, kind in kinds.items() if kind == "mcp"]
    cli = [name for name, kind in kinds.items() if kind == "cli"]
    up, present = sum(running[n] for n in mcp), sum(running[n] for n in cli)
    needed = _needed(len(mcp), required_mcp, required_share)

    core_down = [f"{_CORE.get(kinds[n], 'core')} {n!r} is down" for n in kinds if _core(n, kinds[n]) and not running[n]]
    critical = score is not None and score < CRITICAL_SCORE
    counted = [*mcp, *cli] or list(kinds)
    if counted and not any(running[n] for n in counted):
        level, reasons = 3, ["nothing runs: no MCP server answers and no tool is available"]
    elif core_down or critical:
        level, reasons = 2, list(core_down)
        if critical:
            reasons.append(f"the architecture score {score:.1f} is below {CRITICAL_SCORE:g}")
    elif up < needed:
        level, reasons = 1, []
    else:
        level, reasons = 0, []
    if up < needed and level < 3:
        reasons.append(f"{up} of {len(mcp)} MCP servers run, {needed} are required")
    down = tuple(name for name in kinds if not running[name])
    return Health(up, len(mcp), present, len(cli), level, tuple(reasons), _steps(level, down, kinds), down)


def _running(arch: Architecture, measurements: Any) -> dict[str, bool]:
    running = dict(zip(arch.names, map(bool, arch.component_columns.column("available"))))
    if measurements is not None:
        rows = measurements.items() if isinstance(measurements, Mapping) else ((m.component, m) for m in measurements)
        for name, measurement in rows:
            if name in running:
                running[name] = bool(measurement.ok)
    return running


def _core(name: str, kind: str) -> bool:
    return kind in _CORE or (kind == "mcp" and "cipher" in name.lower())


def _needed(total: int, number: int | None, share: float | None) -> int:
    if number is not None:
        return number
    if share is not None:
        return ceil(share * total - 1e-9)
    return min(REQUIRED_MCP, ceil(REQUIRED_SHARE * total - 1e-9))


def _named(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more


def _steps(level: int, down: tuple[str, ...], kinds: Mapping[str, str]) -> tuple[str, ...]:
    if level == 0:
        return ()
    if level == 1:
        servers = _named(n for n in down if kinds[n] == "mcp")
        return (
            f"Find out why these MCP servers do not answer: {servers or 'compare with the expected list'}.",
            "Restart them.",
            "Verify with: fea-arch check",
            "Resolve within 1 hour.",
        )
    if level == 2:
        core = _named(n for n in down if _core(n, kinds[n]))
        return (
            "Diagnose with: fea-arch static",
            f"Restart the core services: {core or 'those that the analysis names'}.",
            "Validate the whole platform with: fea-arch comprehensive",
            "Escalate to the engineering team within 4 hours.",
        )
    return (
        "Stop and start the whole platform.",
        "Restore the last backup if it does not come up.",
        "Validate the whole platform with: fea-arch comprehensive",
        "Respond within 30 minutes.",
    )
