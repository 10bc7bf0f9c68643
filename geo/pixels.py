"""Part of each pixel that a polygon covers, compiled. May import numpy and what compiles. Pure.

Public entry is `geo.raster`; what is here takes checked, contiguous arrays. An edge hands each
pixel row it crosses its signed height: the pixel it is in gets the part to its right, the pixels
further right all of it. Added up along the row that is the covered area, exactly (up to rounding,
about 1e-12), for any polygon with holes and parts, however small or large against the pixels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geo.compiled import compiled

Floats = npt.NDArray[np.float64]


class Pieces(NamedTuple):
    """Polygons in pixel coordinates.

    edges : float64 (m, 4), x y x y, polygon after polygon; `starts` int64 (n + 1,) cuts them
    signs : float64 (n,), 1 or -1: the way outer rings turn
    boxes : int64 (n, 4), first column, first row, last column + 1, last row + 1; kept on the raster
    areas : float64 (n,), in pixels, also beyond the raster
    """

    edges: Floats
    starts: npt.NDArray[np.int64]
    signs: Floats
    boxes: npt.NDArray[np.int64]
    areas: Floats


class Box(NamedTuple):
    """Where a grid of one polygon begins on the raster, and how many pixels its own are wide."""

    column: int
    row: int
    factor: int


#: less coverage than this is rounding
LEAST = 1e-9


@compiled
def _strip(heights: Floats, xa: float, ya: float, xb: float, yb: float) -> None:
    """Hand on an edge inside one pixel row; `heights` (w + 1,) is that row, x from 0 to w."""
    width = len(heights) - 1
    if (xa <= 0.0 and xb <= 0.0) or xa == xb:
        x = max(xa, 0.0)
        at = int(x)
        if at >= width:
            return
        heights[at] += (yb - ya) * (1.0 - (x - at))
        heights[at + 1] += (yb - ya) * (x - at)
        return
    slope = (yb - ya) / (xb - xa)
    step = 1 if xb > xa else -1
    x, y = xa, ya
    if x < 0.0:  # comes in from the left: all of that part counts for the first pixel
        y_in = ya - xa * slope
        heights[0] += y_in - ya
        x, y = 0.0, y_in
    elif x > width:  # comes in from the right: that part counts for no pixel
        if xb >= width:
            return
        y = ya + (width - xa) * slope
        x = float(width)
    while True:
        at = math.floor(x) if step > 0 else math.ceil(x) - 1
        if at >= width:
            return
        if at < 0:  # goes out to the left
            heights[0] += yb - y
            return
        x_next = float(at + 1) if step > 0 else float(at)
        last = (xb <= x_next) if step > 0 else (xb >= x_next)
        y_next = yb
        if last:
            x_next = xb
        else:
            y_next = ya + (x_next - xa) * slope
        mean = (x + x_next) / 2 - at
        heights[at] += (y_next - y) * (1.0 - mean)
        heights[at + 1] += (y_next - y) * mean
        if last:
            return
        x, y = x_next, y_next


@compiled
def _heights(edges: Floats, column: int, row: int, heights: Floats) -> None:
    """Fill `heights` (h, w + 1) with the edges of one polygon; its corner is pixel (column, row)."""
    tall = heights.shape[0]
    heights[:] = 0.0
    for e in range(len(edges)):
        xa, ya = edges[e, 0] - column, edges[e, 1] - row
        xb, yb = edges[e, 2] - column, edges[e, 3] - row
        if ya == yb or (ya <= 0.0 and yb <= 0.0) or (ya >= tall and yb >= tall):
            continue
        if xa >= heights.shape[1] - 1 and xb >= heights.shape[1] - 1:
            continue
        down = ya < yb
        if not down:
            xa, ya, xb, yb = xb, yb, xa, ya
        run = (xb - xa) / (yb - ya)
        y = max(ya, 0.0)
        x = xa + (y - ya) * run
        end = min(yb, float(tall))
        while y < end:
            at = int(y)
            y_next = min(float(at + 1), end)
            x_next = xb if y_next == yb else xa + (y_next - ya) * run
            # an edge that goes up hands on negative heights
            if down:
                _strip(heights[at], x, y, x_next, y_next)
            else:
                _strip(heights[at], x_next, y_next, x, y)
            x, y = x_next, y_next


@compiled
def _meet(
    box: npt.NDArray[np.int64], corner: npt.NDArray[np.int64], cover: Floats
) -> tuple[int, int, int, int]:
    """Columns and rows that a polygon's box and a window share."""
    return (
        max(box[0], corner[0]),
        max(box[1], corner[1]),
        min(box[2], corner[0] + cover.shape[1]),
        min(box[3], corner[1] + cover.shape[0]),
    )


