"""Circles of the scan statistic. May import numpy, scipy and `geo.hotspots`. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import spatial

from geo.hotspots import Cancelled, Stop

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: places in all circles together; 5 bytes each are kept
LIMIT = 200_000_000
#: distances looked at at once, between two questions whether to give up
_BLOCK = 200_000
#: two distances that differ by less (relative) are the same circle
_TIE = 1e-9


@dataclass(frozen=True)
class Windows:
    """All circles around every place that hold at most a share of the expected count.

    The circles around place i grow along `members[indptr[i]:indptr[i + 1]]`; one ends at every
    member that is `closed`. Places at the same distance enter together.

    Attributes
    ----------
    x, y : (n,) float64
        Metres.
    indptr : (n + 1,) int64
    members : (m,) int32
        By distance from the centre, the centre first.
    closed : (m,) bool
    max_share : float
    """

    x: Floats
    y: Floats
    indptr: Ints
    members: npt.NDArray[np.int32]
    closed: Bools
    max_share: float

    @property
    def size(self) -> int:
        """Places."""
        return len(self.x)

    @property
    def circles(self) -> int:
        """Circles, equal ones around several centres counted each."""
        return int(self.closed.sum())

    def inside(self, centre: int, length: int) -> npt.NDArray[np.int32]:
        """Places of the circle that ends at the `length`-th member."""
        start = int(self.indptr[centre])
        return self.members[start : start + length]

    def radius(self, centre: int, length: int) -> float:
        """Metres from the centre to the farthest place of that circle."""
        last = self.members[int(self.indptr[centre]) + length - 1]
        return float(np.hypot(self.x[last] - self.x[centre], self.y[last] - self.y[centre]))

    @classmethod
    def build(
        cls,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        expected: npt.ArrayLike,
        max_share: float = 0.10,
        *,
        max_radius: float = np.inf,
        limit: int = LIMIT,
        cancelled: Stop | None = None,
    ) -> Windows:
        """Find the circles.

        Parameters
        ----------
        x, y : (n,) float64
            Metres in an equal-area or conformal plane of the region.
        expected : (n,) or (T, n) float64
            Expected count of each place (and step); nan or 0 = no data: such a place is in no
            circle.
        max_share : float
            A circle holds at most this share of all that is expected, in (0, 1]; 0.10 by default,
            0.50 is the usual upper end. A place that holds more by itself is in no circle as centre.
        max_radius : float
            Metres.
        limit : int
            Most members of all circles together.
        cancelled : callable
            See `geo.hotspots`.

        Raises
        ------
        ValueError
            On shapes that do not fit, places that are not finite, a share outside (0, 1], or more
            members than `limit`.
        Cancelled
        """
        east, north = np.asarray(x, np.float64), np.asarray(y, np.float64)
        e = np.asarray(expected, dtype=np.float64)
        if e.ndim == 2:
            e = np.nansum(e, axis=0)
        if east.ndim != 1 or north.shape != east.shape or e.shape != east.shape:
            raise ValueError(f"x {east.shape}, y {north.shape} and expected {e.shape} do not fit")
        if not (np.all(np.isfinite(east)) and np.all(np.isfinite(north))):
            raise ValueError("x and y must be finite")
        if np.any(e < 0) or np.any(np.isinf(e)):
            raise ValueError("expected counts are finite and not negative; missing is nan")
        if not 0 < max_share <= 1:
            raise ValueError(f"max_share must be in (0, 1], got {max_share}")
        if not max_radius >= 0:
            raise ValueError(f"max_radius must not be negative, got {max_radius}")
        known = np.flatnonzero(e > 0)
        lengths = np.zeros(len(east), np.int64)
        members: list[npt.NDArray[np.int32]] = []
        closed: list[Bools] = []
        if len(known):
            grow = _Grow(east[known], north[known], e[known], max_share, max_radius)
            count = 0
            for centres, rows in grow.rows(cancelled):
                for centre, (inside, ends) in zip(centres, rows, strict=True):
                    lengths[known[centre]] = len(inside)
                    members.append(known[inside].astype(np.int32))
                    closed.append(ends)
                    count += len(inside)
                if count > limit:
                    raise ValueError(
                        f"the circles hold more than {limit:,} places: take a smaller max_share "
                        "or max_radius, or coarser cells"
                    )
        indptr = np.zeros(len(east) + 1, np.int64)
        np.cumsum(lengths, out=indptr[1:])
        return cls(
            east,
            north,
            indptr,
            np.concatenate(members) if members else np.zeros(0, np.int32),
            np.concatenate(closed) if closed else np.zeros(0, np.bool_),
            float(max_share),
        )


class _Grow:
    """Nearest places of every centre until the share is full, a block of centres at a time."""

    def __init__(
        self, x: Floats, y: Floats, e: Floats, max_share: float, max_radius: float
    ) -> None:
        self.xy = np.column_stack([x, y])
        self.tree = spatial.cKDTree(self.xy)
        self.e = e
        # the share itself is still in, whatever the rounding of the sum
        self.room = max_share * e.sum() * (1 + 1e-12)
        self.radius = max_radius
        # about as many as usually fit; where more do, the block is asked again for twice as many
        self.guess = int(1.2 * max_share * len(e)) + 3

    def rows(self, cancelled: Stop | None) -> Iterator[tuple[Ints, list[tuple[Ints, Bools]]]]:
        """Yield centres and, of each, the members of its circles and where circles end."""
        n = len(self.e)
        at = 0
        while at < n:
            k = min(n, self.guess)
            block = np.arange(at, min(n, at + max(1, _BLOCK // k)))
            found: dict[int, tuple[Ints, Bools]] = {}
            open_ = block
            while len(open_):
                if cancelled is not None and cancelled():
                    raise Cancelled
                open_ = self._fill(open_, k, found)
                k = min(n, 2 * k)
            yield block, [found[i] for i in block.tolist()]
            at = int(block[-1]) + 1

    def _fill(self, centres: Ints, k: int, found: dict[int, tuple[Ints, Bools]]) -> Ints:
        """Take k nearest; return the centres that may have larger circles than these show."""
        n = len(self.e)
        distance, near = self.tree.query(self.xy[centres], k=np.arange(1, k + 1))
        total = np.cumsum(self.e[near], axis=1)
        ends = np.ones(near.shape, np.bool_)
        ends[:, :-1] = distance[:, 1:] > distance[:, :-1] * (1 + _TIE)
        full = k == n
        # whether the last one's circle is complete shows only the next place
        ends[:, -1] = full
        fits = ends & (total <= self.room) & (distance <= self.radius)
        beyond = (total > self.room) | (distance > self.radius)
        more = np.zeros(len(centres), np.bool_) if full else ~(beyond & ends).any(axis=1)
        for row, centre in enumerate(centres.tolist()):
            if not more[row]:
                where = np.flatnonzero(fits[row])
                length = int(where[-1]) + 1 if len(where) else 0
                found[centre] = (near[row, :length].astype(np.int64), fits[row, :length].copy())
        return np.asarray(centres[more], dtype=np.int64)
