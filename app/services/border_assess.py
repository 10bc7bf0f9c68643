"""Clusters across the lines of a treaty: what each side sees alone, and all of them together (METHODS 8, 9).

Imports `geo.hotspots`, `geo.risk`. Promises: it reads nothing but what the sides told by the treaty, be
it from events of this installation or from packages of others, so both ways find the same; a run is
stored whole or not at all and never changes; the same numbers and seed give the same run, which its
digest shows.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
import sqlalchemy as sa
from scipy import special

from app.database import transaction
from app.errors import Invalid, NotFound
from app.services.scenes import DEFAULT, load_scene
from app.services.treaties import Terms, Version
from app.services.treaty_side import SideTold, day_after
from geo import cells as h3
from geo import risk
from geo.exposure import kind_shares
from geo.hotspots import Stop
from geo.hotspots.pooled import BorderCluster, PooledResult, pooled_scan, to_plane
from geo.hotspots.told import Told, place

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Progress = Callable[[str, float], None]

#: Cells whose centre is so near to a shared line are drawn, metres.
STRIP = 25_000.0


@dataclass(frozen=True)
class Method:
    """How clusters are looked for.

    Attributes
    ----------
    alpha : false alarms of one kind in one period: of the pooled scan, and of all sides alone
    max_share : largest circle, share of what is expected of all (of a side alone: of its own)
    max_radius : largest circle, metres
    """

    alpha: float = 0.05
    max_share: float = 0.25
    max_radius: float = 30_000.0
    replicates: int = 999
    seed: int = 20260101
    max_clusters: int = 10


@dataclass(frozen=True, eq=False)
class Region:
    """All sides' cells as places of one plane; a cell two sides share is a place of each.

    Attributes
    ----------
    sides : in order of their codes
    side, cell : (n,) index of the side, H3 index
    x, y : (n,) metres of `LAEA`
    share : kind → (n,) exposure share, nan = no data
    """

    sides: tuple[SideTold, ...]
    side: Ints
    cell: h3.Cells
    x: Floats
    y: Floats
    share: Mapping[str, Floats]

    def counts(self, kind: str, period: str, start: date, terms: Terms) -> Ints:
        """Find counts per place that fit what was told, (n,)."""
        found = []
        for number, one in enumerate(self.sides):
            told = one.told.get((kind, period, start), _NOTHING)
            mine = self.share[kind][self.side == number]
            found.append(place(told, one.cells, mine, terms.resolution, terms.min_count))
        return np.concatenate(found)


_NOTHING = Told(np.zeros(0, np.uint64), np.zeros(0, np.int64), 0)


def region(sides: Sequence[SideTold], terms: Terms) -> Region:
    """Put the sides together.

    Raises
    ------
    Invalid
        A side told no exposures the treaty's kinds need.
    """
    ordered = tuple(sorted(sides, key=lambda one: one.side))
    side = np.repeat(np.arange(len(ordered)), [len(one.cells) for one in ordered])
    cell = np.concatenate([one.cells for one in ordered])
    exposures = np.stack(
        [np.concatenate([one.exposures[name] for one in ordered]) for name in terms.measures]
    )
    weights = np.array(
        [
            [terms.kinds[kind].get(name, 0.0) for name in terms.measures]
            for kind in sorted(terms.kinds)
        ]
    )
    # one region: shares add up to 1 over all sides together
    shares = kind_shares(exposures, weights, np.zeros(len(cell)))
    centre = h3.centres(cell)
    x, y = to_plane(centre[:, 0], centre[:, 1])
    return Region(ordered, side, cell, x, y, dict(zip(sorted(terms.kinds), shares, strict=True)))


def _of(progress: Progress, text: str, at: int, number: int, part: float) -> None:
    """Tell of the `at`-th of so many pieces of work."""
    progress(text, (at + part) / number)


def _within(  # noqa: PLR0917
    progress: Progress, text: str, at: int, number: int, kind: str, part: float
) -> None:
    """Tell of a kind of the `at`-th of so many periods."""
    progress(f"{text}, {kind}", (at + part) / number)


@dataclass(frozen=True, eq=False)
class KindFound:
    """What was found of one kind: counts (n,), the scan, colours (n,) uint8 of METHODS 4."""

    cases: Ints
    result: PooledResult | None
    colour: npt.NDArray[np.uint8]
    totals: Ints


def search(  # noqa: PLR0917
    here: Region, terms: Terms, method: Method, period: str, start: date,
    progress: Progress = lambda _text, _part: None, cancelled: Stop | None = None,
) -> dict[str, KindFound]:  # fmt: skip
    """Scan every kind of one period, each with a seed of its own.

    Each kind is a question of its own with `alpha` false alarms: with K kinds K times as many maps
    without a cluster show one somewhere. A kind nobody told an event of is not scanned.
    """
    found = {}
    kinds = sorted(terms.kinds)
    scene = load_scene(DEFAULT)
    rule = risk.ColourRule.from_rows(scene.colour_rule.rows(), scene.colour_rule.version)
    parameters = risk.DebParameters(**scene.filter.model_dump())
    for number, kind in enumerate(kinds):
        cases, share = here.counts(kind, period, start, terms), here.share[kind]
        totals = np.bincount(here.side, weights=cases, minlength=len(here.sides)).astype(np.int64)
        result = None
        if totals.any() and np.nansum(share) > 0:
            result = pooled_scan(
                cases, share, here.side, here.x, here.y, alpha=method.alpha,
                max_share=method.max_share, max_radius=method.max_radius,
                replicates=method.replicates, seed=method.seed + 100 * number,
                max_clusters=method.max_clusters, cancelled=cancelled,
                progress=partial(_of, progress, kind, number, len(kinds)),
            )  # fmt: skip
        colour = _colours(here, cases, share, rule, parameters)
        found[kind] = KindFound(cases, result, colour, totals)
    return found


def _colours(
    here: Region, cases: Ints, share: Floats, rule: risk.ColourRule, parameters: risk.DebParameters
) -> npt.NDArray[np.uint8]:
    """Class of every place from this period alone, against its side's own total (METHODS 3, 4, 9)."""
    known = share > 0
    seen = np.bincount(here.side, weights=np.where(known, cases, 0))
    held = np.bincount(here.side, weights=np.where(known, share, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(held > 0, seen / held, 0.0)
    expected = np.where(known, share * rate[here.side], np.nan)
    expected[expected == 0] = np.nan
    found = np.zeros(len(cases), np.uint8)
    use = np.flatnonzero(~np.isnan(expected))
    if len(use):
        fit = risk.filter_expected(cases[None, use].astype(float), expected[None, use], parameters)
        alpha = risk.unit_alpha(fit.alpha, fit.flags, parameters)
        colour, _ = risk.colour_panel(alpha, fit.s, fit.x, rule)
        found[use] = colour[0]
    return found


def interval(observed: float, expected: float, level: float = 0.95) -> tuple[float, float]:
    """Exact Poisson interval of observed / expected (Garwood 1936).

    >>> [round(one, 3) for one in interval(10, 5)]
    [0.959, 3.678]
    """
    if not expected > 0:
        return math.nan, math.nan
    tail = (1 - level) / 2
    low = special.gammaincinv(observed, tail) if observed > 0 else 0.0
    return float(low / expected), float(special.gammaincinv(observed + 1, 1 - tail) / expected)


# storing -----------------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Found:
    """Everything about one run, ready to be stored: rows of the three tables."""

    run: dict[str, Any]
    clusters: list[dict[str, Any]]
    cells: list[dict[str, Any]]


def build(  # noqa: PLR0917
    here: Region, found: Mapping[str, KindFound], version: Version, method: Method, period: str,
    start: date, lines: shapely.Geometry | None,
) -> Found:  # fmt: skip
    """Rows of a run. `lines`: shared lines in the plane, for the strip that is drawn."""
    terms = version.terms
    codes = [one.side for one in here.sides]
    clusters = [
        (kind, one)
        for kind, what in sorted(found.items())
        if what.result is not None
        for one in what.result.clusters
    ]
    # first what only all together see, across a line before inside one side, then by LLR
    order = {"together": 0, "several": 1, "one": 2}
    clusters.sort(
        key=lambda pair: (
            order[pair[1].seen], not pair[1].crosses, -pair[1].cluster.llr, pair[0]
        )
    )  # fmt: skip
    rows = [_cluster(here, kind, one, n) for n, (kind, one) in enumerate(clusters, start=1)]
    factor = {
        kind: dict(zip(codes, _plain(what.result.factors), strict=True))
        for kind, what in found.items()
        if what.result is not None
    }
    run = {
        "pack": version.pack, "treaty": version.treaty, "version": terms.version, "sides": codes,
        "names": json.dumps({one.side: one.name for one in here.sides}, ensure_ascii=False),
        "period": period, "start": start, "stop": day_after(period, start),
        "cutoff": min(one.cutoff for one in here.sides), "resolution": terms.resolution,
        "delay": terms.delay_days, "least": terms.min_count, "alpha": method.alpha,
        "share": method.max_share, "radius": method.max_radius, "replicates": method.replicates,
        "seed": method.seed, "factor": json.dumps(factor),
        "totals": json.dumps(
            {kind: dict(zip(codes, w.totals.tolist(), strict=True)) for kind, w in found.items()}
        ),
        "simulated": any(one.simulated for one in here.sides),
    }  # fmt: skip
    return Found(run, rows, _cells(here, found, rows, lines))


def _plain(values: Floats) -> list[float | None]:
    return [float(one) if math.isfinite(one) else None for one in values]


def _cluster(here: Region, kind: str, one: BorderCluster, number: int) -> dict[str, Any]:
    c = one.cluster
    cells = np.unique(here.cell[c.members])
    shape = shapely.union_all(_hexagons(cells))
    if isinstance(shape, shapely.Polygon):
        shape = shapely.MultiPolygon([shape])
    centre = h3.centres(here.cell[[c.centre]])[0]
    expected = sum(side.expected for side in one.sides)
    low, high = interval(c.observed, expected)
    sides = []
    for part in one.sides:
        bottom, top = interval(part.observed, part.expected)
        sides.append(
            {
                "side": here.sides[part.side].side, "cells": part.places,
                "observed": part.observed, "expected": part.expected, "low": _number(bottom),
                "high": _number(top), "p_alone": _number(part.p_alone),
                "found_alone": part.side in one.alone,
            }
        )  # fmt: skip
    edge = math.sqrt(h3.area_km2(float(centre[0]), float(centre[1]), _res(cells)) / math.pi)
    return {
        "number": number, "kind": kind, "seen": one.seen, "pooled": one.pooled, "p": c.p,
        "llr": c.llr, "observed": c.observed, "expected": expected, "low": low, "high": high,
        "radius": c.radius + 1000 * edge, "cells": cells.astype(np.int64).tolist(),
        "sides": json.dumps(sides), "centre": shapely.to_wkb(shapely.Point(centre)),
        "geom": shapely.to_wkb(shape),
    }  # fmt: skip


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _res(cells: h3.Cells) -> int:
    return (int(cells[0]) >> 52) & 15


def _hexagons(cells: h3.Cells) -> npt.NDArray[np.object_]:
    xy, start = h3.outlines(cells)
    closed = [
        np.vstack([xy[a:b], xy[a : a + 1]])
        for a, b in zip(start[:-1].tolist(), start[1:].tolist(), strict=True)
    ]
    return np.array([shapely.Polygon(one) for one in closed], dtype=object)


def _cells(
    here: Region,
    found: Mapping[str, KindFound],
    clusters: Sequence[Mapping[str, Any]],
    lines: shapely.Geometry | None,
) -> list[dict[str, Any]]:
    """Cells near a line or in a cluster, with the worst class of their sides' parts."""
    inside: dict[int, list[int]] = {}
    for found_one in clusters:
        for cell in found_one["cells"]:
            inside.setdefault(cell, []).append(found_one["number"])
    near = np.zeros(len(here.cell), np.bool_)
    if lines is not None and not lines.is_empty:
        shapely.prepare(lines)
        near = shapely.dwithin(shapely.points(here.x, here.y), lines, STRIP)
    drawn = np.flatnonzero(
        near | np.isin(here.cell, np.array(sorted(inside), dtype=np.int64).astype(np.uint64))
    )
    parts: dict[int, list[int]] = {}
    for one in drawn.tolist():
        parts.setdefault(int(here.cell[one]), []).append(one)
    names = np.array(sorted(parts), dtype=np.uint64)
    rows = []
    for cell, shape in zip(names.tolist(), _hexagons(names) if len(names) else [], strict=True):
        at = parts[cell]
        colours = {kind: int(what.colour[at].max()) for kind, what in sorted(found.items())}
        colours["overall"] = max(colours.values(), default=0)
        rows.append(
            {
                "cell": cell, "sides": [here.sides[one].side for one in here.side[at].tolist()],
                "colours": json.dumps(colours), "clusters": inside.get(cell, []),
                "geom": shapely.to_wkb(shape),
            }
        )  # fmt: skip
    return rows


_RUN = """
insert into pooled_run (pack, treaty_id, version, sides, names, period, start, stop, cutoff, resolution,
  delay_days, min_count, alpha, max_share, max_radius, replicates, seed, factor, totals, sources, simulated,
  digest)
values (:pack, :treaty, :version, :sides, cast(:names as jsonb), :period, :start, :stop, :cutoff, :resolution,
  :delay, :least, :alpha, :share, :radius, :replicates, :seed, cast(:factor as jsonb),
  cast(:totals as jsonb), cast(:sources as jsonb), :simulated, :digest) returning id
"""
_CLUSTER = """
insert into pooled_cluster (run_id, number, kind, seen, pooled, p, llr, observed, expected, low, high,
  radius_m, cells, sides, centre, geom)
values (:run, :number, :kind, :seen, :pooled, :p, :llr, :observed, :expected, :low, :high, :radius, :cells,
  cast(:sides as jsonb), st_geomfromwkb(:centre, 4326), st_geomfromwkb(:geom, 4326))
"""
_CELL = """
insert into pooled_cell (run_id, cell, sides, colours, clusters, geom)
values (:run, :cell, :sides, cast(:colours as jsonb), :clusters, st_geomfromwkb(:geom, 4326))
"""


def store(connection: sa.Connection, found: Found, sources: Mapping[str, Any]) -> int:
    """Store a run whole; returns its number."""
    run = {**found.run, "sources": json.dumps(sources), "digest": digest(found)}
    number: int = connection.execute(sa.text(_RUN), run).scalar_one()
    if found.clusters:
        connection.execute(sa.text(_CLUSTER), [{**one, "run": number} for one in found.clusters])
    for first in range(0, len(found.cells), 1000):
        connection.execute(
            sa.text(_CELL), [{**one, "run": number} for one in found.cells[first : first + 1000]]
        )
    connection.execute(
        sa.text(
            "insert into live_event (topic, sides, payload) values ('run', :sides, "
            "jsonb_build_object('pooled', cast(:run as int), 'pack', cast(:pack as text)))"
        ),
        {"sides": found.run["sides"], "run": number, "pack": found.run["pack"]},
    )
    return number


def digest(found: Found) -> str:
    """Sha256 of everything found and what it was found from; no number of the installation."""
    whole = hashlib.sha256()
    run = {k: v for k, v in found.run.items() if k not in {"treaty", "pack", "names"}}
    whole.update(repr(sorted(run.items())).encode())
    for one in found.clusters:
        kept = {k: v for k, v in one.items() if k not in {"centre", "geom"}}
        whole.update(repr(sorted(kept.items())).encode())
    for one in found.cells:
        whole.update(repr((one["cell"], one["sides"], one["colours"], one["clusters"])).encode())
    return whole.hexdigest()


# the whole way -----------------------------------------------------------------------------------
def common(sides: Sequence[SideTold], period: str) -> list[date]:
    """First days of the periods all sides told, ascending."""
    told = [set(one.periods.get(period, ())) for one in sides]
    return sorted(set.intersection(*told)) if told else []


def agreed(terms: Terms, period: str) -> None:
    """Do nothing when a period type crosses by a treaty.

    Raises
    ------
    Invalid
        It does not.
    """
    if period not in terms.periods:
        raise Invalid(
            f"by this treaty no {period} crosses, only {', '.join(terms.periods)}",
            {"field": "period", "reason": "not_agreed"},
        )


def chosen(
    terms: Terms, sides: Sequence[SideTold], period: str, starts: Sequence[date] | None
) -> list[date]:
    """First days of the periods asked for; without any the newest all sides told.

    Raises
    ------
    NotFound, Invalid
        As `assess`.
    """
    if len(sides) < 2:
        raise Invalid("there are numbers of fewer than two sides of this treaty")
    agreed(terms, period)
    there = common(sides, period)
    wanted = there[-1:] if starts is None else list(starts)
    missing = sorted(set(wanted) - set(there))
    if missing or not wanted:
        said = f"{period} {missing[0]}" if missing else f"any {period}"
        raise NotFound(f"not all sides told {said}")
    return wanted


def shared_lines(connection: sa.Connection, pack: str, sides: Sequence[str]) -> shapely.Geometry:
    """Lines between some sides of the newest boundaries, in the plane of border statistics."""
    rows = connection.execute(
        sa.text(
            "select st_asbinary(geom) from border_line where side_a = any(:sides) "
            "and side_b = any(:sides) and boundary_version_id = (select id from boundary_version "
            "where pack = :pack order by valid_from desc, id desc limit 1)"
        ),
        {"pack": pack, "sides": list(sides)},
    ).scalars()
    shapes = [shapely.from_wkb(bytes(one)) for one in rows]
    moved = shapely.transform(shapely.union_all(shapes), to_plane, interleaved=False)
    return moved


def assess(  # noqa: PLR0917
    engine: sa.Engine, version: Version, sides: Sequence[SideTold], period: str,
    starts: Sequence[date] | None = None, method: Method | None = None,
    sources: Mapping[str, Any] | None = None, progress: Progress = lambda _text, _part: None,
    cancelled: Stop | None = None,
) -> list[int]:  # fmt: skip
    """Find clusters of some periods and store a run of each; returns their numbers.

    Parameters
    ----------
    sides : what the sides told
    starts : first days of the periods; None: the newest all sides told

    Raises
    ------
    NotFound
        A period that not all sides told.
    Invalid
        Fewer than two sides; the treaty does not let this period type cross.
    """
    how = method or Method()
    wanted = chosen(version.terms, sides, period, starts)
    here = region(sides, version.terms)
    with engine.connect() as connection:
        lines = shared_lines(connection, version.pack, [one.side for one in sides])
    made = []
    for at, start in enumerate(wanted):
        kinds = search(
            here, version.terms, how, period, start,
            partial(_within, progress, f"{period} {start}", at, len(wanted)), cancelled,
        )  # fmt: skip
        found = build(here, kinds, version, how, period, start, lines)
        with transaction(engine) as connection:
            made.append(
                store(connection, found, sources or {one.side: one.digest() for one in sides})
            )
    return made
