"""Values and league tables of a published run of indicators.

Change is exact where numerators are counts (METHODS 6): conditional interval of the rate ratio, per
day where one of both periods is not complete. Ranks come with intervals over posterior draws
(METHODS 5): a count or rate is gamma with the prior fitted to the table, a share beta; amounts and
durations are taken as they are; a score is drawn through the whole tree.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.api import indicator_models as shown
from app.errors import NotFound
from app.services import indicator_small
from app.services.indicator_calendar import a_year_before
from app.services.indicator_compute import factor_of
from app.services.indicators import (
    Moment,
    Run,
    feeds_of,
    is_counted,
    levels_of,
    moment,
    moments,
    newest_run,
)
from app.services.scene_checks import links, shares
from app.services.scene_parts import STEPS
from app.services.scene_tree import Calendar, Indicator
from app.services.scenes import Scene
from geo import deb
from geo import indicators as kernel
from geo.change import rate_ratio

Floats = npt.NDArray[np.float64]
SERIES = 12
LOW_ALPHA, HIGH_ALPHA = -2.5, 8.5  # METHODS 3, step 4


@dataclass(frozen=True)
class Question:
    """What is asked of a run."""

    level: str
    period: Calendar
    ord: int | None = None
    within: str | None = None
    indicator: str | None = None
    small: bool = True  # small numbers are shown


@dataclass(frozen=True)
class Asked:
    """A question with what it means in a run."""

    run: Run
    level: str
    at: Moment
    before: Moment | None
    year_before: Moment | None
    within: str | None


def _asked(connection: sa.Connection, scene: str, pack: str | None, question: Question) -> Asked:
    run = newest_run(connection, scene, pack)
    levels = levels_of(connection, run)
    if question.level not in levels:
        raise NotFound(
            f"no level {question.level!r} in run {run.id}; there are {', '.join(levels) or 'none'}"
        )
    found = moments(connection, run, question.period)
    at = moment(found, question.ord)
    before = found[at.ord - 1] if at.ord else None
    starts = {one.start: one for one in found}
    earlier = starts.get(a_year_before(question.period, at.start))
    if question.within is not None:
        there = connection.scalar(
            sa.text("select exists (select from indicator_unit where run_id = :run and code = :c)"),
            {"run": run.id, "c": question.within},
        )
        if not there:
            raise NotFound(f"no unit {question.within!r} in run {run.id}")
    return Asked(run, question.level, at, before, earlier, question.within)


_SQL = """
select r.indicator, r.code, u.name, u.name_en, u.path,
  numerator[cast(:at as int)] as numerator, denominator[cast(:at as int)] as denominator, value[cast(:at as int)] as value,
  score[cast(:at as int)] as score, class[cast(:at as int)] as cls, step[cast(:at as int)] as step,
  value[cast(:first as int) : cast(:at as int)] as series,
  numerator[cast(:before as int)] as n_before, denominator[cast(:before as int)] as d_before, value[cast(:before as int)] as v_before,
  numerator[cast(:earlier as int)] as n_earlier, denominator[cast(:earlier as int)] as d_earlier, value[cast(:earlier as int)] as v_earlier
from indicator_result r join indicator_unit u using (run_id, code)
where r.run_id = :run and r.level = :level and r.period = :period
  and (cast(:indicators as text[]) is null or r.indicator = any(:indicators))
  and (cast(:within as text) is null or :within = any(u.path))
