"""Kulldorff's Poisson scan statistic in space and in space and time (METHODS 8).

May import numpy, `geo.hotspots`. Pure and seeded: replicate r of seed s is always the
same draw, whatever the number of threads. Steps of time are equal and in order; a window covers
whole steps, from its first to its last, both included.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from geo.hotspots import Progress, Stop
from geo.hotspots.search import Search, Spans
from geo.hotspots.windows import Windows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int32]

__all__ = ["Cluster", "ScanResult", "Times", "Windows", "scan"]

#: LLRs that differ by less (relative) are equal: sums of the same numbers in another order
_SAME = 1e-9


@dataclass(frozen=True)
class Times:
    """Which spans of steps a cylinder may have.

    Attributes
    ----------
    longest, shortest : int
        Steps, at least 1.
    prospective : bool
        True: only spans that end at the last step (is it going on now?). False: spans that end
        anywhere.
    """

    longest: int
    shortest: int = 1
    prospective: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest:
            raise ValueError(f"1 ≤ shortest ≤ longest, got {self.shortest} and {self.longest}")


@dataclass(frozen=True)
class Cluster:
    """A window with more cases than expected.

    Attributes
    ----------
    centre : int
        Place in whose circle it is.
    members : (m,) int32
        Places, by distance from the centre.
    radius : float
        Metres to the farthest of them; 0 for a single place.
    first, last : int
        Steps, both included; 0 and T − 1 for a purely spatial scan.
    observed : int
    expected : float
        After scaling to the total (of each group).
    relative_risk : float
        (c/E) / ((C−c)/(C−E)): inside against outside; inf when nothing lies outside.
    llr : float
        Log likelihood ratio.
    p : float
        Rank of `llr` among the replicates' largest / (replicates + 1); nan without replicates.
    """

    centre: int
    members: Counts
    radius: float
    first: int
    last: int
    observed: int
    expected: float
    relative_risk: float
    llr: float
    p: float


@dataclass(frozen=True)
class ScanResult:
    """Clusters by falling LLR, none sharing a place with one above it.

    Attributes
    ----------
    clusters : tuple of Cluster
    total : int
        Cases scanned, C.
    left_out : int
        Cases of places with nothing expected (no data).
    maxima : (replicates,) float64
        Largest LLR of each replicate, in the order drawn.
    seed : int
    """

    clusters: tuple[Cluster, ...]
    total: int
    left_out: int
    maxima: Floats
    seed: int

    def p(self, llr: float) -> float:
        """Rank of an LLR among the replicates / (replicates + 1)."""
        if not len(self.maxima):
            return math.nan
        above = int(np.sum(self.maxima >= llr - _SAME * max(1.0, abs(llr))))
        return (above + 1) / (len(self.maxima) + 1)


class _Draw:
    """Replicates: each group's cases thrown on its places and steps in proportion to E."""

    def __init__(self, expected: Floats, groups: Ints, totals: Ints, first: int) -> None:
        # only steps from `first` on are looked at; what fell before is thrown away at once
        self.shape = (expected.shape[0] - first, expected.shape[1])
        self.parts: list[tuple[Ints, Floats, Floats, int, float]] = []
        late = expected[first:]
        for group, total in enumerate(totals.tolist()):
            inside = groups == group
            everything = float(expected[:, inside].sum())
            if not total or not everything > 0:
                continue
            flat = np.flatnonzero((late > 0) & inside)
            mass = late.ravel()[flat]
            share = min(1.0, float(mass.sum()) / everything) if first else 1.0
            if len(flat):
                self.parts.append((flat, mass / mass.sum(), np.cumsum(mass), total, share))

    def __call__(self, seed: int, replicate: int) -> Counts:
        """Return counts (steps, n)."""
        rng = np.random.default_rng([seed, replicate])
        size = self.shape[0] * self.shape[1]
        counts = np.zeros(size, np.int32)
        for flat, mass, edges, total, share in self.parts:
            number = int(rng.binomial(total, share)) if share < 1 else total
            if number < len(flat):
                # fewer cases than cells: throwing each is quicker than asking each cell
                at = np.searchsorted(edges, rng.random(number) * edges[-1], side="right")
                counts += np.bincount(flat[np.minimum(at, len(flat) - 1)], minlength=size).astype(
                    np.int32
                )
            else:
                counts[flat] += rng.multinomial(number, mass).astype(np.int32)
        return counts.reshape(self.shape)


