"""The analyst's question: how many events in an area, against what was to be expected, and where else.

One use-case. Imports `areas` for counts, the `analysis_…` services for the rest. Promises: counts are
those of `areas.ask`; tables add up to the area; `rule` says how every number was made; whoever may
not see records gets no small number (METHODS 11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import numpy.typing as npt
import shapely

from app.api.analysis_models import (
    AnalysisAnswer,
    AnalysisChange,
    AnalysisQuestion,
    KindRisk,
    SpanChange,
    UnitName,
)
from app.api.area_models import AreaQuestion, Breakdown
from app.services import analysis_shapes, analysis_tables, area_words, small_numbers
from app.services.analysis_change import changes
from app.services.analysis_expected import Expecting, Weights, drawn_weights, unit_weights
from app.services.analysis_rates import RunRates, rates_of
from app.services.analysis_risk import Risks, plain, total
from app.services.analysis_tables import View
from app.services.analysis_weights import rasters_of, told, weighed
from app.services.analysis_words import rule_words
from app.services.area_words import Asked, Bools, refuse
from app.services.areas import Areas, Sight, look
from app.services.asking import Asker
from app.services.event_changes import LOCATED
from app.services.exposure_grids import Raster
from app.services.small_guard import guarded
from app.services.small_units import unit_states

Floats = npt.NDArray[np.float64]

SERIES: tuple[Breakdown, ...] = ("day", "week", "month", "hour_of_week")


def analyse(areas: Areas, asker: Asker, pack: str, wanted: AnalysisQuestion) -> AnalysisAnswer:
    """Answer an analyst's question.

    Raises
    ------
    NotFound
        No such pack, unit or run.
    Invalid
        The area, span, kinds, level or resolution make no sense.
    Unavailable
        The database does not answer, or there is no snapshot yet.
    """
    scope = asker.identity.prefixes
    sight = look(areas, pack, scope)
    drawn = analysis_shapes.drawn(wanted.area, sight.ground, scope)
    breakdowns: list[Breakdown] = ["kind", *(one for one in SERIES if one in wanted.parts)]
    span = area_words.span(_plain(wanted, []), areas.zone)
    asked = sight.asked(_plain(wanted, breakdowns), drawn.shape, span)
    located = _located(wanted, sight)
    found = sight.count(asked, breakdowns, located)
    assert found.by_kind is not None
    outline = analysis_shapes.outline(drawn.shape, sight.ground, scope)
    with asker.read() as connection:
        rates = rates_of(connection, asker.caches, pack, sight.version, wanted.run)
        found_rasters = (
            rasters_of(connection, asker.caches, rates)
            if wanted.weights == "raster" and outline is not None
            else {}
        )
    view = _view(
        asker, sight, wanted, asked,
        outline=outline, rates=rates, located=located, shape=drawn.shape, rasters=found_rasters,
    )  # fmt: skip
    expected = total(view.expecting.units(view.weights)) if view.expecting else None
    counts = found.by_kind
    by_kind = view.by_kind(counts)
    both = None if expected is None else expected[None]
    parts = set(wanted.parts)
    km2 = analysis_shapes.km2(outline) if outline is not None else 0.0
    events = None
    if parts & {"cells"} or (view.units is None and "children" in parts):
        events = analysis_tables.read_events(view)
    level, res = None, None
    if "children" in parts and view.expecting is not None:
        level = analysis_tables.child_level(view, wanted.level)
    if "cells" in parts and outline is not None:
        res = analysis_tables.cell_resolution(km2, wanted.cell_res)
    kinds = _kinds(view, wanted, counts, expected) if "kinds" in parts else []
    answer = AnalysisAnswer(
        answer=sight.answer(found, asked),
        km2=km2,
        cut=_is_cut(drawn.shape, outline),
        rule=rule_words(
            rates,
            drawn=view.weights.drawn,
            weights=view.weighed,
            whole=scope is None,
            alike=not small_numbers.sees_small(asker.identity),
        ),
        weights=view.weighed,
        reference=_reference(view),
        overall=view.risks.overall(by_kind[None], both, np.array([found.total]))[0],
        kinds=kinds,
        change=changes(
            sight, asked, located, found, first=_first(rates), kinds=[one.kind for one in kinds]
        )
        if "change" in parts
        else None,
        child_level=level,
        children=analysis_tables.children(
            view, level, counts, expected, None if view.units is not None else events
        )
        if level is not None
        else [],
        comparisons=analysis_tables.comparisons(view, wanted.compare)
        if "comparisons" in parts
        else [],
        cell_res=res,
        cells=analysis_tables.cells(events, res) if events is not None and res is not None else [],
        run=rates.facts.id if rates else None,
        boundary_version=sight.label,
        cutoff=rates.facts.data_cutoff if rates else None,
        suppressed=False,
    )
    if small_numbers.sees_small(asker.identity):
        return answer
    guard = guarded(asker, pack, sight, asked, counts, located=located)
    if answer.change is not None and asked.question is not None:
        earlier = [
            _earlier(asker, pack, view, one)
            for one in (answer.change.previous, answer.change.last_year)
        ]
        change = AnalysisChange(previous=earlier[0], last_year=earlier[1])
        answer = answer.model_copy(update={"change": change})
    units = None
    if answer.children and asked.question is not None:
        units = unit_states(sight, asked, located)
    return small_numbers.hidden(answer, guard, asked, units)


def _earlier(asker: Asker, pack: str, view: View, span: SpanChange | None) -> SpanChange | None:
    """Hold an earlier span against earlier questions, as if it had been asked for."""
    if span is None:
        return None
    question = view.asked.question
    assert question is not None
    start, end = int(span.start.timestamp()), int(span.end.timestamp())
    asked = Asked(
        replace(question, start=start, end=end, breakdowns=frozenset({"kind"}), beside=None),
        view.asked.outline, None,
    )  # fmt: skip
    counts = view.sight.count(asked, ("kind",), view.located).by_kind
    assert counts is not None
    guard = guarded(asker, pack, view.sight, asked, counts, located=view.located)
    return small_numbers.hidden_span(span, guard)


def _plain(wanted: AnalysisQuestion, breakdowns: Sequence[Breakdown]) -> AreaQuestion:
    """Take the part of the question that counts."""
    return AreaQuestion.model_construct(
        start=wanted.start,
        end=wanted.end,
        kinds=wanted.kinds,
        hours_of_week=wanted.hours_of_week,
        breakdowns=list(breakdowns),
        level=None,
    )


def _located(wanted: AnalysisQuestion, sight: Sight) -> Bools | None:
    """Ways of being located that count, by number; None: all."""
    if wanted.located_by is None or set(wanted.located_by) >= set(LOCATED) - {"elsewhere"}:
        return None
    if sight.elsewhere:
        refuse(
            "located_by", "other_boundaries",
            "some events are located on other boundaries, and of them it is not known in which way: "
            "`wusetu events relocate` first",
        )  # fmt: skip
    found = np.zeros(256, np.bool_)
    found[[LOCATED.index(one) for one in wanted.located_by]] = True
    return found


def _view(
    asker: Asker,
    sight: Sight,
    wanted: AnalysisQuestion,
    asked: Asked,
    *,
    outline: shapely.MultiPolygon | None,
    rates: RunRates | None,
    located: Bools | None,
    shape: shapely.MultiPolygon | tuple[str, ...],
    rasters: dict[str, Raster],
) -> View:
    alike = not small_numbers.sees_small(asker.identity)
    own = np.append(False, rates.table.own if rates else np.ones(len(sight.ground.table), bool))
    units = analysis_tables.units_asked(sight, shape, own) if isinstance(shape, tuple) else None
    weights = Weights(np.zeros(0, np.int64), np.zeros(0), drawn=True)
    how = told(weights, [], 0)
    expecting = None
    if asked.question is not None and rates is not None:
        if units is not None:
            weights = unit_weights(units)
        else:
            assert outline is not None
            weights = drawn_weights(outline, sight.ground, rates.leaf, own)
            weights, how = weighed(asker, rates, weights, rasters, outline)
        question = asked.question
        hours = question.hours_of_week
        key = (
            sight.moment, question.start, question.end, question.kinds,
            None if hours is None else hours.tobytes(),
            None if located is None else located.tobytes(),
        )  # fmt: skip
        expecting = Expecting(
            sight, rates, asker.caches, question=question, key=key, located=located, alike=alike
        )
    risks = Risks(rates, weights, wanted.kinds, alike=alike)
    return View(sight, asked, units, rates, weights, expecting, risks, located, how)


def _kinds(
    view: View, wanted: AnalysisQuestion, counts: npt.NDArray[np.int64], expected: Floats | None
) -> list[KindRisk]:
    """Table by kind: the run's first, in its order, then those it does not know."""
    count = dict(zip(view.sight.kinds, counts.tolist(), strict=True))
    names = [*view.kinds, *(one for one in view.sight.kinds if one not in view.kinds)]
    rows = {}
    if expected is not None:
        made = view.risks.by_kind(view.by_kind(counts), expected)
        rows = dict(zip(view.kinds, made, strict=True))
    return [
        KindRisk(kind=kind, **vars(rows.get(kind) or plain(count.get(kind, 0))))
        for kind in names
        if wanted.kinds is None or kind in wanted.kinds
    ]


def _first(rates: RunRates | None) -> date | None:
    """Day before which the run knows of no events."""
    return rates.facts.periods[rates.period][0].start if rates else None


def _reference(view: View) -> UnitName | None:
    if view.rates is None or not len(view.weights.ids):
        return None
    table = view.rates.table
    levels = table.level_of[view.weights.ids - 1]
    found = np.unique(view.rates.references[levels, view.weights.ids]).tolist()
    if len(found) != 1 or not found[0] or not table.codes[found[0] - 1]:
        return None
    at = found[0] - 1
    return UnitName(code=table.codes[at], name=table.names[at], name_en=table.names_en[at])


def _is_cut(
    shape: shapely.MultiPolygon | tuple[str, ...], outline: shapely.MultiPolygon | None
) -> bool:
    if isinstance(shape, tuple):
        return False
    return outline is None or outline.area < shape.area * (1 - 1e-12)
