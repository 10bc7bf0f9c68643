"""From rows of a file to units that fit together: codes, shapes, parents, and a report of it all.

May import `geo/`. Promises: no row is lost or changed silently; each rejected row names its place
and reason, each repair its unit and reason; the order of the result is the order of ids.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from app.errors import Invalid
from geo import coverage, crs
from geo.codes import CodeError, CodeLayout, plain_code

Progress = Callable[[str, float], None]

#: usual levels, coarse to fine; a map without a layout may use others, in the order they come
LEVELS = ("city", "county", "town", "village", "grid", "microgrid")
COLUMNS = ("code", "level", "name", "name_en", "parent", "approximate", "place", "geometry")
#: longest list kept in a report; the counts and sums are of everything
LISTED = 100
#: longest code of a map without a layout: codes stand in addresses
LONGEST = 64
_LEVEL = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Reject:
    """A row that was left out: where it stands, its code as given, and why."""

    place: str
    code: str
    reason: str


@dataclass
class Notes:
    """What is worth telling, gathered on the way."""

    rejects: list[Reject] = field(default_factory=list)
    repaired: list[dict[str, Any]] = field(default_factory=list)
    merged: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Units:
    """Units in id order; position + 1 is the id.

    frame : columns code level name name_en approximate geometry parent_id (0 = none)
    parents_by : how the parents of each level were found
    orphans : codes per level whose parent should be there and is not
    """

    frame: gpd.GeoDataFrame
    levels: tuple[str, ...]
    parents_by: dict[str, str]
    orphans: dict[str, list[str]]

    def of_level(self, level: str) -> gpd.GeoDataFrame:
        """Units of one level, in code order."""
        return self.frame[self.frame.level == level]


def standard(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Copy with every column of `COLUMNS` and rows numbered from 0.

    Raises
    ------
    Invalid
        `code` or the geometry is missing, or the frame is in another CRS than WGS84.
    """
    if "geometry" not in frame or "code" not in frame:
        raise Invalid(f"the units need columns code and geometry; there are {_listed(frame)}")
    if frame.crs is not None and frame.crs.to_epsg() not in (4326, 4490):
        raise Invalid(f"the units are in {frame.crs.name}: convert them to WGS84 first")
    out = pd.DataFrame(frame.reset_index(drop=True))
    for column in COLUMNS:
        if column not in out:
            out[column] = None
    out["approximate"] = [value is True or value == 1 for value in out.approximate]
    unplaced = out.place.isna()
    out.loc[unplaced, "place"] = [f"row {i + 1}" for i in np.flatnonzero(unplaced)]
    return gpd.GeoDataFrame(out[list(COLUMNS)], geometry="geometry", crs=None)


def _listed(frame: pd.DataFrame) -> str:
    return ", ".join(map(str, frame.columns)) or "none"


def to_wgs84(frame: gpd.GeoDataFrame, declared: str, notes: Notes, what: str) -> gpd.GeoDataFrame:
    """Convert the shapes of a frame made by `standard` and reject those outside the CRS's area.

    Shapes with a coordinate that is no number (NaN, infinite) are rejected too.

    Raises
    ------
    Invalid
        The CRS is unknown, or most shapes lie outside its area: the declaration or the order of
        the axes is wrong, and the message says which it looks like.
    """
    frame = _finite(frame, notes)
    try:
        name = crs.normalise(declared)
        shapes = crs.geometries_to_wgs84(frame.geometry.to_numpy(), name)
        area = crs.area(name)
    except crs.CrsError as error:
        raise Invalid(f"{what}: {error}") from error
    raw = shapely.bounds(frame.geometry.to_numpy())
    box = shapely.bounds(shapes)
    there = np.isfinite(raw).all(axis=1)
    # a degree of grace: areas of use are rounded, and units reach over them
    west, south, east, north = area if name == "wgs84" else np.add(area, (-1, -1, 1, 1)).tolist()
    with np.errstate(invalid="ignore"):
        inside = (box[:, 0] >= west) & (box[:, 2] <= east)
        inside &= (box[:, 1] >= south) & (box[:, 3] <= north)
    wrong = np.flatnonzero(there & ~inside)
    if len(wrong):
        reasons = [_diagnose(raw[i], name, area) for i in wrong]
        if len(wrong) * 2 >= there.sum():
            likely = max(set(reasons), key=reasons.count)
            raise Invalid(
                f"{what}: {len(wrong)} of {int(there.sum())} units do not fit the CRS {name}: "
                f"{likely}; first: {frame.place[wrong[0]]}"
            )
        for i, reason in zip(wrong, reasons, strict=True):
            notes.rejects.append(Reject(frame.place[i], str(frame.code[i]), reason))
    out = frame.copy()
    out["geometry"] = shapes
    keep = np.ones(len(out), dtype=bool)
    keep[wrong] = False
    return out[keep].reset_index(drop=True)


