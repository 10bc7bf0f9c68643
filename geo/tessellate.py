"""Approximate areas from points: Voronoi cells inside real parents, as one exact coverage.

May import numpy, scipy and shapely. Pure and deterministic: no clock, no global random; the same
input and generator give the same output (for one version of qhull and GEOS).

The way: points stand for people (more of them where a town is dense). They are grouped top-down
(towns, villages, grids) by balanced power diagrams and Lloyd steps; the centres of the finest groups
are the seeds of ONE flat Voronoi diagram per parent, whose edges are made to wander a little, and
whose cells are merged upwards by label. So a coarser unit is the union of its finer ones by
construction, and nothing is ever clipped twice.

All coordinates are EPSG:4326, x (longitude) before y; distances are taken in a local plane
`(x cos φ0, y)`, good to a percent over a few degrees.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely
from scipy.spatial import Voronoi, cKDTree

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# A binary fraction: coordinates are exact in float64 and their low bits are zero, so files compress
# to about half. 2^-20 degrees are 0.1 m.
SNAP = 2.0**-20


class TessellationError(ValueError):
    """Seeds and parents do not fit: a seed outside its parent, two seeds in one place."""


def to_plane(points: Floats, latitude: float) -> Floats:
    """Degrees `(n, 2)` to the local plane: degrees of latitude on both axes."""
    return np.column_stack([points[:, 0] * np.cos(np.radians(latitude)), points[:, 1]])


def from_plane(points: Floats, latitude: float) -> Floats:
    """Undo `to_plane`."""
    return np.column_stack([points[:, 0] / np.cos(np.radians(latitude)), points[:, 1]])


def sample_inside(
    polygon: shapely.Geometry, n: int, rng: np.random.Generator, density: object = None
) -> Floats:
    """Draw `n` points inside `polygon`, by rejection.

    Parameters
    ----------
    polygon
        Polygon or MultiPolygon, EPSG:4326.
    n
        Number of points.
    rng
        Generator; the only source of chance.
    density
        Callable from degrees `(m, 2)` to relative densities `(m,)` in (0, 1]; none: uniform.

    Returns
    -------
    numpy.ndarray
        `(n, 2)` degrees, strictly inside.
    """
    shapely.prepare(polygon)
    west, south, east, north = polygon.bounds
    parts: list[Floats] = []
    have = 0
    while have < n:
        m = max(4096, 2 * (n - have))
        points = rng.random((m, 2)) * (east - west, north - south) + (west, south)
        points = points[shapely.contains_xy(polygon, points[:, 0], points[:, 1])]
        if callable(density):
            points = points[rng.random(len(points)) < density(points)]
        parts.append(points)
        have += len(points)
    return np.concatenate(parts)[:n]


def spread(samples: Floats, fixed: Floats, n: int, steps: int = 12) -> Floats:
    """Place `n` further points among `samples`, far from each other and from the `fixed` ones.

    Farthest-point choice (Gonzalez 1985), then Lloyd steps that move only the new points.

    Parameters
    ----------
    samples
        `(m, 2)` candidate places, plane coordinates.
    fixed
        `(f, 2)` points that stay, f ≥ 0.
    n
        How many to place; 0 gives an empty answer.
    steps
        Lloyd steps.

    Returns
    -------
    numpy.ndarray
        `(n, 2)`; every one of them is one of the samples.
    """
    if n == 0:
        return np.empty((0, 2))
    if len(fixed):
        distance = cKDTree(fixed).query(samples)[0]
        chosen: list[int] = []
    else:
        first = int(np.argmin(((samples - samples.mean(axis=0)) ** 2).sum(axis=1)))
        chosen = [first]
        distance = np.hypot(*(samples - samples[first]).T)
    while len(chosen) < n:
        new = int(np.argmax(distance))
        chosen.append(new)
        distance = np.minimum(distance, np.hypot(*(samples - samples[new]).T))
    placed = samples[chosen]
    for _ in range(steps):
        label = cKDTree(np.concatenate([fixed, placed])).query(samples)[1] - len(fixed)
        mine = label >= 0
        count = np.bincount(label[mine], minlength=n)
        for axis in (0, 1):
            total = np.bincount(label[mine], weights=samples[mine, axis], minlength=n)
            placed[:, axis] = np.where(count > 0, total / np.maximum(count, 1), placed[:, axis])
    return np.asarray(samples[cKDTree(samples).query(placed)[1]])


def balanced_labels(samples: Floats, centres: Floats, share: Floats, steps: int = 60) -> Ints:
    """Assign samples to fixed centres by a power diagram whose weights chase the wanted shares.

    A weight never grows so far that a centre would lose its own place.

    Parameters
    ----------
    samples
        `(m, 2)` plane coordinates.
    centres
        `(k, 2)`; not moved.
    share
        `(k,)` wanted part of the samples, adding up to 1.
    steps
        Corrections of the weights; they are found on some 8,000 of the samples.

    Returns
    -------
    numpy.ndarray
        `(m,)` index of the centre.
    """
    k = len(centres)
    if k == 1:
        return np.zeros(len(samples), dtype=np.int64)
    few = samples[:: max(1, len(samples) // 8000)]
    square = _squares(few, centres)
    nearest = cKDTree(centres).query(centres, k=2)[0][:, 1]
    limit = 0.4 * nearest**2
    weight = np.zeros(k)
    label = np.argmin(square, axis=1)
    for step in range(steps):
        got = np.bincount(label, minlength=k) / len(few)
        weight += 0.5 / (1 + step / 15) * limit * np.tanh(np.log((share + 1e-6) / (got + 1e-6)))
        weight = np.clip(weight, -limit, limit)
        label = np.argmin(square - weight, axis=1)
    return np.asarray(np.argmin(_squares(samples, centres) - weight, axis=1), dtype=np.int64)


def _squares(points: Floats, centres: Floats) -> Floats:
    """Squared distances `(m, k)`."""
    return np.asarray(((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2))


def cluster(samples: Floats, k: int, rng: np.random.Generator, steps: int = 10) -> Ints:
    """Cut `samples` into `k` compact groups of like size (Lloyd 1982 from a D² start).

    Parameters
    ----------
    samples
        `(m, 2)` plane coordinates, m ≥ k.
    k
        Number of groups, none of them empty.
    rng
        Generator.
    steps
        Lloyd steps.

    Returns
    -------
    numpy.ndarray
        `(m,)` group number 0 … k − 1.
    """
    if k > len(samples):
        raise TessellationError(f"{len(samples)} points cannot make {k} groups")
    if k == 1:
        return np.zeros(len(samples), dtype=np.int64)
    chosen = [int(rng.integers(len(samples)))]
    distance = ((samples - samples[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < k:
        total = distance.sum()
        new = int(np.searchsorted(np.cumsum(distance), rng.random() * total, side="right"))
        new = min(new, len(samples) - 1)
        chosen.append(new)
        distance = np.minimum(distance, ((samples - samples[new]) ** 2).sum(axis=1))
    centres = samples[chosen]
    label = np.zeros(len(samples), dtype=np.int64)
    for _ in range(steps):
        label = cKDTree(centres).query(samples)[1].astype(np.int64)
        count = np.bincount(label, minlength=k)
        for axis in (0, 1):
            total = np.bincount(label, weights=samples[:, axis], minlength=k)
            centres[:, axis] = np.where(count > 0, total / np.maximum(count, 1), centres[:, axis])
        for empty in np.flatnonzero(count == 0):
            centres[empty] = samples[int(rng.integers(len(samples)))]
    label = cKDTree(centres).query(samples)[1].astype(np.int64)
    # an empty group takes one point of the largest
    for empty in np.flatnonzero(np.bincount(label, minlength=k) == 0):
        largest = int(np.argmax(np.bincount(label, minlength=k)))
        label[int(np.flatnonzero(label == largest)[0])] = empty
    return np.asarray(label, dtype=np.int64)


def medoids(samples: Floats, label: Ints, k: int) -> Floats:
    """For each group the sample nearest to its mean: `(k, 2)`, always a real place of the group."""
    count = np.bincount(label, minlength=k)
    mean = np.column_stack(
        [np.bincount(label, weights=samples[:, a], minlength=k) / count for a in (0, 1)]
    )
    distance = ((samples - mean[label]) ** 2).sum(axis=1)
    order = np.lexsort((distance, label))
    first = np.searchsorted(label[order], np.arange(k))
    return samples[order[first]]


def _wandering_edges(seeds: Floats, rng: np.random.Generator, wander: float) -> list[Floats]:
    """Voronoi edges of `seeds` (plane), each bent inside the kite of its two seeds and two ends.

    Kites of different edges do not overlap, so bent edges never cross.
    """
    low, high = seeds.min(axis=0), seeds.max(axis=0)
    far = 4.0 * float((high - low).max() + 1e-3)
    middle = (low + high) / 2
    frame = middle + far * np.array(
        [[-1, -1], [-1, 0], [-1, 1], [0, -1], [0, 1], [1, -1], [1, 0], [1, 1]], dtype=np.float64
    )
    diagram = Voronoi(np.concatenate([seeds, frame]))
    pairs = np.sort(np.asarray(diagram.ridge_points), axis=1)
    vertices = diagram.vertices
    edges: list[Floats] = []
    for r in np.lexsort((pairs[:, 1], pairs[:, 0])):
        ends = diagram.ridge_vertices[r]
        p, q = pairs[r]
        if ends[0] < 0 or p >= len(seeds):
            continue  # between two frame points: far outside
        a, b = vertices[ends[0]], vertices[ends[1]]
        if tuple(a) > tuple(b):
            a, b = b, a
        if q >= len(seeds):
            edges.append(np.array([a, b]))
            continue
        length = float(np.hypot(*(b - a)))
        across = float(np.hypot(*(seeds[q] - seeds[p])))
        pull = rng.uniform(-1, 1, 3)
        parts = (0.25, 0.5, 0.75) if length > 0.35 * across else (0.5,)
        if wander == 0 or length < 0.1 * across:
            edges.append(np.array([a, b]))
            continue
        bend = (
            pull[:1]
            if len(parts) == 1
            else np.array([0.5 * pull[1] + 0.5 * pull[0], pull[1], 0.5 * pull[1] + 0.5 * pull[2]])
        )
        points = [a]
        for t, u in zip(parts, bend, strict=True):
            on = a + t * (b - a)
            apex = seeds[p] if u > 0 else seeds[q]
            reach = float(np.hypot(*(apex - on)))
            move = min(abs(u) * wander * length, 0.3 * reach)
            points.append(on + (apex - on) * (move / reach))
        points.append(b)
        edges.append(np.array(points))
    return edges


def tessellate(
    parents: npt.NDArray[np.object_],
    seeds: Floats,
    parent_of: Ints,
    rng: np.random.Generator,
    *,
    wander: float = 0.12,
    snap: float = SNAP,
) -> npt.NDArray[np.object_]:
    """Voronoi cells of `seeds`, each inside its parent; together one exact coverage.

    Every line (parents' borders and cell edges) is put into one arrangement, snap-rounded once to
    the `snap` grid, and cut into faces. Therefore neighbours share every vertex, across parents too.
    Faces that a winding border cuts off from their seed go to the neighbour inside the same parent
    with the longest common border, so every cell is in one piece.

    Parameters
    ----------
    parents
        `(p,)` polygons, an exact coverage, EPSG:4326.
    seeds
        `(n, 2)` degrees, each inside its parent.
    parent_of
        `(n,)` index of the parent; every parent has at least one seed.
    rng
        Generator, for the wandering of the edges.
    wander
        How far an edge may bend, as a part of its length; 0: straight edges.
    snap
        Grid of the coordinates, degrees.

    Returns
    -------
    numpy.ndarray
        `(n,)` polygons in seed order.

    Raises
    ------
    TessellationError
        A seed outside its parent, two seeds that fall together, a parent without a seed.
    """
    latitude = float(seeds[:, 1].mean())
    plane = to_plane(seeds, latitude)
    lines: list[npt.NDArray[np.object_]] = [shapely.get_parts(shapely.boundary(parents))]
    for index, parent in enumerate(parents):
        members = np.flatnonzero(parent_of == index)
        if not len(members):
            raise TessellationError(f"parent {index} has no seed")
        shapely.prepare(parent)
        inside = shapely.contains_xy(parent, seeds[members, 0], seeds[members, 1])
        if not inside.all():
            raise TessellationError(f"seed {members[~inside][0]} is outside its parent {index}")
        if len(members) == 1:
            continue
        edges = _wandering_edges(plane[members], rng, wander)
        shapes = np.array(
            [shapely.LineString(from_plane(edge, latitude)) for edge in edges], dtype=object
        )
        within = shapely.contains_properly(parent, shapes)
        cut = shapes[~within]
        cut = shapely.intersection(cut[shapely.intersects(parent, cut)], parent)
        parts = shapely.get_parts(shapely.get_parts(cut))
        lines += [shapes[within], parts[shapely.get_type_id(parts) == 1]]
    network = shapely.union_all(np.concatenate(lines), grid_size=snap)
    faces = shapely.get_parts(shapely.polygonize([network]))
    shapely.prepare(parents)
    inner = shapely.point_on_surface(faces)
    face_hit, parent_hit = shapely.STRtree(parents).query(inner, predicate="intersects")
    face_parent = np.full(len(faces), -1, dtype=np.int64)
    face_parent[face_hit] = parent_hit
    faces, face_parent = faces[face_parent >= 0], face_parent[face_parent >= 0]
    return _faces_to_cells(faces, face_parent, seeds, parent_of)


def _faces_to_cells(
    faces: npt.NDArray[np.object_], face_parent: Ints, seeds: Floats, parent_of: Ints
) -> npt.NDArray[np.object_]:
    """Give every face to a seed: its own, else the neighbour's with the longest common border."""
    n = len(seeds)
    seed_hit, face_hit = shapely.STRtree(faces).query(shapely.points(seeds), predicate="within")
    owner = np.full(len(faces), -1, dtype=np.int64)
    owner[face_hit] = seed_hit
    if len(np.unique(face_hit)) != n or len(seed_hit) != n:
        lost = sorted(set(range(n)) - set(owner.tolist()))[:5]
        raise TessellationError(f"seeds {lost} have no cell of their own (too close together?)")
    if (face_parent[face_hit] != parent_of[seed_hit]).any():
        raise TessellationError("a seed fell into another parent")
    tree = shapely.STRtree(faces)
    while (owner < 0).any():
        loose = np.flatnonzero(owner < 0)
        mine, other = tree.query(faces[loose], predicate="intersects")
        mine = loose[mine]
        keep = (owner[other] >= 0) & (face_parent[mine] == face_parent[other])
        mine, other = mine[keep], other[keep]
        if not len(mine):
            raise TessellationError("a face has no neighbour in its parent")
        common = shapely.length(
            shapely.intersection(shapely.boundary(faces[mine]), shapely.boundary(faces[other]))
        )
        order = np.lexsort((other, -common, mine))
        mine, other, common = mine[order], other[order], common[order]
        _, first = np.unique(mine, return_index=True)
        first = first[common[first] > 0]
        if not len(first):
            raise TessellationError("a face touches its neighbours in points only")
        owner[mine[first]] = owner[other[first]]
    cells = np.empty(n, dtype=object)
    order = np.argsort(owner, kind="stable")
    start = np.searchsorted(owner[order], np.arange(n + 1))
    for i in range(n):
        group = faces[order[start[i] : start[i + 1]]]
        cells[i] = group[0] if len(group) == 1 else shapely.coverage_union_all(group)
    return cells


def dissolve(cells: npt.NDArray[np.object_], label: Ints, n: int) -> npt.NDArray[np.object_]:
    """Union of the cells of each label: `(n,)` geometries, sharing every vertex with the cells.

    Parameters
    ----------
    cells
        `(m,)` polygons of an exact coverage.
    label
        `(m,)` group 0 … n − 1 of each cell; none is empty.
    n
        Number of groups.
    """
    order = np.argsort(label, kind="stable")
    start = np.searchsorted(label[order], np.arange(n + 1))
    out = np.empty(n, dtype=object)
    for i in range(n):
        out[i] = shapely.coverage_union_all(cells[order[start[i] : start[i + 1]]])
    return out


def thinness(polygons: npt.NDArray[np.object_]) -> Floats:
    """4 π area / perimeter² in the local plane: 1 a disc, near 0 a needle."""
    latitude = float(np.mean(shapely.total_bounds(polygons)[[1, 3]]))
    factor = (float(np.cos(np.radians(latitude))), 1.0)
    plane = shapely.transform(polygons, lambda xy: xy * factor)
    perimeter = shapely.length(plane)
    return np.asarray(4 * np.pi * shapely.area(plane) / perimeter**2, dtype=np.float64)
