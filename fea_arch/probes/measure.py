"""Run all probes of an architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fea_arch.architecture.measurement import Measurement
from fea_arch.errors import ModelError, suggestion
from fea_arch.probes.cli import probe_cli
from fea_arch.probes.http import probe_http
from fea_arch.probes.kafka import probe_kafka
from fea_arch.probes.mcp import probe_mcp
from fea_arch.probes.targets import Target, targets_of

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture

__all__ = ["measure", "probe"]


def measure(
    arch: Architecture,
    targets: Iterable[Target] | None = None,
    *,
    samples: int = 10,
    workers: int = 1,
    start_timeout_s: float = 30.0,
    timeout_s: float = 10.0,
    round_trip: bool = False,
    on_result: Callable[[Measurement], None] | None = None,
) -> dict[str, Measurement]:
    """Probe every part of an architecture that can be probed.

    Parameters
    ----------
    arch : Architecture
    targets : iterable of Target, optional
        What to start or connect to; by default what follows from names and kinds (tools on the PATH, the event bus).
        Targets of components that the architecture does not have are refused.
    samples : int
        Measured requests for each part.
    workers : int
        Parts probed at the same time. With more than one they disturb each other's latencies: for health checks only.
    start_timeout_s, timeout_s : float
        Longest start and longest request [s].
    round_trip : bool
        Whether a message may be written to the event bus.
    on_result : callable, optional
        Called with each measurement as it arrives.

    Returns
    -------
    dict of str to Measurement
        By component; hand it to ``arch.measured``.

    Raises
    ------
    ModelError
        A target of an unknown component, two targets of one component, ``workers`` below 1.
    MissingExtraError
        A probe needs a package that is not installed.

    Examples
    --------
    >>> import sys
    >>> from fea_arch.architecture import Architecture, Component
    >>> arch = Architecture(name="tools", components=[Component("python", kind="cli")])
    >>> found = measure(arch, [Target("python", "cli", command=(sys.executable,))], samples=2)
    >>> arch.measured(found)["python"].provenance["service_time_s"].samples
    2
    """
    listed = list(targets_of(arch) if targets is None else targets)
    if workers < 1:
        raise ModelError(f"is {workers}", field="workers", fix="1 or more")
    names = [t.component for t in listed]
    for name in names:
        if name not in arch:
            raise ModelError(f"is to be probed but not described.{suggestion(name, arch.names)}", component=name)
        if names.count(name) > 1:
            raise ModelError("has two targets", component=name, fix="one for each component")

    def one(target: Target) -> Measurement:
        found = probe(
            target, samples=samples, start_timeout_s=start_timeout_s, timeout_s=timeout_s, round_trip=round_trip
        )
        if on_result is not None:
            on_result(found)
        return found

    if workers == 1:
        return {t.component: one(t) for t in listed}
    with ThreadPoolExecutor(min(workers, max(len(listed), 1))) as pool:
        return dict(zip(names, pool.map(one, listed)))


def probe(
    target: Target,
    *,
    samples: int = 10,
    start_timeout_s: float = 30.0,
    timeout_s: float = 10.0,
    round_trip: bool = False,
) -> Measurement:
    """Probe one target; an MCP server's bare address is tried at ``/mcp`` first and as plain HTTP last."""
    if target.kind == "cli":
        few = min(samples, 5)  # a start is slow: few are enough
        return probe_cli(target.component, target.command, env=target.env, samples=few, timeout_s=start_timeout_s)
    if target.kind == "kafka":
        return probe_kafka(
            target.component, target.brokers, samples=samples, timeout_s=timeout_s, round_trip=round_trip
        )
    if target.kind == "http":
        return probe_http(target.component, target.url, samples=samples, timeout_s=timeout_s, headers=target.headers)
    if target.kind != "mcp":
        raise ModelError(f"is {target.kind!r}", component=target.component, field="kind", fix="mcp, cli, http, kafka")
    limits: dict[str, Any] = {"samples": samples, "start_timeout_s": start_timeout_s, "timeout_s": timeout_s}
    if target.command:
        return probe_mcp(target.component, target.command, env=target.env, cwd=target.cwd, **limits)
    if target.url.count("/") > 2 and not target.url.endswith("/"):
        return probe_mcp(target.component, url=target.url, headers=target.headers, **limits)
    base = target.url.rstrip("/")
    spoken = probe_mcp(target.component, url=f"{base}/mcp", headers=target.headers, **limits)
    if spoken.ok or any("no connection" in e for e in spoken.errors):
        return spoken
    plain = probe_http(target.component, base, samples=samples, timeout_s=timeout_s, headers=target.headers)
    return replace(plain, details={**plain.details, "mcp": "; ".join(spoken.errors)[:200]})
