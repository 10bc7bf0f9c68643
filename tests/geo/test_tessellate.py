from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import shapely

from app.settings import PROJECT
from geo import tessellate as tess

PACKS = PROJECT / "data" / "boundaries"
PREFIX = {"city": 4, "county": 6, "town": 9, "village": 12, "grid": 15}


def two_parents():
    """A square at 30° north, cut by a zigzag; the left one has a bay that cuts cells apart."""
    bend = [(120.5, 30.0), (120.45, 30.2), (120.6, 30.4), (120.5, 30.7), (120.55, 31.0)]
    left = shapely.Polygon(
        [(120, 30), *bend, (120, 31), (120, 30.62), (120.42, 30.55), (120, 30.5)]
    )
    right = shapely.Polygon([*bend, (121, 31), (121, 30)])
    return np.array([left, right], dtype=object)


def some_seeds(parents, counts, seed=1):
    rng = np.random.default_rng(seed)
    points = [tess.sample_inside(p, n, rng) for p, n in zip(parents, counts, strict=True)]
    return np.concatenate(points), np.repeat(np.arange(len(parents)), counts)


def assert_exact(cells, parents, parent_of):
    assert shapely.is_valid(cells).all()
    assert (shapely.get_type_id(cells) == 3).all()
    assert shapely.coverage_is_valid(cells)
    whole = tess.dissolve(cells, parent_of, len(parents))
    for mine, real in zip(whole, parents, strict=True):
        assert shapely.hausdorff_distance(mine.boundary, real.boundary) <= tess.SNAP
    coordinates = shapely.get_coordinates(cells) / tess.SNAP
    assert (coordinates == np.round(coordinates)).all()


@pytest.mark.parametrize("wander", [0.0, 0.12, 0.3])
@pytest.mark.parametrize("counts", [(1, 1), (2, 1), (40, 25), (300, 500)])
def test_cells_are_an_exact_coverage_of_their_parents(counts, wander):
    parents = two_parents()
    seeds, parent_of = some_seeds(parents, counts)
    cells = tess.tessellate(parents, seeds, parent_of, np.random.default_rng(2), wander=wander)
    assert_exact(cells, parents, parent_of)
    assert shapely.contains_xy(cells, seeds[:, 0], seeds[:, 1]).all()


def test_straight_cells_are_the_nearest_seed():
    parents = two_parents()[1:]
    seeds, parent_of = some_seeds(parents, (60,), 3)
    cells = tess.tessellate(parents, seeds, parent_of, np.random.default_rng(0), wander=0.0)
    points = tess.sample_inside(parents[0], 4000, np.random.default_rng(4))
    latitude = float(seeds[:, 1].mean())
    a, b = tess.to_plane(points, latitude), tess.to_plane(seeds, latitude)
    distance = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2))  # brute force
    nearest = distance.argmin(axis=1)
    two = np.sort(distance, axis=1)[:, :2]
    clear = two[:, 1] - two[:, 0] > 1e-5
    inside = shapely.contains_xy(cells[nearest], points[:, 0], points[:, 1])
    # a bend of the border may hand a loose corner to a neighbour
    assert inside[clear].mean() > 0.995


def test_same_input_gives_the_same_cells():
    parents = two_parents()
    seeds, parent_of = some_seeds(parents, (30, 30))

    def once(seed):
        return tess.tessellate(parents, seeds, parent_of, np.random.default_rng(seed))

    assert all(a.equals_exact(b) for a, b in zip(once(7), once(7), strict=True))
    assert not all(a.equals_exact(b) for a, b in zip(once(7), once(8), strict=True))


def test_wandering_edges_bend_but_no_cell_becomes_a_needle():
    parents = two_parents()
    seeds, parent_of = some_seeds(parents, (400, 400))
    straight, bent = (
        tess.tessellate(parents, seeds, parent_of, np.random.default_rng(0), wander=w)
        for w in (0.0, 0.12)
    )
    assert (
        shapely.get_num_coordinates(bent).sum() > 1.5 * shapely.get_num_coordinates(straight).sum()
    )
    assert tess.thinness(bent).min() > 0.5 * tess.thinness(straight).min()