order by r.code
"""


def _rows(
    connection: sa.Connection, asked: Asked, indicators: Sequence[str] | None, within: str | None
) -> list[sa.Row[Any]]:
    # an index of 0 is outside of every array: null
    values = {
        "run": asked.run.id,
        "level": asked.level,
        "period": asked.at.period,
        "at": asked.at.ord + 1,
        "first": max(1, asked.at.ord + 2 - SERIES),
        "before": asked.before.ord + 1 if asked.before else 0,
        "earlier": asked.year_before.ord + 1 if asked.year_before else 0,
        "indicators": None if indicators is None else list(indicators),
        "within": within,
    }
    return list(connection.execute(sa.text(_SQL), values).all())


def values(
    connection: sa.Connection, scene: str, pack: str | None, question: Question
) -> shown.IndicatorValues:
    """Values of every indicator (or one) for the units of a level.

    Raises
    ------
    NotFound
        No such scene, run, level, period, unit or indicator.
    """
    asked = _asked(connection, scene, pack, question)
    body = asked.run.scene
    assert body.indicators is not None
    ids = body.indicators.ids()
    if question.indicator is not None and question.indicator not in ids:
        raise NotFound(f"no indicator {question.indicator!r}; there are {', '.join(ids)}")
    wanted = None if question.indicator is None else [question.indicator]
    rows = _rows(connection, asked, wanted, question.within)
    order = {name: at for at, name in enumerate(ids)}
    rows.sort(key=lambda row: (order[row.indicator], row.code))
    changes = _changes(asked, rows)
    run = asked.run
    found = [
        _value(body, row, change, text)
        for row, change, text in zip(rows, changes, _texts(body, rows), strict=True)
    ]
    if not question.small:
        found = _told(
            connection,
            asked,
            found,
            ids if wanted is None else [*_leaves(body, wanted[0]), *wanted],
        )
    return shown.IndicatorValues(
        run=run.id, scene=body.name, version=run.version.version, pack=run.pack,
        level=asked.level, period=asked.at.period, ord=asked.at.ord, start=asked.at.start,
        end=asked.at.stop, complete=asked.at.complete, simulated=run.simulated, as_of=run.as_of,
        feeds=feeds_of(run),
        rows=found,
    )  # fmt: skip


def _told(
    connection: sa.Connection,
    asked: Asked,
    rows: Sequence[shown.IndicatorValue],
    names: Sequence[str],
) -> list[shown.IndicatorValue]:
    """Rows for somebody who may not see small numbers."""
    tree = asked.run.scene.indicators
    assert tree is not None
    at = asked.at.ord
    before = asked.before.ord if asked.before else None
    earlier = asked.year_before.ord if asked.year_before else None
    ords = {*range(max(0, at + 1 - SERIES), at + 1)} | ({earlier} if earlier is not None else set())
    hidden = indicator_small.hidden(connection, asked.run, asked.at.period, ords, names)
    return [
        indicator_small.told(
            row, tree.find(row.indicator), hidden, at=at, before=before, earlier=earlier
        )
        for row in rows
    ]


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def text_of(one: object, value: float | None) -> str:
    """Value as it is printed."""
    if value is None or not np.isfinite(value):
        return "—"
    decimals, cut = _digits(one)
    return f"{float(kernel.printed(value, decimals, cut=cut)):.{decimals}f}"


def _texts(scene: Scene, rows: Sequence[sa.Row[Any]]) -> list[str]:
    """Values as they are printed; rows of one indicator follow each other."""
    assert scene.indicators is not None
    found: list[str] = []
    for name, part in itertools.groupby(rows, key=lambda row: row.indicator):
        one = scene.indicators.find(name)
        own = np.array([row.value for row in part], dtype=np.float64)
        decimals, cut = _digits(one)
        found += [
            f"{number:.{decimals}f}" if number == number else "—"  # noqa: PLR0124
            for number in kernel.printed(own, decimals, cut=cut).tolist()
        ]
    return found


def _digits(one: object) -> tuple[int, bool]:
    """Decimals of what is printed, and whether they are cut off; scores have one."""
    return (one.decimals, one.cut) if isinstance(one, Indicator) else (1, False)


def _value(
    scene: Scene, row: sa.Row[Any], change: shown.Changes, text: str
) -> shown.IndicatorValue:
    cls = scene.palette[row.cls - 1] if row.cls else None
    return shown.IndicatorValue(
        code=row.code,
        name=row.name,
        name_en=row.name_en,
        parent=row.path[-2] if len(row.path) > 1 else None,
        indicator=row.indicator,
        value=_number(row.value),
        printed=text,
        numerator=_number(row.numerator),
        denominator=_number(row.denominator),
        score=_number(row.score),
        colour=cls.colour if cls else None,
        step=STEPS[row.step - 1] if row.step else None,
        change=change,
        series=[_number(v) for v in row.series or ()],
        suppressed=False,
        **{"class": cls.id if cls else None},
    )


# change -------------------------------------------------------------------------------------------


def _changes(asked: Asked, rows: Sequence[sa.Row[Any]]) -> list[shown.Changes]:
    before = _against(asked, rows, asked.before, "before")
    earlier = _against(asked, rows, asked.year_before, "earlier")
    return [
        shown.Changes(previous=one, last_year=other)
        for one, other in zip(before, earlier, strict=True)
    ]


def _floats(rows: Sequence[sa.Row[Any]], name: str, empty: float) -> Floats:
    found = [getattr(row, name) for row in rows]
    return np.array([empty if one is None else one for one in found], dtype=np.float64)


def _denominator(one: object) -> str | None:
    return one.per.measure if isinstance(one, Indicator) and one.per is not None else None


def _against(
    asked: Asked, rows: Sequence[sa.Row[Any]], other: Moment | None, name: str
) -> list[shown.IndicatorChange | None]:
    if other is None or not rows:
        return [None] * len(rows)
    scene = asked.run.scene
    tree = scene.indicators
    assert tree is not None
    nodes = [tree.find(row.indicator) for row in rows]
    kinds = {name: is_counted(scene, tree.find(name)) for name in {row.indicator for row in rows}}
    counted = np.array([kinds[row.indicator] for row in rows])
    days1 = days0 = 1.0
    if not (asked.at.complete and other.complete):
        days1, days0 = asked.at.days(asked.run.as_of), other.days(asked.run.as_of)
    now, then = _floats(rows, "value", np.nan), _floats(rows, f"v_{name}", np.nan)
    o1, o0 = _floats(rows, "numerator", np.nan), _floats(rows, f"n_{name}", np.nan)
    # a state is there on every day; what is added up over the days has them in it already
    states = {None, *scene.measures, *(m.id for f in scene.feeds for m in f.measures if m.stock)}
    added = np.array([_denominator(one) not in states for one in nodes])
    e1 = _floats(rows, "denominator", 1.0) * np.where(added, 1.0, days1)
    e0 = _floats(rows, f"d_{name}", 1.0) * np.where(added, 1.0, days0)
    good = counted & np.isfinite(o1) & np.isfinite(o0) & np.isfinite(e1) & np.isfinite(e0)
    # three years are one count each
    years = np.array(
        [3 if getattr(one, "aggregation", "") == "mean_3_years" else 1 for one in nodes]
    )
    found = rate_ratio(
        np.where(good, o1 * years, 0), np.where(good, e1 * years, 0),
        np.where(good, o0 * years, 0), np.where(good, e0 * years, 0),
    )  # fmt: skip
    amounts = np.array([isinstance(one, Indicator) and one.type != "index" for one in nodes])
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = np.where(amounts & ~counted & (then > 0), now / then, np.nan)
    ratio = np.where(counted, found.ratio, plain)
    return [
        shown.IndicatorChange(
            value=_number(then[i]), difference=_number(now[i] - then[i]), ratio=_number(ratio[i]),
            low=_number(found.low[i]), high=_number(found.high[i]),
        )
        for i in range(len(rows))
    ]  # fmt: skip


# league -------------------------------------------------------------------------------------------


def league(
    connection: sa.Connection, scene: str, pack: str | None, question: Question
) -> shown.League:
    """League table of an indicator, group, field or the total, best first.

    Ranks are among the units that may be seen, whatever `within` shows of them.

    Raises
    ------
    NotFound
        As `values`.
    """
    asked = _asked(connection, scene, pack, question)
    body = asked.run.scene
    tree = body.indicators
    assert tree is not None
    name = question.indicator or body.ranking.by
    one = tree.find(name)
    if one is None:
        raise NotFound(f"no indicator {name!r}; there are {', '.join(tree.ids())}")
    leaves = _leaves(body, name)
    rows = _rows(connection, asked, [*leaves, name], None)
    table = {node: [row for row in rows if row.indicator == node] for node in {*leaves, name}}
    mine = table[name]
    if not mine and question.indicator is None:
        raise NotFound(f"scene {body.name} has no index over all; name an indicator")
    direction = _direction(one)
    own = _floats(mine, "value", np.nan)
    key = _key(body, one, own)
    rank, tied = kernel.league(key, direction, body.ranking.ties)
    drawn = _draws(body, table, name)
    low, high = kernel.rank_bounds(drawn, rank, direction, body.ranking.interval)
    group = kernel.alike(rank, low, high)
    running = _running(connection, asked, name, [row.code for row in mine], direction)
    order = [
        i
        for i in np.lexsort((np.arange(len(mine)), rank))
        if rank[i] > 0 and (question.within is None or question.within in mine[i].path)
    ]
    found = [
        _league_row(body, one, mine[i], rank[i], int(low[i]), int(high[i]), bool(tied[i]),
                    int(group[i]), int(running[i]))
        for i in order
    ]  # fmt: skip
    if not question.small:
        at = asked.at.ord
        hidden = indicator_small.hidden(
            connection, asked.run, asked.at.period, [at], [*leaves, name]
        )
        told = [indicator_small.ranked(row, one, hidden, name, at) for row in found]
        # what has no rank comes last, by code: its place would be one
        found = [row for row in told if not row.suppressed] + sorted(
            (row for row in told if row.suppressed), key=lambda row: row.code
        )
    return shown.League(
        run=asked.run.id, scene=body.name, version=asked.run.version.version, pack=asked.run.pack,
        level=asked.level, period=asked.at.period, ord=asked.at.ord, start=asked.at.start,
        end=asked.at.stop, indicator=name, direction=direction, ties=body.ranking.ties,
        interval=body.ranking.interval, of=int((rank > 0).sum()), simulated=asked.run.simulated,
        rows=found,
    )  # fmt: skip


def _league_row(  # noqa: PLR0917
    scene: Scene,
    one: object,
    row: sa.Row[Any],
    rank: float,
    low: int,
    high: int,
    tied: bool,
    group: int,
    running: int,
) -> shown.LeagueRow:
    cls = scene.palette[row.cls - 1] if row.cls else None
    return shown.LeagueRow(
        code=row.code, name=row.name, name_en=row.name_en, rank=float(rank), rank_low=low,
        rank_high=high, tied=tied, group=group, value=float(row.value),
        printed=text_of(one, row.value), score=_number(row.score),
        colour=cls.colour if cls else None, last_places=running, suppressed=False,
        **{"class": cls.id if cls else None},
    )  # fmt: skip


def _direction(one: object) -> kernel.Direction:
    """Say what is good: small values of what must fall, high scores of an index."""
    if isinstance(one, Indicator) and one.type != "index":
        return one.direction
    return "rise"


def _key(scene: Scene, one: object, own: Floats) -> Floats:
    if not scene.ranking.printed:
        return own
    decimals, cut = _digits(one)
    return kernel.printed(own, decimals, cut=cut)


def _leaves(scene: Scene, name: str) -> list[str]:
    """Find the indicators a node is made of, at the bottom."""
    tree = scene.indicators
    assert tree is not None
    below = links(tree)
    found: dict[str, None] = {}
    waiting = [name]
    while waiting:
        node = waiting.pop()
        if below[node]:
            waiting += below[node]
        else:
            found[node] = None
    return list(found)


def _draws(scene: Scene, table: Mapping[str, Sequence[sa.Row[Any]]], name: str) -> Floats:
    """Values of a node over posterior draws, (D, n)."""
    tree = scene.indicators
    assert tree is not None
    rng = np.random.default_rng(scene.ranking.seed)
    node = tree.find(name)
    if isinstance(node, Indicator) and node.type != "index":
        return _leaf_draws(scene, node, table[name], rng, scores=False)
    weights, below = shares(tree), links(tree)
    made: dict[str, Floats] = {}
    wanted = {name, *_leaves(scene, name)}
    order = [one for one in kernel.in_order(below) if one in wanted or _above(below, one, wanted)]
    for one in order:
        part = tree.find(one)
        if isinstance(part, Indicator) and part.type != "index":
            if one in table:
                made[one] = _leaf_draws(scene, part, table[one], rng, scores=True)
            continue
        usable = [(p, w) for p, w in weights[one].items() if w > 0 and p in made]
        if usable:
            made[one] = kernel.combine(
                [made[p] for p, _ in usable], [w for _, w in usable], tree.least_weight
            )
    own = _floats(table[name], "value", np.nan)
    drawn = made.get(name, np.broadcast_to(own, (scene.ranking.draws, len(own))))
    # what is known by its value alone is drawn as it is
    return np.where(np.isnan(drawn), own, drawn)


def _above(below: Mapping[str, Sequence[str]], name: str, wanted: set[str]) -> bool:
    return any(one in wanted or _above(below, one, wanted) for one in below[name])


def _leaf_draws(  # noqa: PLR0911
    scene: Scene, one: Indicator, rows: Sequence[sa.Row[Any]], rng: np.random.Generator, *,
    scores: bool,
) -> Floats:  # fmt: skip
    """Draws of an indicator: of its values, or of its scores."""
    own = _floats(rows, "value", np.nan)
    score = _floats(rows, "score", np.nan)
    draws = scene.ranking.draws
    if not is_counted(scene, one):
        return np.broadcast_to(score if scores else own, (draws, len(rows)))
    times = 3.0 if one.aggregation == "mean_3_years" else 1.0
    top = _floats(rows, "numerator", np.nan) * times
    bottom = _floats(rows, "denominator", 1.0) * times
    known = np.isfinite(top) & np.isfinite(bottom) & (bottom > 0)
    drawn = np.full((draws, len(rows)), np.nan)
    if not known.any():
        return drawn
    o, e = top[known], bottom[known]
    if one.type == "share":
        drawn[:, known] = factor_of(one) * rng.beta(o + 0.5, np.maximum(e - o, 0) + 0.5, (draws, o.size))  # fmt: skip
        shape = o + 0.5
    else:
        expected = e * o.sum() / e.sum()
        alpha = float(np.exp(deb.fit_log_alpha(o, expected, LOW_ALPHA, HIGH_ALPHA))) if o.sum() else 1.0  # fmt: skip
        shape = alpha + o
        theta = rng.standard_gamma(shape, (draws, o.size)) / (alpha + expected)
        rate = o.sum() / e.sum() if o.sum() else 0.0
        drawn[:, known] = factor_of(one) * theta * rate * (1.0 if one.per else 1.0 / times)
    if not scores:
        return drawn
    if one.risk:
        # the class has more memory than one period: its own level, with the spread of this period
        theta = 2.0 ** ((100.0 - score[known]) / 50.0 - 1.0)
        spread = rng.standard_gamma(shape, (draws, o.size)) / shape
        with np.errstate(divide="ignore"):
            drawn[:, known] = np.clip(100.0 - 50.0 * (1.0 + np.log2(theta * spread)), 0, 100)
        return drawn
    if one.goalposts is not None:
        return kernel.goalpost_score(drawn, one.goalposts.worst, one.goalposts.best)
    if one.bands is not None:
        ends = [band.up_to for band in one.bands if band.up_to is not None]
        ids = [cls.id for cls in scene.palette]
        place = np.array([ids.index(band.cls) for band in one.bands])
        at = kernel.band(drawn, ends)
        return kernel.class_score(np.where(at < 0, -1, place[at]), len(ids))
    return np.broadcast_to(score, drawn.shape)


_TABLES = """
select code, value[cast(:first as int) : cast(:at as int)] as series from indicator_result
where run_id = :run and level = :level and period = :period and indicator = :indicator
order by code
"""


def _running(
    connection: sa.Connection,
    asked: Asked,
    name: str,
    codes: Sequence[str],
    direction: kernel.Direction,
) -> npt.NDArray[np.int64]:
    """Periods running each unit has been among the last places the scene watches."""
    places = [
        when.last_places.places
        for step in asked.run.scene.escalation
        for when in step.when.conditions()
        if when.last_places is not None
    ]
    found = np.zeros(len(codes), dtype=np.int64)
    if not places or not codes:
        return found
    rows = connection.execute(
        sa.text(_TABLES),
        {
            "run": asked.run.id, "level": asked.level, "period": asked.at.period,
            "indicator": name, "at": asked.at.ord + 1,
            "first": max(1, asked.at.ord + 2 - SERIES),
        },
    ).all()  # fmt: skip
    panel = np.array([row.series for row in rows], dtype=np.float64).T
    last = kernel.last_places(panel, direction, max(places))
    still = np.ones(len(codes), dtype=bool)
    for row in last[::-1]:
        still &= row
        found += still
    return found
