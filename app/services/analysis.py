"""How many events in an area, is that more than it should be, and compared with where?

One use-case: the analyst's question. Imports the kernels of `geo` for risk and change, `areas` for
counts, `analysis_expected` for what was to be expected. Promises: counts are those of `areas.ask`;
tables add up to the area; every number says by the `rule` how it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import shapely

from app.api.analysis_models import (
    AnalysisAnswer,
    AnalysisChange,
    AnalysisQuestion,
    ChildRisk,
    KindRisk,
    Risk,
    SpanChange,
    UnitName,
)
from app.api.area_models import AreaQuestion, Breakdown
from app.api.dependencies import Store
from app.api.models import COLOURS
from app.services import analysis_shapes, area_words
from app.services.analysis_expected import (
    Expecting,
    Weights,
    drawn_weights,
    matching_seconds,
    unit_weights,
)
from app.services.analysis_rates import RunRates, rates_of
from app.services.analysis_words import rule_words
from app.services.area_words import Asked
from app.services.areas import Areas, Sight, look
from geo import change, risk, score
from geo.cube import Answer

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SERIES: tuple[Breakdown, ...] = ("day", "week", "month", "hour_of_week")
#: a table of units is read, not scrolled: the finest level with at most so many is taken
ROWS = 40


@dataclass(frozen=True, eq=False)
class View:
    """Everything one question is answered from."""

    store: Store
    sight: Sight
    wanted: AnalysisQuestion
    asked: Asked
    outline: shapely.MultiPolygon | None
    rates: RunRates | None
    weights: Weights
    expecting: Expecting | None


def analyse(areas: Areas, store: Store, pack: str, wanted: AnalysisQuestion) -> AnalysisAnswer:
    """Answer an analyst's question.

    Raises
    ------
    NotFound
        No such pack, unit or run.
    Invalid
        The area, span, kinds or level make no sense.
    Unavailable
        The database does not answer, or there is no snapshot yet.
    """
    scope = store.identity.prefixes
    sight = look(areas, pack, scope)
    drawn = analysis_shapes.drawn(wanted.area, sight.ground, scope)
    breakdowns: list[Breakdown] = ["kind", *(one for one in SERIES if one in wanted.parts)]
    span = area_words.span(_plain(wanted, []), areas.zone)
    asked = sight.asked(_plain(wanted, breakdowns), drawn.shape, span)
    found = sight.count(asked, breakdowns)
    assert found.by_kind is not None
    outline = analysis_shapes.outline(drawn.shape, sight.ground, scope)
    with store.read() as connection:
        rates = rates_of(connection, store.caches, pack, sight.version, wanted.run)
    view = _view(store, sight, wanted, asked, outline, rates, drawn)
    by_kind = dict(zip(sight.kinds, found.by_kind.tolist(), strict=True))
    kinds = _asked_kinds(view)
    expected = _sum(view.expecting.units(view.weights)) if view.expecting else None
    observed = np.array([by_kind.get(kind, 0) for kind in _run_kinds(view)], np.float64)
    overall, each = risks(view, observed[None], None if expected is None else expected[None])
    names = list(_run_kinds(view))
    rows = [
        KindRisk(
            kind=kind,
            **(
                vars(each[names.index(kind)][0])
                if kind in names
                else vars(plain(by_kind.get(kind, 0)))
            ),
        )
        for kind in kinds
    ]
    answer = sight.answer(found, asked)
    head = replace_total(overall[0], found.total)
    level, children = _children(view, found, expected) if "children" in wanted.parts else (None, [])
    reference = _reference(view)
    return AnalysisAnswer(
        answer=answer,
        km2=analysis_shapes.km2(outline) if outline is not None else 0.0,
        cut=_is_cut(drawn.shape, outline),
        rule=rule_words(rates, view.weights.drawn, whole=scope is None),
        reference=reference,
        overall=head,
        kinds=rows if "kinds" in wanted.parts else [],
        change=_changes(view, found.total) if "change" in wanted.parts else None,
        child_level=level,
        children=children,
        run=rates.facts.id if rates else None,
        boundary_version=sight.label,
        cutoff=rates.facts.data_cutoff if rates else None,
        suppressed=False,
    )


def _plain(wanted: AnalysisQuestion, breakdowns: Sequence[Breakdown]) -> AreaQuestion:
    """The part of the question that counts."""
    return AreaQuestion.model_construct(
        start=wanted.start,
        end=wanted.end,
        kinds=wanted.kinds,
        hours_of_week=wanted.hours_of_week,
        breakdowns=list(breakdowns),
        level=None,
    )


def _view(
    store: Store,
    sight: Sight,
    wanted: AnalysisQuestion,
    asked: Asked,
    outline: shapely.MultiPolygon | None,
    rates: RunRates | None,
    drawn: analysis_shapes.Drawn,
) -> View:
    none = Weights(np.zeros(0, np.int64), np.zeros(0), drawn=True)
    if asked.question is None or rates is None:
        return View(store, sight, wanted, asked, outline, rates, none, None)
    own = np.append(False, rates.table.own)
    if isinstance(drawn.shape, tuple):
        inside = area_words.members(drawn.shape, sight.ground) & own
        ids = np.flatnonzero(inside[1:] & ~inside[rates.table.parent_of]) + 1
        weights = unit_weights(ids)
    else:
        assert outline is not None
        weights = drawn_weights(outline, sight.ground, rates.leaf, own)
    question = asked.question
    hours = question.hours_of_week
    key = (
        sight.moment, question.start, question.end, question.kinds,
        None if hours is None else hours.tobytes(),
    )  # fmt: skip
    expecting = Expecting(sight, rates, store.caches, asked, key)
    return View(store, sight, wanted, asked, outline, rates, weights, expecting)


def _run_kinds(view: View) -> tuple[str, ...]:
    return view.rates.facts.kinds if view.rates else ()


def _asked_kinds(view: View) -> list[str]:
    """Kinds of the table: those asked for; the run's first, in its order."""
    given = view.wanted.kinds
    every = [*_run_kinds(view), *(one for one in view.sight.kinds if one not in _run_kinds(view))]
    return [one for one in every if given is None or one in given]


