"""The inner loops of the scan statistic: the best window of one map of counts.

May import numpy, `geo.compiled` and `geo.hotspots`. Pure; called once for the data and once for every
replicate by `geo.hotspots.scan`, which checks what comes in.

How a replicate is quick and exact: the circles around a centre are taken in blocks of neighbours. All
windows that end inside a block hold at most the cases of its last circle and at least the expected
count of its first, which is known before; where even these do not beat the best window so far, no
window of the block does. Only where they do is every window of the block worked out.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from geo.compiled import compiled
from geo.hotspots import Cancelled, Stop
from geo.hotspots.windows import Windows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int32]
Singles = npt.NDArray[np.float32]
Number = TypeVar("Number", np.int32, np.float64)

#: 4-byte numbers of a cache line
LINE = 16
#: members × spans between two questions whether to give up: far below a second
CHUNK = 20_000_000
#: numbers of `_Blocks.least`; beyond it blocks get longer
_LEAST = 120_000_000
#: what single precision may round away
_SLACK = 4e-6


@compiled
def log_ratio(c: float, e: float, total: float) -> float:
    """`c ln(c/E) + (C−c) ln((C−c)/(C−E))`, for c > E (METHODS 8)."""
    value = c * math.log(c / e)
    if total > c:
        value += (total - c) * math.log((total - c) / (total - e))
    return value


@compiled
def best_of_each(  # noqa: PLR0917 - numba calls it positionally
    indptr: Ints,
    members: Counts,
    closed: npt.NDArray[np.bool_],
    cases: Counts,
    expected: Floats,
    total: float,
    min_cases: int,
    start: int,
    stop: int,
    best: Floats,
    length: Ints,
    width: Ints,
) -> None:
    """Find the best window around each of the centres start … stop − 1, every window looked at.

    Parameters
    ----------
    cases, expected : (n, W)
        Of each place in each of W spans.
    best, length, width : (n,) out
        LLR (0: none), members of the circle, span.
    """
    spans = cases.shape[1]
    c = np.empty(spans, np.int64)
    e = np.empty(spans, np.float64)
    for i in range(start, stop):
        top = 0.0
        c[:] = 0
        e[:] = 0.0
        for j in range(indptr[i], indptr[i + 1]):
            m = members[j]
            for w in range(spans):
                c[w] += cases[m, w]
                e[w] += expected[m, w]
            if not closed[j]:
                continue
            for w in range(spans):
                more = c[w] - e[w]
                if c[w] < min_cases or more <= 0.0:
                    continue
                # LLR ≤ (c−E)² / (E (1−E/C)): most windows need no logarithm
                if more * more > top * e[w] * (1.0 - e[w] / total) * 0.999999:
                    value = log_ratio(float(c[w]), e[w], total)
                    if value > top:
                        top = value
                        length[i] = j + 1 - indptr[i]
                        width[i] = w
        best[i] = top


@compiled
def _cut(
    indptr: Ints, closed: npt.NDArray[np.bool_], stretch: float, stops: Ints, firsts: Ints
) -> Ints:
    """Cut every centre's members into blocks that end at a circle.

    A block has about `stretch` × √(its rank) members: what it adds to E stays small against the
    spread of the counts. Writes the end of each block and its first circle; returns (n + 1,) where each
    centre's blocks begin. With empty `stops` it only counts.
    """
    begins = np.zeros(len(indptr), np.int64)
    number = 0
    for i in range(len(indptr) - 1):
        begun = indptr[i]
        first = -1
        for j in range(indptr[i], indptr[i + 1]):
            if not closed[j]:
                continue
            if first < 0:
                first = j
            size = stretch * math.sqrt(float(j + 1 - indptr[i]))
            if j + 1 - begun >= size or j + 1 == indptr[i + 1]:
                if len(stops):
                    stops[number] = j + 1
                    firsts[number] = first
                number += 1
                begun = j + 1
                first = -1
        begins[i + 1] = number
    return begins


@compiled
def _fill_least(  # noqa: PLR0917 - numba calls it positionally
    indptr: Ints,
    members: Counts,
    begins: Ints,
    stops: Ints,
    firsts: Ints,
    expected: Floats,
    start: int,
    stop: int,
    least: Singles,
) -> None:
    """E of the first circle of each block, a little less than it is, per span."""
    spans = expected.shape[1]
    e = np.empty(spans, np.float64)
    for i in range(start, stop):
        e[:] = 0.0
        j = indptr[i]
        for b in range(begins[i], begins[i + 1]):
            while j < stops[b]:
                m = members[j]
                for w in range(spans):
                    e[w] += expected[m, w]
                if j == firsts[b]:
                    for w in range(spans):
                        least[b, w] = e[w] * (1.0 - _SLACK)
                j += 1


@compiled
def _work_out(  # noqa: PLR0917 - numba calls it positionally
    at: int,
    block: int,
    stop: int,
    members: Counts,
    closed: npt.NDArray[np.bool_],
    cases: Counts,
    expected: Floats,
    total: float,
    min_cases: int,
    c: Ints,
    e: Floats,
    top: float,
) -> float:
    """LLR of the best window that ends in a block (members `block` … stop − 1), at least `top`.

    `c` and `e` hold the sums of the members before `at` and are carried on to `stop`.
    """
    spans = cases.shape[1]
    for j in range(at, stop):
        # the same additions in the same order as `best_of_each`: the same digits
        m = members[j]
        for w in range(spans):
            c[w] += cases[m, w]
            e[w] += expected[m, w]
        if j < block or not closed[j]:
            continue
        for w in range(spans):
            more = c[w] - e[w]
            if c[w] < min_cases or more <= 0.0:
                continue
            if more * more > top * e[w] * (1.0 - e[w] / total) * 0.999999:
                top = max(top, log_ratio(float(c[w]), e[w], total))
    return top


@compiled
def best_of_all(  # noqa: PLR0917 - numba calls it positionally
    indptr: Ints,
    members: Counts,
    closed: npt.NDArray[np.bool_],
    begins: Ints,
    stops: Ints,
    least: Singles,
    cases: Counts,
    expected: Floats,
    last: int,
    total: float,
    min_cases: int,
    start: int,
    stop: int,
    top: float,
) -> float:
    """LLR of the best window around the centres start … stop − 1, `top` where none beats it.

    `last` is the column of the longest span; those behind it are zeros.
    """
    spans = cases.shape[1]
    c = np.empty(spans, np.int32)
    exact_c = np.empty(spans, np.int64)
    exact_e = np.empty(spans, np.float64)
    for i in range(start, stop):
        c[:] = 0
        block = indptr[i]
        at = block
        for b in range(begins[i], begins[i + 1]):
            if spans == 1:
                alone = 0
                for j in range(block, stops[b]):
                    alone += cases[members[j], 0]
                c[0] += alone
            else:
                for j in range(block, stops[b]):
                    m = members[j]
                    for w in range(spans):
                        c[w] += cases[m, w]
            # LLR ≤ d²/2 (1/E + (1 + d/u)/u) with d = c − E and u = C − E; the longest span has the
            # smallest u and the most cases
            rest = total - least[b, last]
            part = 1.0
            if rest > 0.0:
                part += least[b, last] / rest * (1.0 + c[last] / rest)
            else:
                part = 1e30
            bar = np.float32(2.0 * top / part)
            hopeful = False
            for w in range(spans):
                more = np.float32(c[w]) - least[b, w]
                hopeful |= (more > np.float32(0.0)) & (more * more > bar * least[b, w])
            if hopeful:
                if at == indptr[i]:
                    exact_c[:] = 0
                    exact_e[:] = 0.0
                top = _work_out(
                    at, block, stops[b], members, closed, cases, expected, total, min_cases,
                    exact_c, exact_e, top,
                )  # fmt: skip
                at = stops[b]
            block = stops[b]
    return top


@dataclass(frozen=True)
class Spans:
    """Which runs of steps are windows.

    Attributes
    ----------
    steps : int
        Of the data.
    shortest, longest : int
        Steps of a window; the longest is cut to `steps`.
    anywhere : bool
        Windows end anywhere; False: at the last step.
    """

    steps: int
    shortest: int
    longest: int
    anywhere: bool

    def __post_init__(self) -> None:
        if self.shortest > self.steps:
            raise ValueError(
                f"the shortest window has {self.shortest} steps, the data only {self.steps}"
            )

    @property
    def ends(self) -> range:
        """Steps at which windows end."""
        return range(self.shortest - 1 if self.anywhere else self.steps - 1, self.steps)

    @property
    def first(self) -> int:
        """First step that any window holds."""
        return 0 if self.anywhere else max(0, self.steps - self.longest)

    def width(self, end: int) -> int:
        """Windows that end at a step."""
        return min(self.longest, end + 1) - self.shortest + 1

    def panel(self, values: npt.NDArray[Number], end: int) -> npt.NDArray[Number]:
        """Add up to (n, W) over the last `shortest`, … steps up to `end`; row 0 is step `first`.

        Several columns are filled up with zeros to whole cache lines: adding rows takes half the time.
        """
        stop = end + 1 - self.first
        rows = values[stop - min(self.longest, end + 1) : stop][::-1]
        added = np.cumsum(rows, axis=0, dtype=values.dtype)[self.shortest - 1 :].T
        width = self.width(end)
        if width == 1:
            return np.ascontiguousarray(added)
        panel = np.zeros((len(added), -(-width // LINE) * LINE), dtype=values.dtype)
        panel[:, :width] = added
        return panel


class Search:
    """Looks through all windows of one scan, for the data and for each replicate.

    Parameters
    ----------
    expected : (T, n) float64
        Scaled to `total`.
    """

    def __init__(
        self, windows: Windows, spans: Spans, expected: Floats, total: int, min_cases: int
    ) -> None:
        self.windows, self.spans = windows, spans
        self.total, self.min_cases = float(total), min_cases
        self._late = expected[spans.first :]
        width = min(spans.longest, spans.steps) - spans.shortest + 1
        # a single span has nothing to gain from blocks: its counts are added one by one anyway
        stretch = 0.5 if width > 1 else 0.0
        begins, stops, firsts = self._blocks(stretch)
        while width * len(stops) > _LEAST and width > 1:
            stretch *= 2
            begins, stops, firsts = self._blocks(stretch)
        self._begins, self._stops, self._firsts = begins, stops, firsts
        self._kept = threading.local()

    def _blocks(self, stretch: float) -> tuple[Ints, Ints, Ints]:
        nothing = np.zeros(0, np.int64)
        w = self.windows
        number = int(_cut(w.indptr, w.closed, stretch, nothing, nothing)[-1])
        stops, firsts = np.zeros(number, np.int64), np.zeros(number, np.int64)
        return _cut(w.indptr, w.closed, stretch, stops, firsts), stops, firsts

    def _chunks(self, width: int, cancelled: Stop | None) -> Iterator[tuple[int, int]]:
        """Cut the centres into runs that take far less than a second; stop when asked to."""
        ends = self.windows.indptr
        step = max(1, CHUNK // width)
        at = 0
        while at < self.windows.size:
            if cancelled is not None and cancelled():
                raise Cancelled
            to = int(np.searchsorted(ends, ends[at] + step, side="right")) - 1
            to = min(self.windows.size, max(at + 1, to))
            yield at, to
            at = to

    def _known(self, end: int, cancelled: Stop | None) -> tuple[Floats, Singles]:
        """Give what is expected in the windows that end at a step: per place, and least per block.

        Kept, by each thread for itself, while it stays the same from one end to the next.
        """
        kept: tuple[Floats, Singles] | None = getattr(self._kept, "panel", None)
        if kept is not None and len(self.spans.ends) == 1:
            return kept
        panel = self.spans.panel(self._late, end)
        if kept is not None and np.array_equal(panel, kept[0]):
            return kept
        w = self.windows
        least = np.zeros((len(self._stops), panel.shape[1]), np.float32)
        for start, stop in self._chunks(panel.shape[1], cancelled):
            _fill_least(
                w.indptr, w.members, self._begins, self._stops, self._firsts, panel,
                start, stop, least,
            )  # fmt: skip
        self._kept.panel = (panel, least)
        return panel, least

    def each(
        self, cases: Counts, cancelled: Stop | None
    ) -> Iterator[tuple[int, Floats, Ints, Ints]]:
        """For every end: LLR, members and steps of the best window around every centre (n,).

        `cases` (steps, n) begin at `spans.first`. LLR 0: none.
        """
        w = self.windows
        for end in self.spans.ends:
            panel, e = self.spans.panel(cases, end), self.spans.panel(self._late, end)
            best = np.zeros(w.size)
            length, width = np.zeros(w.size, np.int64), np.zeros(w.size, np.int64)
            for start, stop in self._chunks(panel.shape[1], cancelled):
                best_of_each(
                    w.indptr, w.members, w.closed, panel, e, self.total, self.min_cases,
                    start, stop, best, length, width,
                )  # fmt: skip
            yield end, best, length, width + self.spans.shortest

    def largest(self, cases: Counts, cancelled: Stop | None) -> float:
        """LLR of the best window of all, 0 when there is none."""
        top = 0.0
        w = self.windows
        for end in self.spans.ends:
            panel = self.spans.panel(cases, end)
            expected, least = self._known(end, cancelled)
            for start, stop in self._chunks(panel.shape[1], cancelled):
                top = best_of_all(
                    w.indptr, w.members, w.closed, self._begins, self._stops, least,
                    panel, expected, self.spans.width(end) - 1, self.total, self.min_cases, start, stop, top,
                )  # fmt: skip
        return top
