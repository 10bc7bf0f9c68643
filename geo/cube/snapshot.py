"""The snapshot of all events at one moment. May import numpy and the files beside this one.

Promises: a pure function of the multiset of rows and the spec: order, parts and history leave no
trace in its bytes. Never changed once made; safe to share between threads and processes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from geo.cube import store
from geo.cube.build import arrange
from geo.cube.build import columns as all_columns
from geo.cube.columns import Columns, Spec
from geo.cube.store import SnapshotError
from geo.cube.views import table


class View(NamedTuple):
    """A snapshot as compiled code takes it.

    Attributes
    ----------
    words : int64
        See `geo.cube.views.table`.
    events, loose : int
        Events that are arranged; that stand apart for their time.
    every : bool (kinds,)
        All kinds count.

    """

    words: npt.NDArray[np.int64]
    events: int
    loose: int
    every: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Snapshot:
    """All events, arranged for counting. Made by `build`, `load` or `merge`."""

    spec: Spec
    arrays: dict[str, npt.NDArray[Any]] = field(repr=False)
    digest: str | None = None

    def __len__(self) -> int:
        return sum(len(self.arrays[name]) for name in ("time", "loose_lon", "unplaced_unit"))

    @classmethod
    def build(cls, columns: Columns | Iterable[Columns], spec: Spec) -> Snapshot:
        """Arrange rows.

        Parameters
        ----------
        columns : Columns or iterable of Columns
            Rows in any order and any number of parts: parts add up.
        spec : Spec
            Kinds and time zone.

        Raises
        ------
        SnapshotError
            A kind that is no position in `spec.kinds`; 2^32 rows or more.

        """
        rows = columns if isinstance(columns, Columns) else Columns.concat(columns)
        return cls(spec, arrange(rows, spec))

    def columns(self) -> Columns:
        """All rows, in an order of their own; times exact, points bit by bit (-0.0 as 0.0)."""
        return all_columns(self.arrays)

    def merge(self, added: Columns, removed: Columns) -> Snapshot:
        """Snapshot with rows added and taken away, byte for byte the `build` of the same multiset.

        Raises
        ------
        SnapshotError
            A row to be removed that is not there (in the snapshot or among the added).

        """
        return Snapshot.build(_without(Columns.concat([self.columns(), added]), removed), self.spec)

    @cached_property
    def view(self) -> View:
        """Addresses of the arrays, which live as long as this."""
        return View(
            table(self.arrays), len(self.arrays["time"]), len(self.arrays["loose_time"]),
            np.ones(len(self.spec.kinds), np.bool_),
        )  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        # addresses hold for the arrays of this one alone, not for those of a copy
        return {name: value for name, value in vars(self).items() if name != "view"}

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, in files or in memory."""
        return sum(array.nbytes for array in self.arrays.values())

    def save(self, folder: Path) -> str:
        """Write to `folder` (which must not exist), whole or not at all; give back the digest.

        The digest is the sha256 of the manifest, which holds the sha256 of every file: equal rows
        and specs have equal digests.
        """
        about = {
            "kinds": list(self.spec.kinds),
            "time_zone": self.spec.time_zone,
            "rows": len(self),
        }
        return store.write(folder, self.arrays, about)

    @classmethod
    def load(cls, folder: Path, verify: bool = True, mmap: bool = True) -> Snapshot:
        """Open what `save` wrote; `verify` reads every file and compares digests.

        Raises
        ------
        SnapshotError
            Missing, torn, damaged, or of another format.

        """
        arrays, about, digest = store.read(folder, verify, mmap)
        try:
            spec = Spec(tuple(about["kinds"]), about["time_zone"])
        except Exception as error:  # well-formed and yet not what `save` writes
            raise SnapshotError(f"{folder} has no kinds and time zone: {error}") from error
        return cls(spec, arrays, digest)


def _without(rows: Columns, removed: Columns) -> Columns:
    """Rows less those of `removed`, each taken once."""
    if not len(removed):
        return rows
    both = Columns.concat([rows, removed])
    key = np.rec.fromarrays(
        [
            np.nan_to_num(both.lon + 0.0, nan=999.0), np.nan_to_num(both.lat + 0.0, nan=999.0),
            both.time, both.kind, both.unit, both.located,
        ]
    )  # fmt: skip
    _, group = np.unique(key, return_inverse=True)
    n = len(rows)
    need = np.bincount(group[n:], minlength=group.max() + 1)
    order = np.argsort(group[:n], kind="stable")
    sorted_group = group[:n][order]
    start = np.searchsorted(sorted_group, sorted_group)
    drop = np.arange(n) - start < need[sorted_group]
    if drop.sum() != len(removed):
        raise SnapshotError(f"{len(removed) - int(drop.sum())} rows to be removed are not there")
    keep = np.ones(n, dtype=np.bool_)
    keep[order[drop]] = False
    return rows.take(keep)
