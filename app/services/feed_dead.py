"""Dead letters: what could not be used, and reading it again after the mapping was mended.

Imports `feed_take` and the database. Promises: a replay is one transaction per piece and goes through
the whole import again; of several letters with one reference the newest counts; a letter older than its
event, which came well meanwhile, never overwrites it; what fails again stays, with the new reason.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from app.database import transaction
from app.feeds.base import Batch
from app.services.event_files import GEOMETRY, Broken, Chunk
from app.services.feed_take import Taker, restored
from app.services.feeds import Feed, find

PIECE = 2_000


@dataclass(frozen=True)
class Letter:
    """A row that could not be used; `kept`: its mapped columns are there to be read again."""

    id: int
    place: str
    origin: str
    field: str
    value: str
    reason: str
    said: str
    row: dict[str, Any] | None
    at: datetime
    state: str


@dataclass
class Replayed:
    """What a replay did.

    Parameters
    ----------
    stored, superseded, failed : letters that are events now, were overtaken by a newer row, failed again
    unkept : letters without their row: the source has to send them again
    """

    stored: int = 0
    superseded: int = 0
    failed: int = 0
    unkept: int = 0


def letters(
    connection: sa.Connection,
    feed: int,
    *,
    state: str = "open",
    before: int | None = None,
    limit: int = 100,
) -> list[Letter]:
    """Dead letters of a feed, newest first."""
    rows = connection.execute(
        sa.text(
            "select d.id, d.place, b.origin, d.field, d.value, d.reason, d.said, d.row, d.at, d.state "
            "from feed_dead d join feed_batch b on b.id = d.batch_id "
            "where d.feed_id = :feed and d.state = :state "
            "and (cast(:before as bigint) is null or d.id < :before) order by d.id desc limit :limit"
        ),
        {"feed": feed, "state": state, "before": before, "limit": limit},
    )
    return [Letter(**row._asdict()) for row in rows]


def replay(taker: Taker, feed: Feed, account: int | None = None) -> Replayed:
    """Read all open dead letters of a feed again, with its present mapping.

    Raises
    ------
    NotFound, Conflict, Unavailable
        The feed is gone, paused; its source says otherwise whether events are real; the database
        does not answer. Pieces done so far stay done.
    """
    report = Replayed()
    last: int | None = None
    with taker.engine.connect() as connection:
        feed = find(connection, feed.id)
    while True:
        with transaction(taker.engine) as connection:
            # the feed first, as everywhere: nobody takes a batch meanwhile
            connection.execute(
                sa.text("select from feed where id = :id for update"), {"id": feed.id}
            )
            found = connection.execute(
                sa.text(
                    "select id, place, row, at from feed_dead where feed_id = :feed "
                    "and state = 'open' and (cast(:last as bigint) is null or id < :last) "
                    "order by id desc limit :limit"
                ),
                {"feed": feed.id, "last": last, "limit": PIECE},
            ).all()
            if not found:
                return report
            last = found[-1].id
            kept = [row for row in found if row.row is not None]
            report.unkept += len(found) - len(kept)
            if kept:
                _again(taker, connection, feed, kept, report, account)


def _again(  # noqa: PLR0917
    taker: Taker,
    connection: sa.Connection,
    feed: Feed,
    kept: Sequence[sa.Row[Any]],
    report: Replayed,
    account: int | None,
) -> None:
    names = feed.mapping.columns.names()
    point = feed.mapping.columns.point
    if point is None and any(GEOMETRY[0] in row.row for row in kept):
        names, point = [*names, *GEOMETRY], GEOMETRY
    lines = np.arange(1, len(kept) + 1, dtype=np.int64)
    batch = Batch(
        key=f"replay-{uuid.uuid4()}",
        origin=f"replay of {len(kept)} dead letters",
        chunk=Chunk(restored([row.row for row in kept], names), lines),
        point=point,
        places=[row.place for row in kept],
    )
    done = taker.read(feed, batch)
    newer = _newer(connection, feed, done.rows.reference.to_pylist())
    good = {
        int(line): newer.get(reference)
        for line, reference in zip(
            done.rows.lines.tolist(), done.rows.reference.to_pylist(), strict=True
        )
    }
    late = {line for line, at in good.items() if at is not None and at > kept[line - 1].at}
    if late:
        keep = np.array([line not in late for line in done.rows.lines.tolist()])
        done = type(done)(
            done.rows.filter(keep), done.located.filter(keep), done.broken, done.place, done.tried
        )
    # newest first: the second of one reference is the older one
    overtaken = late | {one.line for one in done.broken if one.reason == "repeated_reference"}
    failed = [one for one in done.broken if one.line not in overtaken]
    stored = [line for line in good if line not in late]
    if stored:
        taker.store_again(connection, feed, batch, done, account)
    ids = {line: kept[line - 1].id for line in range(1, len(kept) + 1)}
    _settle(connection, [ids[line] for line in stored], "replayed")
    _settle(connection, [ids[line] for line in overtaken], "superseded")
    _say(connection, ids, failed)
    report.stored += len(stored)
    report.superseded += len(overtaken)
    report.failed += len(failed)


def _newer(
    connection: sa.Connection, feed: Feed, references: list[str]
) -> dict[str, datetime | None]:
    rows = connection.execute(
        sa.text(
            "select e.reference, e.imported_at from event e join event_source s on s.id = e.source_id "
            "where s.pack = :pack and s.name = :name and e.reference = any(:references)"
        ),
        {"pack": feed.pack, "name": feed.name, "references": references},
    )
    return {row.reference: row.imported_at for row in rows}


def _settle(connection: sa.Connection, ids: list[int], state: str) -> None:
    if ids:
        connection.execute(
            sa.text(
                "update feed_dead set state = :state, settled_at = clock_timestamp(), row = null "
                "where id = any(:ids)"
            ),
            {"ids": ids, "state": state},
        )


def _say(connection: sa.Connection, ids: dict[int, int], failed: list[Broken]) -> None:
    if failed:
        connection.execute(
            sa.text(
                "update feed_dead set reason = :reason, said = :said, field = :field, value = :value "
                "where id = :id"
            ),
            [
                {
                    "id": ids[one.line], "reason": one.reason, "said": one.text[:400],
                    "field": one.column[:400], "value": one.value[:200],
                }
                for one in failed
            ],
        )  # fmt: skip
