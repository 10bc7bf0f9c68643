"""Boundary versions: written once, found by date, looked up by point. May import `geo/`.

Promises: a version is written in one transaction or not at all and never changes but for its
`valid_to`; ids run level by level (coarse first) in code order from 1; the same units under the
same label are one version.
"""

from __future__ import annotations

import io
import json
import logging
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
import sqlalchemy as sa
from filelock import FileLock

from app.database import raw
from app.errors import Conflict, Invalid, NotFound
from app.services import boundary_checks as checks
from app.services.boundary_checks import Notes, Progress
from geo import coverage
from geo.codes import CodeLayout, load_layout
from geo.locate import LocateError, LocateIndex

log = logging.getLogger(__name__)

#: validity of a pack's first version when nothing else is said: always
EVER = date(1900, 1, 1)
PACK = r"[a-z0-9][a-z0-9-]{0,39}"


@dataclass(frozen=True)
class BoundaryVersion:
    """One dated set of units; valid on days `[valid_from, valid_to)`."""

    id: int
    pack: str
    label: str
    title_zh: str
    title_en: str
    layout: CodeLayout | None
    levels: tuple[str, ...]
    approximate: bool
    source: str
    licence: str
    valid_from: date
    valid_to: date | None
    digest: str


@dataclass(frozen=True)
class ImportResult:
    """What an import did.

    `created` is False when the very same units were there already; `dropped` counts rejected
    rows; `closed` is the label of the older version whose validity was ended.
    """

    version: BoundaryVersion
    created: bool
    report: dict[str, Any]
    dropped: int
    closed: str | None = None


class Refused(Invalid):
    """A strict import found something; `detail` is the report."""


def import_units(
    connection: sa.Connection,
    *,
    pack: str,
    label: str,
    frame: gpd.GeoDataFrame,
    layout: CodeLayout | None = None,
    title_zh: str | None = None,
    title_en: str | None = None,
    valid_from: date | None = None,
    valid_to: date | None = None,
    source: str = "",
    licence: str = "",
    strict: bool = False,
    notes: Notes | None = None,
    progress: Progress | None = None,
) -> ImportResult:
    """Check, repair and store units as a new version of a pack.

    Parameters
    ----------
    connection : sa.Connection
        In a transaction of the caller's: commit publishes, roll back leaves nothing.
    pack, label : str
        Name of the series and of the version in it.
    frame : GeoDataFrame
        Columns `code`, `geometry` (WGS84, x y) and, where known, `level`, `name`, `name_en`,
        `parent` (code), `approximate` (bool), `place` (where the row stands, for messages).
    layout : CodeLayout, optional
        Cuts the codes, gives levels and parents. Without one codes are any text, `level` is
        needed, and parents are found by column, by prefix or by place, in this order.
    valid_from, valid_to : date, optional
        First day, and day after the last. The first version of a pack is valid ever since when
        nothing is said; an older version open at `valid_from` is closed there.
    strict : bool
        Refuse whatever is not perfect.
    notes : Notes, optional
        What the reader of the files noticed before.
    progress : callable, optional
        Called with a step's name and the part of it done.

    Raises
    ------
    Invalid
        Nothing usable, or (strict) something to mend: see `Refused`.
    Conflict
        The label, the validity or the layout's name is taken by something else.
    """
    tell = progress or (lambda _step, _part: None)
    if not re.fullmatch(PACK, pack):
        raise Invalid(f"pack {pack!r}: use 1 to 40 lower-case letters, digits and hyphens")
    if not label.strip():
        raise Invalid("the version needs a label")
    gathered = notes or Notes()
    rows = checks.to_wgs84(checks.standard(frame), "wgs84", gathered, "units")
    units = checks.prepare(rows, layout, gathered, tell)
    digest = checks.digest(units, layout)
    # one import per pack at a time: the check of label and dates must still hold when writing
    connection.execute(
        sa.text("select pg_advisory_xact_lock(hashtextextended('boundaries:' || :pack, 0))"),
        {"pack": pack},
    )
    there = _already(connection, pack, label, digest, (valid_from, valid_to))
    if there is not None:
        return there
    area = coverage.geodesic_km2(units.frame.geometry.to_numpy())
    report = checks.report(units, gathered, area, tell)
    findings = checks.count_findings(report)
    if strict and findings:
        raise Refused(f"refused (strict): {findings} findings; see the report", report)
    first, last, closed = _make_room(connection, pack, valid_from, valid_to)
    _store_layout(connection, layout)
    number = connection.execute(
        sa.text(
            "insert into boundary_version (pack, label, title_zh, title_en, layout, levels,"
            " approximate, source, licence, valid_from, valid_to, digest, report) values"
            " (:pack, :label, :title_zh, :title_en, :layout, :levels, :approximate, :source,"
            " :licence, :valid_from, :valid_to, :digest, cast(:report as jsonb)) returning id"
        ),
        {
            "pack": pack,
            "label": label,
            "title_zh": title_zh or title_en or pack,
            "title_en": title_en or title_zh or pack,
            "layout": layout.name if layout else None,
            "levels": list(units.levels),
            "approximate": bool(units.frame.approximate.any()),
            "source": source,
            "licence": licence,
            "valid_from": first,
            "valid_to": last,
            "digest": digest,
            "report": json.dumps(report, ensure_ascii=False),
        },
    ).scalar_one()
    _write_units(connection, int(number), units.frame, area, tell)
    version = get_version(connection, pack, label)
    return ImportResult(version, True, report, len(gathered.rejects), closed)