def scan(
    cases: npt.ArrayLike,
    expected: npt.ArrayLike,
    windows: Windows,
    times: Times | None = None,
    *,
    replicates: int = 999,
    seed: int = 0,
    groups: npt.ArrayLike | None = None,
    max_clusters: int = 10,
    min_cases: int = 2,
    threads: int = 1,
    progress: Progress | None = None,
    cancelled: Stop | None = None,
) -> ScanResult:
    """Find the windows with the most surprising excess and how surprising it is (METHODS 8, 9).

    `LLR = c ln(c/E) + (C−c) ln((C−c)/(C−E))` where c > E, else 0; E is scaled to the total C.
    Replicates throw C cases on places and steps in proportion to E; p = rank / (R + 1) of a
    cluster's LLR among the replicates' largest. Secondary clusters are the best windows of other
    centres that share no place with a better one; their p is against the largest, too
    (conservative).

    Parameters
    ----------
    cases : (n,) or (T, n) counts
    expected : float64, the shape of `cases`
        In any scale; nan or 0 = no data, such places are left out with their cases.
    windows : Windows
        Circles over the n places.
    times : Times, optional
        None: purely spatial, steps summed.
    replicates : int
        0: no p.
    seed : int
        Not negative.
    groups : (n,) ints from 0, optional
        Each group's E is scaled to its own total and replicates keep each group's total: a group
        that records more than others is no cluster (METHODS 9).
    max_clusters : int
        Most clusters to return.
    min_cases : int
        A window with fewer is none.
    threads : int
        Of the replicates.
    progress, cancelled : callables
        See `geo.hotspots`.

    Raises
    ------
    ValueError
        On shapes that do not fit, counts that are not whole or negative, cases in a step in which
        nothing was expected at a place that has data.
    Cancelled

    Notes
    -----
    Memory: 5 bytes per member of `windows`, 4 bytes × blocks (see `geo.hotspots.search`) × spans, 12
    bytes × places × spans, 12 bytes × places × steps. With `threads` the last two each.
    """
    counts, e, left_out = _checked(cases, expected, windows, times)
    members = _grouped(groups, windows.size)
    totals = np.bincount(members, weights=counts.sum(axis=0)).astype(np.int64)
    total = int(totals.sum())
    if min(seed, replicates) < 0 or min(threads, max_clusters, min_cases) < 1:
        raise ValueError(
            "seed and replicates are not negative; threads, max_clusters and min_cases at least 1"
        )
    if progress is not None:
        progress(0.0)
    if total == 0:
        return ScanResult((), 0, left_out, np.zeros(0), seed)
    masses = np.bincount(members, weights=e.sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        e = e * np.where(masses > 0, totals / masses, 0.0)[members]
    spans = (
        Spans(len(e), len(e), len(e), False)
        if times is None
        else Spans(len(e), times.shortest, times.longest, not times.prospective)
    )
    search = Search(windows, spans, e, total, min_cases)
    # a place without data has no circle as centre and is in none
    found = _candidates(search, counts[spans.first :], cancelled)
    draw = _Draw(e, members, totals, spans.first)
    maxima = np.zeros(replicates)

    def one(replicate: int) -> float:
        return search.largest(draw(seed, replicate), cancelled)

    with ThreadPoolExecutor(threads) as pool:
        runs = map(one, range(replicates)) if threads == 1 else pool.map(one, range(replicates))
        for replicate, value in enumerate(runs):
            maxima[replicate] = value
            if progress is not None:
                progress((replicate + 1) / replicates)
    bare = ScanResult((), total, left_out, maxima, seed)
    clusters = [
        _cluster(one_, windows, counts, e, bare) for one_ in _apart(found, windows, max_clusters)
    ]
    if times is None:
        last = np.atleast_2d(np.asarray(cases)).shape[0] - 1
        clusters = [replace(cluster, last=last) for cluster in clusters]
    return ScanResult(tuple(clusters), total, left_out, maxima, seed)


@dataclass(frozen=True)
class _Found:
    llr: float
    centre: int
    length: int
    first: int
    last: int


def _checked(
    cases: npt.ArrayLike, expected: npt.ArrayLike, windows: Windows, times: Times | None
) -> tuple[Counts, Floats, int]:
    given = np.atleast_2d(np.asarray(cases, dtype=np.float64))
    e = np.atleast_2d(np.asarray(expected, dtype=np.float64))
    if given.ndim != 2 or given.shape != e.shape or given.shape[1] != windows.size:
        raise ValueError(
            f"cases {given.shape} and expected {e.shape} do not fit {windows.size} places"
        )
    if not np.all(np.isfinite(given) & (given >= 0) & (given == np.floor(given))):
        raise ValueError("cases are whole numbers, not negative")
    if given.sum() >= 2**31:
        raise ValueError("more than 2^31 cases")
    if np.any(e < 0) or np.any(np.isinf(e)):
        raise ValueError("expected counts are finite and not negative; missing is nan")
    e = np.nan_to_num(e)
    counts = given.astype(np.int32)
    known = e.sum(axis=0) > 0
    left_out = int(counts[:, ~known].sum())
    counts[:, ~known] = 0
    if times is None:
        counts = counts.sum(axis=0, keepdims=True, dtype=np.int32)
        e = e.sum(axis=0, keepdims=True)
    odd = np.argwhere((counts > 0) & (e <= 0))
    if len(odd):
        step, place = odd[0]
        raise ValueError(
            f"{counts[step, place]} cases at place {place} in step {step}, where none is expected"
        )
    return counts, e, left_out


def _grouped(groups: npt.ArrayLike | None, n: int) -> Ints:
    if groups is None:
        return np.zeros(n, np.int64)
    members = np.asarray(groups)
    if members.shape != (n,) or not np.issubdtype(members.dtype, np.integer):
        raise ValueError(f"groups must be ({n},) whole numbers, got {members.shape}")
    if n and members.min() < 0:
        raise ValueError("groups are numbered from 0")
    return members.astype(np.int64)


def _candidates(search: Search, cases: Counts, cancelled: Stop | None) -> list[_Found]:
    """Best window of every centre over all spans, by falling LLR."""
    best: dict[int, _Found] = {}
    for end, llr, length, steps in search.each(cases, cancelled):
        for i in np.flatnonzero(llr > 0).tolist():
            if i not in best or llr[i] > best[i].llr:
                first = end - int(steps[i]) + 1
                best[i] = _Found(float(llr[i]), i, int(length[i]), first, end)
    # of equal ones the smaller circle, then the smaller number of the centre
    return sorted(best.values(), key=lambda f: (-round(f.llr, 9), f.length, f.centre))


def _apart(found: list[_Found], windows: Windows, most: int) -> Iterator[_Found]:
    """Go down the list and take what shares no place with one taken before."""
    taken = np.zeros(windows.size, np.bool_)
    number = 0
    for one in found:
        inside = windows.inside(one.centre, one.length)
        if number < most and not taken[inside].any():
            taken[inside] = True
            number += 1
            yield one


def _cluster(
    one: _Found, windows: Windows, counts: Counts, e: Floats, result: ScanResult
) -> Cluster:
    inside = windows.inside(one.centre, one.length).copy()
    steps = slice(one.first, one.last + 1)
    c = int(counts[steps][:, inside].sum())
    expected = float(e[steps][:, inside].sum())
    total = result.total
    rest = total - c
    return Cluster(
        one.centre, inside, windows.radius(one.centre, one.length), one.first, one.last, c, expected,
        math.inf if not rest else (c / expected) / (rest / (total - expected)),
        one.llr, result.p(one.llr),
    )  # fmt: skip