def _sum(expected: Floats) -> Floats:
    """Sum over units, (K,); nan where no unit has data."""
    known = np.isfinite(expected)
    return np.where(known.any(axis=0), np.where(known, expected, 0.0).sum(axis=0), np.nan)


def plain(observed: int) -> Risk:
    """A count nothing is expected for."""
    return Risk(
        observed=observed, observed_text=str(observed), suppressed=False, expected=None,
        relative_risk=None, low=None, high=None, exceedance=None, colour="none",
    )  # fmt: skip


def _risk(observed: float, expected: float, found: risk.Posterior, at: int, colour: int) -> Risk:
    if not np.isfinite(expected):
        return plain(round(observed))
    return Risk(
        observed=round(observed),
        observed_text=str(round(observed)),
        suppressed=False,
        expected=float(expected),
        relative_risk=float(found.theta[at]),
        low=float(found.low[at]),
        high=float(found.high[at]),
        exceedance=float(found.p[at]),
        colour=COLOURS[colour],
    )


def replace_total(found: Risk, observed: int) -> Risk:
    """Overall with all events asked for, also of kinds nothing is expected for."""
    return found.model_copy(update={"observed": observed, "observed_text": str(observed)})


def alphas(view: View) -> tuple[Floats, float]:
    """Newest prior of the finest level by kind, (K,), and of the overall score."""
    rates = view.rates
    assert rates is not None
    reference = _main_reference(view)
    default = float(np.exp(8.5))
    by_kind = [
        rates.alpha.get((rates.leaf, reference, kind), default) for kind in rates.facts.kinds
    ]
    return np.array(by_kind), rates.alpha.get((rates.leaf, reference, "overall"), default)


def _main_reference(view: View) -> int:
    """Reference area that most of the area is compared with."""
    rates, ids = view.rates, view.weights.ids
    assert rates is not None
    if not len(ids):
        return 0
    leaf = rates.leaf
    levels = rates.table.level_of[ids - 1]
    found = rates.references[levels, ids]
    if not view.weights.drawn:
        # the prior is that of the finest level below
        below = np.flatnonzero(rates.table.level_of == leaf) + 1
        for one, level in zip(ids.tolist(), levels.tolist(), strict=True):
            mine = below[rates.table.ancestors[below, level] == one]
            if len(mine):
                return int(rates.references[leaf, mine[0]])
    numbers, counts = np.unique(found, return_counts=True)
    return int(numbers[np.argmax(counts)])


