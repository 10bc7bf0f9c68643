"""Events point at sources and units that are there, and those stay: whoever writes, in any order."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError

INSERT = (
    "insert into event (source_id, reference, kind, occurred_at, located_by, boundary_version_id, "
    "unit_id) values (:source, :reference, 'fire', now(), 'code', :version, :unit)"
)


@pytest.fixture
def keys(engine: sa.Engine, pack: str) -> dict[str, Any]:
    """A source, the toy's version, and a unit of it."""
    with engine.begin() as connection:
        source = connection.scalar(
            sa.text(
                "insert into event_source (pack, name, crs, time_zone, mapping) "
                "values ('toy', 's', 'wgs84', 'UTC', '{}') returning id"
            )
        )
        version = connection.scalar(sa.text("select id from boundary_version"))
        unit = connection.scalar(sa.text("select max(id) from unit"))
    return {"source": source, "version": version, "unit": unit, "reference": "a"}


def run(engine: sa.Engine, statement: str, hurry: bool = False, **values: Any) -> None:
    """One transaction; in a hurry it does not wait for locks."""
    with engine.begin() as connection:
        if hurry:
            connection.execute(sa.text("set local lock_timeout = '100ms'"))
        connection.execute(sa.text(statement), values)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"source": 999}, "event source 999"), ({"unit": 999}, "unit 999"), ({"version": 9}, "unit")],
)
def test_an_event_points_at_what_is_there(
    engine: sa.Engine, keys: dict[str, Any], wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(IntegrityError, match=message):
        run(engine, INSERT, **keys | wrong)
    run(engine, INSERT, **keys)
    column = {"source": "source_id", "unit": "unit_id", "version": "boundary_version_id"}
    name, value = next(iter(wrong.items()))
    with pytest.raises(IntegrityError, match=message):
        run(engine, f"update event set {column[name]} = :value", value=value)


def test_an_event_known_nowhere_needs_no_unit(engine: sa.Engine, keys: dict[str, Any]) -> None:
    run(engine, INSERT, **keys | {"unit": None})
    run(engine, INSERT, **keys | {"unit": None, "version": None, "reference": "b"})
    run(engine, "delete from unit where id = :unit", unit=keys["unit"])


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("delete from unit where id = :unit", "still has events"),
        ("update unit set id = 5000 where id = :unit", "still has events"),
        ("delete from boundary_version", "still has events"),
        ("delete from event_source", "still has events"),
    ],
)
def test_what_an_event_points_at_stays(
    engine: sa.Engine, keys: dict[str, Any], statement: str, message: str
) -> None:
    run(engine, INSERT, **keys)
    with pytest.raises(IntegrityError, match=message):
        run(engine, statement, **({"unit": keys["unit"]} if ":unit" in statement else {}))
    run(engine, "update unit set name = 'other'")
    run(engine, "delete from event")
    run(engine, statement, **({"unit": keys["unit"]} if ":unit" in statement else {}))


@pytest.mark.parametrize(
    "statement",
    [
        "delete from boundary_version",
        "delete from unit where id = :unit",
        "delete from event_source",
    ],
)
def test_it_waits_for_who_is_writing(
    engine: sa.Engine, keys: dict[str, Any], statement: str
) -> None:
    values = {"unit": keys["unit"]} if ":unit" in statement else {}
    with engine.begin() as writing:
        writing.execute(sa.text(INSERT), keys)
        with pytest.raises(OperationalError, match="lock timeout"):
            run(engine, statement, hurry=True, **values)
    with pytest.raises(IntegrityError, match="still has events"):
        run(engine, statement, **values)


@pytest.mark.parametrize("statement", ["delete from boundary_version", "delete from event_source"])
def test_an_event_waits_for_who_is_deleting(
    engine: sa.Engine, keys: dict[str, Any], statement: str
) -> None:
    with engine.begin() as going:
        going.execute(sa.text(statement))
        with pytest.raises(OperationalError, match="lock timeout"):
            run(engine, INSERT, hurry=True, **keys)
    with pytest.raises(IntegrityError, match="does not exist"):
        run(engine, INSERT, **keys)
