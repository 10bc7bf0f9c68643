"""Expected counts of any area and span (METHODS 2), from a run's rates and the present counts.

Imports `analysis_rates`, `areas` (to count reference areas) and shapely. For unit i of level L and
kind k, E = share inside · C_ik · R_k(L) with

    R_k(L) = Σ_t r_kt(L) / O_kt · (events of the reference area in the span and period t, now)

where r_kt(L) is the run's rate and O_kt what the run counted of the reference area in period t. So
whole periods of unchanged data give the run's own E, part periods follow the events of the
reference area, late events count on both sides, and the run's guards (METHODS 3 step 0) hold.
Whoever sees a part of the reference area only is told nothing of the rest: the events inside the
span are those of the part that may be seen, and r alone is of the whole, as in the run.

Promises: shares of the units of an area add up to the area; a unit without exposure adds nothing.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import shapely

from app.services import analysis_clock
from app.services.analysis_rates import RunRates
from app.services.area_words import Asked, Bools, Ground, ranges
from app.services.areas import Sight
from app.services.caches import Caches
from app.services.periods import month_number
from geo.cube import Question, Series
from geo.cube.calendar import calendar

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: eccentricity of WGS84: areas are taken on its authalic latitude
_E = 0.0818191908426215


@dataclass(frozen=True, eq=False)
class Reference:
    """Counts of a reference area in one span.

    Attributes
    ----------
    months : (m,) month numbers
    counts : (K, m) events of the run's kinds by local month
    placed : (K,) share of the events known to the finest level that stand for those with a point
    """

    months: Ints
    counts: Floats
    placed: Floats


@dataclass(frozen=True, eq=False)
class Weights:
    """Units of an area.

    Attributes
    ----------
    ids : (n,) unit ids; of one level for a drawn area
    share : (n,) share of the unit's ground inside, (0, 1]
    drawn : the events are those with a point inside; else those recorded for the units
    shapes, parts : object (n,) of a drawn area: units, and what of them is inside; None where whole
    by_measure, by_kind : (n, M), (n, K) share of the unit's exposure inside, where a raster tells
        more than the ground (`analysis_weights`); None: as `share`
    """

    ids: Ints
    share: Floats
    drawn: bool
    shapes: npt.NDArray[np.object_] | None = None
    parts: npt.NDArray[np.object_] | None = None
    by_measure: Floats | None = None
    by_kind: Floats | None = None

    @property
    def of_kinds(self) -> Floats:
        """Share of the exposure inside, (n, K) by kind of the run, or (n, 1) alike for all."""
        return self.share[:, None] if self.by_kind is None else self.by_kind

    @property
    def of_measures(self) -> Floats:
        """Share of the exposure inside, (n, M) by measure of the run, or (n, 1) alike for all."""
        return self.share[:, None] if self.by_measure is None else self.by_measure


def authalic_area(shapes: npt.NDArray[np.object_]) -> Floats:
    """Area of shapes in an equal-area projection (cylindrical), any unit; edges straight there."""
    return np.asarray(shapely.area(shapely.transform(shapes, _equal_area)), np.float64)


def _equal_area(points: Floats) -> Floats:
    sine = np.sin(np.radians(points[:, 1]))
    wave = _E * sine
    # q of Snyder 1987, 3-12: the ordinate of equal area, up to a factor
    q = (1 - _E**2) * (sine / (1 - wave**2) + np.arctanh(wave) / _E)
    return np.column_stack([np.radians(points[:, 0]), q / 2])


def drawn_weights(
    area: shapely.MultiPolygon, ground: Ground, level: int, seen: npt.NDArray[np.bool_]
) -> Weights:
    """Share of the units of a level that lies in an area.

    Parameters
    ----------
    area : MultiPolygon, EPSG:4326
    level : index of the level
    seen : (N + 1,) bool by id: units that may be taken
    """
    near = ground.near(area) & seen
    near[1:] &= ground.table.level_of == level
    ids = np.flatnonzero(near)
    if not len(ids):
        return Weights(ids, np.zeros(0), drawn=True)
    shapes = ground.shapes(ids.tolist())
    shapely.prepare(area)
    share = np.zeros(len(ids))
    inside = shapely.contains_properly(area, shapes)
    share[inside] = 1.0
    part = np.flatnonzero(~inside)
    part = part[shapely.intersects(area, shapes[part])]
    parts = np.full(len(ids), None, dtype=object)
    if len(part):
        parts[part] = cut = shapely.intersection(area, shapes[part])
        share[part] = np.minimum(authalic_area(cut) / authalic_area(shapes[part]), 1.0)
    some = share > 0
    return Weights(ids[some], share[some], drawn=True, shapes=shapes[some], parts=parts[some])


def unit_weights(ids: Ints) -> Weights:
    """Whole units, none inside another."""
    return Weights(ids, np.ones(len(ids)), drawn=False)


class Expecting:
    """Expected counts in one span, for one moment of the map.

    Parameters
    ----------
    question : whose span, kinds and hours count; its area does not
    key : names the span, the filters and the moment: equal keys, equal counts
    located : ways of being located that count; None all
    alike : nothing may be told of single events (METHODS 11): see `analysis_clock`
    """

    def __init__(
        self,
        sight: Sight,
        rates: RunRates,
        caches: Caches,
        *,
        question: Question,
        key: Hashable,
        located: Bools | None = None,
        alike: bool = False,
    ) -> None:
        self.alike = alike
        self.sight = sight
        self.rates = rates
        self.caches = caches
        self.question = question
        self.key = key
        self.located = located
        self._factors: dict[tuple[int, int, bool], Floats] = {}

    def units(self, weights: Weights) -> Floats:
        """Work out the expected counts of the parts inside: (n, K) by kind of the run; nan no data."""
        rates, ids = self.rates, weights.ids
        found = np.full((len(ids), len(rates.facts.kinds)), np.nan)
        levels = rates.table.level_of[ids - 1].astype(np.int64)
        references = rates.references[levels, ids]
        for level, reference in sorted(set(zip(levels.tolist(), references.tolist(), strict=True))):
            rows = (levels == level) & (references == reference)
            factor = self.factor(level, reference, drawn=weights.drawn)
            found[rows] = rates.shares[ids[rows]] * weights.of_kinds[rows] * factor
        return found

    def factor(self, level: int, reference: int, *, drawn: bool) -> Floats:
        """Events per unit of share in the span, (K,); see the head of this file."""
        key = (level, reference, drawn)
        if key not in self._factors:
            make = self._by_clock if self.alike else self._factor
            self._factors[key] = make(level, reference, drawn=drawn)
        return self._factors[key]

    def _by_clock(self, level: int, reference: int, *, drawn: bool) -> Floats:
        rates, question = self.rates, self.question
        if self.located is not None:
            # how many are located in one way is known from counting them alone
            return np.full(len(rates.facts.kinds), np.nan)
        kept, name = self.caches.clocks, (self.sight.moment, rates.facts.id, reference)
        hours = kept.get(
            (*name, question.hours_of_week is not None),
            lambda: analysis_clock.hours_weights(self.sight, rates, question, reference),
        )
        found = analysis_clock.spread(
            self.sight, rates, question, place=(level, reference), hours=hours
        )
        if not drawn:
            return found
        finest = rates.base[reference].copy()
        finest[1:] &= rates.table.level_of >= rates.leaf
        return found * kept.get(
            (*name, "points"),
            lambda: analysis_clock.points(self.sight, rates, question, reference, finest),
        )

    def _factor(self, level: int, reference: int, *, drawn: bool) -> Floats:
        rates = self.rates
        now = self.caches.references.get(
            (self.key, rates.facts.id, reference), lambda: self._count(reference)
        )
        periods = rates.facts.periods[rates.period]
        first = np.array([month_number(one.start) for one in periods])
        last = np.array([month_number(one.end) for one in periods])
        at = np.searchsorted(first, now.months, side="right") - 1
        inside = (at >= 0) & (now.months < last[at])
        whole = rates.whole
        found = np.zeros(len(rates.facts.kinds))
        for k, kind in enumerate(rates.facts.kinds):
            rate = rates.rates.get((level, reference, kind))
            then = rates.counted.get((reference, kind))
            if rate is None or then is None:
                found[k] = np.nan
                continue
            counts = now.counts[k]
            usable = inside & (then[at] > 0) & np.isfinite(rate[at])
            found[k] = float(np.sum(rate[at[usable]] / then[at[usable]] * counts[usable]))
            rest = ~usable
            if rest.any() and whole:
                # periods the run does not know: as many events per share as in its last year
                found[k] += float(counts[rest].sum()) * _usual(rate, then)
        found = found + (0.0 if whole else self._quiet(level, reference))
        return found * now.placed if drawn else found

    def _quiet(self, level: int, reference: int) -> Floats:
        """Add up periods without events of one's own, by the time that counts: (K,)."""
        rates = self.rates
        question, zone = self.question, self.sight.zone
        found = np.zeros(len(rates.facts.kinds))
        days = calendar(zone, question.start, question.end)
        for span in rates.facts.periods[rates.period]:
            edges = []
            for day in (span.start, span.end):
                number = int(np.datetime64(day).astype("datetime64[D]").astype(np.int64))
                edges.append(int(days.edges[np.clip(number - days.first, 0, len(days.edges) - 1)]))
            low, high = max(edges[0], question.start), min(edges[1], question.end)
            if low >= high:
                continue
            length = (np.datetime64(span.end) - np.datetime64(span.start)).astype(int) * 86_400
            share = matching_seconds(low, high, question.hours_of_week, zone) / length
            for k, kind in enumerate(rates.facts.kinds):
                rate = rates.rates.get((level, reference, kind))
                then = rates.counted.get((reference, kind))
                if rate is not None and then is not None and then[span.ord] <= 0:
                    found[k] += float(np.nan_to_num(rate[span.ord])) * share
        return found

    def _count(self, reference: int) -> Reference:
        """Count the reference area, as far as it may be seen, in the span."""
        rates = self.rates
        kinds = rates.facts.kinds
        inside = rates.base[reference]
        finest = inside.copy()
        finest[1:] &= rates.table.level_of >= rates.leaf
        counted: list[Series] = []
        placed = np.ones(len(kinds))
        for k, kind in enumerate(kinds):
            if kind not in self.sight.kinds or (
                self.question.kinds is not None and kind not in self.question.kinds
            ):
                counted.append(Series(np.zeros(0, "datetime64[D]"), np.zeros(0, np.int64)))
                continue
            one = replace(self.question, area=ranges(inside), kinds=frozenset({kind}),
                          breakdowns=frozenset({"month"}), beside=None)  # fmt: skip
            found = self.sight.count(Asked(one, None, None), ("month",), self.located)
            assert found.by_month is not None
            counted.append(found.by_month)
            points = found.total - int(found.unplaced.counts.sum())
            fine = found.total
            if not np.array_equal(finest, inside) and finest.any():
                fine = self.sight.count(
                    Asked(replace(one, area=ranges(finest), breakdowns=frozenset()), None, None),
                    (),
                    self.located,
                ).total
            if fine:
                placed[k] = points / fine
        months = np.unique(np.concatenate([_months(one) for one in counted]))
        counts = np.zeros((len(kinds), len(months)))
        for k, series in enumerate(counted):
            counts[k, np.searchsorted(months, _months(series))] = series.counts
        return Reference(months, counts, placed)


def _months(series: Series) -> Ints:
    return np.asarray(series.keys.astype("datetime64[M]").astype(np.int64) + 12 * 1970)


def _usual(rate: Floats, then: Floats) -> float:
    """Rate per event of the reference area over the last year of a run."""
    good = np.flatnonzero(np.isfinite(rate) & (then > 0))[-12:]
    return float(rate[good].sum() / then[good].sum()) if len(good) else 1.0


def matching_seconds(start: int, end: int, hours: npt.NDArray[np.bool_] | None, zone: str) -> int:
    """Seconds of [start, end) that lie in the local hours of the week that count."""
    if hours is None:
        return end - start
    days = calendar(zone, start, end)
    # the clock changes at whole quarters of an hour everywhere
    step = 900
    edges = np.arange(start // step, -(-end // step) + 1, dtype=np.int64) * step
    length = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
    return int(length[hours[days.hour_of_week(edges[:-1])]].sum())
