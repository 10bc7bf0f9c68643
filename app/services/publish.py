"""Writing a run: results become rows by COPY, inside the caller's transaction.

The big table is streamed while the next block is computed: a worker thread feeds one COPY from a
short queue, so memory holds a few blocks and both processors work.
"""

from __future__ import annotations

import io
import queue
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.api.models import Period
from app.database import raw
from app.services.binary_copy import HEADER, TRAILER, rows
from app.services.periods import Span
from app.services.tracks import Floats
from app.services.units import UnitTable
from tiles.packed import pack

if TYPE_CHECKING:
    from app.services.assess import Block

AHEAD = 3  # blocks of the queue: about 20 MB each at 15,000 units × 24 months
END, ABANDON = b"", None


class Abandoned(Exception):
    """The writer stopped before everything was sent."""


class Feed(io.RawIOBase):
    """File a COPY reads from: blocks of a queue, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: queue.Queue[bytes | None] = queue.Queue(AHEAD)
        self.rest = memoryview(b"")
        self.ended = False

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, none at the end."""
        if not self.rest and not self.ended:
            block = self.queue.get()
            if block is ABANDON:
                raise Abandoned
            self.ended = block == END
            self.rest = memoryview(block)
        size = len(self.rest) if size < 0 else size
        taken, self.rest = self.rest[:size], self.rest[size:]
        return bytes(taken)


class CopyThread(threading.Thread):
    """One `copy … from stdin` that runs beside the computation, on a cursor of its transaction."""

    def __init__(self, connection: sa.Connection, command: str) -> None:
        super().__init__(name="copy", daemon=True)
        self.cursor = raw(connection).cursor()
        self.command = command
        self.feed = Feed()
        self.error: BaseException | None = None

    def run(self) -> None:
        """Send what the queue gives until its end."""
        try:
            self.cursor.copy_expert(self.command, self.feed)
        except BaseException as error:  # handed to the thread that waits for us
            self.error = error

    def send(self, block: bytes) -> None:
        """Queue a block.

        Raises
        ------
        Exception
            What the COPY failed with.
        """
        while True:
            if not self.is_alive():
                raise self.error or Abandoned
            try:
                self.feed.queue.put(block, timeout=0.2)
            except queue.Full:
                continue
            return

    def abandon(self) -> None:
        """End the COPY with an error; the transaction is then void."""
        while self.is_alive():
            try:
                self.feed.queue.put(ABANDON, timeout=0.2)
                break
            except queue.Full:
                continue
        self.join()

    def finish(self) -> None:
        """Send the end and wait for the database's word.

        Raises
        ------
        Exception
            What the COPY failed with.
        """
        self.send(END)
        self.join()
        if self.error:
            raise self.error


def _text(value: float) -> str:
    return "NULL" if np.isnan(value) else repr(float(value))


def _array(values: npt.NDArray[Any]) -> str:
    return "{" + ",".join(_text(one) for one in values) + "}"


class Writer:
    """Rows of one run. Use as a context manager; leave it before the run is published."""

    def __init__(self, connection: sa.Connection, run: int, table: UnitTable) -> None:
        self.connection = connection
        self.run = run
        self.table = table
        self.codes = np.array([code.encode() for code in table.codes], "S")
        self.small: dict[str, list[str]] = {
            "run_period": [],
            "run_unit": [],
            "run_rate": [],
            "packed_values": [],
        }
        self.layers: dict[str, tuple[npt.NDArray[np.uint8], Floats]] = {}
        self.copy = CopyThread(connection, "copy assessment from stdin (format binary)")

    def __enter__(self) -> Writer:
        self.copy.start()
        self.copy.send(HEADER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the COPY and write the small tables, or abandon everything."""
        if error is not None:
            self.copy.abandon()
            return
        self.copy.send(TRAILER)
        self.copy.finish()
        with raw(self.connection).cursor() as cursor:
            for name, lines in self.small.items():
                cursor.copy_expert(f"copy {name} from stdin", io.StringIO("".join(lines)))

    def _add(self, name: str, *values: object) -> None:
        self.small[name].append(f"{self.run}\t" + "\t".join(map(str, values)) + "\n")

    def periods(self, period: Period, found: list[Span]) -> None:
        """Rows of `run_period`."""
        for one in found:
            self._add("run_period", period, one.ord, one.start.isoformat(), one.complete)

    def units(self, level: str, exposures: Floats, shares: Floats, complexity: Floats) -> None:
        """Rows of `run_unit`: exposures (M, n), shares (K, n), complexity (n,)."""
        first, count = self.table.range(level)
        for at in range(count):
            unit = first + at
            index = "\\N" if np.isnan(complexity[at]) else repr(float(complexity[at]))
            self._add(
                "run_unit",
                unit,
                self.table.codes[unit - 1],
                _array(exposures[:, at]),
                _array(shares[:, at]),
                index,
            )

    def block(self, level: str, period: Period, reference: int, found: Block) -> None:
        """Rows of `assessment` and `run_rate` for one block; keeps what the map needs."""
        units = found.units
        columns = (
            self.run,
            units,
            found.kind,
            period,
            self.codes[units - 1],
            *(np.ascontiguousarray(one.T) for one in (
                found.observed, found.expected, found.s, found.x, found.k,
            )),
            found.colour.T.astype(np.int16),
            found.flags.T.astype(np.int16),
        )  # fmt: skip
        for part in rows(columns):
            self.copy.send(part)
        rates = (
            "{" + ",".join(repr(float(one)) for one in values) + "}"
            for values in (found.rate, found.alpha, found.dispersion)
        )
        self._add("run_rate", level, reference, found.kind, period, *rates)
        first, count = self.table.range(level)
        colour, theta = self.layers.setdefault(
            found.kind,
            (
                np.zeros((len(found.alpha), count), np.uint8),
                np.full((len(found.alpha), count), np.nan),
            ),
        )
        colour[:, units - first] = found.colour
        theta[:, units - first] = found.theta

    def packed(self, level: str, period: Period) -> None:
        """Rows of `packed_values` of a level and period type, once all its blocks are in."""
        first, _ = self.table.range(level)
        counties = self.table.counties(level)
        for kind, (colour, theta) in self.layers.items():
            for ord_ in range(len(colour)):
                for code, start, count in counties:
                    at = slice(start - first, start - first + count)
                    payload = pack(colour[ord_, at], theta[ord_, at]).hex()
                    self._add(
                        "packed_values", level, kind, period, ord_, code, start, count,
                        f"\\\\x{payload}",
                    )  # fmt: skip
        self.layers.clear()
