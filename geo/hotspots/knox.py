"""Near-repeat: are events close in space also close in time (Knox 1964; METHODS 8).

May import numpy, scipy, `geo.compiled` and `geo.hotspots`. Pure and seeded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import spatial

from geo.compiled import compiled
from geo.hotspots import Cancelled, Progress, Stop

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: close pairs that are kept at once, 9 bytes each
PAIRS = 30_000_000
_BLOCK = 2048


@dataclass(frozen=True)
class Knox:
    """Pairs of events by distance (rows) and time (columns).

    Attributes
    ----------
    distances, times : (D + 1,), (B + 1,) float64
        Edges, metres and days; a band holds its lower edge and not its upper one.
    observed : (D, B) int64
    expected : (D, B) float64
        Mean over all ways to deal the times out: pairs in the distance band × share of all pairs
        in the time band (exact, not simulated).
    ratio : (D, B) float64
        observed / expected; nan where none is expected.
    p : (D, B) float64
        "Greater": (1 + replicates with at least as many) / (replicates + 1).
    events, replicates, seed : int
    """

    distances: Floats
    times: Floats
    observed: Ints
    expected: Floats
    ratio: Floats
    p: Floats
    events: int
    replicates: int
    seed: int


@compiled
def _tally(  # noqa: PLR0917 - numba calls it positionally
    first: npt.NDArray[np.int32],
    second: npt.NDArray[np.int32],
    band: npt.NDArray[np.uint8],
    days: Floats,
    edges: Floats,
    table: Ints,
) -> None:
    """Add every close pair to its band of distance and time."""
    last = len(edges) - 1
    for k in range(len(first)):
        apart = abs(days[first[k]] - days[second[k]])
        if edges[0] <= apart < edges[last]:
            b = 0
            while apart >= edges[b + 1]:
                b += 1
            table[band[k], b] += 1


def _edges(name: str, values: npt.ArrayLike) -> Floats:
    edges = np.asarray(values, dtype=np.float64)
    if edges.ndim != 1 or not 2 <= len(edges) <= 256 or not np.all(np.isfinite(edges)):
        raise ValueError(f"{name} are 2 to 256 finite edges, got {edges.tolist()}")
    if edges[0] < 0 or np.any(np.diff(edges) <= 0):
        raise ValueError(f"{name} must be ascending from 0 or more, got {edges.tolist()}")
    return edges


def _pairs(
    xy: Floats, edges: Floats, cancelled: Stop | None
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Each pair with a distance in a band once, i < j."""
    tree = spatial.cKDTree(xy)
    first, second, band = [], [], []
    for start in range(0, len(xy), _BLOCK):
        if cancelled is not None and cancelled():
            raise Cancelled
        block = spatial.cKDTree(xy[start : start + _BLOCK])
        near = block.sparse_distance_matrix(tree, edges[-1], output_type="ndarray")
        i, j = near["i"] + start, near["j"]
        at = np.searchsorted(edges, near["v"], side="right") - 1
        keep = (i < j) & (at >= 0) & (at < len(edges) - 1)
        first.append(i[keep].astype(np.int32))
        second.append(j[keep].astype(np.int32))
        band.append(at[keep].astype(np.uint8))
    return np.concatenate(first), np.concatenate(second), np.concatenate(band)


def _apart(days: Floats, edges: Floats) -> Ints:
    """Pairs of all events by time alone: sorted, each event asks how many follow within an edge."""
    order = np.sort(days)
    place = np.arange(len(order))
    below = []
    for edge in edges:
        # pairs less than `edge` apart; differences as the tally takes them, so that both agree
        to = np.searchsorted(order, order + edge, side="left")
        to = np.where((to > place) & (to <= len(order)), to, place + 1)
        below.append(int(np.maximum(to - place - 1, 0).sum()))
    return np.asarray(np.diff(below), dtype=np.int64)


def knox(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    days: npt.ArrayLike,
    distances: npt.ArrayLike,
    times: npt.ArrayLike,
    *,
    replicates: int = 999,
    seed: int = 0,
    max_pairs: int = PAIRS,
    progress: Progress | None = None,
    cancelled: Stop | None = None,
) -> Knox:
    """Table of near-repeats: observed against expected pairs, with permutation p.

    Parameters
    ----------
    x, y : (n,) float64
        Metres.
    days : (n,) float64
        When, in days from anywhere; fractions are allowed.
    distances, times : edges
        Metres and days, ascending; (0, 1, 100, 200) has "the same place" as its first band.
    replicates : int
        Permutations of the times over the events.
    seed : int
    max_pairs : int
        Most pairs nearer than the last distance: 9 bytes each, and the time of a permutation.

    Raises
    ------
    ValueError
        On shapes that differ, values that are not finite, bad edges, or too many close pairs.
    Cancelled
    """
    xy = np.column_stack([np.asarray(x, np.float64), np.asarray(y, np.float64)])
    when = np.ascontiguousarray(days, dtype=np.float64)
    if when.shape != xy.shape[:1]:
        raise ValueError(f"{len(xy)} places and {when.shape} times")
    if not (np.all(np.isfinite(xy)) and np.all(np.isfinite(when))):
        raise ValueError("places and times must be finite")
    near, spans = _edges("distances", distances), _edges("times", times)
    if replicates < 0 or seed < 0:
        raise ValueError("replicates and seed are not negative")
    shape = (len(near) - 1, len(spans) - 1)
    tree = spatial.cKDTree(xy) if len(xy) else None
    close = 0 if tree is None else (int(tree.count_neighbors(tree, near[-1])) - len(xy)) // 2
    if close > max_pairs:
        raise ValueError(
            f"{close:,} pairs are nearer than {near[-1]:g} m, the most is {max_pairs:,}: take a "
            "smaller area, a shorter span or smaller distances"
        )
    observed = np.zeros(shape, np.int64)
    above = np.zeros(shape, np.int64)
    everyone = len(xy) * (len(xy) - 1) // 2
    expected = np.zeros(shape)
    if close:
        first, second, band = _pairs(xy, near, cancelled)
        _tally(first, second, band, when, spans, observed)
        by_distance = np.bincount(band, minlength=shape[0]).astype(np.float64)
        expected = by_distance[:, None] * _apart(when, spans)[None, :] / everyone
    for replicate in range(replicates):
        if cancelled is not None and cancelled():
            raise Cancelled
        if close:
            table = np.zeros(shape, np.int64)
            dealt = np.random.default_rng([seed, replicate]).permutation(when)
            _tally(first, second, band, dealt, spans, table)
            above += table >= observed
        else:
            above += 1
        if progress is not None:
            progress((replicate + 1) / replicates)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(expected > 0, observed / expected, np.nan)
    p = (above + 1) / (replicates + 1) if replicates else np.full(shape, np.nan)
    return Knox(near, spans, observed, expected, ratio, p, len(xy), replicates, seed)