def _finite(frame: gpd.GeoDataFrame, notes: Notes) -> gpd.GeoDataFrame:
    """Rows whose coordinates are all numbers; nothing behind here can measure the others."""
    points, row = shapely.get_coordinates(frame.geometry.to_numpy(), return_index=True)
    wrong = np.unique(row[~np.isfinite(points).all(axis=1)])
    if not len(wrong):
        return frame
    for i in wrong.tolist():
        notes.rejects.append(
            Reject(frame.place[i], str(frame.code[i]), "a coordinate is no number")
        )
    return frame.drop(index=wrong).reset_index(drop=True)


def _diagnose(box: npt.NDArray[np.float64], name: str, area: crs.Bounds) -> str:
    x, y = [(box[0] + box[2]) / 2], [(box[1] + box[3]) / 2]
    found: str | None
    if name.startswith("EPSG"):
        found = crs.looks_like(*crs.to_wgs84(y, x, name), area)
        found = "swapped" if found is None else "outside"
        degrees = bool(np.abs(box).max() <= 180)
        if found == "outside" and degrees:
            return "coordinates are in degrees, not in the unit of the declared CRS"
    else:
        found = crs.looks_like(x, y, area)
    if found == "swapped":
        return "longitude and latitude are swapped (x, east, comes first)"
    if found == "metres":
        return "coordinates are in metres, not degrees: declare their CRS as EPSG:n"
    edges = " ".join(f"{v:g}" for v in area)
    return f"outside the area of the declared CRS (west south east north {edges})"


def prepare(
    frame: gpd.GeoDataFrame, layout: CodeLayout | None, notes: Notes, progress: Progress
) -> Units:
    """Units from rows in WGS84 (see `standard`).

    Raises
    ------
    Invalid
        No row is usable, or a level is missing or misnamed.
    """
    codes, levels = _codes(frame, layout, notes)
    progress("repair", 0.1)
    shapes, repairs = coverage.repair(frame.geometry.to_numpy())
    keep = np.array([c is not None for c in codes], dtype=bool)
    for i, repair in enumerate(repairs):
        if keep[i] and repair.lost:
            notes.rejects.append(Reject(frame.place[i], codes[i], repair.reason))
            keep[i] = False
    rows = frame.copy()
    rows["geometry"], rows["code"], rows["level"] = shapes, codes, levels
    rows["name"] = _names(rows, keep, notes)
    rows["name_en"] = [_text(v) for v in rows.name_en]
    for i in np.flatnonzero(keep).tolist():
        if repairs[i].reason:
            notes.repaired.append(
                {
                    "code": codes[i],
                    "level": levels[i],
                    "name": rows.name[i],
                    "reason": repairs[i].reason,
                    "change_km2": round(repairs[i].change_km2, 9),
                }
            )
    rows = _one_per_code(rows[keep], notes)
    if rows.empty:
        first = notes.rejects[0] if notes.rejects else None
        why = f"; first: {first.place}: {first.reason}" if first else ""
        raise Invalid(f"no unit is left of {len(frame)} rows{why}")
    order = _level_order(rows.level.tolist(), layout)
    rank = {level: i for i, level in enumerate(order)}
    rows = rows.assign(rank=rows.level.map(rank)).sort_values(["rank", "code"], kind="stable")
    rows = rows.drop(columns="rank").reset_index(drop=True)
    progress("parents", 0.5)
    parent_id, by, orphans = _parents(rows, order, layout)
    rows["parent_id"] = parent_id
    return Units(rows, order, by, orphans)