def test_misfits_are_refused():
    parents = two_parents()
    seeds, parent_of = some_seeds(parents, (5, 5))
    rng = np.random.default_rng(0)
    with pytest.raises(tess.TessellationError, match="outside its parent"):
        tess.tessellate(parents, seeds, parent_of[::-1], rng)
    with pytest.raises(tess.TessellationError, match="parent 1 has no seed"):
        tess.tessellate(parents, seeds[:5], parent_of[:5], rng)
    twice = np.concatenate([seeds, seeds[:1] + 1e-8])
    with pytest.raises(tess.TessellationError, match="too close"):
        tess.tessellate(parents, twice, np.append(parent_of, 0), rng)


def test_points_are_drawn_inside_and_by_density():
    left = two_parents()[0]
    rng = np.random.default_rng(0)
    points = tess.sample_inside(left, 3000, rng, lambda xy: np.where(xy[:, 1] > 30.8, 1.0, 0.1))
    assert points.shape == (3000, 2)
    assert shapely.contains_xy(left, points[:, 0], points[:, 1]).all()
    north = points[:, 1] > 30.8
    band = left.intersection(shapely.box(120, 30.8, 121, 31)).area
    expected = band / (band + 0.1 * (left.area - band))
    assert north.mean() == pytest.approx(expected, abs=0.03)


def test_spread_places_points_far_from_each_other_and_from_fixed_ones():
    rng = np.random.default_rng(0)
    samples = rng.random((3000, 2))
    fixed = np.array([[0.1, 0.1]])
    placed = tess.spread(samples, fixed, 8)
    both = np.concatenate([fixed, placed])
    gap = np.sqrt(((both[:, None] - both[None]) ** 2).sum(axis=2)) + 9 * np.eye(9)
    assert gap.min() > 0.2  # 9 points at random are 0.03–0.1 apart
    assert {tuple(p) for p in placed} <= {tuple(s) for s in samples}
    assert tess.spread(samples, fixed, 0).shape == (0, 2)


def test_balanced_labels_come_near_the_wanted_shares_and_keep_every_centre():
    rng = np.random.default_rng(0)
    samples = rng.random((20_000, 2))
    centres = np.array([[0.25, 0.25], [0.75, 0.25], [0.5, 0.75]])
    share = np.array([0.5, 0.2, 0.3])
    label = tess.balanced_labels(samples, centres, share)
    got = np.bincount(label, minlength=3) / len(samples)
    assert np.abs(got - share).max() < 0.03
    two = np.array([[0.25, 0.5], [0.75, 0.5]])
    got = np.bincount(tess.balanced_labels(samples, two, np.array([0.45, 0.55]))) / len(samples)
    assert got[0] == pytest.approx(0.45, abs=0.01)
    # a share that cannot be had: the large one stops where it would swallow a centre
    greedy = np.array([0.998, 0.001, 0.001])
    label = tess.balanced_labels(np.concatenate([samples, centres]), centres, greedy)
    assert label[-3:].tolist() == [0, 1, 2]
    assert tess.balanced_labels(samples, centres[:1], np.array([1.0])).max() == 0


def test_clusters_are_compact_and_never_empty():
    rng = np.random.default_rng(0)
    samples = rng.random((900, 2))
    label = tess.cluster(samples, 30, rng)
    assert np.bincount(label, minlength=30).min() > 0
    middle = np.array([samples[label == i].mean(axis=0) for i in range(30)])
    own = ((samples - middle[label]) ** 2).sum()
    shuffled = ((samples - middle[rng.permutation(label)]) ** 2).sum()
    assert own < 0.05 * shuffled
    assert sorted(tess.cluster(samples[:5], 5, rng)) == [0, 1, 2, 3, 4]
    same = np.zeros((6, 2))
    assert np.bincount(tess.cluster(same, 3, rng), minlength=3).min() > 0
    with pytest.raises(tess.TessellationError, match="4 points cannot make 5"):
        tess.cluster(samples[:4], 5, rng)


