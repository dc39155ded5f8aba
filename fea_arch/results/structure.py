"""Results of structures given directly: the solved state, and the fracture sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import MissingExtraError, ModelError, suggestion
from fea_arch.laws.base import Array
from fea_arch.results.plots import Plottable
from fea_arch.solvers.linear import SolveInfo

__all__ = ["BreakDownResult", "SolveResult"]


def _table(columns: dict[str, Any]) -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("pandas", "frames") from error
    return pd.DataFrame(columns)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SolveResult(Plottable):
    """The equilibrium of a structure.

    Parameters
    ----------
    displacement : (n_nodes,) float64
        Nodal displacement ``u``.
    elongation, force : (n_elements,) float64
        ``e = A u`` and ``q = g(e)``.
    support : (n_held,) int64
        Held nodes: supports and prescribed ones.
    reaction : (n_held,) float64
        Force that each holds the structure with, ``A^T q - f`` there.
    residual : float
        ``|f - A^T q|`` over the free nodes, relative to the load or, without one, to the nodal forces [1].
    load_factor : float
        Multiple of the load that acts [1].
    info : SolveInfo
        Method, iterations and residual of the (last) linear solve.
    """

    displacement: Array
    elongation: Array
    force: Array
    support: NDArray[np.int64]
    reaction: Array
    residual: float
    load_factor: float
    info: SolveInfo
    newton_iterations: int = 0
    node_names: Sequence[str] = field(default=(), repr=False)
    element_names: Sequence[str] = field(default=(), repr=False)

    def __getitem__(self, node: int | str) -> dict[str, float]:
        """Return the displacement and the reaction (0 at a free node) of one node, by name or number."""
        if isinstance(node, str):
            if node not in self.node_names:
                raise ModelError(f"no node is named {node!r}.{suggestion(node, self.node_names)}", field="node")
            node = list(self.node_names).index(node)
        if not 0 <= node < self.displacement.size:
            raise ModelError(f"node {node} is outside 0..{self.displacement.size - 1}", field="node")
        held = np.flatnonzero(self.support == node)
        return {
            "displacement": float(self.displacement[node]),
            "reaction": float(self.reaction[held[0]]) if held.size else 0.0,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers."""
        return {
            "displacement": self.displacement.tolist(), "elongation": self.elongation.tolist(),
            "force": self.force.tolist(), "support": self.support.tolist(), "reaction": self.reaction.tolist(),
            "residual": self.residual, "load_factor": self.load_factor, "method": self.info.method,
        }

    def to_dataframe(self) -> Any:
        """Return one row an element (pandas)."""
        names: list[Any] = list(self.element_names) or list(range(self.force.size))
        return _table({"element": names, "elongation": self.elongation, "force": self.force})

    def __repr__(self) -> str:
        return (
            f"SolveResult: {self.displacement.size} nodes, {self.force.size} elements, "
            f"load factor {self.load_factor:g}\n"
            f"  largest displacement {np.abs(self.displacement).max(initial=0.0):.6g}, "
            f"largest force {np.abs(self.force).max(initial=0.0):.6g}\n"
            f"  residual {self.residual:.1e}, method {self.info.method} ({self.info.reason})"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BreakDownResult(Plottable):
    """A quasi-static fracture: one element after the other, to the separation of the structure.

    Parameters
    ----------
    sequence : (n_breaks,) int64
        Elements in the order in which they break.
    load_factor : (n_breaks,) float64
        Multiple of the load (or of the prescribed displacement) at which each breaks [1].
    stiffness : (n_breaks,) float64
        Stiffness of the structure just before each break, see :func:`fea_arch.break_down`.
    load : (n_breaks,) float64
        Load carried at each break: the load factor itself under a load, the reaction under a displacement.
    control : str
        ``"force"`` or ``"displacement"``.
    separated : bool
        Whether the structure came apart (False: stopped at ``max_breaks``, or nothing is left that can break).
    residual : float
        ``|f - K u| / |f|`` at the last state that still held [1].
    """

    sequence: NDArray[np.int64]
    load_factor: Array
    stiffness: Array
    load: Array
    control: str
    separated: bool
    residual: float
    element_names: Sequence[str] = field(default=(), repr=False)

    @property
    def peak_index(self) -> int:
        """Number of elements broken before the largest load is reached; -1 if nothing breaks."""
        return int(np.argmax(self.load)) if self.load.size else -1

    @property
    def peak(self) -> float:
        """Largest load that the structure carries: multiple of ``f``, or reaction; nan if nothing breaks."""
        return float(self.load.max()) if self.load.size else float("nan")

    @property
    def avalanches(self) -> NDArray[np.int64]:
        """Sizes of the bursts between records of the load, as it grows slowly; the last is the collapse."""
        if not self.load.size:
            return np.empty(0, np.int64)
        before = np.maximum.accumulate(np.concatenate([[-np.inf], self.load[:-1]]))
        return np.diff(np.append(np.flatnonzero(self.load > before), self.load.size))

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers."""
        return {
            "sequence": self.sequence.tolist(), "load_factor": self.load_factor.tolist(),
            "stiffness": self.stiffness.tolist(), "load": self.load.tolist(), "control": self.control,
            "separated": self.separated, "peak": self.peak, "peak_index": self.peak_index, "residual": self.residual,
        }

    def to_dataframe(self) -> Any:
        """Return one row a break (pandas)."""
        names = [self.element_names[e] if len(self.element_names) else int(e) for e in self.sequence]
        return _table({
            "element": names, "load_factor": self.load_factor, "stiffness": self.stiffness, "load": self.load,
        })

    def __repr__(self) -> str:
        first = ", ".join(
            str(self.element_names[e]) if len(self.element_names) else str(int(e)) for e in self.sequence[:8]
        )
        end = "separated" if self.separated else "still holds"
        return (
            f"BreakDownResult: {self.sequence.size} breaks under {self.control} control, {end}\n"
            f"  peak {self.peak:.6g} after {self.peak_index} breaks\n  first: {first}"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"
