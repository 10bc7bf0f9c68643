from collections import Counter
from datetime import date

import numpy as np
import pytest
import shapely

from geo import simulate as sim

FIRST, LAST = date(2024, 1, 1), date(2025, 1, 1)
KINDS = {
    "dispute": sim.Kind("纠纷", 7.0, weekend=1.0),
    "theft": sim.Kind("偷盗", 2.0, season=(0.5,) * 6 + (1.5,) * 6, weekend=0.5),
    "fire": sim.Kind("火警", 1.0, hours=(0.0,) * 18 + (1.0,) * 6),
}


def places(side=6):
    """Squares of 0.01°, `side` by `side`, two villages; shares by kind."""
    rng = np.random.default_rng(0)
    n = side * side
    codes = [f"330102001{1 + 2 * i // n:03d}{i + 1:03d}" for i in range(n)]
    shapes = [
        shapely.box(120 + x / 100, 30 + y / 100, 120.01 + x / 100, 30.01 + y / 100)
        for y in range(side)
        for x in range(side)
    ]
    share = rng.lognormal(0, 0.5, (3, n))
    return sim.Places(
        codes=np.array(codes, dtype=object),
        shapes=np.array(shapes, dtype=object),
        share=share / share.sum(axis=1, keepdims=True),
        address=np.array([f"浙江省杭州市上城区清波街道{c[9:12]}村" for c in codes], dtype=object),
        grid_name=np.array([f"第{int(c[12:])}网格" for c in codes], dtype=object),
    )


def run(events=20_000, seed=1, **more):
    return sim.simulate(
        places(), KINDS, events=events, first=FIRST, last=LAST, plants=more.pop("plants", []),
        rng=np.random.default_rng(seed), **more,
    )  # fmt: skip


def test_same_seed_same_file_another_seed_another():
    a, b, c = run(), run(), run(seed=2)
    assert a.table.equals(b.table)
    assert a.located == b.located
    assert not a.table.equals(c.table)


def test_means_against_a_literal_twin():
    where = places(4)
    plants = [
        sim.Plant("330102001001", "theft", date(2024, 3, 11), date(2024, 9, 1), 3.0),
        sim.Plant("330102001", None, FIRST, LAST, 0.5),
    ]
    months = sim.month_starts(FIRST, LAST)
    background = sim.lasting_background(where, 3, np.random.default_rng(3), 0.2)
    mean = sim.expected_counts(
        where, KINDS, events=1000, months=months, plants=plants, background=background
    )
    assert mean.shape == (3, 12, 16)
    for k, (name, kind) in enumerate(KINDS.items()):
        year = sum((months[t + 1] - months[t]).days * kind.season[t] for t in range(12))
        for t in range(12):
            days = (months[t + 1] - months[t]).days
            for i, code in enumerate(where.codes):
                value = 1000 * kind.weight / 10 * days * kind.season[t] / year
                value *= where.share[k, i] * background[k, i] * 0.5
                if name == "theft" and code.startswith("330102001001"):
                    held = {2: 21 / 31}.get(t, 1.0 if 3 <= t <= 7 else 0.0)
                    value *= 1 + 2 * held
                assert mean[k, t, i] == pytest.approx(value, rel=1e-12)
    with pytest.raises(ValueError, match="no leaf unit below 999"):
        sim.expected_counts(
            where, KINDS, events=10, months=months, background=background,
            plants=[sim.Plant("999", None, FIRST, LAST, 2.0)],
        )  # fmt: skip


def test_a_prefix_is_not_mistaken_for_a_longer_code():
    where = places()
    months = sim.month_starts(FIRST, LAST)
    flat = np.ones((3, 36))

    def total(*plants):
        return sim.expected_counts(
            where, KINDS, events=1, months=months, plants=plants, background=flat
        ).sum(axis=(0, 1))

    changed = total(sim.Plant(where.codes[3], None, FIRST, LAST, 2.0)) / total()
    assert changed.tolist() == [2.0 if i == 3 else 1.0 for i in range(36)]


def test_months_are_whole_and_end_with_the_last_day():
    found = sim.month_starts(date(2023, 11, 1), date(2024, 3, 1))
    assert [str(d) for d in found] == [
        "2023-11-01", "2023-12-01", "2024-01-01", "2024-02-01", "2024-03-01",
    ]  # fmt: skip


def test_background_has_mean_one_and_the_asked_spread_and_reaches_coarser_units():
    where = places(60)
    factor = sim.lasting_background(where, 40, np.random.default_rng(0), 0.2)
    assert factor.mean() == pytest.approx(1, abs=0.02)
    assert np.log(factor).std() == pytest.approx(0.2, abs=0.02)
    village = np.array([c[:12] for c in where.codes])
    gap = np.log(factor[:, village == "330102001001"]).mean(axis=1)
    gap -= np.log(factor[:, village == "330102001002"]).mean(axis=1)
    assert gap.std() > 0.1  # independent units alone would give 0.007


def test_planted_risk_is_found_again():
    plant = sim.Plant("330102001001004", "theft", date(2024, 7, 1), LAST, 8.0)
    result = run(60_000, plants=[plant], mix=sim.Mix(background=0.0))
    good = result.unit >= 0
    month = np.array([int(t[5:7]) for t in np.array(result.table["occurred_at"].to_pylist())[good]])
    hit = (result.unit[good] == 3) & (result.kind[good] == 1)
    share = places().share[1, 3]
    before, after = (hit & (month <= 6)).sum(), (hit & (month > 6)).sum()
    thefts = 60_000 * 0.2
    # season .5 and 1.5 over half years of 182 and 184 days
    part = 184 * 1.5 / (184 * 1.5 + 182 * 0.5)
    assert before == pytest.approx(thefts * (1 - part) * share, rel=0.35)
    assert after == pytest.approx(8 * thefts * part * share, rel=0.1)


