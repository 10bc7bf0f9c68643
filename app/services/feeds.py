"""Feeds: which there are, how they come and how they are read.

Imports the database, `event_mapping` and `app.feeds.base`. Promises: a feed's mapping and settings are
checked completely before they are stored; a secret is never stored, only the name of its file; a feed
that is removed leaves its events and where they came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.errors import Conflict, Invalid, NotFound
from app.feeds.base import Adapter, Cursor, parse_settings
from app.services.boundaries import newest_version
from app.services.event_mapping import EventMapping, load_mapping, parse_mapping
from app.services.events import check_source

_COLUMNS = (
    "id, pack, name, title, code, adapter, mapping, mapped_at, settings, expected_s, every_s, paused, "
    "cursor, next_look, looked_at, failures, error, made_at, removed_at"
)


@dataclass(frozen=True)
class Feed:
    """A feed as it stands; see the comments of table `feed`."""

    id: int
    pack: str
    name: str
    title: str
    code: str
    adapter: Adapter
    mapping: EventMapping
    mapped_at: datetime
    settings: Any
    expected_s: int | None
    every_s: int
    paused: bool
    cursor: Cursor
    next_look: datetime
    looked_at: datetime | None
    failures: int
    error: str | None
    made_at: datetime
    removed_at: datetime | None

    @property
    def label(self) -> str:
        """Map and name, as people write it."""
        return f"{self.pack}/{self.name}"


def _feed(row: sa.Row[Any]) -> Feed:
    body = row._asdict()
    body["mapping"] = parse_mapping(row.mapping)
    body["settings"] = parse_settings(row.adapter, row.settings)
    return Feed(**body)


def add(
    connection: sa.Connection,
    *,
    pack: str,
    name: str,
    adapter: str,
    mapping: str | Path | Mapping[str, Any] | EventMapping,
    settings: dict[str, Any],
    title: str = "",
    code: str = "",
    expected_s: int | None = None,
    every_s: int = 60,
) -> Feed:
    """Enter a feed.

    Parameters
    ----------
    name : of the feed and of the source of its events, whatever the mapping says
    code : jurisdiction it belongs to, in any form; empty: the whole map

    Raises
    ------
    NotFound
        No such map, mapping or unit.
    Invalid, Conflict
        Mapping or settings are wrong; the name is taken, or its source holds simulated events and
        the mapping says they are real (or the other way round).
    """
    chosen = named(mapping, name)
    checked = parse_settings(adapter, settings)
    version = newest_version(connection, pack)
    if code:
        code = version.layout.parse(code) if version.layout else code
        known = connection.scalar(
            sa.text(
                "select exists (select from unit where boundary_version_id = :v and code = :code)"
            ),
            {"v": version.id, "code": code},
        )
        if not known:
            raise NotFound(f"map {pack} has no unit {code}")
    if adapter == "folder" and not checked.folder.is_dir():
        raise NotFound(f"there is no folder {checked.folder}")
    check_source(connection, pack, chosen)
    try:
        with connection.begin_nested():
            number = connection.execute(
                sa.text(
                    "insert into feed (pack, name, title, code, adapter, mapping, settings, expected_s, "
                    "every_s) values (:pack, :name, :title, :code, :adapter, :mapping, :settings, "
                    ":expected, :every) returning id"
                ).bindparams(
                    sa.bindparam("mapping", type_=sa.JSON), sa.bindparam("settings", type_=sa.JSON)
                ),
                {
                    "pack": pack, "name": name, "title": title, "code": code, "adapter": adapter,
                    "mapping": chosen.body(), "settings": checked.model_dump(mode="json"),
                    "expected": expected_s, "every": every_s,
                },
            ).scalar_one()  # fmt: skip
    except sa.exc.IntegrityError as error:
        raise Conflict(f"map {pack} has a feed {name!r} already") from error
    return find(connection, number)


def named(mapping: str | Path | Mapping[str, Any] | EventMapping, name: str) -> EventMapping:
    """Read a mapping; its source is called like the feed.

    Raises
    ------
    NotFound, Invalid
        As `load_mapping`; or the name is none.
    """
    return parse_mapping({**load_mapping(mapping).body(), "source": name})


def find(connection: sa.Connection, number: int) -> Feed:
    """Feed by its number.

    Raises
    ------
    NotFound
        There is none, or it was removed.
    """
    row = connection.execute(
        sa.text(f"select {_COLUMNS} from feed where id = :id and removed_at is null"),  # noqa: S608
        {"id": number},
    ).one_or_none()
    if row is None:
        raise NotFound("no such feed")
    return _feed(row)


def listed(connection: sa.Connection, pack: str | None = None) -> list[Feed]:
    """List the feeds by map and name."""
    rows = connection.execute(
        sa.text(
            f"select {_COLUMNS} from feed where removed_at is null "  # noqa: S608
            "and (cast(:pack as text) is null or pack = :pack) order by pack, name"
        ),
        {"pack": pack},
    )
    return [_feed(row) for row in rows]


def called(connection: sa.Connection, name: str, pack: str | None = None) -> Feed:
    """Feed by its name; the map may be left out where it is clear.

    Raises
    ------
    NotFound
        There is none; those there are are named.
    Invalid
        Several maps have one of this name.
    """
    there = listed(connection, pack)
    found = [one for one in there if name in (one.name, one.label)]
    if not found:
        known = ", ".join(one.label for one in there) or "none"
        raise NotFound(f"no feed {name!r}; there are: {known}")
    if len(found) > 1:
        raise Invalid(f"several maps have a feed {name!r}: say --pack")
    return found[0]


def mend(connection: sa.Connection, feed: Feed, mapping: str | Path | Mapping[str, Any]) -> Feed:
    """Give a feed another mapping; its shares are counted anew from now on.

    What a feed would not fetch again because it did not change is fetched once more: it mends what
    was stored with the mapping before.

    Raises
    ------
    NotFound, Invalid, Conflict
        As `add`.
    """
    chosen = named(mapping, feed.name)
    check_source(connection, feed.pack, chosen)
    connection.execute(
        sa.text(
            "update feed set mapping = :mapping, mapped_at = clock_timestamp(), "
            "cursor = cursor - '{etag,modified,digest}'::text[], next_look = clock_timestamp() "
            "where id = :id"
        ).bindparams(sa.bindparam("mapping", type_=sa.JSON)),
        {"mapping": chosen.body(), "id": feed.id},
    )
    return find(connection, feed.id)


def pause(connection: sa.Connection, feed: Feed, paused: bool) -> None:
    """Let a feed rest, or go on."""
    connection.execute(
        sa.text("update feed set paused = :paused, next_look = clock_timestamp() where id = :id"),
        {"paused": paused, "id": feed.id},
    )


def remove(connection: sa.Connection, feed: Feed) -> None:
    """End a feed: its dead letters go, its events and where they came from stay."""
    connection.execute(sa.text("delete from feed_dead where feed_id = :id"), {"id": feed.id})
    connection.execute(
        sa.text("update feed set removed_at = clock_timestamp() where id = :id"), {"id": feed.id}
    )


@dataclass(frozen=True)
class Origin:
    """Where an event came from."""

    feed: str
    adapter: str
    batch: int
    origin: str
    place: str
    arrived_at: datetime


def origin_of(connection: sa.Connection, pack: str, source: str, reference: str) -> Origin:
    """Where an event came from, the last time it was written.

    Raises
    ------
    NotFound
        There is no such event, or it came by no feed.
    """
    row = connection.execute(
        sa.text(
            "select f.name as feed, f.adapter, b.id as batch, b.origin, r.place, b.arrived_at "
            "from event e join event_source s on s.id = e.source_id join feed_row r on r.event_id = e.id "
            "join feed_batch b on b.id = r.batch_id join feed f on f.id = b.feed_id "
            "where s.pack = :pack and s.name = :source and e.reference = :reference"
        ),
        {"pack": pack, "source": source, "reference": reference},
    ).one_or_none()
    if row is None:
        raise NotFound(f"no event {reference!r} of {pack}/{source} came by a feed")
    return Origin(**row._asdict())
