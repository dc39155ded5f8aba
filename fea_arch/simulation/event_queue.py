"""Future events (binary heap), events of this instant (ring) and random draws of the event simulation."""

from __future__ import annotations

import math

from fea_arch.kernels.compile import subroutine
from fea_arch.simulation import columns as k
from fea_arch.simulation.columns import State

__all__ = ["draw", "exponential", "gamma", "now_do", "pack", "pop", "schedule", "uniform"]


@subroutine
def pack(kind: int, row: int, generation: int) -> int:
    """Pack an event into one integer."""
    return (kind << (k.GEN_BITS + k.ROW_BITS)) | ((generation & k.GEN_MASK) << k.ROW_BITS) | row


@subroutine
def schedule(s: State, time: float, code: int) -> None:
    """Put an event into the heap."""
    i = s.count[k.N_HEAP]
    s.count[k.N_HEAP] = i + 1
    while i > 0:
        up = (i - 1) >> 1
        if s.heap_t[up] <= time:
            break
        s.heap_t[i] = s.heap_t[up]
        s.heap_c[i] = s.heap_c[up]
        i = up
    s.heap_t[i] = time
    s.heap_c[i] = code


@subroutine
def pop(s: State) -> int:
    """Take the earliest event out of the heap."""
    code = s.heap_c[0]
    n = s.count[k.N_HEAP] - 1
    s.count[k.N_HEAP] = n
    time = s.heap_t[n]
    last = s.heap_c[n]
    i = 0
    while True:
        down = 2 * i + 1
        if down >= n:
            break
        if down + 1 < n and s.heap_t[down + 1] < s.heap_t[down]:
            down += 1
        if s.heap_t[down] >= time:
            break
        s.heap_t[i] = s.heap_t[down]
        s.heap_c[i] = s.heap_c[down]
        i = down
    s.heap_t[i] = time
    s.heap_c[i] = last
    return code


@subroutine
def now_do(s: State, code: int) -> None:
    """Append an event of this instant; they are done in order before time goes on."""
    size = s.ring.shape[0]
    at = s.count[k.RING_HEAD] + s.count[k.RING_N]
    s.ring[at - size if at >= size else at] = code
    s.count[k.RING_N] += 1


@subroutine
def uniform(s: State) -> float:
    """Take the next uniform number of the block."""
    i = s.count[k.AT_U]
    s.count[k.AT_U] = i + 1
    return s.uniforms[i]


@subroutine
def exponential(s: State) -> float:
    """Take the next exponential number of mean one from the block."""
    i = s.count[k.AT_E]
    s.count[k.AT_E] = i + 1
    return s.exponentials[i]


@subroutine
def _normal(s: State) -> float:
    i = s.count[k.AT_N]
    s.count[k.AT_N] = i + 1
    return s.normals[i]


@subroutine
def gamma(s: State, shape: float) -> float:
    """Draw a gamma number of mean ``shape`` (Marsaglia and Tsang, ACM TOMS 26 (2000) 363); at most 8 tries."""
    boost = 1.0
    if shape < 1.0:
        boost = uniform(s) ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    v = 1.0
    # acceptance is above 95 %: eight tries in a row fail once in 1e10 draws, and then the mode is taken
    for _ in range(8):
        x = _normal(s)
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log(1.0 - uniform(s)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return d * v * boost
    return d * boost


@subroutine
def draw(s: State, mean: float, scv: float, branch: float) -> float:
    """Draw a time of given mean and squared coefficient of variation.

    Deterministic, gamma below one, exponential at one, hyperexponential with balanced means above (``branch`` is its
    first probability).
    """
    if scv == 1.0:
        return mean * exponential(s)
    if scv == 0.0:
        return mean
    if scv < 1.0:
        return mean * scv * gamma(s, 1.0 / scv)
    p = branch if uniform(s) < branch else 1.0 - branch
    return mean * exponential(s) / (2.0 * p)
