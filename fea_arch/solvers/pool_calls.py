"""The calls that a request makes inside a pool, followed down to the next pools."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.solvers.network import Array, Index, Network

__all__ = ["Graph", "follow"]

#: Stations of one subsystem beyond which the rest is not followed; as in the product form.
_LARGEST = 256


@dataclass(frozen=True, eq=False)
class Graph:
    """The sorted calls as plain lists, which loops in Python read faster."""

    network: Network
    ptr: list[int]
    target: list[int]
    followed: list[bool]
    calls: list[float]
    latency: list[float]

    @classmethod
    def of(cls, network: Network) -> Graph:
        """Copy the calls of a network."""
        followed = network.sync & (network.calls > 0)
        return cls(network, network.ptr.tolist(), network.target.tolist(), followed.tolist(), network.calls.tolist(),
                   network.latency.tolist())  # fmt: skip


def follow(
    graph: Graph, i: int, whole: Container[int]
) -> tuple[list[int], list[float], tuple[Index, Index, Array, Index], float]:
    """Follow the calls of a request depth first; stations, their visits, the steps and the network time."""
    ptr, target, followed, calls = graph.ptr, graph.target, graph.followed, graph.calls
    place: dict[int, int] = {}
    visits: list[float] = []
    edges: list[int] = []
    parents: list[int] = []
    sent: list[float] = []
    stations: list[int] = []
    latency = 0.0
    deepest = min(graph.network.n, 500) + 1
    stack = [(-1, 1.0, ptr[i], ptr[i + 1])]  # the step that led here, visits, calls still to follow
    while stack:
        step, visit, e, end = stack.pop()
        while e < end and not followed[e]:
            e += 1
        if e >= end or (step >= 0 and len(place) >= _LARGEST):
            continue
        stack.append((step, visit, e + 1, end))
        if len(stack) > deepest + 1:
            raise ModelError("a cycle of synchronous calls has no product form", component=graph.network.names[i],
                             field="dependencies", fix="use the event simulation")  # fmt: skip
        j, inside = target[e], visit * calls[e]
        latency += inside * graph.latency[e]
        at = place.get(j)
        if at is None:
            at = place[j] = len(visits)
            visits.append(0.0)
        visits[at] += inside
        edges.append(e)
        parents.append(step)
        sent.append(visit)
        stations.append(at + 1)
        if j not in whole:
            stack.append((len(edges) - 1, inside, ptr[j], ptr[j + 1]))
    steps = (np.array(edges, np.int64), np.array(parents, np.int64), np.array(sent), np.array(stations, np.int64))
    return list(place), visits, steps, latency
