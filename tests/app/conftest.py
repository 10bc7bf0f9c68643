"""A small map with everything awkward about it, stored, assessed once, and served.

Two counties below one city; towns, villages and grids in squares. County 330102 has villages
without a town, one village has no grids, one grid has no exposure, one lacks a measure. Events are
located to every level, some to none, some in an older boundary version, some of a kind no scene
counts; they begin in February and end in November, so quarters and years are incomplete at the ends.
"""

from __future__ import annotations

import io
import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import sqlalchemy as sa
import yaml
from fastapi.testclient import TestClient

from app.database import make_engine, raw
from app.main import create_app
from app.services.assess import assess
from app.settings import PROJECT, DatabaseSettings, Settings

ZONE = ZoneInfo("Asia/Shanghai")
LEVELS = ["city", "county", "town", "village", "grid"]
MEASURES = ["resident", "floating", "firms", "dwellings"]
KINDS = {
    "petition": 0.16, "vice": 0.1, "theft": 0.2, "dispute": 0.2, "fraud": 0.16,
    "fire": 0.08, "traffic_death": 0.01, "homicide": 0.005, "wage_arrears": 0.085,
}  # fmt: skip
NO_EXPOSURE = "330101001001004"
NO_FIRMS = "330101002002001"
NO_GRIDS = "330101003003"
HOT = "330102001001002"


@dataclass(frozen=True)
class Place:
    """A unit of the small map."""

    code: str
    level: str
    parent: str | None
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Happening:
    """An event of the small map; `unit` is the code of the finest unit known."""

    kind: str
    unit: str | None
    at: datetime
    located_by: str
    mismatch: bool


def _split(box: tuple[float, float, float, float], n: int) -> list[tuple[float, ...]]:
    west, south, east, north = box
    if east - west >= north - south:
        edge = np.linspace(west, east, n + 1)
        return [(float(a), south, float(b), north) for a, b in itertools.pairwise(edge)]
    edge = np.linspace(south, north, n + 1)
    return [(west, float(a), east, float(b)) for a, b in itertools.pairwise(edge)]


def small_places() -> list[Place]:
    """Units level by level in code order: index + 1 is the id."""
    found: dict[str, list[Place]] = {level: [] for level in LEVELS}

    def add(code: str, level: str, parent: str | None, box: tuple[float, ...]) -> None:
        found[level].append(Place(code, level, parent, box))  # type: ignore[arg-type]

    city = (119.0, 29.0, 121.0, 30.0)
    add("3301", "city", None, city)
    for c, county_box in enumerate(_split(city, 2), start=1):
        county = f"3301{c:02d}"
        add(county, "county", "3301", county_box)
        for t, town_box in enumerate(_split(county_box, 3), start=1):  # type: ignore[arg-type]
            loose = c == 2 and t == 3
            town = f"{county}{0 if loose else t:03d}"
            if not loose:
                add(town, "town", county, town_box)
            for v, village_box in enumerate(_split(town_box, 3), start=1):  # type: ignore[arg-type]
                village = f"{town}{v:03d}"
                add(village, "village", county if loose else town, village_box)
                if village == NO_GRIDS:
                    continue
                for g, box in enumerate(_split(village_box, 4), start=1):  # type: ignore[arg-type]
                    add(f"{village}{g:03d}", "grid", village, box)
    return [place for level in LEVELS for place in sorted(found[level], key=lambda one: one.code)]


def small_exposures(places: list[Place]) -> dict[str, dict[str, float]]:
    """Exposures by code and measure, given for every unit; what is missing is not a key."""
    random = np.random.default_rng(7)
    below: dict[str, dict[str, float]] = {
        place.code: dict.fromkeys(MEASURES, 0.0) for place in places
    }
    parent = {place.code: place.parent for place in places}
    for place in places:
        if place.level != "grid" and place.code != NO_GRIDS:
            continue
        for measure in MEASURES:
            value = float(random.lognormal(5, 0.8))
            code: str | None = place.code
            while code:
                below[code][measure] += value
                code = parent[code]
    below[NO_EXPOSURE] = {}
    del below[NO_FIRMS]["firms"]
    return below


