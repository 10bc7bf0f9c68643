"""Feeds over HTTP: how they are, what could not be used, and rows sent by programs. Wiring only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from app.api.auditing import AuditDep
from app.api.dependencies import NO_STORE, Door, HeavyDep, Store, errors
from app.api.feed_models import (
    BatchReport,
    DeadLetter,
    DeadLetters,
    FeedDay,
    FeedDiagnosis,
    FeedHealth,
    FeedList,
    LetterState,
    RefusedFeedRow,
    ReplayReport,
)
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.feeds.base import Batch
from app.feeds.records import chunk_of, lines_of, records_of
from app.services import feed_dead, feed_health
from app.services import feeds as service
from app.services.feed_take import Taker
from app.services.feeds import Feed
from app.services.task_keys import KEY, SIGNATURE, TIME, Keys

router = APIRouter(prefix="/api/feeds", tags=["feeds"])
ReadDep = Annotated[Store, Depends(Door("feed:read"))]
ManageDep = Annotated[Store, Depends(Door("feed:manage"))]
PushDep = Annotated[Store, Depends(Door("feed:push"))]
FeedNumber = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of the feed")]
#: rows of one request
MOST_ROWS = 50_000
_SHOWN = 100
NDJSON = "application/x-ndjson"
#: what is told otherwise: an answer must not change by the second
_OWN = {"days", "diagnosis", "since_s"}


def _one(store: Store, request: Request, number: int) -> feed_health.Health:
    with store.read() as connection:
        zone = request.app.state.settings.time_zone
        found, _ = feed_health.health(connection, zone, feed=number)
    if not found:
        raise NotFound("no such feed")
    return found[0]


def _told(one: feed_health.Health) -> FeedHealth:
    body = {name: value for name, value in vars(one).items() if name not in _OWN}
    return FeedHealth(
        **body,
        days=[FeedDay(**asdict(day)) for day in one.days],
        diagnosis=FeedDiagnosis(**asdict(one.diagnosis)) if one.diagnosis else None,
    )


def _own(store: Store, request: Request, number: int) -> Feed:
    """Feed of one's own, whole: what the web's role may not see of it is for the installation."""
    _one(store, request, number)
    with request.app.state.engine.connect() as connection:
        return service.find(connection, number)


@router.get(
    "",
    operation_id="listFeeds",
    summary="Feeds of one's own jurisdiction and how they are",
    responses=errors(422, 503),
)
def list_feeds(
    *,
    request: Request,
    response: Response,
    store: ReadDep,
    pack: Annotated[
        str | None, Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Only of this map")
    ] = None,
) -> FeedList:
    """State, arrivals, shares of the last week, and what the points look like."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        zone = request.app.state.settings.time_zone
        found, now = feed_health.health(connection, zone, pack=pack)
    return FeedList(feeds=[_told(one) for one in found], as_of=now)


@router.get(
    "/{feed}",
    operation_id="feed",
    summary="One feed and how it is",
    responses=errors(404, 422, 503),
)
def feed(*, feed: FeedNumber, request: Request, response: Response, store: ReadDep) -> FeedHealth:
    """Answer 404 for feeds of other jurisdictions: they are not there."""
    response.headers["Cache-Control"] = NO_STORE
    return _told(_one(store, request, feed))


@router.get(
    "/{feed}/dead",
    operation_id="deadLetters",
    summary="Rows of a feed that could not be used",
    responses=errors(404, 422, 503),
)
def dead_letters(
    *,
    feed: FeedNumber,
    request: Request,
    response: Response,
    store: ManageDep,
    audit: AuditDep,
    state: Annotated[LetterState, Query(description="Which of them")] = "open",
    before: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="Only older ones: `next` of a page")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="At most so many")] = 50,
) -> DeadLetters:
    """Newest first, with the mapped columns as far as they were kept; written into the audit."""
    response.headers["Cache-Control"] = NO_STORE
    with audit.entry("see_records", question={"feed": feed, "state": state}) as entry:
        _one(store, request, feed)
        with store.read() as connection:
            found = feed_dead.letters(connection, feed, state=state, before=before, limit=limit)
        entry.rows = len(found)
    return DeadLetters(
        letters=[DeadLetter(**asdict(one)) for one in found],
        next=found[-1].id if len(found) == limit else None,
    )