def _already(
    connection: sa.Connection,
    pack: str,
    label: str,
    digest: str,
    validity: tuple[date | None, date | None],
) -> ImportResult | None:
    row = connection.execute(
        sa.text("select digest, report from boundary_version where pack = :p and label = :l"),
        {"p": pack, "l": label},
    ).one_or_none()
    if row is None:
        return None
    if row.digest != digest:
        raise Conflict(
            f"{pack} has a version {label!r} with other units; a version never changes: "
            "give this one another label"
        )
    version = get_version(connection, pack, label)
    asked = validity[0]
    if asked is not None and asked != version.valid_from:
        raise Conflict(
            f"{pack} {label!r} is there already, valid from {version.valid_from}, not {asked}"
        )
    return ImportResult(version, False, row.report, int(row.report["rejected"]["count"]))


def _make_room(
    connection: sa.Connection, pack: str, valid_from: date | None, valid_to: date | None
) -> tuple[date, date | None, str | None]:
    """Fit a validity between those of the pack's other versions; close the one before."""
    others = connection.execute(
        sa.text(
            "select id, label, valid_from, valid_to from boundary_version where pack = :p "
            "order by valid_from"
        ),
        {"p": pack},
    ).all()
    if valid_from is None and others:
        raise Invalid(
            f"{pack} has versions already ({', '.join(o.label for o in others)}): "
            "say from which day this one is valid (--valid-from)"
        )
    first = valid_from or EVER
    if valid_to is not None and valid_to <= first:
        raise Invalid(f"validity ends ({valid_to}) before it begins ({first})")
    before = [o for o in others if o.valid_from < first]
    after = [o for o in others if o.valid_from >= first]
    if after:
        nearest = after[0]
        if nearest.valid_from == first or (valid_to and valid_to > nearest.valid_from):
            raise Conflict(
                f"{pack} {nearest.label!r} is valid from {nearest.valid_from}: "
                f"the days {first} to {valid_to or 'ever'} are not free"
            )
        valid_to = valid_to or nearest.valid_from
    # a version has one span of days: what of the one before lies behind this one would be lost
    if before and valid_to and (before[-1].valid_to is None or before[-1].valid_to > valid_to):
        outer = before[-1]
        raise Conflict(
            f"{pack} {outer.label!r} would end on {first}, and the days from {valid_to} "
            f"{f'to {outer.valid_to}' if outer.valid_to else 'on'} would have no map: "
            "leave out the day this one ends (--valid-to)"
        )
    closed = None
    if before and (before[-1].valid_to is None or before[-1].valid_to > first):
        connection.execute(
            sa.text("update boundary_version set valid_to = :d where id = :i"),
            {"d": first, "i": before[-1].id},
        )
        closed = str(before[-1].label)
    return first, valid_to, closed