def test_medoids_are_the_members_nearest_to_the_mean():
    rng = np.random.default_rng(5)
    samples = rng.random((400, 2))
    label = tess.cluster(samples, 12, rng)
    for i, spot in enumerate(tess.medoids(samples, label, 12)):
        group = samples[label == i]
        best = group[((group - group.mean(axis=0)) ** 2).sum(axis=1).argmin()]  # literal
        assert (spot == best).all()


# the packs that ship ----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["hangzhou", "alliance"])
def units(request):
    import geopandas as gpd

    return request.param, gpd.read_parquet(PACKS / request.param / "units.parquet")


def test_pack_levels_are_exact_coverages_in_one_piece(units):
    name, frame = units
    expected = {
        "hangzhou": {"city": 1, "county": 13, "town": 196, "village": 3320, "grid": 14_999},
        "alliance": {"city": 4, "county": 35, "town": 580, "village": 7254, "grid": 14_599},
    }[name]
    assert frame.level.value_counts().to_dict() == expected
    for level, rows in frame.groupby("level"):
        shapes = rows.geometry.to_numpy()
        assert shapely.is_valid(shapes).all()
        assert shapely.coverage_is_valid(shapes), level
        assert (shapely.get_num_geometries(shapes) == 1).all(), level
        assert tess.thinness(shapes).min() > 0.1, level  # no needle, no sliver
        assert (rows.approximate == (level in ("town", "village", "grid"))).all()


def test_pack_parents_are_the_union_of_their_children(units):
    _, frame = units
    by_level = {level: rows.set_index("code") for level, rows in frame.groupby("level")}
    levels = list(PREFIX)
    for coarse, fine in pairwise(levels):
        children, parents = by_level[fine], by_level[coarse]
        codes, label = np.unique(children.index.str[: PREFIX[coarse]], return_inverse=True)
        assert codes.tolist() == sorted(parents.index)
        union = tess.dissolve(children.geometry.to_numpy(), label, len(codes))
        stored = parents.geometry[codes].to_numpy()
        assert (shapely.normalize(union) == shapely.normalize(stored)).all()
    assert frame.code.is_unique
    assert (frame.code.str.len() == frame.level.map(PREFIX)).all()
    assert frame.name.str.len().min() >= 2
    assert frame[frame.level.isin(["city", "county", "town"])].name_en.notna().all()


def test_pack_counties_are_the_real_ones(units, shared):
    import geopandas as gpd

    _, frame = units
    real = gpd.read_file(shared / "cn_boundaries/counties5_amap_wgs84.geojson")
    real = real.set_index("district_adcode").geometry
    for code, shape in frame[frame.level == "county"].set_index("code").geometry.items():
        # nothing but the snapping: a strip of its width along the border
        differ = shapely.symmetric_difference(shape, real[code])
        assert differ.area < shape.length * tess.SNAP
        assert differ.buffer(-0.75 * tess.SNAP).is_empty


def test_pack_codes_and_names_are_the_official_ones(units, shared):
    _, frame = units
    official = pd.read_csv(shared / "cn_codes/divisions5_2023.csv.gz", dtype=str).set_index("code")
    for level in ("city", "county", "town"):
        rows = frame[frame.level == level]
        assert (official.name[rows.code].to_numpy() == rows.name.to_numpy()).all()
    villages = frame[frame.level == "village"]
    given = official.name[villages.code].to_numpy()
    short = villages.name.str.replace("(村|社区)$", "", regex=True)
    assert all(g.startswith(s) for g, s in zip(given, short, strict=True))
    city = set(frame[frame.level == "city"].code)
    there = official[(official.level == "5") & official.index.str[:4].isin(city)]
    assert set(there.index) == set(villages.code)


def test_seats_that_are_known_lie_in_their_town(units, shared):
    _, frame = units
    towns = frame[frame.level == "town"].set_index("code").geometry
    seats = pd.read_csv(shared / "cn_codes/town_seats_geonames_wgs84.csv", dtype={"code": str})
    seats = seats[seats.code.isin(towns.index)]
    inside = shapely.contains_xy(
        towns[seats.code].to_numpy(), seats.lon.to_numpy(), seats.lat.to_numpy()
    )
    assert inside.mean() > 0.97