@router.post(
    "/{feed}/replay",
    operation_id="replayFeed",
    summary="Read the dead letters of a feed again, with its present mapping",
    responses=errors(404, 409, 422, 503),
)
def replay_feed(
    *,
    feed: FeedNumber,
    request: Request,
    store: ManageDep,
    heavy: HeavyDep,  # noqa: ARG001 - holds a turn
) -> ReplayReport:
    """Store what is good now; what failed again stays, and a newer event is never overwritten."""
    taker: Taker = request.app.state.taker
    done = feed_dead.replay(taker, _own(store, request, feed), store.identity.account)
    return ReplayReport(**vars(done))


async def _sent(request: Request) -> bytes:
    return await request.body()


async def _signer(
    request: Request,
    x_wusetu_key: Annotated[str, Header(max_length=64, description="Id of the shared secret")] = "",
    x_wusetu_time: Annotated[
        str, Header(max_length=12, description="Unix seconds, five minutes off at most")
    ] = "",
    x_wusetu_signature: Annotated[
        str, Header(max_length=67, description="v2= and HMAC-SHA256, see docs/alerts.md")
    ] = "",
) -> str | None:
    """Key a request was signed with; None: it is not signed.

    Raises
    ------
    LoginNeeded
        It is, but not as it should be.
    """
    if not x_wusetu_signature:
        return None
    keys: Keys = request.app.state.task_keys
    given = {KEY: x_wusetu_key, TIME: x_wusetu_time, SIGNATURE: x_wusetu_signature}
    query = request.scope["query_string"].decode("latin-1")
    target = request.scope["path"] + (f"?{query}" if query else "")
    return keys.check(given, request.method, target, await request.body())


def _records(kind: str, body: bytes) -> list[Any]:
    if kind == NDJSON:
        found = lines_of(body, MOST_ROWS)
    elif kind in {"application/json", ""}:
        found = records_of(body, "rows" if body.lstrip()[:1] == b"{" else "")
    else:
        raise Invalid(f"rows come as {NDJSON} or application/json, not {kind[:60]}")
    if len(found) > MOST_ROWS:
        raise Invalid(f"{len(found):,} rows: at most {MOST_ROWS:,} in one request")
    return found


@router.post(
    "/{feed}/batches",
    operation_id="pushRows",
    summary="Send rows of a feed: NDJSON, or JSON",
    responses=errors(404, 409, 422, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                NDJSON: {"schema": {"type": "string"}},
                "application/json": {
                    "schema": {
                        "anyOf": [
                            {"type": "array", "items": {"type": "object"}},
                            {
                                "type": "object",
                                "properties": {
                                    "rows": {"type": "array", "items": {"type": "object"}}
                                },
                                "required": ["rows"],
                            },
                        ]
                    }
                },
            },
        }
    },
)
def push_rows(
    *,
    feed: FeedNumber,
    request: Request,
    store: PushDep,
    body: Annotated[bytes, Depends(_sent)],
    signed: Annotated[str | None, Depends(_signer)],
    idempotency_key: Annotated[
        str,
        Header(
            min_length=1,
            max_length=150,
            pattern=r"^[\x21-\x7e]+$",
            description="The sender's own name of this batch: sent again, nothing is done",
        ),
    ],
) -> BatchReport:
    """Store them as a whole, refused rows as dead letters, or not at all.

    Needs the token of a program inside the feed's jurisdiction, and a signature where the feed has a key.
    """  # fmt: skip
    if store.identity.how == "session":
        raise Forbidden("rows are sent by programs, with a token")
    one = _own(store, request, feed)
    if one.adapter != "push":
        raise Conflict(f"the feed {one.label} is not one programs send to")
    if one.settings.key and signed != one.settings.key:
        raise Forbidden("requests of this feed have to be signed with its key")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    records = _records(kind, body)
    batch = Batch(
        # two programs may count from 1 both
        key=f"push-{store.identity.account}-{idempotency_key}",
        origin=f"request {idempotency_key} of {store.identity.name}",
        chunk=chunk_of(records, one.mapping),
        point=one.mapping.columns.point,
    )
    taker: Taker = request.app.state.taker
    done = taker.take(one, batch, store.identity.account)
    if done.known:
        return BatchReport(
            batch=done.batch, known=True, rows=0, new=0, updated=0, unchanged=0, rejected=0,
            mismatch=0, refused=[],
        )  # fmt: skip
    return BatchReport(
        batch=done.batch, known=False, rows=done.rows, new=done.new, updated=done.updated,
        unchanged=done.unchanged, rejected=done.rejected, mismatch=done.mismatch,
        refused=[
            RefusedFeedRow(row=row.line, field=row.column, reason=row.reason, text=row.text)
            for _, row in done.broken[:_SHOWN]
        ],
    )  # fmt: skip