def _store_layout(connection: sa.Connection, layout: CodeLayout | None) -> None:
    if layout is None:
        return
    segments = layout.as_mapping()["segments"]
    stored = connection.execute(
        sa.text(
            "insert into code_layout (name, segments) values (:n, cast(:s as jsonb)) "
            "on conflict (name) do update set name = excluded.name returning segments"
        ),
        {"n": layout.name, "s": json.dumps(segments, ensure_ascii=False)},
    ).scalar_one()
    known = load_layout({"name": layout.name, "segments": stored})
    if [(s.length, s.level) for s in known.segments] != [
        (s.length, s.level) for s in layout.segments
    ]:
        raise Conflict(f"another layout is called {layout.name!r}: give this one another name")


def _write_units(
    connection: sa.Connection,
    version: int,
    frame: gpd.GeoDataFrame,
    area: npt.NDArray[np.float64],
    tell: Progress,
) -> None:
    shapes = shapely.set_srid(frame.geometry.to_numpy(), 4326)
    tell("label points", 0.0)
    points = shapely.set_srid(coverage.label_points(shapes), 4326)
    texts = zip(
        frame.code, frame.level, frame.name, frame.name_en, frame.parent_id, frame.approximate,
        area, shapely.to_wkb(points, hex=True, include_srid=True),
        shapely.to_wkb(shapes, hex=True, include_srid=True), strict=True,
    )  # fmt: skip
    tell("write", 0.0)
    step = 2000
    lines: list[str] = []
    with raw(connection).cursor() as cursor:
        for i, (code, level, name, name_en, parent, approximate, km2, point, shape) in enumerate(
            texts, start=1
        ):
            fields = (version, i, _copy(code), level, _copy(name), _copy(name_en),
                      parent or r"\N", "t" if approximate else "f", float(km2), point, shape)  # fmt: skip
            lines.append("\t".join(map(str, fields)) + "\n")
            if i % step == 0 or i == len(frame):
                cursor.copy_expert("copy unit from stdin", io.StringIO("".join(lines)))
                lines.clear()
                tell("write", i / len(frame))
    # the deferred check of every parent would otherwise be planned for the table as it was
    connection.execute(sa.text("analyze unit"))


def _copy(value: str | None) -> str:
    if value is None:
        return r"\N"
    return (
        value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    )


_SELECT = (
    "select v.id, v.pack, v.label, v.title_zh, v.title_en, v.layout, l.segments, v.levels,"
    " v.approximate, v.source, v.licence, v.valid_from, v.valid_to, v.digest"
    " from boundary_version v left join code_layout l on l.name = v.layout "
)


def _version(row: Any) -> BoundaryVersion:
    layout = load_layout({"name": row.layout, "segments": row.segments}) if row.layout else None
    values = {k: v for k, v in row._mapping.items() if k not in ("layout", "segments", "levels")}
    return BoundaryVersion(**values, layout=layout, levels=tuple(row.levels))


def versions(connection: sa.Connection, pack: str | None = None) -> list[BoundaryVersion]:
    """All versions, by pack and first day."""
    rows = connection.execute(
        sa.text(
            _SELECT + "where cast(:p as text) is null or v.pack = :p order by v.pack, v.valid_from"
        ),
        {"p": pack},
    )
    return [_version(row) for row in rows]


def get_version(connection: sa.Connection, pack: str, label: str) -> BoundaryVersion:
    """Version by its label.

    Raises
    ------
    NotFound
        With the labels there are.
    """
    row = connection.execute(
        sa.text(_SELECT + "where v.pack = :p and v.label = :l"), {"p": pack, "l": label}
    ).one_or_none()
    if row is None:
        labels = ", ".join(v.label for v in versions(connection, pack))
        raise NotFound(f"{pack} has no version {label!r}; there are: {labels or 'none'}")
    return _version(row)


