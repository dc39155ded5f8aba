"""The two flat arrays of a replication and the views of the tables in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.simulation import columns as k

__all__ = ["Memory"]


class Memory:
    """Tables by name, packed into ``ints`` and ``floats`` as the event loop wants them.

    The tables are views: what the event loop does shows in them.
    """

    def __init__(self, tables: dict[str, NDArray[Any]]) -> None:
        ints = [tables[name] for name in k.INT_TABLES]
        floats = [tables[name] for name in k.FLOAT_TABLES]
        self.ints = np.zeros(k.N_HEADER + sum(t.size for t in ints), np.int64)
        self.floats = np.zeros(k.N_CLOCK + sum(t.size for t in floats))
        self.count, self.clock = self.ints[: k.N_COUNT], self.floats[: k.N_CLOCK]
        self.tables: dict[str, NDArray[Any]] = {}
        if "count" in tables:
            self.count[:], self.clock[:] = tables["count"], tables["clock"]
        self._place(self.ints, k.N_HEADER, k.INT_TABLES, ints, k.RING)
        self._place(self.floats, k.N_CLOCK, k.FLOAT_TABLES, floats, k.HEAP_T)

    def _place(
        self, into: NDArray[Any], at: int, names: tuple[str, ...], tables: list[NDArray[Any]], header: int
    ) -> None:
        for number, (name, table) in enumerate(zip(names, tables)):
            self.ints[header + number] = at
            self.ints[header + number + k.N_TABLES] = len(table)
            view = into[at : at + table.size].reshape(table.shape)
            view[...] = table
            self.tables[name] = view
            at += table.size

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.tables[name]

    def with_tables(self, **tables: NDArray[Any]) -> Memory:
        """Return a copy in which some tables are others, of another length perhaps."""
        return Memory({**self.tables, "count": self.count, "clock": self.clock, **tables})
