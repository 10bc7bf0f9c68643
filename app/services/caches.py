"""Small caches of what never changes: facts of published runs, unit tables, drawn ranks.

One `Caches` belongs to one engine (the application, a command, a test) and to one jurisdiction, so
that neither two databases nor two askers can ever see each other's rows (`ScopedCaches`). Everything is keyed by run or boundary version, and both are immutable;
whether a run still exists is asked of the database each time. Threads may share it. Finished answers
that are given without asking are in `kept`, guarded by `run_watch`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

Value = TypeVar("Value")
Key = TypeVar("Key", bound=Hashable)


class Lru(Generic[Value]):
    """Least recently used values; the maker runs outside the lock, so one slow key blocks no other.

    Parameters
    ----------
    size : most values kept

    Notes
    -----
    Two threads missing the same key at once both make it; the value is the same by construction.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, Value] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Value of `key`, made when it is not there."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        self.put(key, value)
        return value

    def put(self, key: Hashable, value: Value) -> None:
        """Keep a value."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self.size:
                self._values.popitem(last=False)

    def among(self, keys: Iterable[Key]) -> dict[Key, Value]:
        """Those of `keys` that are there, with their values."""
        found = {}
        with self._lock:
            for key in keys:
                if key in self._values:
                    self._values.move_to_end(key)
                    found[key] = self._values[key]
        return found


class Caches:
    """The caches of one engine."""

    def __init__(self) -> None:
        from app.services.analysis_expected import Reference
        from app.services.analysis_rates import RunRates
        from app.services.cells_grid import Places
        from app.services.exposure_grids import Raster
        from app.services.ranking import RankedArea
        from app.services.runs import RunFacts
        from app.services.units import UnitTable
        from geo.raster_grid import UnitGrid
        from tiles.cells import CellLayer

        self.runs: Lru[RunFacts] = Lru(64)
        self.units: Lru[UnitTable] = Lru(8)
        self.ranks: Lru[RankedArea] = Lru(128)
        # 0.6 MB per level, kind and period type of a city of 15,000 grids; two dozen of them
        self.payloads: Lru[tuple[bytes, bytes]] = Lru(512)
        # 12 bytes per cell: 17 MB for a city at resolution 10
        self.cells: Lru[Places] = Lru(16)
        self.cell_layers: Lru[CellLayer] = Lru(16)
        # 10 to 40 kB each
        self.cell_tiles: Lru[bytes] = Lru(512)
        # some 200 bytes per unit: 3 MB for a city of 15,000 grids
        self.rates: Lru[RunRates] = Lru(4)
        # counts of reference areas: a few numbers each
        self.references: Lru[Reference] = Lru(512)
        # weights of hours and shares with a point: 13 kB each
        self.clocks: Lru[npt.NDArray[np.float64]] = Lru(128)
        self.rasters: Lru[Raster] = Lru(32)
        # pixels of a unit cut by an area: 1 kB of a grid, 64 kB at most
        self.unit_grids: Lru[UnitGrid | None] = Lru(1024)
        # exposure per unit of share: a few numbers per reference area
        self.measure_parts: Lru[npt.NDArray[np.float64]] = Lru(512)
        # events of a unit by kind: 100 bytes each
        self.unit_counts: Lru[npt.NDArray[np.int64]] = Lru(8192)
        self.bounds: Lru[tuple[float, float, float, float]] = Lru(64)


class ScopedCaches:
    """The caches of an application: one set per jurisdiction, the least recently used go.

    Parameters
    ----------
    size : most jurisdictions kept; a set fills up to some 100 MB on a map of 15,000 grids
    """

    def __init__(self, size: int = 32) -> None:
        self._sets: Lru[Caches] = Lru(size)

    def of(self, scope: str) -> Caches:
        """Return the caches of a jurisdiction by its key (`Identity.scope_key`)."""
        return self._sets.get(scope, Caches)
