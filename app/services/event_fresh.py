"""Rows of events this process has just stored, so that a snapshot need not read them back.

Imports numpy, pyarrow and the database. Promises: a row is handed out only when PostgreSQL holds it
as it was stored. A batch is known by the transaction that wrote it: all its rows carry that number
in `changed_in`, a later correction gives them another, a deletion takes them away, and nothing can
join them; so as many rows as were stored are these rows, each of them. Otherwise (also when the
transaction was never committed) the batch is left to be read. Rows lie in a file without a name,
30 bytes each: memory is not bound to what is imported, and a killed process leaves nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from geo.cube.columns import Columns

_ROW = np.dtype(
    [
        ("lon", "<f8"), ("lat", "<f8"), ("time", "<i8"),
        ("unit", "<i4"), ("kind", "u1"), ("located", "u1"),
    ]
)  # fmt: skip
_MOST_KINDS = 256
# a transaction of ours that `since` saw was counted before; what is gone, or of another pack, counts
# as not there
_STORED = """
select e.changed_in::text as written, count(*) as rows
from event e join event_source s on s.id = e.source_id and s.pack = %(pack)s
where e.changed_in = any(%(written)s::xid8[])
  and (%(since)s::text is null
       or not pg_visible_in_snapshot(e.changed_in, (%(since)s::text)::pg_snapshot))
group by e.changed_in
"""


@dataclass(frozen=True)
class _Batch:
    place: tuple[str, int]  # pack and boundary version
    start: int
    rows: int
    kinds: frozenset[int]


class FreshRows:
    """Rows stored by this process, by the transaction that wrote them; several threads may add.

    Parameters
    ----------
    folder : Path, optional
        Where the unnamed file lies; none: where temporary files do.
    """

    def __init__(self, folder: Path | None = None) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open as long as this is
        self._lock = Lock()
        self._kinds: list[str] = []
        self._batches: dict[int, _Batch] = {}
        self._end = 0

    def __enter__(self) -> FreshRows:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return sum(max(batch.rows, 0) for batch in self._batches.values())

    def add(self, written: int, place: tuple[str, int], events: pa.Table) -> None:
        """Note what a transaction stores, all of it new.

        Parameters
        ----------
        written : int
            Number of the transaction (`pg_current_xact_id`).
        place : (str, int)
            Pack of its source and boundary version of its units.
        events : pa.Table
            Columns of `event_store.EVENTS`; the references are not kept.
        """
        rows = np.empty(len(events), _ROW)
        rows["lon"], rows["lat"] = (events[name].to_numpy() for name in ("lon", "lat"))
        # what is half a point is stored as none
        nowhere = ~(np.isfinite(rows["lon"]) & np.isfinite(rows["lat"]))
        rows["lon"][nowhere] = rows["lat"][nowhere] = np.nan
        # whole seconds, a fraction cut off downward
        micro = events["occurred_at"].to_numpy().astype("datetime64[us]").astype(np.int64)
        rows["time"] = micro // 1_000_000
        rows["unit"], rows["located"] = (events[name].to_numpy() for name in ("unit", "located"))
        names = pc.unique(events["kind"]).to_pylist()
        with self._lock:
            known = [*self._kinds, *(name for name in names if name not in self._kinds)]
            if written in self._batches or len(known) > _MOST_KINDS:
                # rows are told apart by their transaction alone: these are read back
                self._batches[written] = _Batch(place, 0, -1, frozenset())
                return
            self._kinds = known
            kind = pc.index_in(events["kind"], value_set=pa.array(known, pa.string()))
            rows["kind"] = kind.to_numpy().astype(np.uint8)
            self._file.seek(self._end)
            self._file.write(rows.tobytes())
            used = frozenset(known.index(name) for name in names)
            self._batches[written] = _Batch(place, self._end, len(rows), used)
            self._end += rows.nbytes

    def stored(
        self, connection: sa.Connection, place: tuple[str, int], since: str | None = None
    ) -> FreshPart:
        """Find what PostgreSQL holds exactly as it was added.

        Parameters
        ----------
        connection : in a repeatable read transaction; what it sees decides
        place : pack and boundary version; what was stored of others is left out
        since : pg_snapshot, optional
            Only transactions that it does not see.
        """
        written = self.written(place)
        if not written:
            return FreshPart()
        values = {"pack": place[0], "written": written, "since": since}
        found = connection.exec_driver_sql(_STORED, values)
        return self.part({int(one): there for one, there in found})

    def written(self, place: tuple[str, int]) -> list[str]:
        """Transactions that stored something of a pack and boundary version."""
        return [str(one) for one, batch in self._batches.items() if batch.place == place]

    def part(self, there: Mapping[int, int]) -> FreshPart:
        """Batches that are stored as they were added, by how many rows are there of each."""
        return FreshPart(
            self, tuple(one for one, rows in there.items() if self._batches[one].rows == rows)
        )

    def kinds_of(self, written: Iterable[int]) -> set[str]:
        """Kinds that occur in the batches of some transactions."""
        used = frozenset[int]().union(*(self._batches[one].kinds for one in written))
        return {self._kinds[kind] for kind in used}

    def read(self, written: Iterable[int], kinds: tuple[str, ...]) -> Columns:
        """Rows of some transactions; a kind is its position in `kinds`, which name all of them."""
        batches = [self._batches[one] for one in written]
        rows = np.empty(sum(batch.rows for batch in batches), _ROW)
        at = 0
        with self._lock:
            for batch in batches:
                self._file.seek(batch.start)
                data = self._file.read(batch.rows * _ROW.itemsize)
                rows[at : at + batch.rows] = np.frombuffer(data, _ROW)
                at += batch.rows
        place = np.array([kinds.index(k) if k in kinds else 0 for k in self._kinds] or [0], "u1")
        columns: dict[str, npt.NDArray[Any]] = {
            name: np.ascontiguousarray(rows[name]) for name in ("lon", "lat", "time", "unit")
        }
        return Columns(kind=place[rows["kind"]], located=rows["located"].copy(), **columns)


@dataclass(frozen=True)
class FreshPart:
    """Batches of `FreshRows` that are in PostgreSQL as they were added.

    written : transactions that wrote them
    """

    rows: FreshRows | None = None
    written: tuple[int, ...] = ()

    @property
    def texts(self) -> list[str]:
        """Transactions as PostgreSQL takes them."""
        return [str(one) for one in self.written]

    @property
    def kinds(self) -> set[str]:
        """Kinds that occur."""
        return self.rows.kinds_of(self.written) if self.rows else set()

    def read(self, kinds: tuple[str, ...]) -> Columns:
        """Rows; a kind is its position in `kinds`."""
        return self.rows.read(self.written, kinds) if self.rows else Columns.empty()
