"""Periodic loads and bursts: frequency response, resonance with known periods, burst spectrum."""

from __future__ import annotations

import math
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fea_arch.analyses.frequency_response import frequency_response
from fea_arch.analyses.operating_point import static_state
from fea_arch.analyses.transient import transient
from fea_arch.architecture import Architecture, require_valid
from fea_arch.architecture.loads import Burst
from fea_arch.errors import ModelError, suggestion
from fea_arch.meshing.mesh import Mesh
from fea_arch.results.frequency_response import FrequencyResponse
from fea_arch.results.harmonic import BurstSpectrum, HarmonicResult
from fea_arch.solvers.fluid import fluid_model
from fea_arch.solvers.open_modes import linearise, open_modes

__all__ = ["burst_spectrum", "harmonic"]

Array = NDArray[np.float64]

#: Amplification above which a period near a ringing mode counts as resonance [1].
RESONANT = 1.25
#: Relative distance of a period's frequency from a ringing frequency that counts as near [1].
NEAR = 0.25


def _positive(field: str, values: ArrayLike) -> Array:
    try:
        found = np.atleast_1d(np.asarray(values, float))
    except (TypeError, ValueError) as error:
        raise ModelError("must be numbers", field=field) from error
    if found.ndim != 1 or not found.size or not np.isfinite(found).all() or (found <= 0.0).any():
        raise ModelError(f"is {values!r:.60}", field=field, fix="positive finite numbers, at least one")
    return found


@overload
def harmonic(
    arch: Architecture,
    frequencies_hz: ArrayLike | None = None,
    at: str | None = None,
    *,
    load_factor: float = 1.0,
    lag: str = "full",
) -> HarmonicResult: ...
@overload
def harmonic(arch: Mesh, frequencies_hz: ArrayLike, at: ArrayLike) -> FrequencyResponse: ...
def harmonic(
    arch: Architecture | Mesh,
    frequencies_hz: ArrayLike | None = None,
    at: Any = None,
    *,
    load_factor: float = 1.0,
    lag: str = "full",
) -> HarmonicResult | FrequencyResponse:
    """Compute the frequency response to a periodic load around the operating point.

    A directly given structure goes to :func:`fea_arch.analyses.frequency_response.frequency_response`, with ``at`` a
    node or nodal amplitudes.

    Parameters
    ----------
    arch : Architecture or Mesh
    frequencies_hz : array_like, optional
        Frequencies [1/s]; default 200 from a hundredth of the slowest to ten times the fastest of ten modes.
    at : str, optional
        Inlet; default all entries in proportion to their design load.
    load_factor : float
        Operating point [1].
    lag : {"full", "none"}
        Whether capacity follows with the warm-up time.

    Returns
    -------
    HarmonicResult
        ``FrequencyResponse`` for a mesh.

    Raises
    ------
    ModelError
        Senseless frequencies, unknown inlet, no load.
    UnstableLoadError
        If there is no equilibrium at this load.

    Notes
    -----
    ``x(omega) = (i omega I - A)^-1 b`` with the operator of the open modes; valid for small amplitudes. For one station
    ``N / f = (1 + i omega tau) / (1/S - omega^2 tau + i omega)``.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.load_sample("chain", n=1)
    >>> result = fa.harmonic(arch, [1e-6])
    >>> round(float(result.gain[0, 0]), 4)        # dN/dq = mu / (mu - lambda)^2
    0.04
    """
    if isinstance(arch, Mesh):
        if frequencies_hz is None or at is None:
            raise ModelError("a structure needs frequencies and a load", field="at", fix="a node or nodal amplitudes")
        return frequency_response(arch, frequencies_hz, at)
    require_valid(arch)
    if lag not in ("full", "none"):
        raise ModelError(f"is {lag!r}", field="lag", fix="full or none")
    network, base = static_state(arch, load_factor)
    model = fluid_model(network, base)
    linear = linearise(model, base, model.lag if lag == "full" else np.zeros(network.n))
    size, n = linear.operator.shape[0], network.n
    found = open_modes(linear.operator, min(10, size))
    if at is not None:
        if at not in arch.index:
            raise ModelError(f"no component of this name.{suggestion(at, arch.names)}", component=at, field="at")
        inlet = np.zeros(n)
        inlet[arch.index[at]] = 1.0
    else:
        inlet = network.external / max(float(network.external.sum()), 1e-300)
        if not inlet.any():
            for load in arch.loads:
                inlet[arch.index[load.entry]] = 1.0 / len(arch.loads)
    if frequencies_hz is None:
        own = np.abs(found.values) / (2.0 * math.pi)
        own = own[own > 0.0] if (own > 0.0).any() else np.ones(1)
        frequencies = np.geomspace(0.01 * own.min(), 10.0 * own.max(), 200)
    else:
        frequencies = _positive("frequencies_hz", frequencies_hz)
    drive = np.concatenate([inlet, np.zeros(size - n)])
    response, flow = _respond(linear.operator, linear.flows, drive, frequencies, n)
    slow = 1e-6 * min(float(np.abs(found.values).min()), 1.0)
    rest = np.abs(_respond(linear.operator, linear.flows, drive, np.array([max(slow, 1e-12)]), n)[0][0])
    gain = np.abs(response)
    top = np.argmax(gain, axis=0)
    peak = gain[top, np.arange(n)]
    with np.errstate(divide="ignore", invalid="ignore"):
        amplification = np.where(rest > 0.0, peak / rest, 0.0)
    return HarmonicResult(
        components=tuple(arch.names),
        frequencies_hz=frequencies,
        gain=gain,
        phase_rad=np.angle(response),
        flow_gain=np.abs(flow),
        static_gain=rest,
        amplification=amplification,
        peak_hz=frequencies[top],
        at=at or "",
        load_factor=float(load_factor),
        periods=_periods(arch, linear, found.values, n, size, network.external),
    )


