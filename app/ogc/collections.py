"""The catalogue: which collections there are for who asks, and what each is about.

Imports services. A collection is named after its map: `units-<map>-<level>`, `cells-<map>-<res>`,
`hotspots-<map>`, `zones-<map>`, `facilities-<map>`. Promises: what an account may not ask is not in
the list; asked by name it is refused, as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import Any, Literal
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from app.api.models import MapInfo, PeriodInfo
from app.errors import Forbidden, NotFound
from app.ogc import fields as vocabulary
from app.ogc.crs import Crs, offered
from app.ogc.fields import Field
from app.security.identity import Action, Identity
from app.services import manifest
from app.services.caches import Caches

Room = Literal["units", "cells", "hotspots", "zones", "facilities"]

#: What must be allowed beside `see_map`; hotspots hold exact counts, so they leave as exports do.
ACTIONS: dict[Room, Action] = {
    "units": "see_map",
    "cells": "see_map",
    "hotspots": "export",
    "zones": "border:read",
    "facilities": "see_map",
}
FIELDS: dict[Room, tuple[Field, ...]] = {
    "units": vocabulary.UNIT,
    "cells": vocabulary.CELL,
    "hotspots": vocabulary.HOTSPOT,
    "zones": vocabulary.ZONE,
    "facilities": vocabulary.FACILITY,
}
#: Parameters that choose what a collection shows, rather than part of it.
SELECTORS: dict[Room, tuple[str, ...]] = {
    "units": ("run", "kind", "period", "ord"),
    "cells": ("run", "kind", "period", "ord"),
    "hotspots": ("job",),
    "zones": (),
    "facilities": (),
}
SHAPES: dict[Room, str] = {
    "units": "geometry-multipolygon",
    "cells": "geometry-polygon",
    "hotspots": "geometry-polygon-or-multipolygon",
    "zones": "geometry-multipolygon",
    "facilities": "geometry-point",
}


@dataclass(frozen=True)
class Collection:
    """One collection.

    Attributes
    ----------
    id : its name in addresses
    room : what kind of thing its features are
    map : the map they belong to, with its newest run
    part : level, or H3 resolution as text; empty
    """

    id: str
    room: Room
    map: MapInfo
    part: str
    zh: str
    en: str
    about_zh: str
    about_en: str
    fields: Mapping[str, Field] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Title in both languages."""
        return f"{self.zh} {self.en}"

    @property
    def about(self) -> str:
        """Description in both languages."""
        return f"{self.about_zh}\n{self.about_en}"

    @property
    def crs(self) -> list[Crs]:
        """Systems it is answered in, the default first."""
        return offered(self.map.bounds)

    @property
    def coloured(self) -> bool:
        """Whether its features are those of a run, kind and period."""
        return self.room in {"units", "cells"}

    @property
    def interval(self) -> tuple[datetime, datetime] | None:
        """First and last moment of the run's periods; None: it has no time of its own."""
        months = next(iter(self.map.periods.values()), [])
        if not self.coloured or not months:
            return None
        zone = ZoneInfo(self.map.time_zone)
        return moments(months[0], zone)[0], moments(months[-1], zone)[1]


def moments(period: PeriodInfo | Any, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Moments `[start, end)` of a period of local days, in UTC."""
    return (
        datetime.combine(period.start, time(), zone).astimezone(UTC),
        datetime.combine(period.end, time(), zone).astimezone(UTC),
    )


def catalogue(
    connection: sa.Connection, caches: Caches, identity: Identity, pack: str | None = None
) -> list[Collection]:
    """All collections an account may ask, in order of the maps.

    Parameters
    ----------
    pack : only of this map
    """
    rows = manifest.newest_runs(connection)
    if pack is not None:
        rows = [one for one in rows if one.pack == pack]
    maps = manifest.manifest(connection, caches, rows).maps
    return [one for each in maps for one in _of(each) if identity.may(ACTIONS[one.room])]


def _of(one: MapInfo) -> list[Collection]:
    """All collections of a map."""
    zh, en = one.title.zh, one.title.en
    run = f"{one.scene_title.zh}", f"{one.scene_title.en}"
    made = " · 模拟事件" if one.simulated else "", " · simulated events" if one.simulated else ""
    found = [
        _one(
            "units", one, level.id,
            (f"{zh} · {level.title.zh}", f"{en} · {level.title.en}"),
            (
                f"{run[0]}：各单位的颜色与相对风险{made[0]}。用 kind、period、ord 或 datetime 选择。",
                (f"{run[1]}: colour and relative risk of every unit{made[1]}. "
                "Choose by kind, period, ord or datetime."),
            ),
        )
        for level in one.levels
    ]  # fmt: skip
    found += [
        _one(
            "cells", one, str(each.res),
            (f"{zh} · 六边形 H3 {each.res}", f"{en} · H3 cells {each.res}"),
            (
                f"{run[0]}：六边形网格的颜色与相对风险{made[0]}。",
                f"{run[1]}: colour and relative risk of hexagons{made[1]}.",
            ),
        )
        for each in one.cells
    ]  # fmt: skip
    found += [
        _one(
            "hotspots", one, "", (f"{zh} · 热点", f"{en} · hotspots"),
            (
                "自己的作业找到的热点、冷点与聚集；默认每种方法最新的一个，job 指定一个。",
                ("Hot and cold spots and clusters one's own jobs found: the newest of every method, "
                "or one by its number (job)."),
            ),
        ),
        _one(
            "zones", one, "", (f"{zh} · 联防区", f"{en} · joint-control zones"),
            ("可见的联防区及其版本。", "Joint-control zones that may be seen."),
        ),
        _one(
            "facilities", one, "", (f"{zh} · 设施", f"{en} · facilities"),
            (
                "场景登记的场所；有边界权限的账户还可见检查点与设备。",
                "Sites of scenes; with the right to see the border checkpoints and devices, too.",
            ),
        ),
    ]  # fmt: skip
    return found


def _one(
    room: Room, one: MapInfo, part: str, title: tuple[str, str], about: tuple[str, str]
) -> Collection:
    name = "-".join(filter(None, (room, one.pack, part)))
    listed = {each.name: each for each in FIELDS[room]}
    return Collection(name, room, one, part, *title, *about, fields=listed)


def find(connection: sa.Connection, caches: Caches, identity: Identity, name: str) -> Collection:
    """One collection by its name.

    Raises
    ------
    NotFound
        There is none of this name.
    Forbidden
        The account may not ask this kind of collection.
    """
    room, _, rest = name.partition("-")
    if room in ACTIONS and not identity.may(ACTIONS[room]):
        raise Forbidden(f"this account may not do this ({ACTIONS[room]})")
    pack = rest.rpartition("-")[0] if room in {"units", "cells"} else rest
    for one in catalogue(connection, caches, identity, pack):
        if one.id == name:
            return one
    raise NotFound(f"there is no collection {name!r}; see /ogc/collections")
