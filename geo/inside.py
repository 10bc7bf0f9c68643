"""Which polygon covers a point, compiled: a raster, then the edges inside one of its cells.

May import numpy and what compiles. Pure. Public entry is `geo.locate`; what is here takes checked,
contiguous arrays. A cell that edges touch has a record: the polygons there, which of them cover one
reference point of the cell, and the edges with the polygons they bound. On the way from there to a
point every edge crossed changes sides. Answers are certain or not given: where rounding could
decide, the point is handed back to be tested exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geo.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Way = tuple[float, float, float, float]

#: answer for a point that only an exact test can tell
UNSURE = -1
#: polygons of one record: bits of a word
MOST = 63
#: words of an edge in a record: x y x y, bits of the polygons it bounds
EDGE_WORDS = 5

# (3 + 16 ε) ε with ε = 2⁻⁵³: error of the orientation as computed below, in parts of the sum of
# its two products (Shewchuk 1997, adaptive precision predicates, ccwerrboundA)
_ERROR = 3.3306690738754716e-16
# products this small may have lost digits to underflow, which the bound does not count
_TINY = 1e-250
# reference points of a cell: the first that lies on no edge, nor on the line through one
_REFERENCES = ((0.5, 0.5), (0.37, 0.61), (0.71, 0.29), (0.23, 0.77))
# head of a record, in bits: number of polygons, of edges, reference point, "only exact tests tell"
POLYGON_BITS = (1 << 20) - 1
_EDGES, _EDGE_BITS = 20, (1 << 24) - 1
_REFERENCE = 44
_EXACT_ONLY = 46


class Lists(NamedTuple):
    """Edges that touch a row of the raster, polygon by polygon; needed to build only.

    first : int64 (n,), number of the polygon's first list minus its first row: list = that + row
    start : int64 (lists + 1,), cuts `edge`
    edge : int32, positions into `points`
    points : float64 (m, 4), x y x y
    """

    first: Ints
    start: Ints
    edge: npt.NDArray[np.int32]
    points: Floats


@compiled
def _side(edge: Floats | Way, x: float, y: float) -> int:
    """1 left of an edge (x y x y), -1 right of it, 0 where rounding could decide."""
    left = (edge[0] - x) * (edge[3] - y)
    right = (edge[1] - y) * (edge[2] - x)
    turn = left - right
    size = abs(left) + abs(right)
    if not (abs(turn) > _ERROR * size and size > _TINY):
        return 0
    return 1 if turn > 0 else -1


@compiled
def _covers(lists: Lists, polygon: int, row: int, x: float, y: float) -> int:
    """Tell whether a polygon covers a point of a raster row: 1 or 0, or UNSURE.

    Counts the edges that a ray to the right crosses.
    """
    at = lists.first[polygon] + row
    inside = 0
    for e in lists.edge[lists.start[at] : lists.start[at + 1]]:
        edge = lists.points[e]
        # half open: a corner on the ray belongs to one of its two edges
        if (y < edge[1]) == (y < edge[3]):
            if y == edge[1] or y == edge[3]:
                return UNSURE
            continue
        side = _side(edge, x, y)
        if side == 0:
            return UNSURE
        inside ^= int((side > 0) == (edge[3] > edge[1]))
    return inside


@compiled
def _reference(
    grid: tuple[float, float, float, int, int], cell: int, which: int
) -> tuple[float, float]:
    west, south, per_degree, _, columns = grid
    x = west + (cell % columns + _REFERENCES[which][0]) / per_degree
    y = south + (cell // columns + _REFERENCES[which][1]) / per_degree
    return x, y


@compiled
def fill_records(
    lists: Lists,
    grid: tuple[float, float, float, int, int],
    slots: tuple[Ints, Ints, Ints, Ints],
    content: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Floats, Ints, Ints],
    words: Ints,
) -> None:
    """Write the record of every slot into `words`.

    Parameters
    ----------
    lists : Lists
    grid : west, south, cells per degree, rows, columns
    slots : cells int64 (s,); three int64 (s + 1,) that cut polygons, edges and `words`
    content : per slot and polygon its position int32, ascending; id of each position int32 (n,);
        edges float64 (m, 4), x y x y; per slot and edge the edge int64, and the bits of the
        polygons it bounds int64
    words : int64; numbers of edges as they lie in memory
    """
    cells, polygon_start, edge_start, word_start = slots
    polygon, ids, points, edge, bits = content
    numbers = words.view(np.float64)
    halves = words.view(np.int32)
    for slot in range(len(cells)):
        first, many = polygon_start[slot], polygon_start[slot + 1] - polygon_start[slot]
        e0, e1 = edge_start[slot], edge_start[slot + 1]
        at = word_start[slot]
        for k in range(many):
            halves[2 * (at + 2) + k] = ids[polygon[first + k]]
        body = at + 2 + (many + 1) // 2
        for e in range(e0, e1):
            numbers[body : body + 4] = points[edge[e]]
            words[body + 4] = bits[e]
            body += EDGE_WORDS
        head = many | (e1 - e0) << _EDGES
        chosen = -1
        if many <= MOST:
            for which in range(len(_REFERENCES)):
                x, y = _reference(grid, cells[slot], which)
                good, inside = True, 0
                for e in range(e0, e1):
                    good = good and _side(points[edge[e]], x, y) != 0
                for k in range(many):
                    if good:
                        hit = _covers(lists, polygon[first + k], cells[slot] // grid[4], x, y)
                        good = hit != UNSURE
                        inside |= (hit & 1) << k
                if good:
                    chosen = which
                    words[at + 1] = inside
                    break
        words[at] = head | (1 << _EXACT_ONLY if chosen < 0 else chosen << _REFERENCE)


@compiled
def _bits(words: Ints, numbers: Floats, at: int, way: Way) -> int:
    """Bits of the polygons of the record `at` that cover a point of its cell, or UNSURE.

    way : x y of the point, x y of the reference point
    """
    head = words[at]
    inside = int(words[at + 1])
    body = at + 2 + ((head & POLYGON_BITS) + 1) // 2
    for _ in range((head >> _EDGES) & _EDGE_BITS):
        edge = numbers[body : body + 4]
        here = _side(edge, way[0], way[1])
        if here == 0:
            return UNSURE
        if here != _side(edge, way[2], way[3]):
            # the line through the edge is crossed: the edge itself when its ends lie on both sides
            a = _side(way, edge[0], edge[1])
            b = _side(way, edge[2], edge[3])
            if a == 0 or b == 0:
                return UNSURE
            if a != b:
                inside ^= int(words[body + 4])
        body += EDGE_WORDS
    return inside


@compiled
def locate_many(
    raster: npt.NDArray[np.int32],
    words: Ints,
    grid: tuple[float, float, float, int, int],
    points: tuple[Floats, Floats],
    found: npt.NDArray[np.int32],
) -> int:
    """Write the id of each point (n,) into `found`, 0 for none; UNSURE ones are counted.

    raster : int32 (rows * columns,), id > 0, 0 none, -1 - word of the record where edges are
    words : int64, the records
    grid : west, south, cells per degree, rows, columns
    """
    west, south, per_degree, rows, columns = grid
    xs, ys = points
    numbers = words.view(np.float64)
    halves = words.view(np.int32)
    unsure = 0
    for i in range(len(xs)):
        x, y = xs[i], ys[i]
        u, v = (x - west) * per_degree, (y - south) * per_degree
        # nan fails as well
        if not (u >= 0.0 and u < columns and v >= 0.0 and v < rows):
            found[i] = 0
            continue
        cell = int(v) * columns + int(u)
        value = raster[cell]
        if value >= 0:
            found[i] = value
            continue
        at = -1 - int(value)
        bits = UNSURE
        if not words[at] >> _EXACT_ONLY:
            rx, ry = _reference(grid, cell, words[at] >> _REFERENCE & 3)
            bits = _bits(words, numbers, at, (x, y, rx, ry))
        if bits == UNSURE:
            found[i] = UNSURE
            unsure += 1
            continue
        found[i] = 0
        if bits:
            lowest = 0
            while not bits >> lowest & 1:
                lowest += 1
            found[i] = halves[2 * (at + 2) + lowest]
    return unsure
