"""Future events (binary heap), events of this instant (ring) and random draws of the event simulation."""

from __future__ import annotations

import math

from fea_arch.kernels.compile import subroutine
from fea_arch.simulation import columns as k
from fea_arch.simulation.columns import Floats, Ints

__all__ = ["draw", "exponential", "gamma", "now_do", "pack", "pop", "schedule", "uniform"]


@subroutine
def pack(kind: int, row: int, generation: int) -> int:
    """Pack an event into one integer."""
    return (kind << (k.GEN_BITS + k.ROW_BITS)) | ((generation & k.GEN_MASK) << k.ROW_BITS) | row


@subroutine
def schedule(I: Ints, F: Floats, time: float, code: int) -> None:
    """Put an event into the heap."""
    i = I[k.N_HEAP]
    I[k.N_HEAP] = i + 1
    while i > 0:
        up = (i - 1) >> 1
        if F[I[k.HEAP_T] + up] <= time:
            break
        F[I[k.HEAP_T] + i] = F[I[k.HEAP_T] + up]
        I[I[k.HEAP_C] + i] = I[I[k.HEAP_C] + up]
        i = up
    F[I[k.HEAP_T] + i] = time
    I[I[k.HEAP_C] + i] = code


@subroutine
def pop(I: Ints, F: Floats) -> int:
    """Take the earliest event out of the heap."""
    code = I[I[k.HEAP_C] + 0]
    n = I[k.N_HEAP] - 1
    I[k.N_HEAP] = n
    time = F[I[k.HEAP_T] + n]
    last = I[I[k.HEAP_C] + n]
    i = 0
    while True:
        down = 2 * i + 1
        if down >= n:
            break
        if down + 1 < n and F[I[k.HEAP_T] + down + 1] < F[I[k.HEAP_T] + down]:
            down += 1
        if F[I[k.HEAP_T] + down] >= time:
            break
        F[I[k.HEAP_T] + i] = F[I[k.HEAP_T] + down]
        I[I[k.HEAP_C] + i] = I[I[k.HEAP_C] + down]
        i = down
    F[I[k.HEAP_T] + i] = time
    I[I[k.HEAP_C] + i] = last
    return int(code)


@subroutine
def now_do(I: Ints, F: Floats, code: int) -> None:
    """Append an event of this instant; they are done in order before time goes on."""
    size = I[k.ROOM_RING]
    at = I[k.RING_HEAD] + I[k.RING_N]
    I[I[k.RING] + (at - size if at >= size else at)] = code
    I[k.RING_N] += 1


@subroutine
def uniform(I: Ints, F: Floats) -> float:
    """Take the next uniform number of the block."""
    i = I[k.AT_U]
    I[k.AT_U] = i + 1
    return float(F[I[k.UNIFORMS] + i])


@subroutine
def exponential(I: Ints, F: Floats) -> float:
    """Take the next exponential number of mean one from the block."""
    i = I[k.AT_E]
    I[k.AT_E] = i + 1
    return float(F[I[k.EXPONENTIALS] + i])


@subroutine
def _normal(I: Ints, F: Floats) -> float:
    i = I[k.AT_N]
    I[k.AT_N] = i + 1
    return float(F[I[k.NORMALS] + i])


@subroutine
def gamma(I: Ints, F: Floats, shape: float) -> float:
    """Draw a gamma number of mean ``shape`` (Marsaglia and Tsang, ACM TOMS 26 (2000) 363); at most 8 tries."""
    boost = 1.0
    if shape < 1.0:
        boost = uniform(I, F) ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    v = 1.0
    # acceptance is above 95 %: eight tries in a row fail once in 1e10 draws, and then the mode is taken
    for _ in range(8):
        x = _normal(I, F)
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log(1.0 - uniform(I, F)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return d * v * boost
    return d * boost


@subroutine
def draw(I: Ints, F: Floats, mean: float, scv: float, branch: float) -> float:
    """Draw a time of given mean and squared coefficient of variation.

    Deterministic, gamma below one, exponential at one, hyperexponential with balanced means above (``branch`` is its
    first probability).
    """
    if scv == 1.0:
        return mean * exponential(I, F)
    if scv == 0.0:
        return mean
    if scv < 1.0:
        return mean * scv * gamma(I, F, 1.0 / scv)
    p = branch if uniform(I, F) < branch else 1.0 - branch
    return mean * exponential(I, F) / (2.0 * p)
