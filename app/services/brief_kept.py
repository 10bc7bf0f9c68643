"""Wordings of briefs that were given out: kept once each, found again by number.

Promises: a document carries the version and digest of what is kept; the same wording is kept once;
nobody finds one that was made for a wider jurisdiction or for a role that sees more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date

import sqlalchemy as sa
from pydantic_core import to_json

from app.api.brief_models import Brief, KeptBrief
from app.errors import Conflict, NotFound

COLUMNS = "version, month, scope, run, digest, made_at"
MINE = (
    "pack = :pack and scope = :scope and month = :month and small = :small "
    "and prefixes is not distinct from cast(:prefixes as text[])"
)
TRIES = 5


def digest(brief: Brief) -> str:
    """SHA-256 of a brief, hexadecimal."""
    return hashlib.sha256(to_json(brief.model_dump(mode="json"))).hexdigest()


def _kept(row: sa.Row[tuple[object, ...]]) -> KeptBrief:
    body = dict(row._mapping)
    return KeptBrief.model_validate({**body, "scope": body["scope"] or None})


def _key(brief: Brief, prefixes: Sequence[str] | None) -> dict[str, object]:
    return {
        "pack": brief.pack,
        "scope": brief.scope or "",
        "month": brief.month,
        "small": brief.small_numbers == "shown",
        "prefixes": None if prefixes is None else list(prefixes),
    }


def newest(
    connection: sa.Connection, brief: Brief, prefixes: Sequence[str] | None
) -> KeptBrief | None:
    """Newest kept wording of the same month, scope, role and jurisdiction."""
    row = connection.execute(
        sa.text(f"select {COLUMNS} from brief_version where {MINE} order by version desc limit 1"),  # noqa: S608
        _key(brief, prefixes),
    ).one_or_none()
    return _kept(row) if row is not None else None


def keep(connection: sa.Connection, brief: Brief, prefixes: Sequence[str] | None) -> KeptBrief:
    """Keep a wording that is about to leave; the kept one when it says the same.

    Raises
    ------
    Conflict
        Others keep wordings of the same brief faster than we do.
    """
    named = digest(brief)
    insert = sa.text(
        "insert into brief_version (pack, scope, month, small, prefixes, version, run, digest, body) "
        "values (:pack, :scope, :month, :small, cast(:prefixes as text[]), :version, :run, :digest, :body) "
        "on conflict on constraint brief_version_key do nothing"
    ).bindparams(sa.bindparam("body", type_=sa.JSON))
    for _ in range(TRIES):
        found = newest(connection, brief, prefixes)
        if found is not None and found.digest == named:
            return found
        connection.execute(
            insert,
            {
                **_key(brief, prefixes),
                "version": found.version + 1 if found else 1,
                "run": brief.run,
                "digest": named,
                "body": brief.model_dump(mode="json"),
            },
        )
    raise Conflict("another wording of this brief is being kept; try again")


def listed(
    connection: sa.Connection, pack: str, prefixes: Sequence[str] | None, *, small: bool
) -> list[KeptBrief]:
    """Kept wordings of a map, newest month first."""
    rows = connection.execute(
        sa.text(
            f"select {COLUMNS} from brief_version where pack = :pack and small = :small "  # noqa: S608
            "and prefixes is not distinct from cast(:prefixes as text[]) "
            "order by month desc, scope, version desc limit 500"
        ),
        {"pack": pack, "small": small, "prefixes": None if prefixes is None else list(prefixes)},
    )
    return [_kept(row) for row in rows]


def read(
    connection: sa.Connection,
    about: tuple[str, date, str, int],
    prefixes: Sequence[str] | None,
    *,
    small: bool,
) -> tuple[Brief, KeptBrief]:
    """One kept wording, by pack, month, scope ("" is the whole map) and version.

    Raises
    ------
    NotFound
        None was kept under that number.
    """
    pack, month, scope, version = about
    row = connection.execute(
        sa.text(f"select {COLUMNS}, body from brief_version where {MINE} and version = :version"),  # noqa: S608
        {
            "pack": pack, "month": month, "scope": scope, "version": version, "small": small,
            "prefixes": None if prefixes is None else list(prefixes),
        },
    ).one_or_none()  # fmt: skip
    if row is None:
        raise NotFound(f"no version {version} of the brief of {month:%Y-%m} was kept")
    body = dict(row._mapping)
    brief = Brief.model_validate(body.pop("body"))
    return brief, KeptBrief.model_validate({**body, "scope": body["scope"] or None})