def _text(value: object) -> str | None:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    # PostgreSQL holds no NUL
    return str(value).replace("\x00", "").strip().strip("\ufeff") or None


def _names(rows: pd.DataFrame, keep: npt.NDArray[np.bool_], notes: Notes) -> list[str]:
    names = [_text(v) for v in rows.name]
    bare = sum(1 for i, name in enumerate(names) if name is None and keep[i])
    if bare:
        notes.notes.append(f"{bare} units have no name; their code is shown")
    return [name or str(code) for name, code in zip(names, rows.code, strict=True)]


def _codes(
    frame: gpd.GeoDataFrame, layout: CodeLayout | None, notes: Notes
) -> tuple[list[Any], list[Any]]:
    """Canonical code and level of each row, None where the row was rejected."""
    codes: list[Any] = []
    levels: list[Any] = []
    for given, level, place in zip(frame.code, frame.level, frame.place, strict=True):
        declared = _text(level)
        try:
            code, found = _code_and_level(given, declared, layout)
        except (CodeError, ValueError) as error:
            notes.rejects.append(Reject(place, str(given), str(error)))
            code, found = None, None
        codes.append(code)
        levels.append(found)
    return codes, levels


def _code_and_level(
    given: object, declared: str | None, layout: CodeLayout | None
) -> tuple[str, str]:
    if layout is None:
        code, level = plain_code(given), declared
        if "/" in code or code in {".", ".."} or len(code) > LONGEST or not code.isprintable():
            raise ValueError(
                f"code {code[:LONGEST]!r} cannot be part of an address: it is to be at most "
                f"{LONGEST} printable characters without a slash"
            )
        if level is None:
            raise ValueError(f"code {code!r} has no level")
    else:
        code = layout.parse(given)
        level = layout.level_of(code)
        if level is None:
            raise ValueError(
                f"code {code!r} ({len(code)} digits) belongs to no level of {layout.name}"
            )
        if declared is not None and declared != level:
            raise ValueError(f"code {code!r} is a {level} by its length, the file says {declared}")
    if not _LEVEL.fullmatch(level):
        raise ValueError(f"level {level!r} is no lower-case word")
    return code, level


def _one_per_code(rows: gpd.GeoDataFrame, notes: Notes) -> gpd.GeoDataFrame:
    """Rows of one code: parts of one unit when level and name agree, else the first stays."""
    twice = rows[rows.code.duplicated(keep=False)]
    drop: list[int] = []
    whole: dict[int, Any] = {}
    for code, group in twice.groupby("code", sort=False):
        first = group.iloc[0]
        same = (group.level == first.level) & (group.name == first["name"])
        parts = group[same]
        drop += group.index[1:].tolist()
        for _, other in group[~same].iterrows():
            what = f"code {code!r} is already {first['name']} ({first.level}, {first.place})"
            notes.rejects.append(Reject(other.place, str(code), what))
        if len(parts) > 1:
            shape = shapely.union_all(parts.geometry.to_numpy())
            whole[int(first.name)] = coverage.repair([shape])[0][0]
            notes.merged.append(
                {"code": code, "level": first.level, "name": first["name"], "rows": len(parts)}
            )
    if not drop:
        return rows
    shapes = rows.geometry.copy()
    for index, shape in whole.items():
        shapes.at[index] = shape
    return rows.assign(geometry=shapes).drop(index=drop)


def _level_order(present: Sequence[str], layout: CodeLayout | None) -> tuple[str, ...]:
    known = LEVELS if layout is None else layout.levels
    found = list(dict.fromkeys(present))
    if all(level in known for level in found):
        return tuple(level for level in known if level in found)
    return tuple(found)


