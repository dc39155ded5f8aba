"""Small models whose answers are known in closed form.

Stations are M/M/1 (one server, exponential service, Poisson arrivals) unless said otherwise. With arrival rate
``lambda`` and service rate ``mu = 1/S`` such a station holds a request for ``1/(mu - lambda)`` on average, and a
network of them behaves as if each stood alone (J. R. Jackson, Networks of waiting lines, Operations Research 5, 1957).
"""

from __future__ import annotations

from fea_arch.architecture import Architecture, Balancer, Component, Dependency, Load, Objective
from fea_arch.errors import ModelError

__all__ = ["balanced_pair", "chain", "ring", "shop", "star"]


def _sized(n: int, least: int) -> None:
    if isinstance(n, bool) or not isinstance(n, int) or n < least:
        raise ModelError(f"is {n!r}", field="n", fix=f"a whole number of at least {least}")


def chain(n: int = 3, service_time_s: float = 0.010, rate_per_s: float = 50.0) -> Architecture:
    """Return ``n`` stations in a row, each calling the next once: a bar in tension.

    Every station sees the same rate; the response at the head is ``n / (1/S - rate)``, the largest rate ``1/S``.

    Parameters
    ----------
    n : int
        Number of stations.
    service_time_s : float
        Mean service time of each [s].
    rate_per_s : float
        Arrivals at the head [1/s].

    Returns
    -------
    Architecture

    Examples
    --------
    >>> chain(n=4).names
    ['s1', 's2', 's3', 's4']
    """
    _sized(n, 1)
    return Architecture(
        name="chain",
        components=[Component(f"s{i + 1}", service_time_s=service_time_s, blocking=False) for i in range(n)],
        dependencies=[Dependency(f"s{i + 1}", f"s{i + 2}") for i in range(n - 1)],
        loads=[Load("s1", rate_per_s=rate_per_s)],
    )


def star(n: int = 5, service_time_s: float = 0.010, rate_per_s: float = 50.0) -> Architecture:
    """Return a hub that calls ``n`` leaves one after the other, ``1/n`` times each.

    A leaf sees ``rate / n``; the response at the hub is ``1/(mu - rate) + 1/(mu - rate/n)``; the hub saturates first.

    Parameters
    ----------
    n : int
        Number of leaves.
    service_time_s : float
        Mean service time of each station [s].
    rate_per_s : float
        Arrivals at the hub [1/s].

    Returns
    -------
    Architecture

    Examples
    --------
    >>> float(star(n=4).graph.calls.sum())
    1.0
    """
    _sized(n, 1)
    leaves = [f"leaf{i + 1}" for i in range(n)]
    return Architecture(
        name="star",
        components=[Component(name, service_time_s=service_time_s, blocking=False) for name in ("hub", *leaves)],
        dependencies=[Dependency("hub", leaf, calls=1.0 / n) for leaf in leaves],
        loads=[Load("hub", rate_per_s=rate_per_s)],
    )


def ring(n: int = 4, calls: float = 0.5, service_time_s: float = 0.010, rate_per_s: float = 20.0) -> Architecture:
    """Return ``n`` stations in a ring, each calling the next with probability ``calls``: a cycle.

    Station ``k`` (from 0) sees ``rate calls^k / (1 - calls^n)``.

    Parameters
    ----------
    n : int
        Number of stations.
    calls : float
        Calls of each station to the next, below 1 [1].
    service_time_s : float
        Mean service time of each station [s].
    rate_per_s : float
        Arrivals at the first station [1/s].

    Returns
    -------
    Architecture

    Examples
    --------
    >>> ring(n=3).graph.n_edges
    3
    """
    _sized(n, 2)
    if not 0 <= calls < 1:
        raise ModelError(f"is {calls!r}: the load of a ring never ends", field="calls", fix="at least 0 and below 1")
    return Architecture(
        name="ring",
        components=[Component(f"s{i + 1}", service_time_s=service_time_s, blocking=False) for i in range(n)],
        dependencies=[Dependency(f"s{i + 1}", f"s{(i + 1) % n + 1}", calls=calls) for i in range(n)],
        loads=[Load("s1", rate_per_s=rate_per_s)],
    )


def balanced_pair(
    policy: str = "least_outstanding", service_time_s: float = 0.010, rate_per_s: float = 100.0
) -> Architecture:
    """Return a gateway that spreads its calls over two equal workers: two parallel springs.

    Under round robin or random choice each worker sees half the rate; under least outstanding requests the pair is
    close to one station with two servers. The gateway is a pure delay of 1 ms.

    Parameters
    ----------
    policy : {"least_outstanding", "round_robin", "weighted"}
        How a worker is chosen.
    service_time_s : float
        Mean service time of each worker [s].
    rate_per_s : float
        Arrivals at the gateway [1/s].

    Returns
    -------
    Architecture

    Examples
    --------
    >>> balanced_pair().balancers[0].shares()
    (0.5, 0.5)
    """
    weights = (1.0, 1.0) if policy == "weighted" else None
    return Architecture(
        name="balanced pair",
        components=[
            Component("gateway", service_time_s=0.001, law="delay", kind="gateway", blocking=False),
            Component("left", service_time_s=service_time_s, blocking=False),
            Component("right", service_time_s=service_time_s, blocking=False),
        ],
        dependencies=[Balancer("gateway", ("left", "right"), policy=policy, weights=weights)],
        loads=[Load("gateway", rate_per_s=rate_per_s)],
    )


def shop(rate_per_s: float = 100.0) -> Architecture:
    """Return a small web shop: a gateway, two services with worker pools, a cache and a database.

    At the design load of 100 requests a second the rates are: gateway 100, catalogue 80, orders 20, cache 80,
    database ``0.25 * 80 + 2 * 20 = 60``. Capacities by own work: gateway 10,000, catalogue 1,600, orders 800, cache
    4,000, database 1,000 a second; the workers of catalogue and orders are held while they wait.

    Parameters
    ----------
    rate_per_s : float
        Arrivals at the gateway [1/s].

    Returns
    -------
    Architecture

    Examples
    --------
    >>> shop()["database"].capacity_per_s
    1000.0
    """
    return Architecture(
        name="shop",
        components=[
            Component("gateway", service_time_s=0.002, servers=20, kind="gateway", blocking=False, memory_bytes=60e6),
            Component("catalogue", service_time_s=0.005, servers=8, memory_bytes=180e6, memory_limit_bytes=512e6),
            Component("orders", service_time_s=0.010, servers=8, memory_bytes=220e6, memory_limit_bytes=512e6),
            Component("cache", service_time_s=0.00025, kind="cache", blocking=False, memory_bytes=300e6),
            Component("database", service_time_s=0.004, servers=4, kind="database", memory_bytes=600e6),
        ],
        dependencies=[
            Dependency("gateway", "catalogue", calls=0.8),
            Dependency("gateway", "orders", calls=0.2),
            Dependency("catalogue", "cache", calls=1.0),
            Dependency("catalogue", "database", calls=0.25),
            Dependency("orders", "database", calls=2.0),
        ],
        loads=[Load("gateway", rate_per_s=rate_per_s)],
        objective=Objective(latency_s=0.100, memory_bytes=2e9),
    )