def small_events(places: list[Place], exposures: dict[str, dict[str, float]]) -> list[Happening]:
    """Make about 6,000 events, always the same."""
    random = np.random.default_rng(11)
    grids = [place.code for place in places if place.level == "grid"]
    weight = np.array([exposures[code].get("resident", 50.0) for code in grids])
    parent = {place.code: place.parent for place in places}
    level = {place.code: place.level for place in places}
    first = datetime(2023, 2, 1, tzinfo=ZONE)
    seconds = int((datetime(2024, 12, 1, tzinfo=ZONE) - first).total_seconds())
    found = []
    for _ in range(6000):
        code: str | None = grids[random.choice(len(grids), p=weight / weight.sum())]
        kind = str(random.choice(list(KINDS), p=np.array(list(KINDS.values()))))
        known = str(random.choice([*LEVELS, "none"], p=[0.02, 0.03, 0.05, 0.1, 0.75, 0.05]))
        while code and LEVELS.index(level[code]) > (LEVELS.index(known) if known != "none" else -1):
            code = parent[code]
        at = first + timedelta(seconds=int(random.integers(seconds)))
        by = "none" if code is None else str(random.choice(["code", "point", "address"]))
        found.append(Happening(kind, code, at, by, bool(by == "code" and random.random() < 0.02)))
    for n in range(90):
        at = datetime(2024, 1, 5, 12, tzinfo=ZONE) + timedelta(days=3 * n)
        found.append(Happening("theft", HOT, at, "point", False))
    # the last hour of a local month is another month in UTC, and the first and last event fix the span
    for text in ("2023-02-01T00:30", "2023-05-31T23:30", "2024-02-29T23:59", "2024-11-30T23:00"):
        found.append(
            Happening(
                "fire", grids[3], datetime.fromisoformat(text).replace(tzinfo=ZONE), "code", False
            )
        )
    found += [Happening("noise", grids[0], first, "point", False)] * 20
    return found


@dataclass(frozen=True)
class Small:
    """The small map as it stands in a database."""

    places: list[Place]
    exposures: dict[str, dict[str, float]]
    events: list[Happening]
    version: int

    def id_of(self, code: str) -> int:
        """Id of a unit by code."""
        return [place.code for place in self.places].index(code) + 1

    def of_level(self, level: str) -> list[int]:
        """Ids of a level, ascending."""
        return [i for i, place in enumerate(self.places, start=1) if place.level == level]

    def ancestors(self, code: str | None) -> Iterator[str]:
        """Yield a unit and everything above it."""
        parent = {place.code: place.parent for place in self.places}
        while code:
            yield code
            code = parent[code]


def _wkt(box: tuple[float, ...]) -> str:
    w, s, e, n = box
    return f"SRID=4326;MULTIPOLYGON((({w} {s},{e} {s},{e} {n},{w} {n},{w} {s})))"


def _point(box: tuple[float, ...]) -> str:
    return f"SRID=4326;POINT({(box[0] + box[2]) / 2} {(box[1] + box[3]) / 2})"


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that happens in its own time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def _line(*values: object) -> str:
    return "\t".join("\\N" if value is None else str(value) for value in values) + "\n"


def _version(connection: sa.Connection, label: str, levels: list[str], start: date) -> int:
    found: int = connection.execute(
        sa.text(
            "insert into boundary_version (pack, label, title_zh, title_en, layout, levels, "
            "approximate, valid_from, digest, report) values ('small', :label, '小城', 'Small', "
            "'unified-27', :levels, true, :start, :label, '{}') returning id"
        ),
        {"label": label, "levels": levels, "start": start},
    ).scalar_one()
    return found


@cache
def _made() -> tuple[list[Place], dict[str, dict[str, float]], list[Happening]]:
    places = small_places()
    exposures = small_exposures(places)
    return places, exposures, small_events(places, exposures)