def _parents(
    rows: gpd.GeoDataFrame, order: tuple[str, ...], layout: CodeLayout | None
) -> tuple[npt.NDArray[np.int32], dict[str, str], dict[str, list[str]]]:
    ids = {code: i + 1 for i, code in enumerate(rows.code)}
    level_of = dict(zip(rows.code, rows.level, strict=True))
    parent = np.zeros(len(rows), dtype=np.int32)
    by: dict[str, str] = {}
    orphans: dict[str, list[str]] = {}
    for depth, level in enumerate(order[1:], start=1):
        here = np.flatnonzero(rows.level == level)
        coarser = order[:depth]
        codes = rows.code.iloc[here].tolist()
        if layout is not None:
            by[level] = "layout"
            found, lost = _by_layout(codes, coarser, layout, ids)
            parent[here] = found
            orphans[level] = lost
            continue
        coarse = {code for code in ids if level_of[code] in coarser}
        given = [_text(v) for v in rows.parent.iloc[here]]
        prefix = [_prefix(code, coarse) for code in codes]
        if any(v is not None for v in given):
            by[level] = "column"
            found = [ids[_plain(v)] if _plain(v) in coarse else 0 for v in given]
        elif sum(p is not None for p in prefix) * 2 >= len(prefix):
            by[level] = "prefix"
            found = [ids[p] if p is not None else 0 for p in prefix]
        else:
            by[level] = "place"
            found = _by_place(rows, here, coarser)
        parent[here] = found
        orphans[level] = [c for c, p in zip(codes, found, strict=True) if p == 0]
    return parent, by, {level: codes for level, codes in orphans.items() if codes}


def _plain(value: str | None) -> str:
    try:
        return plain_code(value)
    except CodeError:
        return ""


def _prefix(code: str, coarse: set[str]) -> str | None:
    return next((code[:n] for n in range(len(code) - 1, 0, -1) if code[:n] in coarse), None)


def _by_layout(
    codes: Sequence[str], coarser: tuple[str, ...], layout: CodeLayout, ids: dict[str, int]
) -> tuple[list[int], list[str]]:
    found, lost = [], []
    for code in codes:
        wanted = [layout.at_level(code, level) for level in reversed(coarser)]
        chain = [w for w in wanted if w is not None]
        there = [ids[w] for w in chain if w in ids]
        found.append(there[0] if there else 0)
        # a level the code skips is no loss; a parent it names and that is not there is
        if not chain or chain[0] not in ids:
            lost.append(code)
    return found, lost


def _by_place(
    rows: gpd.GeoDataFrame, here: npt.NDArray[np.intp], coarser: tuple[str, ...]
) -> list[int]:
    """Finest coarser unit that holds the label point; lowest code where several do."""
    shapes = rows.geometry.to_numpy()
    points = coverage.label_points(shapes[here])
    found = np.zeros(len(here), dtype=np.int64)
    for level in reversed(coarser):
        above = np.flatnonzero(rows.level == level)
        left = np.flatnonzero(found == 0)
        tree = shapely.STRtree(shapes[above])
        point, polygon = tree.query(points[left], predicate="covered_by")
        lowest = np.full(len(left), np.iinfo(np.int64).max)
        np.minimum.at(lowest, point, above[polygon] + 1)
        hit = lowest < np.iinfo(np.int64).max
        found[left[hit]] = lowest[hit]
    return found.tolist()


def digest(units: Units, layout: CodeLayout | None) -> str:
    """Sha256 of the units as they will stand in the table."""
    total = hashlib.sha256()
    head = [layout.as_mapping() if layout else None, list(units.levels)]
    total.update(json.dumps(head, ensure_ascii=False).encode())
    frame = units.frame
    wkb = shapely.to_wkb(frame.geometry.to_numpy(), byte_order=1)
    columns = (frame.code, frame.level, frame.name, frame.name_en, frame.parent_id.tolist(),
               frame.approximate.tolist())  # fmt: skip
    for row, shape in zip(zip(*columns, strict=True), wkb, strict=True):
        total.update(json.dumps(row, ensure_ascii=False).encode())
        total.update(len(shape).to_bytes(8, "little"))
        total.update(shape)
    return total.hexdigest()


