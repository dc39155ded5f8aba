"""Frequency response of a directly given structure with dashpots."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fea_arch.errors import ModelError
from fea_arch.meshing.mesh import Mesh
from fea_arch.results.frequency_response import FrequencyResponse

__all__ = ["frequency_response"]


def frequency_response(mesh: Mesh, frequencies_hz: ArrayLike, at: ArrayLike) -> FrequencyResponse:
    """Solve ``(K + i omega C - omega^2 M) u = f`` for a load ``f e^(i omega t)``; :func:`fea_arch.harmonic` calls it.

    Parameters
    ----------
    mesh : Mesh
        The structure; ``K`` is the zero-load stiffness, ``C`` comes from the element dashpots.
    frequencies_hz : array_like
        Frequencies, not negative [1/s].
    at : int or (n_nodes,) float64 or complex128
        Node of a unit load, or the amplitudes of the load.

    Returns
    -------
    FrequencyResponse

    Raises
    ------
    ModelError
        Senseless frequencies or load, no free node, or a frequency that is an undamped natural one.

    Examples
    --------
    >>> import fea_arch as fa
    >>> one = fa.Mesh.from_bars(2, [(1, 0)], [4.0], mass=1.0, damping=[0.5])
    >>> found = fa.harmonic(one, [0.0, 1.0 / 3.141592653589793], at=1)     # static, and at its own 2 rad/s
    >>> found.gain[:, 1].round(6)
    array([0.25, 1.  ])
    """
    from scipy.sparse import csc_array

    from fea_arch.solvers.structure import Structure

    try:
        frequencies = np.atleast_1d(np.asarray(frequencies_hz, np.float64))
    except (TypeError, ValueError) as error:
        raise ModelError("must be numbers", field="frequencies_hz") from error
    if frequencies.ndim != 1 or not frequencies.size or not np.isfinite(frequencies).all() or frequencies.min() < 0.0:
        raise ModelError(f"is {frequencies_hz!r:.60}", field="frequencies_hz", fix="finite numbers of at least 0")
    structure, n = Structure(mesh), mesh.n_nodes
    free = structure.free
    if not free.size:
        raise ModelError("every node is a support", field="supports", fix="leave a node free")
    load = _load(at, n)[free]
    K = csc_array(structure.full_stiffness())[free][:, free]
    C = csc_array(structure.full_damping())[free][:, free]
    mass = np.asarray(mesh.mass, np.float64)[free]
    out, worst = np.zeros((frequencies.size, n), np.complex128), 0.0
    for row, frequency in enumerate(frequencies.tolist()):
        u, gap = _amplitudes(K, C, mass, load, 2.0 * np.pi * frequency)
        if not gap <= 1e-6:
            raise ModelError(
                f"{frequency:g} Hz is a natural frequency without damping: the answer has no bound",
                field="frequencies_hz", fix="another frequency, or damping= in the mesh",
            )
        out[row, free], worst = u, max(worst, gap)
    return FrequencyResponse(frequencies, out, worst)


def _load(at: ArrayLike, n: int) -> Any:
    values = np.asarray(at)
    if values.ndim == 0:
        if not np.issubdtype(values.dtype, np.integer) or not 0 <= int(values) < n:
            raise ModelError(f"is {at!r}", field="at", fix=f"a node, 0 to {n - 1}, or {n} amplitudes")
        load = np.zeros(n, np.complex128)
        load[int(values)] = 1.0
        return load
    if values.shape != (n,) or values.dtype.kind not in "iufc" or not np.isfinite(values).all():
        raise ModelError(f"has shape {values.shape}", field="at", fix=f"a node, or {n} finite amplitudes")
    if not values.any():
        raise ModelError("is zero everywhere", field="at", fix="a load")
    return values.astype(np.complex128)


def _amplitudes(K: Any, C: Any, mass: Any, load: Any, omega: float) -> tuple[Any, float]:
    from scipy.sparse import csc_array, diags_array
    from scipy.sparse.linalg import splu

    matrix = csc_array(K + 1j * omega * C - diags_array((omega * omega * mass).astype(np.complex128)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a singular matrix is named by the caller
            u = splu(matrix).solve(load)
    except RuntimeError:
        return np.zeros_like(load), np.inf
    size = float(np.linalg.norm(load)) or 1.0
    if not float(np.linalg.norm(u)) * float(abs(matrix).max()) < 1e12 * size:  # singular but for rounding
        return u, np.inf
    return u, float(np.linalg.norm(load - matrix @ u)) / size