@compiled
def add_cover(
    pieces: Pieces,
    chosen: npt.NDArray[np.int64],
    corner: npt.NDArray[np.int64],
    cover: Floats,
) -> None:
    """Add to `cover` (h, w) the covered part of every pixel, for each of the `chosen` polygons.

    corner : int64 (2,), column and row of the pixel that `cover[0, 0]` is
    """
    for u in chosen:
        c0, r0, c1, r1 = _meet(pieces.boxes[u], corner, cover)
        if c0 >= c1 or r0 >= r1:
            continue
        heights = np.empty((r1 - r0, c1 - c0 + 1))
        _heights(pieces.edges[pieces.starts[u] : pieces.starts[u + 1]], c0, r0, heights)
        for r in range(r1 - r0):
            total = 0.0
            for c in range(c1 - c0):
                total += heights[r, c]
                part = min(pieces.signs[u] * total, 1.0)
                if part > LEAST:
                    cover[r0 - corner[1] + r, c0 - corner[0] + c] += part


@compiled
def add_values(
    pieces: Pieces,
    chosen: npt.NDArray[np.int64],
    corner: npt.NDArray[np.int64],
    layers: tuple[Floats, Floats],
    totals: Floats,
) -> None:
    """Add up what each of the `chosen` polygons gets.

    layers : cover and values (h, w); a pixel without a value is nan. Where polygons overlap
        (cover > 1) they share the pixel.
    totals : float64 (2, n); row 0 gets the values, row 1 the pixels that have one
    """
    cover, values = layers
    for u in chosen:
        c0, r0, c1, r1 = _meet(pieces.boxes[u], corner, cover)
        if c0 >= c1 or r0 >= r1:
            continue
        heights = np.empty((r1 - r0, c1 - c0 + 1))
        _heights(pieces.edges[pieces.starts[u] : pieces.starts[u + 1]], c0, r0, heights)
        for r in range(r1 - r0):
            total = 0.0
            for c in range(c1 - c0):
                total += heights[r, c]
                part = min(pieces.signs[u] * total, 1.0)
                at = (r0 - corner[1] + r, c0 - corner[0] + c)
                if part > LEAST and not math.isnan(values[at]):
                    totals[0, u] += values[at] * part / max(cover[at], 1.0)
                    totals[1, u] += part


@compiled
def add_grid(
    pieces: Pieces,
    u: int,
    window: tuple[npt.NDArray[np.int64], Floats, Floats],
    box: Box,
    grid: Floats,
) -> None:
    """Add a window to the grid of polygon `u`: what it gets of each pixel, and the part it covers.

    window : corner, cover and values as in `add_values`
    grid : float64 (2, h, w) of the pixels of `box`: amounts, parts; a pixel without a value adds to
        its part alone
    """
    corner, cover, values = window
    c0, r0, c1, r1 = _meet(pieces.boxes[u], corner, cover)
    if c0 >= c1 or r0 >= r1:
        return
    heights = np.empty((r1 - r0, c1 - c0 + 1))
    _heights(pieces.edges[pieces.starts[u] : pieces.starts[u + 1]], c0, r0, heights)
    for r in range(r1 - r0):
        total = 0.0
        row = (r0 + r - box.row) // box.factor
        for c in range(c1 - c0):
            total += heights[r, c]
            part = min(pieces.signs[u] * total, 1.0)
            if part <= LEAST:
                continue
            at = (r0 - corner[1] + r, c0 - corner[0] + c)
            column = (c0 + c - box.column) // box.factor
            grid[1, row, column] += part
            if not math.isnan(values[at]):
                grid[0, row, column] += values[at] * part / max(cover[at], 1.0)


@compiled
def weigh(edges: Floats, amounts: npt.NDArray[np.float32]) -> float:
    """Sum `amounts` (h, w) by the part of each pixel inside a polygon of edges (m, 4), signed.

    Linear in the edges: nothing is cut off or rounded away, so parts add up to their whole.
    """
    if len(edges) == 0:
        return 0.0
    tall, wide = amounts.shape
    c0 = max(math.floor(min(edges[:, 0].min(), edges[:, 2].min())), 0)
    c1 = min(math.floor(max(edges[:, 0].max(), edges[:, 2].max())) + 1, wide)
    r0 = max(math.floor(min(edges[:, 1].min(), edges[:, 3].min())), 0)
    r1 = min(math.floor(max(edges[:, 1].max(), edges[:, 3].max())) + 1, tall)
    if c0 >= c1 or r0 >= r1:
        return 0.0
    heights = np.empty((r1 - r0, c1 - c0 + 1))
    _heights(edges, c0, r0, heights)
    found = 0.0
    for r in range(r1 - r0):
        total = 0.0
        for c in range(c1 - c0):
            total += heights[r, c]
            found += total * amounts[r0 + r, c0 + c]
    return found
