"""Clusters across borders: each side alone, all pooled, and what only the pooled see (METHODS 9).

May import numpy, pyproj and `geo.hotspots`. Pure and seeded. Sides are provinces: parts of the region
that record on their own, each with a reporting rate of its own. What is known of a side are counts
and exposures of cells, never records.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyproj

from geo.hotspots import Progress, Stop
from geo.hotspots.scan import Cluster, ScanResult, Times, Windows, scan

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ONE = "one"
SEVERAL = "several"
TOGETHER = "together"

LAEA = "+proj=laea +lat_0=28.6 +lon_0=118.1 +datum=WGS84 +units=m +no_defs"
"""The plane of border statistics: equal area, metres (METHODS 9)."""


@lru_cache(maxsize=1)
def _plane() -> pyproj.Transformer:
    return pyproj.Transformer.from_crs("EPSG:4326", LAEA, always_xy=True)


def to_plane(lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Degrees (EPSG:4326) to metres of `LAEA`, (n,) each; nan where there is no point."""
    x, y = _plane().transform(np.asarray(lon, np.float64), np.asarray(lat, np.float64))
    bad = ~(np.isfinite(x) & np.isfinite(y))
    return np.where(bad, np.nan, x), np.where(bad, np.nan, y)


@dataclass(frozen=True)
class Side:
    """One side of a cluster: what lies of it there.

    Attributes
    ----------
    side, places, observed : int
    expected : float
        On the scale of the scan that found the cluster.
    p_alone : float
        Rank of this part's LLR among the largest of the side's own replicates: how it looks when
        the side sees nothing but itself. To be held against `alpha_alone`.
    """

    side: int
    places: int
    observed: int
    expected: float
    p_alone: float


@dataclass(frozen=True)
class BorderCluster:
    """A cluster and who sees it.

    Attributes
    ----------
    cluster : Cluster
        Members are places of the whole region; p of the scan that found it.
    seen : str
        "one": a side alone finds it; "several": two sides or more, each alone, find a part of it;
        "together": none alone, only the pooled scan.
    sides : tuple of Side
        The sides it lies in, by number.
    alone : tuple of int
        Sides that find a part of it alone: their own scan has a significant cluster that shares a
        place and a step with it, or its part there is significant among their own replicates.
    pooled : bool
        Found by the pooled scan; False: only by the side itself.
    """

    cluster: Cluster
    seen: str
    sides: tuple[Side, ...]
    alone: tuple[int, ...]
    pooled: bool

    @property
    def crosses(self) -> bool:
        """It lies in more than one side."""
        return len(self.sides) > 1


@dataclass(frozen=True)
class PooledResult:
    """What the sides see alone and together.

    Attributes
    ----------
    clusters : tuple of BorderCluster
        Significant ones, those of the pooled scan first, each by falling LLR.
    pooled : ScanResult
    alone : tuple of ScanResult
        Per side; members are places of the whole region.
    factors : (sides,) float64
        Reporting rate of each side against all: (O_g / E_g) / (O / E); nan without exposure.
    alpha, alpha_alone : float
        Level of the pooled scan, and of each side's (α / sides).
    """

    clusters: tuple[BorderCluster, ...]
    pooled: ScanResult
    alone: tuple[ScanResult, ...]
    factors: Floats
    alpha: float
    alpha_alone: float


