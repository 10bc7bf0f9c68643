"""Getis and Ord's Gi*: is the neighbourhood of a cell higher or lower than the map (METHODS 8).

May import numpy, scipy, pyarrow, h3ronpy and `geo.risk`. Pure. Neighbourhoods are compressed sparse
rows (`indptr`, `indices`): row i names the cells of i's neighbourhood, itself included.
"""

from __future__ import annotations

from dataclasses import dataclass

import h3ronpy  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse, spatial, special

from geo import risk

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Cells = npt.NDArray[np.uint64]

COLD = -1
HOT = 1


@dataclass(frozen=True)
class Neighbours:
    """Who is in whose neighbourhood, in compressed sparse rows.

    Attributes
    ----------
    indptr : (n + 1,) int64
    indices : (m,) int64
        Neighbours of i are `indices[indptr[i]:indptr[i + 1]]`, ascending, i among them.
    """

    indptr: Ints
    indices: Ints

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def matrix(self) -> sparse.csr_matrix:
        """Return the same as (n, n) ones and zeros."""
        ones = np.ones(len(self.indices))
        return sparse.csr_matrix((ones, self.indices, self.indptr), shape=(len(self), len(self)))


def ring_neighbours(cells: npt.ArrayLike, k: int = 1) -> Neighbours:
    """H3 cells at most `k` steps away, itself included, as far as they are among `cells`.

    Parameters
    ----------
    cells : uint64 (n,)
        Distinct H3 cells of one resolution, in any order.
    k : int
        Rings; 0 = the cell alone.

    Raises
    ------
    ValueError
        On a cell that comes twice, or k < 0.
    """
    if k < 0:
        raise ValueError(f"k must not be negative, got {k}")
    own = np.asarray(cells, dtype=np.uint64)
    if own.ndim != 1:
        raise ValueError(f"cells must have shape (n,), got {own.shape}")
    order = np.argsort(own, kind="stable")
    known = own[order]
    if np.any(known[1:] == known[:-1]):
        twice = known[1:][known[1:] == known[:-1]][0]
        raise ValueError(f"cell {int(twice):x} comes twice")
    if not len(own):
        return Neighbours(np.zeros(1, np.int64), np.zeros(0, np.int64))
    disks = pa.array(h3ronpy.grid_disk(pa.array(own), k))
    around = disks.flatten().to_numpy(zero_copy_only=False).astype(np.uint64)
    row = np.repeat(np.arange(len(own)), np.diff(disks.offsets.to_numpy()))
    place = np.minimum(np.searchsorted(known, around), len(known) - 1)
    here = known[place] == around
    return _rows(row[here], order[place[here]], len(own))


def band_neighbours(x: npt.ArrayLike, y: npt.ArrayLike, distance: float) -> Neighbours:
    """Points at most `distance` apart, itself included; metres in one plane."""
    xy = np.column_stack([np.asarray(x, np.float64), np.asarray(y, np.float64)])
    if not np.all(np.isfinite(xy)):
        raise ValueError("x and y must be finite")
    if not distance >= 0:
        raise ValueError(f"distance must not be negative, got {distance}")
    pairs = spatial.cKDTree(xy).query_pairs(distance, output_type="ndarray")
    self_ = np.arange(len(xy))
    row = np.concatenate([self_, pairs[:, 0], pairs[:, 1]])
    column = np.concatenate([self_, pairs[:, 1], pairs[:, 0]])
    return _rows(row, column, len(xy))


def _rows(row: Ints, column: Ints, n: int) -> Neighbours:
    order = np.lexsort((column, row))
    indptr = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=n), out=indptr[1:])
    return Neighbours(indptr, np.ascontiguousarray(column[order], dtype=np.int64))


def gi_star(values: npt.ArrayLike, neighbours: Neighbours) -> Floats:
    """Compute z of Gi* with binary weights, the analytic form (Ord and Getis 1995; METHODS 8).

    `z_i = (Σ_j w_ij x_j − x̄ W_i) / (S √((n S1_i − W_i²)/(n−1)))`, with W_i = S1_i = the number of
    neighbours, i itself included, and S the standard deviation with divisor n.

    Parameters
    ----------
    values : float64 (n,) or (T, n)
        Of every cell, or of every cell in T steps (each step by itself). nan = no data: such a
        cell counts in no neighbourhood, nor in x̄, S and n.
    neighbours : Neighbours
        Of n cells, each its own neighbour.

    Returns
    -------
    float64, the shape of `values`; nan where the cell has no data. 0 where the question is empty:
    all values are equal, or the neighbourhood is the whole map.

    Raises
    ------
    ValueError
        On shapes that do not fit or infinite values.

    Examples
    --------
    >>> around = band_neighbours([10, 20, 40, 15, 30, 30], [10, 10, 10, 20, 20, 30], 15)
    >>> gi_star([2, 3, 3.2, 5, 8, 7], around).round(8).tolist()[:3]
    [-1.39727626, -0.28917762, 0.65064964]
    """
    given = np.asarray(values, dtype=np.float64)
    panel = np.atleast_2d(given)
    if given.ndim not in (1, 2) or panel.shape[1] != len(neighbours):
        raise ValueError(f"values {given.shape} do not fit {len(neighbours)} neighbourhoods")
    missing = np.isnan(panel)
    x = np.where(missing, 0.0, panel)
    if np.any(np.isinf(x)):
        raise ValueError("values are finite; missing is nan")
    matrix = neighbours.matrix()
    n = np.sum(~missing, axis=1, keepdims=True).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = x.sum(axis=1, keepdims=True) / n
        # deviations, not raw values: a large mean would eat the digits of the small differences
        deviation = np.where(missing, 0.0, panel - mean)
        spread = np.sqrt(np.square(deviation).sum(axis=1, keepdims=True) / n)
        if missing.any():
            weight = (matrix @ (~missing).T.astype(np.float64)).T
        else:
            weight = np.diff(neighbours.indptr).astype(np.float64)[None, :]
        room = (n * weight - weight * weight) / (n - 1)
        z = (matrix @ deviation.T).T / (spread * np.sqrt(room))
    # equal values leave rounding in the spread, not a difference
    flat = spread <= 1e-12 * np.maximum(np.abs(mean), np.abs(x).max(axis=1, keepdims=True))
    z = np.where(flat | ~(room > 0), 0.0, z)
    z[missing] = np.nan
    return np.asarray(z.reshape(given.shape), dtype=np.float64)