def risks(
    view: View, observed: Floats, expected: Floats | None
) -> tuple[list[Risk], list[list[Risk]]]:
    """Relative risks of places: overall by place, and by kind and place.

    Parameters
    ----------
    observed, expected : (n, K) by kind of the run
    """
    n = len(observed)
    if view.rates is None or expected is None:
        return [plain(round(float(one.sum()))) for one in observed], []
    rates = view.rates
    names = rates.facts.kinds
    alpha, all_alpha = alphas(view)
    given = np.array([view.wanted.kinds is None or one in view.wanted.kinds for one in names])
    expected = np.where(given, expected, np.nan)
    each: list[list[Risk]] = []
    colours = np.zeros((n, len(names)), np.uint8)
    for k in range(len(names)):
        found = risk.single(alpha[k], observed[:, k], expected[:, k])
        colours[:, k] = risk.colours(found.p, found.theta, rates.rule)
        each.append(
            [_risk(observed[i, k], expected[i, k], found, i, colours[i, k]) for i in range(n)]
        )
    if given.sum() == 1:
        return list(each[int(np.flatnonzero(given)[0])]), each
    harm = [rates.facts.scene.kinds[kind].harm for kind in names]
    whole = score.effective(observed.T[:, None], expected.T[:, None], harm)
    found = risk.single(all_alpha, whole.observed[0], whole.expected[0])
    colour = risk.colours(found.p, found.theta, rates.rule)
    veto = (colours == risk.RED).any(axis=1) & (colour != 0)
    colour = np.where(veto, np.maximum(colour, risk.RED - 1), colour)
    total = np.where(np.isfinite(expected).any(axis=1), np.nansum(expected, axis=1), np.nan)
    return [
        _risk(float(observed[i].sum()), total[i], found, i, int(colour[i])) for i in range(n)
    ], each


def _reference(view: View) -> UnitName | None:
    if view.rates is None or not len(view.weights.ids):
        return None
    levels = view.rates.table.level_of[view.weights.ids - 1]
    found = set(view.rates.references[levels, view.weights.ids].tolist())
    number = found.pop()
    if found or not number or not view.rates.table.codes[number - 1]:
        return None
    return UnitName(
        code=view.rates.table.codes[number - 1], name=view.rates.table.names[number - 1]
    )


def _is_cut(
    shape: shapely.MultiPolygon | tuple[str, ...], outline: shapely.MultiPolygon | None
) -> bool:
    if isinstance(shape, tuple):
        return False
    return outline is None or outline.area < shape.area * (1 - 1e-12)


def _changes(view: View, total: int) -> AnalysisChange:
    question = view.asked.question
    if question is None:
        return AnalysisChange(previous=None, last_year=None)
    zone = ZoneInfo(view.sight.zone)
    start, end = (
        datetime.fromtimestamp(one, UTC).astimezone(zone) for one in (question.start, question.end)
    )
    return AnalysisChange(
        previous=_change(view, total, *_previous(start, end)),
        last_year=_change(view, total, _year_before(start), _year_before(end)),
    )


def _previous(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Span of the same length before: whole months by whole months, else by days or seconds."""
    months = (end.year - start.year) * 12 + end.month - start.month
    if months and all(one.day == 1 and one.time() == one.min.time() for one in (start, end)):
        number = start.year * 12 + start.month - 1 - months
        return start.replace(year=number // 12, month=number % 12 + 1), start
    if start.time() == end.time():
        # by the clock, so that a change of summer time moves nothing
        return start - timedelta(days=(end.date() - start.date()).days), start
    return start - (end.astimezone(UTC) - start.astimezone(UTC)), start


def _year_before(moment: datetime) -> datetime:
    day = 28 if moment.month == 2 and moment.day == 29 else moment.day
    return moment.replace(year=moment.year - 1, day=day)


def _change(view: View, total: int, start: datetime, end: datetime) -> SpanChange | None:
    question = view.asked.question
    assert question is not None
    low, high = int(start.timestamp()), int(end.timestamp())
    first = view.rates.facts.periods[view.rates.period][0].start if view.rates else None
    if low >= high or (first is not None and start.date() < first):
        return None
    earlier = replace(question, start=low, end=high, breakdowns=frozenset())
    asked = Asked(earlier, view.asked.outline, None)
    found = view.sight.count(asked, ()).total
    hours, zone = question.hours_of_week, view.sight.zone
    now = matching_seconds(question.start, question.end, hours, zone)
    then = matching_seconds(low, high, hours, zone)
    made = change.rate_ratio(total, now, found, then)
    return SpanChange(
        start=start, end=end, observed=found, observed_text=str(found), suppressed=False,
        ratio=finite(made.ratio), low=finite(made.low), high=finite(made.high),
    )  # fmt: skip


def finite(value: npt.ArrayLike) -> float | None:
    """Finite number, else None."""
    number = float(np.asarray(value))
    return number if np.isfinite(number) else None


def _children(
    view: View, found: Answer, expected: Floats | None
) -> tuple[str | None, list[ChildRisk]]:
    return None, []
