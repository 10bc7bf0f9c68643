"""Units indicators are about: those of the map and those of the register, as one tree.

Reads `unit`, `boundary_version` and `scene_unit`. Promises: levels run from coarse to fine, units of a
level stand in code order, every unit knows its ancestors and the unit of the map that decides who
sees it; units finer than what is asked are not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.errors import Invalid, NotFound
from app.services.units import UnitTable, read_units
from geo.codes import CodeError, CodeLayout, load_layout

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Place:
    """A unit: of the map or of the register."""

    code: str
    level: str
    name: str
    name_en: str | None
    parent: str | None
    place: str


@dataclass(frozen=True, eq=False)
class Ground:
    """Units of a pack.

    Attributes
    ----------
    levels : coarse to fine
    units : by code
    table : units of the map with all their levels; None: the pack has no map
    """

    pack: str
    levels: tuple[str, ...]
    units: dict[str, Place]
    version: int | None
    table: UnitTable | None

    def codes(self, level: str) -> list[str]:
        """Codes of a level, ascending."""
        return self._by_level.get(level, [])

    @cached_property
    def _by_level(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {level: [] for level in self.levels}
        for code in sorted(self.units):
            found[self.units[code].level].append(code)
        return found

    def index(self, level: str) -> dict[str, int]:
        """Position of each code in its level."""
        return {code: at for at, code in enumerate(self.codes(level))}

    def path(self, code: str) -> list[str]:
        """Codes of the ancestors, coarse to fine, and its own."""
        found = [code]
        while (above := self.units[found[-1]].parent) in self.units:
            assert above is not None
            found.append(above)
        return found[::-1]

    def above(self, code: str, level: str) -> str | None:
        """Ancestor of a unit at a level; its own code at its own level."""
        return next((one for one in self.path(code) if self.units[one].level == level), None)

    def parents(self, level: str) -> Ints:
        """For each unit of `level` the position of its parent inside the parent's level; -1 none."""
        return np.array(
            [self._position(self.units[code].parent) for code in self.codes(level)], dtype=np.int64
        )

    def _position(self, code: str | None) -> int:
        return self._positions.get(code, -1) if code is not None else -1

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {code: at for codes in self._by_level.values() for at, code in enumerate(codes)}


def newest_map(connection: sa.Connection, pack: str) -> int | None:
    """Newest boundary version of a pack; None: it has no map."""
    found: int | None = connection.scalar(
        sa.text(
            "select id from boundary_version where pack = :pack "
            "order by valid_from desc, id desc limit 1"
        ),
        {"pack": pack},
    )
    return found


def layout_of(connection: sa.Connection, version: int | None) -> CodeLayout | None:
    """How the codes of a map are cut; None: they are plain."""
    if version is None:
        return None
    row = connection.execute(
        sa.text(
            "select name, segments from code_layout join boundary_version on layout = name "
            "where id = :version"
        ),
        {"version": version},
    ).one_or_none()
    return load_layout({"name": row.name, "segments": row.segments}) if row else None


def canonical(layout: CodeLayout | None, code: str) -> str:
    """Canonical form of a code; what is no code of the layout stays as it is."""
    if layout is None:
        return code
    try:
        return layout.parse(code)
    except CodeError:
        return code


def level_order(
    connection: sa.Connection, pack: str, wanted: Sequence[str], version: int | None
) -> tuple[str, ...]:
    """Every level of a pack, coarse to fine: the map's, then the scene's, then the register's."""
    of_map: Sequence[str] = ()
    if version is not None:
        of_map = (
            connection.scalar(
                sa.text("select levels from boundary_version where id = :version"),
                {"version": version},
            )
            or ()
        )
    register = connection.scalars(
        sa.text("select distinct level from scene_unit where pack = :pack order by 1"),
        {"pack": pack},
    ).all()
    used = {*of_map, *register}
    order = [*of_map, *(one for one in wanted if one not in of_map)]
    order += [one for one in register if one not in order]
    return tuple(one for one in order if one in used)


def read_ground(
    connection: sa.Connection, pack: str, wanted: Sequence[str] = (), finest: str | None = None
) -> Ground:
    """Units of a pack.

    Parameters
    ----------
    connection : sa.Connection
    pack : str
    wanted : levels of the scene, coarse to fine; they order the levels of the register
    finest : units finer than this level are left out

    Raises
    ------
    NotFound
        The pack has neither a map nor a register.
    Invalid
        A unit of the register belongs to none that is there, or to itself.
    """
    version = newest_map(connection, pack)
    order = level_order(connection, pack, wanted, version)
    if not order:
        raise NotFound(
            f"the pack {pack!r} has neither a map nor units: `wusetu boundaries import` or "
            "`wusetu indicators units`"
        )
    if finest is not None and finest in order:
        order = order[: order.index(finest) + 1]
    table = read_units(connection, version) if version is not None else None
    units: dict[str, Place] = {}
    if table is not None:
        for at, code in enumerate(table.codes):
            level = table.levels[table.level_of[at]]
            if level not in order or not code:
                continue
            parent = int(table.parent_of[at])
            units[code] = Place(
                code, level, table.names[at], table.names_en[at],
                table.codes[parent - 1] if parent else None, code,
            )  # fmt: skip
    for row in connection.execute(
        sa.text(
            "select code, level, name, name_en, parent, place from scene_unit "
            "where pack = :pack order by code"
        ),
        {"pack": pack},
    ):
        if row.level in order:
            units[row.code] = Place(
                row.code, row.level, row.name, row.name_en, row.parent, row.place
            )
    for one in units.values():
        above = units.get(one.parent or "")
        if above is not None and order.index(above.level) >= order.index(one.level):
            raise Invalid(
                f"unit {one.code} ({one.level}) belongs to {above.code} ({above.level}), which is "
                "not coarser"
            )
    return Ground(pack, order, units, version, table)