def test_times_follow_hours_and_weekends_and_stay_in_their_months():
    result = run(40_000, bad=sim.Bad(**dict.fromkeys(vars(sim.Bad()), 0)))
    text = result.table["occurred_at"].to_pylist()
    assert text == sorted(text)
    when = np.array(text, dtype="datetime64[s]")
    assert when.min() >= np.datetime64(FIRST)
    assert when.max() < np.datetime64(LAST)
    weekday = (when.astype("datetime64[D]").astype(int) + 3) % 7
    theft = result.kind == 1
    ratio = (weekday[theft] >= 5).sum() / 105 / ((weekday[theft] < 5).sum() / 261)
    assert ratio == pytest.approx(0.5, abs=0.035)
    hour = (when.astype("datetime64[h]").astype(int)) % 24
    assert hour[result.kind == 2].min() == 18


def test_points_lie_in_their_unit_evenly():
    where = places(2)
    shape = shapely.Polygon([(0, 0), (2, 0), (2, 1), (1, 0.2), (0, 1)])
    sliver = shapely.Polygon([(5, 5), (5.000004, 5), (6, 6), (5.999996, 6)])
    shapes = np.array([shape, sliver], dtype=object)
    unit = np.random.default_rng(1).permutation(np.repeat([0, 1], [6000, 40]))
    point = sim.points_in(shapes, unit, np.random.default_rng(0))
    assert shapely.contains_xy(shape, *point[unit == 0].T).all()
    left = (point[unit == 0][:, 0] < 1).mean()
    assert left == pytest.approx(0.5, abs=0.03)
    assert (shapely.distance(shapely.points(point[unit == 1]), sliver) < 1e-9).all()
    assert where.codes[0] == "330102001001001"


def test_ways_of_telling_the_place_add_up_and_say_the_truth():
    mix = sim.Mix(disagree=0.05)
    result = run(30_000, mix=mix)
    frame = result.table.to_pandas()
    frame["unit"] = result.unit
    good = frame[frame.unit >= 0]
    where = places()
    point, code, address = good.lon.notna(), good.code.notna(), good.address.notna()
    assert result.located == {
        "point and code": (point & code).sum(), "point": (point & ~code).sum(),
        "code": (~point & code).sum(), "address": (~point & ~code & address).sum(),
        "none": (~point & ~code & ~address).sum(),
    }  # fmt: skip
    assert sum(result.located.values()) == len(good)
    for name, part in (("point", mix.point_only), ("code", mix.code_only),
                       ("address", mix.address_only), ("none", mix.nowhere)):  # fmt: skip
        assert result.located[name] / len(good) == pytest.approx(part, abs=0.006)
    true = where.shapes[good.unit[point]]
    assert shapely.contains_xy(true, good.lon[point], good.lat[point]).all()
    own = where.codes[good.unit[point & code]]
    wrong = sum(not c.startswith(o) for c, o in zip(good.code[point & code], own, strict=True))
    assert wrong == result.disagreeing > 500
    alone = good[~point & code]
    full = [c if len(c) in (9, 12) else c[:15] for c in alone.code]
    assert all(o.startswith(c) for o, c in zip(where.codes[alone.unit], full, strict=True))
    assert {len(c) for c in alone.code} == {9, 12, 15, 27}
    assert set(good.code[code].str.len()) == {9, 12, 15, 27}
    told = good[address]
    assert all(
        a.startswith(where.address[u]) and a.endswith("号")
        for a, u in zip(told.address, told.unit, strict=True)
    )


def test_broken_rows_are_there_as_many_as_said_and_apart_from_the_good():
    result = run(5000)
    frame = result.table.to_pandas()
    assert dict(result.bad) == vars(sim.Bad())
    broken = frame[result.unit < 0]
    assert len(broken) == sum(result.bad.values())
    assert (result.kind[result.unit < 0] == -1).all()
    good = frame[result.unit >= 0]
    assert good.reference.is_unique
    assert good.notna()[["reference", "kind", "occurred_at"]].all().all()
    counted = Counter()
    counted["missing_reference"] = broken.reference.isna().sum()
    counted["repeated_reference"] = broken.reference.isin(good.reference).sum()
    counted["missing_kind"] = broken.kind.isna().sum()
    counted["unknown_kind"] = (broken.kind == "外星人").sum()
    counted["implausible_time"] = broken.occurred_at.str[:2].isin(["19", "21"]).sum()
    counted["bad_time"] = (broken.occurred_at == "昨天下午").sum()
    counted["swapped"] = (broken.lat > 90).sum()
    counted["half_point"] = (broken.lon.notna() & broken.lat.isna()).sum()
    counted["outside"] = (broken.lon == 123.5).sum()
    counted["code_length"] = (broken.code.str.len() == 26).sum()
    counted["code_mangled"] = (broken.code == "3.30102E+26").sum()
    counted["code_digits"] = (broken.code == "330102O01").sum()
    counted["unknown_code"] = (broken.code == "999999001").sum()
    assert counted == vars(sim.Bad())
    # a repeated reference stands after the row it repeats
    first = {}
    for row, reference in enumerate(frame.reference):
        if reference is not None and reference not in first:
            first[reference] = row
    repeats = broken.index[broken.reference.isin(good.reference)]
    assert all(result.unit[first[frame.reference[row]]] >= 0 for row in repeats)


def test_no_events_make_no_rows():
    result = run(events=1e-9)
    assert result.table.num_rows == 0
    assert result.table.column_names == list(sim.COLUMNS)
    assert not result.bad