def p_values(z: npt.ArrayLike, side: str = "two-sided") -> Floats:
    """Turn z into normal p-values; `side` is "two-sided" or "greater" (hot only). nan stays nan."""
    value = np.asarray(z, dtype=np.float64)
    if side == "greater":
        return np.asarray(special.ndtr(-value), dtype=np.float64)
    if side == "two-sided":
        return np.asarray(2 * special.ndtr(-np.abs(value)), dtype=np.float64)
    raise ValueError(f'side is "two-sided" or "greater", not {side!r}')


def fdr(p: npt.ArrayLike, q: float = 0.05) -> Bools:
    """Pick those that hold a false discovery rate of `q` (Benjamini and Hochberg 1995).

    The largest k with `p_(k) ≤ k q / m`; the k smallest are picked. nan is no test.

    Parameters
    ----------
    p : float64, any shape (one family)
    q : float
        In (0, 1).

    Returns
    -------
    bool, the shape of `p`
    """
    if not 0 < q < 1:
        raise ValueError(f"q must be in (0, 1), got {q}")
    given = np.asarray(p, dtype=np.float64)
    flat = given.ravel()
    tested = flat[~np.isnan(flat)]
    if np.any((tested < 0) | (tested > 1)):
        raise ValueError("p-values are in [0, 1]")
    ranked = np.sort(tested)
    under = np.flatnonzero(ranked <= q * np.arange(1, len(ranked) + 1) / max(1, len(ranked)))
    if not len(under):
        return np.zeros(given.shape, dtype=np.bool_)
    return np.asarray(given <= ranked[under[-1]], dtype=np.bool_)


def hot_and_cold(z: npt.ArrayLike, q: float = 0.05) -> npt.NDArray[np.int8]:
    """1 = hot, -1 = cold, 0 = neither or no data, by two-sided p with `fdr` over one step's cells.

    Parameters
    ----------
    z : float64 (n,) or (T, n)
        Each step is a family of its own.

    Returns
    -------
    int8, the shape of `z`
    """
    given = np.asarray(z, dtype=np.float64)
    panel = np.atleast_2d(given)
    picked = np.zeros(panel.shape, dtype=np.int8)
    for step, row in enumerate(panel):
        chosen = fdr(p_values(row), q)
        picked[step, chosen] = np.where(row[chosen] > 0, HOT, COLD)
    return picked.reshape(given.shape)


def residuals(
    observed: npt.ArrayLike,
    expected: npt.ArrayLike,
    alpha: float | None = None,
    *,
    kind: str = "standardised",
) -> Floats:
    """EB-adjusted residuals, what Gi* is asked of instead of raw counts (METHODS 8).

    Under the gamma–Poisson model of METHODS 3 a count has mean E and variance E + E²/α.

    Parameters
    ----------
    observed, expected : (n,)
        nan or 0 in `expected` = no data.
    alpha : float, optional
        Strength of the prior; without it the one that maximises the likelihood of this map.
    kind : str
        "standardised": (O − E) / √(E + E²/α), the same variance everywhere.
        "excess": θ − 1 with θ = (α + O) / (α + E), shrunk where little is expected.

    Returns
    -------
    float64 (n,), nan = no data

    Raises
    ------
    ValueError
        On shapes that differ, negative or infinite counts, or a prior that is not positive.
    """
    o = np.asarray(observed, dtype=np.float64)
    e = np.asarray(expected, dtype=np.float64)
    if o.ndim != 1 or o.shape != e.shape:
        raise ValueError(f"observed {o.shape} and expected {e.shape} must be one (n,)")
    e = np.where(e == 0, np.nan, e)
    if alpha is None:
        alpha = float(risk.filter_expected(o[None, :], e[None, :]).alpha[0])
    elif np.any(e < 0) or np.any(np.isinf(e)) or not np.all(np.isfinite(o) & (o >= 0)):
        raise ValueError("counts are finite and not negative")
    if not alpha > 0:
        raise ValueError(f"alpha must be above 0, got {alpha}")
    if kind == "standardised":
        return np.asarray((o - e) / np.sqrt(e + e * e / alpha), dtype=np.float64)
    if kind == "excess":
        return risk.relative_risk(alpha, o, e) - 1
    raise ValueError(f'kind is "standardised" or "excess", not {kind!r}')