def _respond(operator: Any, flows: Any, drive: Array, frequencies: Array, n: int) -> tuple[Any, Any]:
    size = operator.shape[0]
    out = np.empty((frequencies.size, size), complex)
    if size <= 600:
        values, right = np.linalg.eig(operator.toarray())
        use = np.linalg.cond(right) < 1e10
        if use:
            part = np.linalg.solve(right, drive.astype(complex))
            out = ((part / (2j * math.pi * frequencies[:, None] - values)) @ right.T).astype(complex)
        else:
            dense, eye = operator.toarray(), np.eye(size)
            for k, f in enumerate(frequencies):
                out[k] = np.linalg.solve(2j * math.pi * f * eye - dense, drive)
    else:
        from scipy.sparse import csc_array, eye_array
        from scipy.sparse.linalg import splu

        unit = eye_array(size)
        for k, f in enumerate(frequencies):
            out[k] = splu(csc_array(2j * math.pi * f * unit - operator)).solve(drive.astype(complex))
    return out[:, :n], (flows @ out.T).T


def _periods(
    arch: Architecture, linear: Any, values: Any, n: int, size: int, external: Array
) -> tuple[dict[str, Any], ...]:
    """Compare the known periods of an architecture with its ringing modes, at the place where they act."""
    rows = []
    ringing = np.abs(values.imag) / (2.0 * math.pi)
    for period in arch.periods:
        inlet = np.zeros(size)
        if period.at is not None:
            inlet[arch.index[period.at]] = 1.0
        else:
            inlet[:n] = external / max(float(external.sum()), 1e-300)
        f = 1.0 / period.period_s
        both = _respond(linear.operator, linear.flows, inlet, np.array([1e-6 * f, f]), n)[0]
        low, high = np.abs(both)
        reached = low > 1e-3 * low.max(initial=0.0)
        ratio = np.where(reached, high / np.where(reached, low, 1.0), 0.0)
        i = int(np.argmax(ratio))
        near = [k for k, r in enumerate(ringing) if r > 0.0 and abs(f - r) <= NEAR * r]
        rows.append(
            {
                "name": period.name,
                "kind": period.kind,
                "period_s": period.period_s,
                "frequency_hz": f,
                "amplification": float(ratio[i]),
                "component": arch.names[i],
                "near_hz": float(ringing[near[0]]) if near else None,
                "resonates": bool(near and ratio[i] >= RESONANT),
            }
        )
    return tuple(rows)


def burst_spectrum(
    arch: Architecture,
    durations_s: ArrayLike = (1.0, 3.0, 10.0, 30.0, 100.0),
    factors: ArrayLike = (2.0, 5.0, 10.0),
    *,
    window: float = 5.0,
    lag: str = "none",
    tolerance: float = 1e-2,
) -> BurstSpectrum:
    """Compute peak backlog and drain time over the duration and the height of a burst.

    Parameters
    ----------
    arch : Architecture
    durations_s : array_like
        Lengths of the burst [s].
    factors : array_like
        Heights: multiples of the design load [1].
    window : float
        Time that is followed after a burst, in multiples of its duration times its height, at least 30 s [1]; ten
        times as long where the burst has not drained by then.
    lag : {"none", "cold", "full"}
        As for :func:`fea_arch.transient`.
    tolerance : float
        Relative error of a time step [1].

    Returns
    -------
    BurstSpectrum

    Raises
    ------
    ModelError
        Senseless durations or heights, closed loads.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.load_sample("chain", n=1)      # 50/s on 100/s: five times for 10 s leaves 1500, drained in 30 s
    >>> found = fa.burst_spectrum(arch, [10.0], [5.0])
    >>> int(round(found.peak_backlog[0, 0], -1))
    1500
    """
    durations, heights = _positive("durations_s", durations_s), _positive("factors", factors)
    window = float(_positive("window", window)[0])
    shape = (heights.size, durations.size)
    peak, drain, share = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    worst = []
    for a, factor in enumerate(heights.tolist()):
        names = []
        for b, length in enumerate(durations.tolist()):
            load = Burst(factor=factor, start_s=1.0, duration_s=length)
            after = max(window * length * factor, 30.0)
            for wider in (1.0, 10.0):  # retries can stretch a drain far beyond the burst
                result = transient(arch, load, 1.0 + length + wider * after, lag=lag, tolerance=tolerance)
                if math.isfinite(result.total_drain_time_s):
                    break
            held = result.in_flight.sum(axis=1)
            peak[a, b] = float(held.max() - held[0])
            drain[a, b] = result.total_drain_time_s
            share[a, b] = result.within_objective_share
            names.append(result.worst)
        worst.append(tuple(names))
    return BurstSpectrum(durations, heights, peak, drain, share, tuple(worst))