def newest_version(connection: sa.Connection, pack: str, on: date | None = None) -> BoundaryVersion:
    """Version valid `on` a day; without a day the one that begins last.

    Raises
    ------
    NotFound
        The pack has no boundaries, or none on that day.
    """
    row = connection.execute(
        sa.text(
            _SELECT + "where v.pack = :p and (cast(:d as date) is null or (v.valid_from <= :d"
            " and (v.valid_to is null or v.valid_to > :d))) order by v.valid_from desc limit 1"
        ),
        {"p": pack, "d": on},
    ).one_or_none()
    if row is not None:
        return _version(row)
    known = versions(connection, pack)
    if known:
        spans = ", ".join(f"{v.label}: {v.valid_from} to {v.valid_to or 'now'}" for v in known)
        raise NotFound(f"{pack} has no boundaries on {on}; there are {spans}")
    packs = connection.scalars(sa.text("select distinct pack from boundary_version order by 1"))
    raise NotFound(
        f"there are no boundaries of {pack!r}; packs: {', '.join(packs) or 'none'}"
        " (`wusetu boundaries import`)"
    )


def unit_counts(connection: sa.Connection) -> dict[int, dict[str, int]]:
    """Units per version id and level."""
    counts: dict[int, dict[str, int]] = {}
    for version, level, n in connection.execute(
        sa.text("select boundary_version_id, level, count(*) from unit group by 1, 2")
    ):
        counts.setdefault(version, {})[level] = n
    return counts


def stored_report(connection: sa.Connection, version: BoundaryVersion) -> dict[str, Any]:
    """Everything the import of a version found."""
    body: dict[str, Any] = connection.execute(
        sa.text("select report from boundary_version where id = :i"), {"i": version.id}
    ).scalar_one()
    return body


def leaf_index(
    connection: sa.Connection,
    version: BoundaryVersion,
    cache_folder: Path,
    progress: Progress | None = None,
) -> LocateIndex:
    """Index of the units without children: the finest there is on every branch.

    Built once per set of units, kept in `cache_folder/<digest>`, then memory-mapped; a damaged
    copy is built again.
    """
    cache_folder = Path(cache_folder)
    folder = cache_folder / version.digest
    try:
        return LocateIndex.load(folder)
    except LocateError:
        pass
    cache_folder.mkdir(parents=True, exist_ok=True)
    with FileLock(cache_folder / f"{version.digest}.lock"):
        try:
            return LocateIndex.load(folder)
        except LocateError as error:
            if folder.exists():
                log.warning("locate index is built again: %s", error)
        rows = connection.execute(
            sa.text(
                "select id, st_asbinary(geom) from unit u where boundary_version_id = :v"
                " and not exists (select from unit c where c.boundary_version_id = :v"
                " and c.parent_id = u.id) order by id"
            ),
            {"v": version.id},
        ).all()
        shapes = shapely.from_wkb([bytes(row[1]) for row in rows])
        tell = (lambda part: progress("locate index", part)) if progress else None
        built = LocateIndex.build(shapes, np.array([r[0] for r in rows], dtype=np.int32), tell)
        built.save(folder)
        return LocateIndex.load(folder, check=False)


def ancestor_table(
    connection: sa.Connection, version: BoundaryVersion
) -> dict[str, npt.NDArray[np.int32]]:
    """For each level an array over unit ids (n + 1,): the unit's ancestor there.

    A unit is its own ancestor at its own level; 0 where it has none (and at index 0).
    """
    rows = connection.execute(
        sa.text(
            "select id, level, coalesce(parent_id, 0) from unit"
            " where boundary_version_id = :v order by id"
        ),
        {"v": version.id},
    ).all()
    size = (rows[-1][0] if rows else 0) + 1
    parent = np.zeros(size, dtype=np.int32)
    table = {level: np.zeros(size, dtype=np.int32) for level in version.levels}
    for number, level, above in rows:
        parent[number] = above
        table[level][number] = number
    # coarse ids come first, so a level's units are complete before their children look
    for number, _, above in rows:
        if above:
            for array in table.values():
                array[number] = array[number] or array[above]
    return table
