"""Named areas an analyst keeps, with notes. Imports `event_persons` to refuse persons' data.

Rows are scoped by the database (row security): one's own, and those shared by whoever's
jurisdiction lies inside one's own. Promises: an area that ended is gone for everybody; what is not
yours to change answers as what is not there.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from app.api.analysis_models import (
    AnalysisArea,
    NewNote,
    NewSavedArea,
    Note,
    SavedArea,
    SavedAreaChange,
)
from app.errors import Conflict, Invalid, NotFound
from app.security.identity import Identity
from app.services.event_persons import looks_like

#: areas of one account, notes of one area, days ahead
MOST, MOST_NOTES, LONGEST = 500, 200, 731

COLUMNS = """
select a.id, a.pack, a.name, a.purpose, a.scope, a.expires_on, a.area, a.created_at, a.updated_at,
  a.account_id = claimed_account() as mine,
  (select count(*) from saved_area_note n where n.area_id = a.id) as notes
from saved_area a where a.expires_on >= :today
"""


def today(zone: str) -> date:
    """Local day."""
    return datetime.now(ZoneInfo(zone)).date()


def listed(connection: sa.Connection, zone: str, pack: str | None) -> list[SavedArea]:
    """Areas the asker sees, newest first."""
    rows = connection.execute(
        sa.text(COLUMNS + "and (cast(:pack as text) is null or a.pack = :pack) order by a.id desc"),
        {"today": today(zone), "pack": pack},
    )
    return [_area(row) for row in rows]


def one(connection: sa.Connection, zone: str, number: int) -> SavedArea:
    """Return one area.

    Raises
    ------
    NotFound
        It is not there, ended, or not to be seen.
    """
    row = connection.execute(
        sa.text(COLUMNS + "and a.id = :id"), {"today": today(zone), "id": number}
    ).one_or_none()
    if row is None:
        raise NotFound(f"no saved area {number}")
    return _area(row)


def create(connection: sa.Connection, zone: str, wanted: NewSavedArea, by: Identity) -> SavedArea:
    """Keep an area.

    Raises
    ------
    Invalid
        Text that looks like a person's number; a last day in the past or too far ahead.
    NotFound
        No such map.
    Conflict
        The account keeps too many already.
    """
    _check_text(name=wanted.name, purpose=wanted.purpose)
    _check_day(wanted.expires_on, zone)
    known = connection.execute(
        sa.text("select exists (select from boundary_version where pack = :pack)"),
        {"pack": wanted.pack},
    ).scalar_one()
    if not known:
        raise NotFound(f"no map {wanted.pack!r}")
    connection.execute(
        sa.text("delete from saved_area where expires_on < :today"), {"today": today(zone)}
    )
    kept = connection.execute(
        sa.text("select count(*) from saved_area where account_id = claimed_account()")
    ).scalar_one()
    if kept >= MOST:
        raise Conflict(f"{MOST} areas are kept already; delete some first")
    number = connection.execute(
        sa.text(
            "insert into saved_area (pack, name, purpose, scope, expires_on, area, account_id, "
            "prefixes) values (:pack, :name, :purpose, :scope, :expires_on, cast(:area as jsonb), "
            "claimed_account(), :prefixes) returning id"
        ),
        {
            **wanted.model_dump(exclude={"area"}),
            "area": _json(wanted.area),
            "prefixes": None if by.prefixes is None else list(by.prefixes),
        },
    ).scalar_one()
    return one(connection, zone, number)


def change(connection: sa.Connection, zone: str, number: int, wanted: SavedAreaChange) -> SavedArea:
    """Change an area of one's own.

    Raises
    ------
    NotFound
        It is not there or not one's own.
    Invalid
        As `create`.
    """
    _own(connection, zone, number)
    given: dict[str, Any] = wanted.model_dump(exclude_none=True, exclude={"area"})
    _check_text(name=wanted.name, purpose=wanted.purpose)
    if wanted.expires_on is not None:
        _check_day(wanted.expires_on, zone)
    sets = [f"{name} = :{name}" for name in given]
    if wanted.area is not None:
        given["area"] = _json(wanted.area)
        sets.append("area = cast(:area as jsonb)")
    if sets:
        connection.execute(
            sa.text(
                f"update saved_area set {', '.join(sets)}, updated_at = now() where id = :id"  # noqa: S608
            ),
            {**given, "id": number},
        )
    return one(connection, zone, number)


def delete(connection: sa.Connection, zone: str, number: int) -> None:
    """Delete an area of one's own with its notes.

    Raises
    ------
    NotFound
        It is not there or not one's own.
    """
    _own(connection, zone, number)
    connection.execute(sa.text("delete from saved_area where id = :id"), {"id": number})


def notes(connection: sa.Connection, zone: str, number: int) -> list[Note]:
    """List the notes of an area, oldest first.

    Raises
    ------
    NotFound
        As `one`.
    """
    one(connection, zone, number)
    rows = connection.execute(
        sa.text(
            "select id, text, created_at, account_id = claimed_account() as mine "
            "from saved_area_note where area_id = :id order by id"
        ),
        {"id": number},
    )
    return [Note.model_validate(dict(row._mapping)) for row in rows]


def add_note(connection: sa.Connection, zone: str, number: int, wanted: NewNote) -> Note:
    """Add a note to an area one sees.

    Raises
    ------
    NotFound
        As `one`.
    Invalid
        Text that looks like a person's number.
    Conflict
        The area has too many.
    """
    _check_text(text=wanted.text)
    if one(connection, zone, number).notes >= MOST_NOTES:
        raise Conflict(f"the area has {MOST_NOTES} notes already")
    row = connection.execute(
        sa.text(
            "insert into saved_area_note (area_id, account_id, text) "
            "values (:id, claimed_account(), :text) returning id, text, created_at, true as mine"
        ),
        {"id": number, "text": wanted.text},
    ).one()
    return Note.model_validate(dict(row._mapping))


def _own(connection: sa.Connection, zone: str, number: int) -> None:
    if not one(connection, zone, number).mine:
        raise NotFound(f"no saved area {number} of yours")


def _area(row: sa.Row[Any]) -> SavedArea:
    return SavedArea.model_validate(dict(row._mapping))


def _json(area: AnalysisArea) -> str:
    return area.model_dump_json(exclude_none=True)


def _check_text(**texts: str | None) -> None:
    for field, text in texts.items():
        if text is None:
            continue
        if not text.strip() or any(ord(sign) < 32 and sign != "\n" for sign in text):
            raise Invalid(
                f"{field}: give text without control characters",
                {"field": field, "reason": "bad_text"},
            )
        what = looks_like(text)
        if what:
            raise Invalid(
                f"{field}: this holds what looks like an {what} or the like: areas are never about "
                "persons",
                {"field": field, "reason": "person"},
            )


def _check_day(day: date, zone: str) -> None:
    ahead = (day - today(zone)).days
    if not 0 <= ahead <= LONGEST:
        raise Invalid(
            f"expires_on: give a day from today to {LONGEST} days ahead",
            {"field": "expires_on", "reason": "bad_day"},
        )
