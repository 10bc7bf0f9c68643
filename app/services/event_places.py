"""The locating rule: code beats point beats address. Imports `geo.codes`, `geo.crs`, `geo.binning`.

A code is cut to the finest unit that is there; a unit that ended and went as a whole to another
stands for that one. A point lies in the leaf unit that covers it. Both
given: they are compared at the finest level both know; when they agree the finer of the two
decides, when they disagree the code does and the event is marked as mismatch. An address decides
only where neither does. What is given but leads nowhere is refused, what is not given at all is
kept and known nowhere.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely
import sqlalchemy as sa

from app.services.address_resolve import Ground
from app.services.addresses import AddressResolver
from app.services.boundaries import (
    BoundaryVersion,
    ancestor_table,
    leaf_index,
    newest_version,
)
from app.services.event_files import Broken
from app.services.event_mapping import EventMapping
from app.services.event_rows import Rows
from geo import crs
from geo.addresses.resolve import Resolved
from geo.binning import ADDED, ADDRESS, INPUT, Locator, bin_batch
from geo.codes import CodeLayout

Ids = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

#: ids int32 (n,) and shapes (n,) of units that their children do not fill
OpenParents = tuple[Ids, npt.NDArray[np.object_]]

#: addresses of one feed that wait for a person
MOST_UNCERTAIN = 2_000
_HINT_ROWS = 20_000
_HINT_LEAST = 20


@dataclass(frozen=True)
class Place:
    """Units of one boundary version, ready to locate events.

    ids count from 1; arrays over units have n + 1 entries, entry 0 stands for none.

    successors : code of a unit that ended → id of the one unit that took all of it over
    locator : tables of the kernel
    base : resolver over the address base, where the map has one and the feed has addresses
    uncertain : addresses the base knows, but not for certain; filled while locating
    """

    version: BoundaryVersion
    codes: tuple[str, ...]
    names: tuple[str, ...]
    parents: tuple[int | None, ...]
    successors: dict[str, int]
    locator: Locator
    bounds: crs.Bounds
    base: Ground | None = None
    uncertain: dict[str, Resolved] = field(default_factory=dict)

    @property
    def rank(self) -> npt.NDArray[np.int64]:
        """Position of each unit's level, coarse to fine, int64 (n + 1,); -1 for none."""
        return self.locator.rank

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels, coarse to fine."""
        return self.version.levels

    @property
    def layout(self) -> CodeLayout | None:
        """How codes are cut; None: a code is one word."""
        return self.version.layout

    @cached_property
    def addresses(self) -> AddressResolver:
        """Resolver of addresses, made when first asked for."""
        ids = range(1, len(self.codes) + 1)
        return AddressResolver(zip(ids, self.names, self.parents, strict=True))

    @cached_property
    def _by_length(self) -> list[tuple[int, pa.Array, Ids]]:
        known = {code: i for i, code in enumerate(self.codes, 1)} | self.successors
        found = []
        for length in sorted({len(code) for code in known}, reverse=True):
            codes = [code for code in known if len(code) == length]
            ids = np.array([known[code] for code in codes], dtype=np.int32)
            found.append((length, pa.array(codes, pa.string()), ids))
        return found

    def units_of_codes(self, codes: pa.Array) -> Ids:
        """Finest unit of each canonical code (n,), int32; 0 where null or unknown.

        Without a layout a code is one word and is never cut.
        """
        units = np.zeros(len(codes), dtype=np.int32)
        if codes.null_count == len(codes):
            return units
        for length, texts, ids in self._by_length:
            cut = codes if self.layout is None else pc.utf8_slice_codeunits(codes, 0, length)
            index = pc.index_in(cut, value_set=texts)
            found = pc.is_valid(index).to_numpy(zero_copy_only=False) & (units == 0)
            if found.any():
                at = pc.fill_null(index, 0).to_numpy(zero_copy_only=False)
                units[found] = ids[at[found]]
        return units


@dataclass(frozen=True)
class Located:
    """Where events are.

    unit : int32 (n,), finest unit known, 0 none
    by : int8 (n,), index into `LOCATED_BY`
    mismatch : bool (n,), code and point disagree
    both : bool (n,), code and point could be compared
    """

    unit: Ids
    by: npt.NDArray[np.int8]
    mismatch: Flags
    both: Flags

    def filter(self, keep: Flags) -> Located:
        """Keep the rows (n,) that are true."""
        return Located(self.unit[keep], self.by[keep], self.mismatch[keep], self.both[keep])


def apply_rule(
    place: Place, lon: Floats, lat: Floats, code: pa.Array, address: pa.Array
) -> Located:
    """Locate events by the rule of this module.

    Parameters
    ----------
    lon, lat : float64 (n,)
        WGS84 degrees, nan where no point is given.
    code, address : text (n,)
        Canonical codes and addresses, null where not given.
    """
    batch = pa.RecordBatch.from_arrays(
        [pa.array(lon), pa.array(lat), pa.array(place.units_of_codes(code))], schema=INPUT
    )
    done = bin_batch(batch, place.locator)
    unit, by, mismatch, both = (done.column(name) for name in ADDED.names)
    units = unit.to_numpy().copy()
    deciders = by.to_numpy().astype(np.int8)
    left = (units == 0) & pc.is_valid(address).to_numpy(zero_copy_only=False)
    if left.any():
        rows = np.flatnonzero(left)
        units[rows] = _by_address(place, address.take(pa.array(rows)).to_pylist())
        deciders[rows[units[rows] > 0]] = ADDRESS
    return Located(
        units,
        deciders,
        mismatch.to_numpy(zero_copy_only=False),
        both.to_numpy(zero_copy_only=False),
    )


def _by_address(place: Place, texts: list[str]) -> Ids:
    """Units (n,) of addresses: what the base is certain of, else exact names of units."""
    units = np.array(place.addresses.resolve_many(texts), dtype=np.int32)
    if place.base is None:
        return units
    codes: list[str | None] = []
    for text in texts:
        found = place.base.resolve(text)
        codes.append(found.code if found.certain else None)
        if not found.certain and len(place.uncertain) < MOST_UNCERTAIN:
            place.uncertain.setdefault(text, found)
    known = place.units_of_codes(pa.array(codes, pa.string()))
    # the finer of the two; names alone are never finer than a place of the base
    finer = (known > 0) & (place.rank[known] >= place.rank[units])
    result: Ids = np.where(finer, known, units)
    return result


def locate_rows(
    rows: Rows, place: Place, mapping: EventMapping
) -> tuple[Rows, Located, list[Broken]]:
    """Locate good rows; those whose given place leads nowhere come back as broken."""
    located = apply_rule(place, rows.lon, rows.lat, rows.code, rows.address)
    has_point = np.isfinite(rows.lon)
    has_code = pc.is_valid(rows.code).to_numpy(zero_copy_only=False)
    lost = located.unit == 0
    outside, unknown = lost & has_point, lost & ~has_point & has_code
    broken: list[Broken] = []
    if not (outside.any() or unknown.any()):
        return rows, located, broken
    refused = unknown.copy()
    at = np.flatnonzero(outside)
    if len(at):
        swapped = _swapped(rows, at, place, mapping)
        refused[at] = swapped | (mapping.outside == "reject")
        names = " ".join(mapping.columns.point or ("geometry",))
        for row, turned in zip(at.tolist(), swapped.tolist(), strict=True):
            if refused[row]:
                value = f"{rows.x[row]:.10g}, {rows.y[row]:.10g}"
                text = (
                    "longitude and latitude look swapped"
                    if turned
                    else "the point lies in no unit"
                    + (" and the code is unknown" if has_code[row] else "")
                )
                reason = "swapped" if turned else "outside"
                broken.append(Broken(int(rows.lines[row]), names, value, reason, text))
    for row in np.flatnonzero(unknown).tolist():
        text = f"no unit of version {place.version.label} has this code or a part of it"
        value = str(rows.code[row].as_py())[:200]
        broken.append(
            Broken(int(rows.lines[row]), mapping.columns.code or "", value, "unknown_code", text)
        )
    return rows.filter(~refused), located.filter(~refused), broken


def _swapped(rows: Rows, at: npt.NDArray[np.intp], place: Place, mapping: EventMapping) -> Flags:
    """Which of the rows `at` fit the map only after their coordinates are exchanged."""
    lon, lat = crs.to_wgs84(rows.y[at], rows.x[at], mapping.crs)
    west, south, east, north = place.bounds
    with np.errstate(invalid="ignore"):
        turned = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
        as_is = (rows.lon[at] >= west) & (rows.lon[at] <= east)
        as_is &= (rows.lat[at] >= south) & (rows.lat[at] <= north)
    result: Flags = turned & ~as_is
    return result


class CrsWatch:
    """Keeps some points that have a code, to tell a feed that declared the wrong CRS."""

    def __init__(self, place: Place, mapping: EventMapping) -> None:
        self.place = place
        self.mapping = mapping
        self._parts: list[tuple[Floats, Floats, Ids]] = []
        self._kept = 0

    def add(self, rows: Rows, located: Located) -> None:
        """Keep up to 2,000 comparable rows of a batch."""
        if self.mapping.crs not in crs.NAMED or self._kept >= _HINT_ROWS:
            return
        at = np.flatnonzero(located.both)
        at = at[:: max(1, len(at) // 2000)]
        codes = self.place.units_of_codes(rows.code.take(pa.array(at)))
        self._parts.append((rows.x[at], rows.y[at], codes))
        self._kept += len(at)

    def hint(self) -> str | None:
        """Name the CRS under which codes and points agree clearly better, or None."""
        if not self._parts:
            return None
        x, y, codes = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))

        def agreeing(name: str) -> Flags:
            return self.place.locator.agree(
                codes, self.place.locator.units_of_points(*crs.to_wgs84(x, y, name))
            )

        declared = agreeing(self.mapping.crs)
        wrong = int((~declared).sum())
        if wrong < _HINT_LEAST:
            return None
        names = {"wgs84": "WGS84", "gcj02": "GCJ-02", "bd09": "BD-09"}
        same = "wgs84" if self.mapping.crs == "cgcs2000" else self.mapping.crs
        counts = {name: int(agreeing(name).sum()) for name in names if name != same}
        best = max(counts, key=lambda name: counts[name])
        if counts[best] - int(declared.sum()) < wrong / 2:
            return None
        return (
            f"the points look like {names[best]}: read so, {counts[best] / len(x):.1%} agree with "
            f"their codes instead of {declared.mean():.1%}. Declare `crs: {best}` and import again"
        )


def open_place(
    connection: sa.Connection, pack: str, cache_folder: str | Path | None = None
) -> Place:
    """Units of the newest boundary version of a pack.

    Parameters
    ----------
    cache_folder : str or Path, optional
        Where the locate index is kept between imports; none: it is made for this time alone.

    Raises
    ------
    NotFound
        The pack has no boundaries yet.
    """
    if cache_folder is not None:
        return _load_place(connection, pack, Path(cache_folder))
    # what is memory-mapped stays readable after its file is gone
    with tempfile.TemporaryDirectory(prefix="wusetu-") as folder:
        return _load_place(connection, pack, Path(folder))


def _load_place(connection: sa.Connection, pack: str, cache_folder: Path) -> Place:
    version = newest_version(connection, pack)
    units = connection.execute(
        sa.text(
            "select code, name, parent_id from unit where boundary_version_id = :v order by id"
        ),
        {"v": version.id},
    ).all()
    table = ancestor_table(connection, version)
    ancestors = np.stack([table[level] for level in version.levels], axis=1)
    own = ancestors == np.arange(len(ancestors))[:, None]
    rank = np.argmax(own, axis=1)
    rank[0] = -1
    bounds = connection.execute(
        sa.text(
            "select st_xmin(e), st_ymin(e), st_xmax(e), st_ymax(e) from "
            "(select st_extent(geom) e from unit where boundary_version_id = :v) s"
        ),
        {"v": version.id},
    ).one()
    return Place(
        version=version,
        codes=tuple(unit.code for unit in units),
        names=tuple(unit.name for unit in units),
        parents=tuple(unit.parent_id for unit in units),
        successors=_successors(connection, pack, [unit.code for unit in units]),
        locator=Locator(
            leaf_index(connection, version, cache_folder),
            rank,
            ancestors,
            *_open_parents(connection, version.id),
        ),
        bounds=tuple(bounds),
    )


def _successors(connection: sa.Connection, pack: str, codes: list[str]) -> dict[str, int]:
    """Find ended codes that went as a whole to one unit there is: that is no guess."""
    rows = connection.execute(
        sa.text(
            "select from_code, min(to_code) from succession where pack = :pack "
            "group by from_code having count(*) = 1 and min(share) > 1 - 1e-9"
        ),
        {"pack": pack},
    )
    went = {row[0]: row[1] for row in rows}
    ids = {code: i for i, code in enumerate(codes, 1)}
    found = {}
    for ended in went:
        code, steps = ended, 0
        while code not in ids and code in went and steps <= len(went):
            code, steps = went[code], steps + 1
        if ended not in ids and code in ids:
            found[ended] = ids[code]
    return found


def _open_parents(connection: sa.Connection, version: int) -> OpenParents:
    """Units that their children do not fill: a point may lie in them and in no child."""
    rows = connection.execute(
        sa.text(
            "select p.id, st_asbinary(p.geom) from unit p join (select parent_id, sum(area_km2) "
            "filled from unit where boundary_version_id = :v group by parent_id) c "
            "on c.parent_id = p.id where p.boundary_version_id = :v "
            "and p.area_km2 - c.filled > 1e-6 * p.area_km2 order by p.id"
        ),
        {"v": version},
    ).all()
    shapes = shapely.from_wkb([bytes(row[1]) for row in rows])
    return np.array([row[0] for row in rows], dtype=np.int32), np.asarray(shapes, dtype=object)