def install(engine: sa.Engine) -> Small:
    """Store the small map with exposures and events, not assessed."""
    places, exposures, events = _made()
    ids = {place.code: number for number, place in enumerate(places, start=1)}
    layout = yaml.safe_load((PROJECT / "data/layouts/unified-27.yaml").read_text())
    with engine.begin() as connection:
        connection.execute(
            sa.text("insert into code_layout values (:name, :segments) on conflict do nothing"),
            {"name": layout["name"], "segments": json.dumps(layout["segments"])},
        )
        old = _version(connection, "2020", ["city"], date(2020, 1, 1))
        version = _version(connection, "2023", LEVELS, date(2023, 1, 1))
        units = [
            _line(
                old,
                1,
                "3301",
                "city",
                "老城",
                None,
                None,
                "f",
                1,
                _point(places[0].box),
                _wkt(places[0].box),
            )
        ]
        for place in places:
            name = {"city": "小城市", "county": "区", "town": "镇", "village": "村", "grid": "网格"}
            units.append(
                _line(
                    version, ids[place.code], place.code, place.level,
                    f"{name[place.level]}{place.code[-3:]}", f"{place.level.title()} {place.code[-3:]}",
                    ids.get(place.parent or ""), place.level == "grid",
                    (place.box[2] - place.box[0]) * (place.box[3] - place.box[1]) * 1e4,
                    _point(place.box), _wkt(place.box),
                )
            )  # fmt: skip
        cursor = raw(connection).cursor()
        cursor.copy_expert("copy unit from stdin", io.StringIO("".join(units)))
        lines = [
            _line("small", code, measure, "2022-11-01", value, "")
            for code, values in exposures.items()
            for measure, value in values.items()
        ]
        cursor.copy_expert("copy exposure from stdin", io.StringIO("".join(lines)))
        source = connection.execute(
            sa.text(
                "insert into event_source (pack, name, simulated, crs, time_zone, mapping) "
                "values ('small', 'feed', true, 'wgs84', 'Asia/Shanghai', '{}') returning id"
            )
        ).scalar_one()
        rows = [
            _line(
                source, f"e{n}", event.kind, event.at.astimezone(UTC).isoformat(),
                event.located_by, event.mismatch, version if event.unit else None,
                ids[event.unit] if event.unit else None,
            )
            for n, event in enumerate(events)
        ]  # fmt: skip
        at = datetime(2023, 6, 1, tzinfo=UTC).isoformat()
        rows += [_line(source, f"old{n}", "theft", at, "code", "f", old, 1) for n in range(7)]
        cursor.copy_expert(
            "copy event (source_id, reference, kind, occurred_at, located_by, mismatch, "
            "boundary_version_id, unit_id) from stdin",
            io.StringIO("".join(rows)),
        )
    return Small(places, exposures, events, version)


@pytest.fixture
def small(engine: sa.Engine) -> Small:
    """The small map in this test's own database, not assessed."""
    return install(engine)


@dataclass(frozen=True)
class Assessed:
    """The small map, assessed; shared by all tests of a file: read only."""

    small: Small
    url: str
    engine: sa.Engine
    run: int


@pytest.fixture(scope="session")
def assessed(cluster: object, template: str) -> Iterator[Assessed]:
    """The small map with one published run, in a database no test may change."""
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")  # type: ignore[attr-defined]
    name = f"a_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    url = cluster.url(name)  # type: ignore[attr-defined]
    engine = make_engine(url)
    small = install(engine)
    run = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai")
    yield Assessed(small, url, engine, run)
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


def settings_for(url: str, **more: object) -> Settings:
    """Settings of an application on a database."""
    return Settings(database=DatabaseSettings(url=url), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def client(assessed: Assessed) -> Iterator[TestClient]:
    """The application on the assessed small map."""
    with TestClient(create_app(settings_for(assessed.url))) as one:
        yield one
