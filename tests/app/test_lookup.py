"""Why, series, ranking, summary, search, units: against the stored numbers and the kernel."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import sqlalchemy as sa

from app.api.models import COLOURS
from app.errors import NotFound
from app.services.caches import Caches, Lru
from app.services.lookup import series, why
from app.services.ranking import ranking
from app.services.runs import Layer
from app.services.scenes import OVERALL, load_scene
from app.services.search import search
from app.services.summary import summary
from app.services.tracks import read_alpha, read_slice, read_tracks
from app.services.units import children, unit_detail
from app.services.values import values
from geo import change, ranks, risk, score
from tiles.packed import unpack

from .conftest import HOT, KINDS, NO_EXPOSURE, Assessed

LAST = 21


def _ask(assessed: Assessed, question, *args, **named):
    with assessed.engine.connect() as connection:
        return question(connection, Caches(), *args, **named)


def _why(
    assessed: Assessed, code: str, kind: str = OVERALL, ord_: int = LAST, period: str = "month"
):
    return _ask(assessed, why, assessed.run, code, kind=kind, period=period, ord_=ord_)


def _track(assessed: Assessed, code: str, kind: str, period: str = "month"):
    unit = assessed.small.id_of(code)
    with assessed.engine.connect() as connection:
        return read_tracks(connection, assessed.run, [unit], [kind], period)[unit, kind]


# why ----------------------------------------------------------------------------------------------


def test_why_of_a_kind_adds_up(assessed: Assessed) -> None:
    found = _why(assessed, HOT, "theft")
    track = _track(assessed, HOT, "theft")
    assert found.colour == COLOURS[track.colour[LAST]] == "red"
    assert found.previous_colour == COLOURS[track.colour[LAST - 1]]
    assert found.observed == track.observed[LAST]
    assert found.expected == track.expected[LAST]
    assert found.remembered_observed + found.observed == pytest.approx(track.s[LAST])
    assert found.remembered_expected + found.expected == pytest.approx(track.x[LAST])
    assert found.memory_share == pytest.approx(1 - found.expected / track.x[LAST])
    theta = (found.alpha + track.s[LAST]) / (found.alpha + track.x[LAST])
    assert found.estimate.theta == pytest.approx(theta)
    assert found.estimate.low < theta < found.estimate.high
    single = risk.single(found.alpha, found.observed, found.expected)
    assert found.single.theta == pytest.approx(float(single.theta))
    assert found.single.p == pytest.approx(float(single.p))
    assert found.single_ratio == found.observed / found.expected
    assert found.reference.code == "3301"
    assert found.rule_version == 1
    assert (found.contributions, found.index) == ([], None)


def test_why_shows_exposures_and_share(assessed: Assessed) -> None:
    found = _why(assessed, HOT, "theft")
    own = assessed.small.exposures[HOT]
    assert found.exposures == pytest.approx(own)
    with assessed.engine.connect() as connection:
        total = connection.execute(
            sa.text(
                "select sum(shares[3]) from run_unit join unit on unit.id = unit_id "
                "and boundary_version_id = :v where level = 'grid'"
            ),
            {"v": assessed.small.version},
        ).scalar_one()
    assert total == pytest.approx(1)
    assert 0 < found.share < 1
    assert found.complexity > 0


@pytest.mark.parametrize("period", ["month", "quarter", "year"])
def test_contributions_add_up_to_theta_less_one(assessed: Assessed, period: str) -> None:
    ords = {"month": 22, "quarter": 8, "year": 2}[period]
    for place in assessed.small.places[::7]:
        for ord_ in {0, ords // 2, ords - 1}:
            found = _why(assessed, place.code, ord_=ord_, period=period)
            if found.estimate is None:
                assert found.contributions == []
                continue
            total = sum(one.value for one in found.contributions)
            assert abs(total - (found.estimate.theta - 1)) < 1e-9
            assert [one.kind for one in found.contributions] == list(KINDS)
            assert sum(one.observed for one in found.contributions) == found.observed


def test_why_of_the_overall_is_on_the_effective_scale(assessed: Assessed) -> None:
    code = "330101001"
    found = _why(assessed, code)
    scene = load_scene()
    tracks = [_track(assessed, code, kind) for kind in KINDS]
    effective = score.effective(
        np.array([[[one.observed[LAST]]] for one in tracks]),
        np.array([[[one.expected[LAST]]] for one in tracks]),
        [kind.harm for kind in scene.kinds.values()],
    )
    assert found.single.theta == pytest.approx(
        float(risk.single(found.alpha, effective.observed, effective.expected).theta[0, 0])
    )
    assert found.single_ratio == pytest.approx(found.observed / found.expected)
    assert found.index == pytest.approx(float(score.governance_index(found.estimate.theta)))
    assert found.share is None


def test_the_veto_names_its_kinds(assessed: Assessed) -> None:
    with assessed.engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select code, ord - 1 as ord from assessment, "
                "unnest(flags) with ordinality as f (flag, ord) "
                "where kind = 'overall' and period = 'month' and flag & 8 > 0 limit 5"
            )
        ).all()
    assert rows
    for row in rows:
        found = _why(assessed, row.code, ord_=row.ord)
        red = [one.kind for one in found.contributions if one.colour == "red"]
        assert found.veto_kinds == red != []
        assert found.colour == "orange"
        assert "veto" in found.flags


def test_why_without_exposure_is_no_data(assessed: Assessed) -> None:
    for kind in ("theft", OVERALL):
        found = _why(assessed, NO_EXPOSURE, kind)
        assert found.colour == "none"
        assert found.estimate is found.expected is found.alpha is found.share is None
        assert isinstance(found.observed, int)
    assert set(found.exposures.values()) == {None}


def test_the_first_period_remembers_nothing(assessed: Assessed) -> None:
    found = _why(assessed, HOT, "theft", ord_=0)
    assert found.previous_colour is found.previous is found.last_year is None
    assert (found.remembered_observed, found.remembered_expected, found.memory_share) == (0, 0, 0)


def test_change_is_per_covered_day(assessed: Assessed) -> None:
    found = _why(assessed, "3301", "theft", ord_=1, period="year")
    before, now = _track(assessed, "3301", "theft", "year").observed
    wanted = change.rate_ratio(now, 335, before, 334)
    assert found.previous == found.last_year
    assert found.previous.observed == before
    assert found.previous.ratio == pytest.approx(float(wanted.ratio))
    assert found.previous.low == pytest.approx(float(wanted.low))
    assert str(found.previous.against) == "2023-01-01"


def test_too_few_events_give_no_ratio(assessed: Assessed) -> None:
    found = _why(assessed, HOT, "homicide")
    assert found.last_year.ratio is found.last_year.low is None
    assert found.last_year.against.isoformat() == "2023-11-01"


def test_the_city_is_compared_with_the_whole_map(assessed: Assessed) -> None:
    found = _why(assessed, "3301")
    assert found.reference is None
    assert found.estimate.theta == pytest.approx(1)
    assert found.flags == ["outweighs", "short_history"] or found.flags == ["short_history"]


# series and values --------------------------------------------------------------------------------


def test_series_is_the_why_of_every_period(assessed: Assessed) -> None:
    found = _ask(assessed, series, assessed.run, HOT, kind="theft", period="quarter")
    assert len(found.points) == 8
    for ord_, point in enumerate(found.points):
        one = _why(assessed, HOT, "theft", ord_, "quarter")
        assert (point.start, point.colour) == (one.start, one.colour)
        assert (point.observed, point.expected) == (one.observed, one.expected)
        assert point.theta == pytest.approx(one.estimate.theta)
        assert (point.low, point.high) == pytest.approx((one.estimate.low, one.estimate.high))
    assert [one.complete for one in found.points] == [False, *[True] * 6, False]


def test_values_are_all_colours_then_all_risks(assessed: Assessed) -> None:
    layer = Layer("grid", "theft", "month", LAST)
    body = _ask(assessed, values, assessed.run, layer)
    ids = assessed.small.of_level("grid")
    assert len(body) == 2 * len(ids)
    with assessed.engine.connect() as connection:
        stored = read_slice(connection, assessed.run, layer, ids[0], len(ids))
    colour, theta = unpack(body)
    np.testing.assert_array_equal(colour, stored.colour)
    alpha = _alpha(assessed, "theft", stored.flags)
    np.testing.assert_allclose(
        theta, risk.relative_risk(alpha, stored.s, stored.x), rtol=0.022, equal_nan=True
    )


def _alpha(assessed: Assessed, kind: str, flags: np.ndarray) -> np.ndarray:
    with assessed.engine.connect() as connection:
        rates = read_alpha(connection, assessed.run, "grid", [kind], "month")
    return risk.unit_alpha(rates[1, kind][LAST], flags)


# ranking ------------------------------------------------------------------------------------------


def test_ranking_is_by_risk_with_the_kernels_intervals(assessed: Assessed) -> None:
    layer = Layer("grid", "theft", "month", LAST)
    found = _ask(assessed, ranking, assessed.run, layer, limit=1000)
    ids = assessed.small.of_level("grid")
    with assessed.engine.connect() as connection:
        stored = read_slice(connection, assessed.run, layer, ids[0], len(ids))
    alpha = _alpha(assessed, "theft", stored.flags)
    rank, low, high = ranks.rank_intervals(alpha, stored.s, stored.x, draws=400, seed=20260101)
    known = ~np.isnan(stored.x)
    assert found.of == found.total == known.sum() == len(ids) - 1
    by_code = {row.unit.code: row for row in found.rows}
    for at, unit in enumerate(ids):
        code = assessed.small.places[unit - 1].code
        if not known[at]:
            assert code not in by_code
            continue
        row = by_code[code]
        assert (row.rank, row.low, row.high) == (rank[at], low[at], high[at])
        assert row.observed == stored.observed[at]
    thetas = [row.theta for row in found.rows]
    assert thetas == sorted(thetas, reverse=True)
    assert HOT in [row.unit.code for row in found.rows[:5]]


def test_ranking_inside_a_scope_keeps_the_ranks_of_the_city(assessed: Assessed) -> None:
    layer = Layer("grid", "theft", "month", LAST)
    whole = {
        row.unit.code: row for row in _ask(assessed, ranking, assessed.run, layer, limit=1000).rows
    }
    for scope in ("330102", "330101002", "330102000001"):
        found = _ask(assessed, ranking, assessed.run, layer, within=scope, limit=1000)
        assert {row.unit.code for row in found.rows} == {
            code for code in whole if code.startswith(scope)
        }
        assert all(row == whole[row.unit.code] for row in found.rows)
        assert found.of == len(whole)
        assert found.total == len(found.rows)
    short = _ask(assessed, ranking, assessed.run, layer, within="330102", limit=3)
    assert (len(short.rows), short.total) == (3, 36)


def test_a_scope_without_units_of_the_level_is_empty(assessed: Assessed) -> None:
    layer = Layer("county", "theft", "month", 0)
    found = _ask(assessed, ranking, assessed.run, layer, within="330101001")
    assert (found.rows, found.of, found.total) == ([], 0, 0)


# summary ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [None, "330102", "330102000002", "330101001001"])
def test_summary_equals_a_recount(assessed: Assessed, scope: str | None) -> None:
    layer = Layer("grid", "theft", "month", LAST)
    found = _ask(assessed, summary, assessed.run, layer, scope)
    grids = [
        place.code
        for place in assessed.small.places
        if place.level == "grid" and place.code.startswith(scope or "")
    ]
    colours = {
        kind: np.stack([_track(assessed, code, kind).colour for code in grids])
        for kind in ("theft", "fire", OVERALL)
    }
    now, before = (Counter(colours["theft"][:, at]) for at in (LAST, LAST - 1))
    assert {one.colour: one.count for one in found.counts} == {
        colour: now[n] for n, colour in enumerate(COLOURS)
    }
    assert {one.colour: one.change for one in found.counts} == {
        colour: now[n] - before[n] for n, colour in enumerate(COLOURS)
    }
    assert len(found.class_trend) == 22
    for at, counts in enumerate(found.class_trend):
        wanted = Counter(colours["theft"][:, at])
        assert counts == {colour: wanted[n] for n, colour in enumerate(COLOURS)}
    kinds = {one.kind: one for one in found.kinds}
    assert list(kinds) == [OVERALL, *KINDS]
    for kind in ("fire", OVERALL):
        assert kinds[kind].worst == COLOURS[colours[kind][:, LAST].max()]
        own = _track(assessed, scope or "3301", kind).observed
        assert kinds[kind].observed == own[LAST]
        assert kinds[kind].previous == own[LAST - 1]
        assert kinds[kind].change.observed == own[LAST - 12]
    trend = _ask(assessed, series, assessed.run, scope or "3301", kind="theft", period="month")
    assert found.trend == trend.points


def test_summary_of_the_first_period_has_no_change(assessed: Assessed) -> None:
    found = _ask(assessed, summary, assessed.run, Layer("town", OVERALL, "year", 0))
    assert {one.change for one in found.counts} == {None}
    assert {one.previous for one in found.kinds} == {None}


# units and search ---------------------------------------------------------------------------------


def test_a_unit_with_its_place_and_kin(assessed: Assessed) -> None:
    found = _ask(assessed, unit_detail, "small", "330102000")
    assert found.code == "330102"
    found = _ask(assessed, unit_detail, "small", "330102000001")
    assert found.level == "village"
    assert found.parent == "330102"
    assert [one.code for one in found.ancestors] == ["3301", "330102"]
    assert found.full_code == "330102000001" + "0" * 15
    assert (found.child_level, found.children_count) == ("grid", 4)
    assert found.bounds[0] < found.label_point[0] < found.bounds[2]
    top = _ask(assessed, unit_detail, "small", "330100")
    assert (top.level, top.parent, top.ancestors) == ("city", None, [])


def test_children_of_two_levels(assessed: Assessed) -> None:
    found = _ask(assessed, children, "small", "330102")
    assert [(one.level, one.code[-6:]) for one in found] == [
        ("town", "102001"), ("town", "102002"),
        ("village", "000001"), ("village", "000002"), ("village", "000003"),
    ]  # fmt: skip
    assert _ask(assessed, children, "small", HOT) == []


@pytest.mark.parametrize(
    ("phrase", "first"),
    [
        ("3301", "3301"),
        ("330100", "3301"),
        ("330102" + "0" * 21, "330102"),
        ("330101002", "330101002"),
        ("33010200", "330102001"),
        ("小城", "3301"),
        ("小城市", "3301"),
        ("County 102", "330102"),
        ("county 102", "330102"),
        ("镇002", "330101002"),
        (" 网格003 ", "330101001001003"),
    ],
)
def test_search_finds(assessed: Assessed, phrase: str, first: str) -> None:
    found = _ask(assessed, search, "small", phrase)
    assert found.hits[0].unit.code == first
    assert len({hit.unit.id for hit in found.hits}) == len(found.hits) <= 20


@pytest.mark.parametrize("phrase", ["%", "_", "\\", "999", "none such", " ", "'", "3301020%"])
def test_search_takes_nothing_as_a_wildcard(assessed: Assessed, phrase: str) -> None:
    assert _ask(assessed, search, "small", phrase).hits == []


def test_search_shows_the_path(assessed: Assessed) -> None:
    hit = _ask(assessed, search, "small", "330101001001002").hits[0]
    assert hit.path == "小城市301 · 区101 · 镇001 · 村001"
    assert hit.bounds[0] < hit.bounds[2]


# what is not there --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "kind", "period", "ord_", "reason"),
    [
        ("street", "theft", "month", 0, "no level 'street'"),
        ("grid", "noise", "month", 0, "no kind 'noise'"),
        ("grid", "theft", "month", 22, "no month 22"),
        ("grid", "theft", "year", -1, "no year -1"),
    ],
)
def test_unknown_layers(
    assessed: Assessed, level: str, kind: str, period: str, ord_: int, reason: str
) -> None:
    for question in (values, ranking, summary):
        with pytest.raises(NotFound, match=reason):
            _ask(assessed, question, assessed.run, Layer(level, kind, period, ord_))


def test_unknown_runs_units_and_packs(assessed: Assessed) -> None:
    with pytest.raises(NotFound, match="no published run 99"):
        _ask(assessed, series, 99, HOT, kind="theft", period="month")
    with pytest.raises(NotFound, match="no unit '3302'"):
        _why(assessed, "3302")
    with pytest.raises(NotFound, match="no map 'big'"):
        _ask(assessed, unit_detail, "big", "3301")


def test_a_full_cache_forgets_the_oldest() -> None:
    cache: Lru[int] = Lru(2)
    made = []
    for key in ("a", "b", "a", "c", "a", "b"):
        cache.get(key, lambda key=key: made.append(key) or len(made))
    assert made == ["a", "b", "c", "b"]
