"""Mesh an architecture: one node per hand-off point, one element per replica, levers for the calls.

Row ``a_e`` of replica ``e`` of component ``i``: ``+1`` at the ingress of ``i`` and ``-P_ij`` at the ingress of each
callee. Replicas share an ingress: parallel springs. With ``refine = n`` a replica is a series of ``n`` elements: the
first carries the waiting and ``S/n`` of the service, the others are delay elements of ``S/n``; that is the waiting
element in series with an Erlang-``n`` service whose stiff part has been condensed. Only the last hands over to callees.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.architecture import Architecture, Component
from fea_arch.architecture.component import PAGE_IN_BYTES_PER_S
from fea_arch.errors import ModelError
from fea_arch.laws.base import Array, Law
from fea_arch.laws.birth_death import BirthDeath
from fea_arch.laws.linear import Linear
from fea_arch.laws.mmc import MMC
from fea_arch.laws.station import state_rates
from fea_arch.meshing.mesh import Block, Mesh

__all__ = ["mesh"]


def mesh(arch: Architecture, refine: int = 1, *, hold_s: Array | None = None) -> Mesh:
    """Mesh an architecture.

    Parameters
    ----------
    arch : Architecture
    refine : int
        Elements in series per replica, at least 1; matters for travel times, not for statics.
    hold_s : (n_components,) float64, optional
        Time a server is held per request [s]; default the own service time. Statics supplies the holding time of
        blocking components.

    Returns
    -------
    Mesh

    Raises
    ------
    ModelError
        If ``refine`` is not a positive whole number or there is nothing to mesh.

    Examples
    --------
    >>> import fea_arch as fa
    >>> m = mesh(fa.load_sample("chain"))
    >>> m.n_nodes == m.n_elements
    True
    """
    if not isinstance(refine, (int, np.integer)) or isinstance(refine, bool) or refine < 1:
        raise ModelError(f"is {refine!r}", field="refine", fix="a whole number of at least 1")
    columns, graph, n = arch.component_columns, arch.graph, len(arch)
    if n == 0:
        raise ModelError("the architecture has no components", field="components", fix="add a component")
    replicas = np.asarray(columns.column("replicas"), np.int64)
    component = np.repeat(np.arange(n), replicas)
    units = component.size
    total = units * refine
    inner = units * (refine - 1)  # nodes between the elements of a series
    heads = np.arange(units) * refine
    order = np.argsort(graph.source, kind="stable")
    live = order[graph.calls[order] > 0]
    degree = np.bincount(graph.source[live], minlength=n)
    first = np.concatenate([[0], np.cumsum(degree)])
    callees, ratios = graph.target[live], graph.calls[live]
    # row lengths: the last element of a series has the callees, the others the next inner node
    last = heads + refine - 1
    length = np.full(total, 2, np.int64)
    length[last] = 1 + degree[component]
    indptr = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    indices, data = np.empty(indptr[-1], np.int64), np.empty(indptr[-1])
    ingress = np.empty(total, np.int64)
    ingress[heads] = component
    for k in range(1, refine):
        ingress[heads + k] = n + np.arange(units) * (refine - 1) + (k - 1)
        indices[indptr[heads + k - 1] + 1] = ingress[heads + k]
        data[indptr[heads + k - 1] + 1] = -1.0
    indices[indptr[:-1]] = ingress
    data[indptr[:-1]] = 1.0
    reach = degree[component]
    if reach.sum():
        offset = np.arange(reach.sum()) - np.repeat(np.cumsum(reach) - reach, reach)
        where = np.repeat(indptr[last] + 1, reach) + offset
        which = np.repeat(first[component], reach) + offset
        indices[where], data[where] = callees[which], -ratios[which]
    own_loops = np.flatnonzero(np.isin(graph.source, np.unique(graph.source[graph.source == graph.target])))
    blocks = _blocks(arch, component, heads, refine, hold_s)
    warm = np.asarray(columns.column("cold_start_s"))
    resident = np.nan_to_num(np.asarray(columns.column("memory_bytes")))
    tau = np.where(np.isnan(warm), resident / PAGE_IN_BYTES_PER_S, warm)
    mass = np.concatenate([tau, np.repeat(tau[component] / refine, refine - 1)]) if inner else tau.copy()
    names = arch.names
    labels: list[str] = []
    if total <= 1_000_000:
        for unit, i in enumerate(component.tolist()):
            base = names[i] if replicas[i] == 1 else f"{names[i]}#{unit - int(np.searchsorted(component, i)) + 1}"
            labels += [base] if refine == 1 else [f"{base}/{k + 1}" for k in range(refine)]
    result = Mesh(
        n_nodes=n + inner,
        indptr=indptr,
        indices=indices,
        data=data,
        blocks=blocks,
        mass=mass,
        damping=np.zeros(total),
        supports=np.empty(0, np.int64),
        strength=_capacity(blocks, total),
        element_names=tuple(labels),
        node_names=tuple(names) if not inner else (),
        ingress=ingress,
        element_component=np.repeat(component, refine),
        refine=int(refine),
        meta={"self_calls": int(own_loops.size), "load_per_s": graph.rate_per_s},
    )
    return _merged(result) if own_loops.size else result


def _merged(raw: Mesh) -> Mesh:
    """Add up entries of a row that meet the same node (a component that calls itself)."""
    from dataclasses import replace

    rows = raw.incidence.copy()
    rows.sum_duplicates()
    return replace(raw, indptr=rows.indptr.astype(np.int64), indices=rows.indices.astype(np.int64), data=rows.data)


def _capacity(blocks: tuple[Block, ...], total: int) -> Array:
    strength = np.full(total, np.inf)
    for block in blocks:
        strength[block.elements] = block.law.capacity()
    return strength


def _blocks(arch: Architecture, component: Any, heads: Any, refine: int, hold_s: Array | None) -> tuple[Block, ...]:
    columns = arch.component_columns
    hold = np.asarray(columns.column("service_time_s") if hold_s is None else hold_s, float)
    servers = np.asarray(columns.column("servers"), np.int64)
    scv = np.asarray(columns.column("service_scv"), float)
    law = columns.column("law")
    bounded = np.asarray(columns.column("queue_capacity")) >= 0
    kind = np.zeros(len(arch), np.int64)  # 0 mmc, 1 delay, 2 chain
    if "law" in columns.data:
        kind[law == "delay"] = 1
        kind[np.isin(law.astype(str), ["usl", "tabulated", "memory"])] = 2
    kind[bounded & (kind == 0)] = 2
    blocks: list[Block] = []
    series = refine - 1

    def add(elements: Any, one: Law) -> None:
        if elements.size:
            blocks.append(Block(np.ascontiguousarray(elements, np.int64), one))

    units = np.flatnonzero(kind[component] == 0)
    i = component[units]
    waiting = MMC(hold[i], servers[i], (1.0 + scv[i]) / 2.0)
    if refine == 1:
        add(heads[units], waiting)
    else:
        add(heads[units], _Shortened(waiting, series / refine))
    units = np.flatnonzero(kind[component] == 1)
    add(heads[units], Linear(refine / hold[component[units]]))
    units = np.flatnonzero(kind[component] == 2)
    if units.size:
        tables, places, names = [], [], []
        for i in component[units].tolist():
            item: Component = arch.components[i]
            rates, room = state_rates(item)
            tables.append(rates * (item.service_time_s / hold[i]))
            limit = item.queue_capacity if item.queue_capacity is not None else (-1 if room is None else room)
            places.append(limit)
            names.append(item.law if item.law != "mmc" else "bounded")
        chain = BirthDeath(tables, places, name=names[0] if len(set(names)) == 1 else "bounded")
        add(heads[units], chain if refine == 1 else _Shortened(chain, series / refine))
    if series:
        rest = (heads[:, None] + np.arange(1, refine)[None, :]).ravel()
        add(rest, Linear(refine / np.repeat(hold[component], series)))
    return tuple(blocks)


class _Shortened:
    """A station law without a share of its service time, which delay elements in series carry instead."""

    name = "waiting"

    def __init__(self, whole: MMC | BirthDeath, share: float) -> None:
        self.whole, self.share = whole, share

    def size(self) -> int:
        """Return the number of elements."""
        return self.whole.size()

    def take(self, index: Any) -> _Shortened:
        """Return the law of a subset."""
        return _Shortened(self.whole.take(index), self.share)

    def elongation(self, force: Array) -> Array:
        """Return what the whole station holds less the delay part [req]."""
        return self.whole.elongation(force) - self.share * force / self.whole.stiffness()

    def force(self, elongation: Array) -> Array:
        """Return the throughput at elongation ``e`` of the waiting part [1/s], by Newton on the whole station."""
        e = np.asarray(elongation, float)
        k = self.whole.stiffness()
        number = e / max(1.0 - self.share, 1e-12)
        for _ in range(80):
            q, slope = self.whole.force(number), self.whole.tangent(number)
            step = (number - self.share * q / k - e) / (1.0 - self.share * slope / k)
            number = np.maximum(number - step, np.minimum(e, 0.5 * number) if np.all(e >= 0) else number - step)
            if np.all(np.abs(step) <= 1e-14 * np.maximum(np.abs(number), 1e-300)):
                break
        return self.whole.force(number)

    def tangent(self, elongation: Array) -> Array:
        """Return ``dq/de`` [1/s]."""
        q = self.force(elongation)
        number = np.asarray(elongation, float) + self.share * q / self.whole.stiffness()
        return 1.0 / (1.0 / self.whole.tangent(number) - self.share / self.whole.stiffness())

    def energy(self, elongation: Array) -> Array:
        """Return the stored energy."""
        from fea_arch.laws.quadrature import work_of

        return work_of(self.force, np.asarray(elongation, float))

    def capacity(self) -> Array:
        """Return the capacity of the whole station [1/s]."""
        return self.whole.capacity()

    def stiffness(self) -> Array:
        """Return the zero-load stiffness of the waiting part [1/s]."""
        return self.whole.stiffness() / (1.0 - self.share)
