"""Units of one boundary version: codes, kinship, places.

`UnitTable` holds everything but the shapes, as arrays by unit id; it is read once per version and
kept, for a version never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.api.models import UnitBrief, UnitDetail
from app.errors import NotFound
from app.services.caches import Caches
from app.services.framing import Box, framed
from geo.codes import CodeError, CodeLayout, load_layout

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class UnitTable:
    """Units of a boundary version, arrays indexed by `id - 1`.

    Attributes
    ----------
    levels : levels present, coarse to fine
    level_of : (N,) int8, index into `levels`
    parent_of : (N,) int32, id of the next coarser unit present, 0 at the top
    ancestors : (N + 1, L) int32, row by id: id of the ancestor at each level, the unit's own id at
        its own level, 0 where there is none; row 0 is all 0
    own : (N,) bool, units whose values the asker may see (all of them without a jurisdiction)

    Notes
    -----
    A unit that may not be seen still has its id, level and kin (the tiles have them too), but an
    empty code and name. Ancestors of own units have names, so that a path can be shown; they
    cannot be asked.
    """

    version_id: int
    levels: tuple[str, ...]
    layout: CodeLayout | None
    codes: tuple[str, ...]
    names: tuple[str, ...]
    names_en: tuple[str | None, ...]
    level_of: npt.NDArray[np.int8]
    parent_of: Ids
    ancestors: Ids
    own: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def _id_by_code(self) -> dict[str, int]:
        return {
            code: number
            for number, (code, own) in enumerate(zip(self.codes, self.own, strict=True), start=1)
            if own
        }

    @cached_property
    def _bounds(self) -> dict[str, tuple[int, int]]:
        starts = np.searchsorted(self.level_of, np.arange(len(self.levels) + 1))
        return {
            level: (int(starts[i]) + 1, int(starts[i + 1] - starts[i]))
            for i, level in enumerate(self.levels)
        }

    def range(self, level: str) -> tuple[int, int]:
        """First id and number of units of a level; their ids are contiguous.

        Raises
        ------
        NotFound
            The version has no such level.
        """
        if level not in self._bounds:
            raise NotFound(f"no level {level!r} here; there are {', '.join(self.levels)}")
        return self._bounds[level]

    def find(self, code: str) -> int:
        """Id of a unit by code, canonical or in any zero-filled form.

        Raises
        ------
        NotFound
            There is no such unit.
        """
        found = self.lookup(code)
        if found is None:
            raise NotFound(f"no unit {code!r} in this map")
        return found

    def lookup(self, code: str) -> int | None:
        """Like `find`, None when there is no such unit."""
        found = self._id_by_code.get(code)
        if found is None and self.layout:
            try:
                found = self._id_by_code.get(self.layout.parse(code))
            except CodeError:
                return None
        return found

    def canonical(self, text: str) -> str | None:
        """Canonical form of what looks like a code of the layout, else None."""
        if self.layout is None:
            return None
        try:
            return self.layout.parse(text)
        except CodeError:
            return None

    def brief(self, unit_id: int) -> UnitBrief:
        """Describe a unit for a list."""
        i = unit_id - 1
        parent = int(self.parent_of[i])
        return UnitBrief(
            id=unit_id,
            code=self.codes[i],
            level=self.levels[self.level_of[i]],
            name=self.names[i],
            name_en=self.names_en[i],
            parent=(self.codes[parent - 1] or None) if parent else None,
        )

    def path(self, unit_id: int) -> list[int]:
        """Ids of the ancestors, coarse to fine, without the unit itself; all have names."""
        return [int(one) for one in self.ancestors[unit_id] if one and one != unit_id]

    def members(self, level: str, within: int | None) -> npt.NDArray[np.bool_]:
        """Which units of `level`, in id order, are `within` or below it; None: all. Shape (n,).

        Only own units are members.
        """
        first, count = self.range(level)
        own = self.own[first - 1 : first - 1 + count]
        if within is None:
            return own.copy()
        column = self.level_of[within - 1]
        found: npt.NDArray[np.bool_] = self.ancestors[first : first + count, column] == within
        return found & own

    def own_ids(self, level: str) -> Ids:
        """Ids of the units of `level` whose values may be seen, ascending."""
        first, _ = self.range(level)
        return (np.flatnonzero(self.members(level, None)) + first).astype(np.int32)

    def top(self) -> list[int]:
        """Ids of the units that have no coarser one that may be seen: what the map is made of."""
        above = np.where(self.parent_of > 0, self.own[self.parent_of - 1], False)
        return [int(one) + 1 for one in np.flatnonzero(self.own & ~above)]

    def references(self, level: str, reference_level: str | None) -> Ids:
        """Find the reference area of each unit of `level`, in id order: shape (n,), 0 the whole map.

        A unit is compared inside its ancestor of `reference_level`. The whole map is the reference
        when the scene names no such level or the map does not have it, and for the reference level
        itself and those above it: one city compared with itself would always be as expected. Units
        of a finer level that have no such ancestor are compared among themselves (area 0).
        """
        first, count = self.range(level)
        if reference_level is None or reference_level not in self.levels:
            return np.zeros(count, np.int32)
        column = self.levels.index(reference_level)
        if self.levels.index(level) <= column:
            return np.zeros(count, np.int32)
        return self.ancestors[first : first + count, column]

    def counties(self, level: str) -> list[tuple[str, int, int]]:
        """How rows of a level are cut by county: (code, first id, number), in id order.

        Above the county level each unit stands alone under its own code. Where the map has no
        counties, or the units of a county do not follow each other, the level is one piece under
        the empty code.
        """
        first, count = self.range(level)
        if count == 0 or not self.members(level, None).any():
            return []
        if "county" not in self.levels:
            return [("", first, count)]
        column = self.levels.index("county")
        if self.levels.index(level) < column:
            return [
                (self.codes[i - 1], i, 1) for i in range(first, first + count) if self.codes[i - 1]
            ]
        owner = self.ancestors[first : first + count, column]
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        if len(set(owner[starts].tolist())) != len(starts):
            return [("", first, count)]
        ends = np.append(starts[1:], count)
        return [
            (self.codes[owner[a] - 1] if owner[a] else "", first + int(a), int(b - a))
            for a, b in zip(starts, ends, strict=True)
            if self.codes[first - 1 + a] or self.own[first - 1 + a : first - 1 + b].any()
        ]


def kinship(level_of: npt.NDArray[np.int8], parent_of: Ids, levels: int) -> Ids:
    """Ancestor table from parents: (N + 1, L) int32, see `UnitTable.ancestors`.

    Parents must be of a coarser level than their children.
    """
    table = np.zeros((len(parent_of) + 1, levels), np.int32)
    for level in range(levels):
        ids = np.flatnonzero(level_of == level) + 1
        table[ids] = table[parent_of[ids - 1]]
        table[ids, level] = ids
    return table


def read_units(connection: sa.Connection, version_id: int) -> UnitTable:
    """Read the units of a version.

    Raises
    ------
    NotFound
        There is no such version.
    """
    version = connection.execute(
        sa.text(
            "select levels, layout, segments from boundary_version "
            "left join code_layout on code_layout.name = layout where id = :version"
        ),
        {"version": version_id},
    ).one_or_none()
    if version is None:
        raise NotFound(f"no boundary version {version_id}")
    rows = connection.execute(
        sa.text(
            "select shape.id, coalesce(code, '') as code, coalesce(name, '') as name, name_en, "
            "shape.level, coalesce(shape.parent_id, 0) as parent, "
            "coalesce(may_see(code), false) as own "
            "from unit_skeleton as shape left join unit using (boundary_version_id, id) "
            "where boundary_version_id = :version order by id"
        ),
        {"version": version_id},
    ).all()
    levels = tuple(version.levels)
    index = {level: number for number, level in enumerate(levels)}
    level_of = np.array([index[row.level] for row in rows], np.int8)
    parent_of = np.array([row.parent for row in rows], np.int32)
    assert [row.id for row in rows] == list(range(1, len(rows) + 1))
    assert np.all(np.diff(level_of) >= 0)
    layout = (
        load_layout({"name": version.layout, "segments": version.segments})
        if version.layout
        else None
    )
    return UnitTable(
        version_id=version_id,
        levels=levels,
        layout=layout,
        codes=tuple(row.code for row in rows),
        names=tuple(row.name for row in rows),
        names_en=tuple(row.name_en for row in rows),
        level_of=level_of,
        parent_of=parent_of,
        ancestors=kinship(level_of, parent_of, len(levels)),
        own=np.array([row.own for row in rows], bool),
    )


def unit_table(connection: sa.Connection, caches: Caches, version_id: int) -> UnitTable:
    """Units of a version, read once."""
    return caches.units.get(version_id, lambda: read_units(connection, version_id))


def version_of_pack(connection: sa.Connection, pack: str) -> int:
    """Boundary version a pack is looked at with: its newest published run's, else the newest.

    Raises
    ------
    NotFound
        There is no such pack.
    """
    found = connection.execute(
        sa.text(
            "select coalesce("
            "(select boundary_version_id from run where pack = :pack and status = 'published' "
            " order by id desc limit 1), "
            "(select id from boundary_version where pack = :pack "
            " order by valid_from desc, id desc limit 1))"
        ),
        {"pack": pack},
    ).scalar_one()
    if found is None:
        raise NotFound(f"no map {pack!r}")
    return int(found)


PLACE = (
    "select id, area_km2, approximate, st_x(label_point) as x, st_y(label_point) as y, "
    "st_xmin(geom) as west, st_ymin(geom) as south, st_xmax(geom) as east, st_ymax(geom) as north "
    "from unit where boundary_version_id = :version and id = any(:ids)"
)


def places(connection: sa.Connection, version_id: int, ids: list[int]) -> dict[int, sa.Row[Any]]:
    """Place of each unit: area, label point, bounds; keyed by id."""
    rows = connection.execute(sa.text(PLACE), {"version": version_id, "ids": ids}).all()
    return {row.id: row for row in rows}


def box_of(connection: sa.Connection, version_id: int, place: sa.Row[Any]) -> Box:
    """Box of a unit from its place; over the 180th meridian the short way."""
    box = (place.west, place.south, place.east, place.north)
    return framed(connection, version_id, box, unit=place.id)


def unit_detail(connection: sa.Connection, caches: Caches, pack: str, code: str) -> UnitDetail:
    """Describe a unit of a pack with its place and kin.

    Raises
    ------
    NotFound
        No such pack or unit.
    """
    table = unit_table(connection, caches, version_of_pack(connection, pack))
    unit_id = table.find(code)
    place = places(connection, table.version_id, [unit_id])[unit_id]
    children = child_ids(table, unit_id)
    full = table.layout.expand(table.codes[unit_id - 1]) if table.layout else None
    return UnitDetail(
        **table.brief(unit_id).model_dump(),
        full_code=full,
        area_km2=place.area_km2,
        approximate=place.approximate,
        bounds=box_of(connection, table.version_id, place),
        label_point=(place.x, place.y),
        ancestors=[table.brief(one) for one in table.path(unit_id)],
        child_level=table.levels[table.level_of[children[0] - 1]] if children else None,
        children_count=len(children),
    )


def child_ids(table: UnitTable, unit_id: int) -> list[int]:
    """Ids of the units directly below, in id order (coarse levels first)."""
    return [int(one) + 1 for one in np.flatnonzero((table.parent_of == unit_id) & table.own)]


def children(connection: sa.Connection, caches: Caches, pack: str, code: str) -> list[UnitBrief]:
    """Units directly below a unit, coarse levels first, in code order.

    Raises
    ------
    NotFound
        No such pack or unit.
    """
    table = unit_table(connection, caches, version_of_pack(connection, pack))
    return [table.brief(one) for one in child_ids(table, table.find(code))]