def report(units: Units, notes: Notes, area_km2: npt.NDArray[np.float64], progress: Progress
           ) -> dict[str, Any]:  # fmt: skip
    """Everything found, ready for JSON and for `count_findings`."""
    frame = units.frame
    shapes = frame.geometry.to_numpy()
    codes = np.concatenate([[None], frame.code.to_numpy(dtype=object)])
    by_code = dict(zip(frame.code, shapes, strict=True))
    names = dict(zip(frame.code, frame["name"], strict=True))
    levels = []
    gathered = list(notes.notes)
    for i, level in enumerate(units.levels):
        progress(f"inspect {level}", i / len(units.levels))
        here = np.flatnonzero(frame.level == level)
        parents = codes[frame.parent_id.to_numpy()[here]]
        found = coverage.inspect(
            shapes[here],
            frame.code.iloc[here].tolist(),
            parents.tolist() if i else None,
            by_code,
        )
        orphans = [{"code": code} for code in units.orphans.get(level, [])]
        apart = _apart(frame.code.iloc[here].tolist(), parents.tolist())
        if apart:
            gathered.append(
                f"{level}: the codes of {len(apart)} of {len(here)} units do not begin with their "
                "parent's code, so the map does not show them when one looks into the parent, and "
                "an account whose jurisdiction is the parent's code does not see them: give codes "
                "that begin with the parent's, or codes of a layout (--layout)"
            )
        begun = _begun(frame.code.iloc[here].tolist())
        if begun:
            gathered.append(
                f"{level}: {len(begun)} codes begin with the code of another unit of that level, "
                f"first {begun[0]['code']!r} with {begun[0]['other']!r}, so a jurisdiction over "
                "the one reaches over the other: give codes of one length"
            )
        levels.append(
            {
                "level": level,
                "units": len(here),
                "area_km2": round(float(area_km2[here].sum()), 6),
                "parents_by": units.parents_by.get(level),
                "repaired": [r for r in notes.repaired if r["level"] == level],
                "merged": [m for m in notes.merged if m["level"] == level],
                "orphans": {"count": len(orphans), "largest": _named(orphans, names)},
                "codes_apart": {"count": len(apart), "largest": _named(apart, names)},
                "codes_begun": {"count": len(begun), "largest": _named(begun, names)},
                "overlaps": _sized(found.overlaps, names),
                "gaps": _sized(found.gaps, names),
                "outside_parent": _sized(found.outside, names),
                "parent_uncovered": _sized(found.uncovered, names),
                "edges_unmatched": {
                    "count": len(found.mismatched),
                    "largest": _named([{"code": c} for c in found.mismatched], names),
                },
            }
        )
    return {
        "units": len(frame),
        "levels": levels,
        "rejected": {
            "count": len(notes.rejects),
            "largest": [vars(r) for r in notes.rejects[:LISTED]],
        },
        "notes": gathered,
    }


def _apart(codes: Sequence[str], parents: Sequence[str | None]) -> list[dict[str, Any]]:
    """Units whose code does not begin with their parent's: map and jurisdictions go by prefix."""
    return [
        {"code": code, "parent": parent}
        for code, parent in zip(codes, parents, strict=True)
        if parent is not None and not code.startswith(parent)
    ]


def _begun(codes: Sequence[str]) -> list[dict[str, Any]]:
    """Units whose code begins with the whole code (`other`) of another unit of their level."""
    found = []
    open_: list[str] = []  # each begins the next
    for code in sorted(codes):
        while open_ and not code.startswith(open_[-1]):
            open_.pop()
        if open_:
            found.append({"code": code, "other": open_[-1]})
        open_.append(code)
    return found


def _sized(found: Sequence[Any], names: dict[str, str]) -> dict[str, Any]:
    listed = [{**vars(f), "km2": round(f.km2, 9)} for f in found[:LISTED]]
    return {
        "count": len(found),
        "km2": round(sum(f.km2 for f in found), 9),
        "largest": _named(listed, names),
    }


def _named(items: Sequence[dict[str, Any]], names: dict[str, str]) -> list[dict[str, Any]]:
    """Put the name beside every code of the first items."""
    keys = {"code": "name", "other": "other_name", "parent": "parent_name"}
    return [
        {**item, **{keys[key]: names[item[key]] for key in keys if key in item}}
        for item in items[:LISTED]
    ]


def count_findings(body: dict[str, Any]) -> int:
    """How many things of a report are not as they should be (notes are not counted)."""
    total = int(body["rejected"]["count"])
    for level in body["levels"]:
        total += len(level["repaired"]) + len(level["merged"])
        for key in ("orphans", "overlaps", "gaps", "outside_parent", "parent_uncovered",
                    "edges_unmatched"):  # fmt: skip
            total += int(level[key]["count"])
        # reports written by older versions do not have them
        for key in ("codes_apart", "codes_begun"):
            total += int(level.get(key, {"count": 0})["count"])
    return total