def reporting_factors(
    cases: npt.ArrayLike, expected: npt.ArrayLike, sides: npt.ArrayLike
) -> Floats:
    """Compare the reporting rate of each side with all: (O_g / E_g) / (O / E), (sides,) float64.

    Scaling each side's E by it gives each side its own total: the exact factor of METHODS 9.
    Places without data (E nan or 0) are not counted; nan for a side that has none.
    """
    o = np.atleast_2d(np.asarray(cases, dtype=np.float64)).sum(axis=0)
    e = np.nansum(np.atleast_2d(np.asarray(expected, dtype=np.float64)), axis=0)
    group = np.asarray(sides, dtype=np.int64)
    known = e > 0
    mass = np.bincount(group, weights=np.where(known, e, 0.0))
    seen = np.bincount(group, weights=np.where(known, o, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((seen / mass) / (seen.sum() / mass.sum()), dtype=np.float64)


def pooled_scan(
    cases: npt.ArrayLike,
    expected: npt.ArrayLike,
    sides: npt.ArrayLike,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    alpha: float = 0.05,
    max_share: float = 0.25,
    max_radius: float = math.inf,
    times: Times | None = None,
    replicates: int = 999,
    seed: int = 0,
    factor: bool = True,
    max_clusters: int = 10,
    threads: int = 1,
    progress: Progress | None = None,
    cancelled: Stop | None = None,
) -> PooledResult:
    """Scan each side alone with its part of the false alarms, and all together (METHODS 9).

    Each of G sides is scanned by itself at α / G, so that all of them together raise a false alarm
    as often as the pooled scan at α. In the pooled scan each side's E is scaled to its own total
    and replicates keep these totals: what differs between the sides by recording alone is no
    cluster.

    Parameters
    ----------
    cases, expected : (n,) or (T, n)
        See `scan`.
    sides : (n,) ints from 0
        Side of each place.
    x, y : (n,) float64
        Metres, see `to_plane`.
    alpha : float
        In (0, 1).
    max_share : float
        Largest circle, as a share of E of the region, and of a side when it is scanned alone.
    max_radius : float
        Largest circle, metres.
    factor : bool
        False leaves the reporting factor out: for comparison only.
    replicates : int
        At least 1/alpha_alone − 1, or no side could find anything.

    Raises
    ------
    ValueError
        See `scan`; too few replicates for `alpha`.
    Cancelled
    """
    group = np.asarray(sides)
    counts = np.atleast_2d(np.asarray(cases))
    e = np.atleast_2d(np.asarray(expected, dtype=np.float64))
    east, north = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if group.shape != east.shape or not np.issubdtype(group.dtype, np.integer) or not group.size:
        raise ValueError(f"sides must be whole numbers, one for each of {east.shape} places")
    number = int(group.max()) + 1
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be in (0, 1), got {alpha}")
    own = alpha / number
    if replicates + 1 < 1 / own - 1e-9:
        raise ValueError(
            f"{replicates} replicates cannot show p ≤ {own:.4g}: take {1 / own - 1:.0f}"
        )
    stages = _Stages(progress, number + 1)
    windows = Windows.build(east, north, e, max_share, max_radius=max_radius, cancelled=cancelled)
    pooled = scan(
        counts, e, windows, times, replicates=replicates, seed=seed, groups=group if factor else None,
        max_clusters=max_clusters, threads=threads, progress=stages.next(), cancelled=cancelled,
    )  # fmt: skip
    alone = []
    for side in range(number):
        here = np.flatnonzero(group == side)
        part = Windows.build(
            east[here], north[here], e[:, here], max_share,
            max_radius=max_radius, cancelled=cancelled,
        )  # fmt: skip
        result = scan(
            counts[:, here], e[:, here], part, times, replicates=replicates, seed=seed + 1 + side,
            max_clusters=max_clusters, threads=threads, progress=stages.next(), cancelled=cancelled,
        )  # fmt: skip
        moved = tuple(
            replace(c, centre=int(here[c.centre]), members=here[c.members].astype(np.int32))
            for c in result.clusters
        )
        alone.append(replace(result, clusters=moved))
    return PooledResult(
        _classify(pooled, alone, counts, e, group, alpha=alpha, own=own, factor=factor),
        pooled,
        tuple(alone),
        reporting_factors(counts, e, group),
        alpha,
        own,
    )


class _Stages:
    """Progress of several runs in a row as one."""

    def __init__(self, progress: Progress | None, number: int) -> None:
        self.progress, self.number, self.at = progress, number, -1

    def next(self) -> Progress | None:
        """Progress of the next run."""
        self.at += 1
        at, tell = self.at, self.progress
        if tell is None:
            return None
        return lambda share: tell((at + share) / self.number)


def _llr(c: float, e: float, total: float) -> float:
    """Log likelihood ratio of a window (METHODS 8); 0 where there is no excess."""
    if c <= e or e <= 0:
        return 0.0
    rest = total - c
    return c * math.log(c / e) + (rest * math.log(rest / (total - e)) if rest > 0 else 0.0)


def _classify(
    pooled: ScanResult,
    alone: list[ScanResult],
    counts: npt.NDArray[np.generic],
    e: Floats,
    group: Ints,
    *,
    alpha: float,
    own: float,
    factor: bool,
) -> tuple[BorderCluster, ...]:
    own_found = [
        (side, cluster)
        for side, result in enumerate(alone)
        for cluster in result.clusters
        if cluster.p <= own
    ]
    known = np.nansum(e, axis=0) > 0
    o = np.where(known, counts, 0).astype(np.float64)
    mass = np.nan_to_num(e)
    seen = np.bincount(group, weights=o.sum(axis=0))
    held = np.bincount(group, weights=mass.sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = mass * np.where(held > 0, seen / held, 0.0)[group]
    if factor:
        mass = scaled
    elif mass.sum():
        mass = mass * (o.sum() / mass.sum())

    def looked_at(side: int, steps: slice, inside: npt.NDArray[np.int32]) -> float:
        part = float(scaled[steps][:, inside].sum())
        return alone[side].p(_llr(float(o[steps][:, inside].sum()), part, float(seen[side])))

    def described(cluster: Cluster, finders: tuple[int, ...], by_pooled: bool) -> BorderCluster:
        steps = slice(cluster.first, cluster.last + 1)
        sides = tuple(
            Side(
                side,
                len(inside),
                int(o[steps][:, inside].sum()),
                float(mass[steps][:, inside].sum()),
                looked_at(side, steps, inside),
            )
            for side in np.unique(group[cluster.members]).tolist()
            for inside in [cluster.members[group[cluster.members] == side]]
        )
        kind = (TOGETHER, ONE)[len(finders)] if len(finders) < 2 else SEVERAL
        return BorderCluster(cluster, kind, sides, finders, by_pooled)

    found = []
    met: set[int] = set()
    for cluster in pooled.clusters:
        if cluster.p > alpha:
            continue
        touching = [
            at for at, (_, other) in enumerate(own_found)
            if np.intersect1d(other.members, cluster.members).size
            and other.first <= cluster.last and cluster.first <= other.last
        ]  # fmt: skip
        met.update(touching)
        seen_by = {own_found[at][0] for at in touching}
        one = described(cluster, (), True)
        seen_by |= {part.side for part in one.sides if part.p_alone <= own}
        found.append(described(cluster, tuple(sorted(seen_by)), True))
    rest = sorted(
        (pair for at, pair in enumerate(own_found) if at not in met), key=lambda pair: -pair[1].llr
    )
    found += [described(cluster, (side,), False) for side, cluster in rest]
    return tuple(found)
