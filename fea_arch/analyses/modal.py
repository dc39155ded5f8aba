"""Modal analysis: which components swing together, how fast, how damped, and whether the system is stable."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.analyses.operating_point import static_state
from fea_arch.architecture import Architecture, require_valid
from fea_arch.errors import ModelError, suggestion
from fea_arch.results.modal import ModalResult
from fea_arch.solvers.fluid import fluid_model
from fea_arch.solvers.network import Network
from fea_arch.solvers.open_modes import linearise, open_modes
from fea_arch.solvers.statics import NetworkState

__all__ = ["modal"]

Array = NDArray[np.float64]

COUPLINGS = ("backpressure", "open")
DENSE = 300


def modal(
    arch: Architecture,
    modes: int = 10,
    load_factor: float = 1.0,
    coupling: str = "backpressure",
    *,
    lag: str = "full",
) -> ModalResult:
    """Compute natural modes at an operating point.

    Parameters
    ----------
    arch : Architecture
    modes : int
        Number of modes: the lowest structural ones, or the open ones that decay slowest.
    load_factor : float
        Multiple of the design load at which stiffness is taken [1].
    coupling : {"backpressure", "open"}
        Structural modes (bounded queues, flow control: ``K phi = omega^2 M phi``) or modes of the directed flow.
    lag : {"full", "none"}
        Whether capacity follows with the warm-up time. Structural modes need it: it is their mass.

    Returns
    -------
    ModalResult
        ``stable=False`` is a result, not an error.

    Raises
    ------
    ModelError
        No load, no component with a warm-up time (structural modes), a senseless number of modes.
    UnstableLoadError
        If there is no equilibrium at this load.

    Notes
    -----
    ``K = A^T G A`` with the tangents ``G = dq/dN`` of the laws, ``M = diag(tau)``, damping 1 per request
    (conservation). Components without warm-up have no mass and are condensed exactly (Guyan 1965). Open modes are the
    eigenvalues of ``[[0, -A^T], [T^-1 G, -T^-1]]`` with holding and retries in the operator.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.Architecture(name="one", components=[fa.Component("a", service_time_s=0.01, cold_start_s=0.04)],
    ...                        loads=[fa.Load("a", rate_per_s=1e-6)])
    >>> result = fa.modal(arch, modes=1)          # 1 / (2 pi sqrt(S tau)), damping sqrt(S / tau) / 2
    >>> round(float(result.frequencies_hz[0]), 3), round(float(result.damping_ratios[0]), 3)
    (7.958, 0.25)
    """
    require_valid(arch)
    if isinstance(modes, bool) or not isinstance(modes, (int, np.integer)) or modes < 1:
        raise ModelError(f"is {modes!r}", field="modes", fix="a whole number of at least 1")
    for name, value, known in (("coupling", coupling, COUPLINGS), ("lag", lag, ("full", "none"))):
        if value not in known:
            raise ModelError(
                f"is {value!r}.{suggestion(str(value), known)}", field=name, fix=f"one of {', '.join(known)}"
            )
    if not (isinstance(load_factor, (int, float, np.number)) and 0.0 <= float(load_factor) < math.inf):
        raise ModelError(f"is {load_factor!r}", field="load_factor", fix="a finite number of 0 or more")
    network, base = static_state(arch, float(load_factor))
    if coupling == "open":
        return _open(arch, network, base, int(modes), float(load_factor), lag)
    if lag == "none":
        raise ModelError("structural modes need a mass", field="lag", fix='lag="full", or coupling="open"')
    return _structural(arch, network, base, int(modes), float(load_factor))


def _structural(arch: Architecture, network: Network, base: NetworkState, modes: int, factor: float) -> ModalResult:
    from scipy import sparse

    from fea_arch.meshing.architecture_mesh import mesh as mesh_of

    hold = np.where(base.hold > 0.0, base.hold, network.service)
    mesh = mesh_of(arch, hold_s=hold)
    flow = (base.arrivals * base.admitted / network.replicas)[mesh.element_component]
    tangent = np.empty(mesh.n_elements)
    for block in mesh.blocks:
        number = block.law.elongation(flow[block.elements])
        tangent[block.elements] = block.law.tangent(np.where(np.isfinite(number), number, 1e12))
    mass = np.asarray(mesh.mass, float)
    if not mass.max(initial=0.0) > 0.0:
        raise ModelError(
            "no component has a warm-up time, so nothing has a mass", field="cold_start_s",
            fix='measure cold_start_s or memory_bytes, or use coupling="open"',
        )
    rows = mesh.incidence
    K = sparse.csr_array(rows.T @ sparse.diags_array(tangent) @ rows)
    heavy, light = np.flatnonzero(mass > 0.0), np.flatnonzero(mass <= 0.0)
    values, vectors, residuals, complete, method = _lowest(K, mass, heavy, light, modes)
    scale = float((K.diagonal()[heavy] / mass[heavy]).max())
    rigid = values <= 1e-13 * scale
    omega = np.sqrt(np.maximum(np.where(rigid, 0.0, values), 0.0))
    own = (vectors * vectors).sum(axis=0) / (vectors * vectors * mass[:, None]).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        zeta = np.where(omega > 0.0, own / (2.0 * omega), math.inf)
        swing = np.sqrt(np.maximum((own / 2.0) ** 2 - omega**2, 0.0))
        over = np.where(zeta > 1.0, omega**2 / (own / 2.0 + swing), own / 2.0)
        drain = np.where(over > 0.0, 1.0 / over, math.inf)
    ring = omega * np.sqrt(np.maximum(1.0 - np.minimum(zeta, 1.0) ** 2, 0.0)) / (2.0 * math.pi)
    shapes = vectors / vectors[np.argmax(np.abs(vectors), axis=0), np.arange(vectors.shape[1])]
    growth = np.where(values < -1e-13 * scale, np.sqrt(np.abs(values)), -over)
    negative = bool((values < -1e-10 * scale).any())
    return ModalResult(
        components=tuple(arch.names),
        frequencies_hz=omega / (2.0 * math.pi),
        ringing_hz=ring,
        damping_ratios=zeta,
        drain_times_s=drain,
        growth_per_s=growth,
        shapes=shapes,
        phases_rad=np.where(shapes < 0.0, math.pi, 0.0),
        participation=np.asarray((vectors * mass[:, None]).sum(axis=0)),
        mass_s=mass,
        stiffness_per_s=np.bincount(mesh.element_component, tangent, network.n).astype(np.float64),
        rigid=rigid,
        stable=not negative,
        stability_margin_per_s=float(-growth.max()),
        instability="divergence" if negative else "",
        drivers=_largest(arch.names, np.abs(shapes[:, 0]) * (mass * np.abs(shapes[:, 0]) + 1e-300)),
        dependency_drivers=(),
        groups=_groups(arch, shapes[:, : min(5, shapes.shape[1])]),
        residuals=residuals,
        coupling="backpressure",
        load_factor=factor,
        method=method,
        complete=complete,
        condensed=tuple(arch.names[i] for i in light.tolist()),
    )


def _lowest(K: Any, mass: Array, heavy: Any, light: Any, modes: int) -> tuple[Array, Array, Array, bool | None, str]:
    """Solve ``K phi = omega^2 M phi`` with massless nodes condensed; shapes cover all nodes, ``phi^T M phi = 1``."""
    n, keep = mass.size, min(modes, heavy.size)
    if n <= DENSE:
        full = K.toarray()
        reduced = full[np.ix_(heavy, heavy)]
        follow = np.zeros((light.size, heavy.size))
        if light.size:
            follow = -np.linalg.solve(full[np.ix_(light, light)], full[np.ix_(light, heavy)])
            reduced = reduced + full[np.ix_(heavy, light)] @ follow
        root = np.sqrt(mass[heavy])
        scaled = reduced / root[:, None] / root[None, :]
        values, inner = np.linalg.eigh(0.5 * (scaled + scaled.T))
        values, inner = values[:keep], inner[:, :keep] / root[:, None]
        vectors = np.zeros((n, keep))
        vectors[heavy] = inner
        vectors[light] = follow @ inner
        force = full @ vectors
        complete: bool | None = True
        method = "dense"
    else:
        from scipy import sparse

        from fea_arch.solvers.eigen import lowest_modes

        found = lowest_modes(K, sparse.csr_array(sparse.diags_array(mass)), keep, rigid=np.empty((n, 0)))
        values, vectors = found.values, found.vectors
        force = K @ vectors
        complete = None if found.sturm_count < 0 else found.sturm_count == found.expected_count
        method = found.method
    inertia = vectors * mass[:, None] * values
    size = np.linalg.norm(force, axis=0) + np.linalg.norm(inertia, axis=0)
    return values, vectors, np.linalg.norm(force - inertia, axis=0) / np.maximum(size, 1e-300), complete, method


def _open(arch: Architecture, network: Network, base: NetworkState, modes: int, factor: float, lag: str) -> ModalResult:
    model = fluid_model(network, base)
    tau = model.lag if lag == "full" else np.zeros(network.n)
    linear = linearise(model, base, tau)
    found = open_modes(linear.operator, min(modes, linear.operator.shape[0]))
    s, n = found.values, network.n
    with np.errstate(divide="ignore", invalid="ignore"):
        drain = np.where(s.real < 0.0, -1.0 / s.real, math.inf)
        zeta = np.where(np.abs(s) > 0.0, -s.real / np.abs(s), 0.0)
    shapes, phases = np.empty((n, s.size)), np.empty((n, s.size))
    for k in range(s.size):
        v = found.right[:n, k]
        top = v[int(np.argmax(np.abs(v)))]
        v = v / top if abs(top) > 0 else v
        shapes[:, k], phases[:, k] = v.real, np.angle(v)
    inlet = np.concatenate([network.external, np.zeros(linear.lagging.size)])
    left, right = found.left, found.right
    overlap = np.einsum("ij,ij->j", left, right)
    overlap = np.where(np.abs(overlap) > 1e-300, overlap, 1e-300)
    share = np.abs(np.einsum("ij,i->j", left, inlet) * np.linalg.norm(right, axis=0) / overlap)
    worst = int(np.argmax(s.real))
    part = np.abs(left[:, worst] * right[:, worst])
    weight = part[:n].copy()
    np.add.at(weight, linear.lagging, part[n:])
    flows = linear.flows @ right[:, worst]
    change = (
        left[network.target, worst] * flows[network.source] * base.calls * base.edge_attempts
        * base.admitted[network.target] / overlap[worst]
    ).real  # fmt: skip
    names = [f"{arch.names[a]}->{arch.names[b]}" for a, b in zip(network.source.tolist(), network.target.tolist())]
    top_calls = np.argsort(-np.abs(change), kind="stable")[:5]
    top_growth = float(s.real.max())
    unstable = s[s.real >= 0.0]
    kind = ""
    if unstable.size:  # a pair that crosses the axis swings up, a real eigenvalue grows without swinging
        kind = "flutter" if np.abs(unstable[0].imag) > 1e-9 * abs(unstable[0]) else "divergence"
    return ModalResult(
        components=tuple(arch.names),
        frequencies_hz=np.abs(s) / (2.0 * math.pi),
        ringing_hz=np.abs(s.imag) / (2.0 * math.pi),
        damping_ratios=zeta,
        drain_times_s=drain,
        growth_per_s=s.real.copy(),
        shapes=shapes,
        phases_rad=phases,
        participation=share / max(float(share.sum()), 1e-300),
        mass_s=tau.copy(),
        stiffness_per_s=linear.tangent.copy(),
        rigid=np.abs(s) < 1e-12,
        stable=not unstable.size,
        stability_margin_per_s=-top_growth,
        instability=kind,
        drivers=_largest(arch.names, weight),
        dependency_drivers=tuple(
            (names[int(e)], float(change[e])) for e in top_calls if abs(change[e]) > 1e-9 * max(abs(s[worst]), 1e-300)
        ),
        groups=_groups(arch, shapes[:, : min(5, s.size)]),
        residuals=found.residuals,
        coupling="open",
        load_factor=factor,
        method=found.method,
    )


def _largest(names: Any, weight: Array, count: int = 5) -> tuple[tuple[str, float], ...]:
    total = float(weight.sum())
    order = np.argsort(-weight, kind="stable")[:count]
    return tuple((names[int(i)], float(weight[i] / total)) for i in order if total > 0 and weight[i] > 1e-3 * total)


def _groups(arch: Architecture, shapes: Array) -> tuple[tuple[str, ...], ...]:
    """Join components that call each other and move alike (cosine above 0.9) in the lowest modes."""
    graph, n = arch.graph, len(arch)
    size = np.linalg.norm(shapes, axis=1)
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    threshold = 1e-3 * float(size.max(initial=0.0))
    a, b = graph.source, graph.target
    with np.errstate(divide="ignore", invalid="ignore"):
        alike = np.einsum("ij,ij->i", shapes[a], shapes[b]) / (size[a] * size[b])
    for e in np.flatnonzero((alike > 0.9) & (size[a] > threshold) & (size[b] > threshold)).tolist():
        parent[root(int(a[e]))] = root(int(b[e]))
    members: dict[int, list[str]] = {}
    for i in range(n):
        if size[i] > threshold:
            members.setdefault(root(i), []).append(arch.names[i])
    return tuple(tuple(g) for g in sorted(members.values(), key=len, reverse=True) if len(g) > 1)
