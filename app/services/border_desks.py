"""Duty desks and checkpoints: offices and places of a side, never persons.

Takes connections of the web's role (row security decides what is seen) and plain arguments, never a
request. Promises: one is entered on a side the account speaks for, and names no person.
"""

from __future__ import annotations

import re

import sqlalchemy as sa

from app.api import border_models as models
from app.errors import Forbidden, Invalid
from app.security.identity import Identity
from app.services.border import Borders, spoken_for
from app.services.border_words import checked

_OFFICE = re.compile(r"[0-9+() -]{5,24}")


def desks(connection: sa.Connection, pack: str) -> list[models.Desk]:
    """Desks that may be seen."""
    rows = connection.execute(
        sa.text(
            "select id, code, side, name, office_line, hours from duty_desk "
            "where pack = :pack order by side, code, name"
        ),
        {"pack": pack},
    )
    return [models.Desk(**row._mapping) for row in rows]


def add_desk(
    borders: Borders,
    connection: sa.Connection,
    identity: Identity,
    pack: str,
    one: models.DeskDraft,
) -> models.Desk:
    """Enter a desk of one's own side.

    Raises
    ------
    Invalid
        No such unit, a mobile number, or words that name a person.
    Forbidden
        The unit is not of a side the account speaks for.
    """
    here = borders.map(connection, pack)
    code = here.table.canonical(one.code) or one.code
    side = here.side_of(code)
    if side is None or side not in spoken_for(identity, list(here.sides)):
        raise Forbidden("this account does not speak for that unit's side")
    if here.table.lookup(code) is None:
        raise Invalid(f"no unit {one.code!r} in this map", {"field": "code", "reason": "unknown"})
    line = None
    if one.office_line:
        line = one.office_line.strip()
        if checked("office_line", line, 24) and not _OFFICE.fullmatch(line):
            raise Invalid(
                "office_line: digits, spaces, + ( ) - only; 5 to 24 of them",
                {"field": "office_line", "reason": "malformed"},
            )
    row = connection.execute(
        sa.text(
            "insert into duty_desk (pack, code, side, name, office_line, hours) "
            "values (:pack, :code, :side, :name, :line, :hours) returning id"
        ),
        {
            "pack": pack, "code": code, "side": side, "line": line,
            "name": checked("name", one.name, 80, needed=True),
            "hours": checked("hours", one.hours, 80),
        },
    ).scalar_one()  # fmt: skip
    return next(desk for desk in desks(connection, pack) if desk.id == row)


def checkpoints(connection: sa.Connection, pack: str) -> list[models.Checkpoint]:
    """Checkpoints that may be seen."""
    rows = connection.execute(
        sa.text(
            "select id, code, name, side, kind, st_x(geom) as lon, st_y(geom) as lat "
            "from checkpoint where pack = :pack order by side, code"
        ),
        {"pack": pack},
    )
    return [models.Checkpoint(**row._mapping) for row in rows]


def add_checkpoint(
    borders: Borders,
    connection: sa.Connection,
    identity: Identity,
    pack: str,
    one: models.CheckpointDraft,
) -> models.Checkpoint:
    """Enter a checkpoint on one's own side.

    Raises
    ------
    Forbidden
        It does not stand on a side the account speaks for.
    Invalid
        Words that name a person.
    """
    here = borders.map(connection, pack)
    side = here.side_at(one.lon, one.lat)
    if side is None or side not in spoken_for(identity, list(here.sides)):
        raise Forbidden("this account does not speak for the side that place is on")
    row = connection.execute(
        sa.text(
            "insert into checkpoint (pack, code, side, name, kind, geom) values (:pack, :code, "
            ":side, :name, :kind, st_setsrid(st_makepoint(:lon, :lat), 4326)) returning id"
        ),
        {
            "pack": pack, "code": one.code, "side": side, "kind": one.kind,
            "name": checked("name", one.name, 80, needed=True), "lon": one.lon, "lat": one.lat,
        },
    ).scalar_one()  # fmt: skip
    return next(found for found in checkpoints(connection, pack) if found.id == row)
