"""The audit: who asked what, for what purpose, when, how many rows left.

Takes engines, connections and plain arguments, never a request. Promises: an entry is in the
database before its answer leaves; entries are only added; every entry gets its place in a chain of
hashes within a few seconds; `verify` names the first one that is not as it was.

The chain: `digest(n) = sha256(digest(n - 1) || canonical(entry))`, `digest(0)` 32 zero bytes. The
chain is in the order in which entries were found, which is that of their numbers except for those
whose transactions ended late. Whoever owns the database can calculate a whole new chain; only a
head kept elsewhere (`Verified.head`, in every answer to an auditor) shows that.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from pydantic_core import to_json

from app.database import translated_errors
from app.errors import Invalid, Unavailable, WusetuError
from app.security.identity import Identity
from app.services.event_persons import looks_like
from app.settings import AuditSettings

log = logging.getLogger("wusetu.audit")

#: A larger question is kept as its digest, size and bounds, so that its entry stays quick.
WHOLE = 32_768
#: Parts of such a question larger than this are not kept whole, characters.
LARGE = 2_000
#: Longest purpose, characters.
LONGEST = 200
BATCH = 1_000
#: First of the two keys of the advisory lock of the sealer.
LOCK = "hashtext('wusetu audit')"
ZERO = bytes(32)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Entry:
    """What is about to be written down; `rows` is filled in when the answer is there."""

    action: str
    pack: str | None = None
    run: int | None = None
    question: dict[str, Any] = field(default_factory=dict)
    purpose: str | None = None
    request_id: str | None = None
    outcome: str = "answered"
    rows: int | None = None


@dataclass(frozen=True)
class Row:
    """An entry as an auditor sees it."""

    id: int
    at: datetime
    action: str
    outcome: str
    account_id: int | None
    account: str
    role: str
    how: str
    prefixes: list[str] | None
    purpose: str | None
    request_id: str | None
    pack: str | None
    run: int | None
    question: dict[str, Any]
    row_count: int | None
    seq: int | None
    digest: bytes | None


@dataclass(frozen=True)
class Verified:
    """What `verify` found.

    Parameters
    ----------
    entries : entries in the chain that are as they were
    pending : entries that wait for their place
    head : last digest of the chain
    broken : what is wrong at the first place that is; None: nothing
    """

    entries: int
    pending: int
    head: bytes
    broken: str | None


def checked_purpose(given: str | None, *, demanded: bool = False) -> str | None:
    """Purpose as it is stored.

    Raises
    ------
    Invalid
        It is demanded and missing, too long, has control characters, or names a person by number.
    """
    found = (given or "").strip()
    if not found:
        if demanded:
            raise Invalid(
                "say for what purpose: header X-Purpose (UTF-8, percent-encoded) or parameter purpose",
                {"field": "purpose", "reason": "missing"},
            )
        return None
    if len(found) > LONGEST or not found.isprintable():
        raise Invalid(
            f"a purpose has at most {LONGEST} characters, none of them invisible",
            {"field": "purpose", "reason": "malformed"},
        )
    if what := looks_like(found):
        raise Invalid(
            f"the purpose holds a {what}: the audit knows areas and accounts, never persons",
            {"field": "purpose", "reason": "person"},
        )
    return found


def bounded(question: dict[str, Any]) -> str:
    """Question as JSON; what is too large of it by digest, size and bounds.

    Parameters
    ----------
    question : what was asked; the parts of `area` may be large

    Raises
    ------
    Invalid
        Text that is no Unicode, or lists inside lists without end: what cannot be written down.
    """
    try:
        parts = {
            # several times as fast as `json`, which counts here
            name: to_json(value, inf_nan_mode="strings").decode()
            for name, value in question.items()
        }
    except ValueError as error:
        raise Invalid(
            "the question holds text that is no Unicode, or is nested too deeply to be written down"
        ) from error
    if any("\\u0000" in text for text in parts.values()):  # which PostgreSQL does not store
        parts = {name: text.replace("\\u0000", "\\ufffd") for name, text in parts.items()}
    if sum(map(len, parts.values())) > WHOLE:
        for name, text in parts.items():
            if len(text) > LARGE:
                about = {
                    "sha256": hashlib.sha256(text.encode()).hexdigest(),
                    "characters": len(text),
                    **_bounds(question[name]),
                }
                parts[name] = json.dumps(about, ensure_ascii=False)
    return "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in parts.items()) + "}"


def _bounds(value: Any) -> dict[str, Any]:
    """Least and greatest position anywhere inside, as given (its CRS is beside it)."""
    xs: list[float] = []
    ys: list[float] = []
    crs = None
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            crs = one.get("crs", crs)
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            if _is_line(one):
                # without a step of the interpreter per corner: an outline may have 100,000
                east, north = ([*map(axis, one)] for axis in (_X, _Y))
                xs += (min(east), max(east))
                ys += (min(north), max(north))
            else:
                waiting.extend(part for part in one if isinstance(part, dict | list | tuple))
        elif isinstance(one, str) and len(one) > LARGE:  # WKT
            for pair in one.replace("(", ",").replace(")", ",").split(","):
                parts = pair.split()
                try:
                    x, y = float(parts[0]), float(parts[1])
                except (ValueError, IndexError):
                    continue
                xs.append(x)
                ys.append(y)
    if not xs:
        return {}
    return {"crs": crs, "bounds": [min(xs), min(ys), max(xs), max(ys)]}


_X, _Y = itemgetter(0), itemgetter(1)


def _is_line(value: list[Any] | tuple[Any, ...]) -> bool:
    """Whether it begins with a position; what is written down was a sound shape before."""
    first = value[0] if value else None
    return isinstance(first, list | tuple) and len(first) > 1 and isinstance(first[0], int | float)


class Audit:
    """Writes entries of one application, by connections of its own.

    Parameters
    ----------
    engine : of the role `wusetu_web`; see `app.database.make_audit_engine`
    settings : whether purposes are demanded
    """

    def __init__(self, engine: sa.Engine, settings: AuditSettings) -> None:
        self.engine = engine
        self.settings = settings

    def write(self, identity: Identity | None, entry: Entry) -> None:
        """Write an entry: one statement, which is its own transaction.

        Raises
        ------
        Unavailable
            The database did not take it; whatever it records must not be answered.
        """
        values = {
            "action": entry.action,
            "outcome": entry.outcome,
            "account_id": identity.account if identity else None,
            "account": identity.name[:64] if identity else "",
            "role": identity.role.value if identity else "",
            "how": identity.how if identity else "",
            "prefixes": None
            if identity is None or identity.prefixes is None
            else list(identity.prefixes),
            "purpose": entry.purpose,
            "request_id": entry.request_id,
            "pack": entry.pack,
            "run": entry.run,
            "question": bounded(entry.question),
            "row_count": entry.rows,
        }
        for last in (False, True):
            try:
                with translated_errors(), self.engine.connect() as connection:
                    connection.execute(_INSERT, values)
                return
            except (Unavailable, sa.exc.TimeoutError, sa.exc.DBAPIError) as error:
                cause = getattr(error, "__cause__", None)
                stale = isinstance(cause, sa.exc.DBAPIError) and cause.connection_invalidated
                if last or not stale:  # a connection the server closed is made anew, once
                    log.error("an entry was not taken: %s", type(cause or error).__name__)
                    raise Unavailable(
                        "the audit does not take the entry for this, so it is not answered"
                    ) from error


_INSERT = sa.text(
    "insert into audit_entry (action, outcome, account_id, account, role, how, prefixes, purpose, "
    "request_id, pack, run, question, row_count) values (:action, :outcome, :account_id, :account, "
    ":role, :how, cast(:prefixes as text[]), :purpose, :request_id, :pack, :run, "
    "cast(:question as jsonb), :row_count)"
)

# the chain ---------------------------------------------------------------------------------------
_COLUMNS = (
    "e.id, e.at, e.action, e.outcome, e.account_id, e.account, e.role, e.how, e.prefixes, "
    "e.purpose, e.request_id, e.pack, e.run, e.question::text as question, e.row_count, "
    "e.account_event_id"
)


def canonical(row: Any) -> bytes:
    """Bytes of an entry that are hashed: a JSON array of its columns in the order of the table.

    Times are whole microseconds since 1970 UTC; `question` is the text PostgreSQL makes of it.
    """
    fields = [
        "wusetu audit 1",
        row.id,
        (row.at - _EPOCH) // timedelta(microseconds=1),
        row.action, row.outcome, row.account_id, row.account, row.role, row.how, row.prefixes,
        row.purpose, row.request_id, row.pack, row.run, row.question, row.row_count,
        row.account_event_id,
    ]  # fmt: skip
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def link(before: bytes, row: Any) -> bytes:
    """Digest of an entry that follows on `before`."""
    return hashlib.sha256(before + canonical(row)).digest()


def seal(engine: sa.Engine, most: int = BATCH) -> int:
    """Give waiting entries their place in the chain; returns how many.

    One at a time over all processes; 0 also when another one is at it.
    """
    with translated_errors(), engine.begin() as connection:
        if not connection.scalar(sa.text("select exists (select from audit_pending)")):
            return 0
        # read committed: what the one before committed is seen by the statements after the lock
        if not connection.scalar(sa.text(f"select pg_try_advisory_xact_lock({LOCK})")):
            return 0
        rows = connection.execute(
            sa.text(
                f"select {_COLUMNS} from audit_pending p join audit_entry e on e.id = p.entry_id "  # noqa: S608
                "order by e.id limit :most"
            ),
            {"most": most},
        ).all()
        if not rows:
            return 0
        head = connection.execute(
            sa.text("select seq, digest from audit_chain order by seq desc limit 1")
        ).one_or_none()
        seq, digest = (head.seq, bytes(head.digest)) if head else (0, ZERO)
        links = []
        for row in rows:
            seq, digest = seq + 1, link(digest, row)
            links.append({"seq": seq, "entry": row.id, "digest": digest})
        connection.execute(
            sa.text(
                "insert into audit_chain (seq, entry_id, digest) "
                "select * from unnest(cast(:seqs as bigint[]), cast(:entries as bigint[]), "
                "cast(:digests as bytea[]))"
            ),
            {
                "seqs": [one["seq"] for one in links],
                "entries": [one["entry"] for one in links],
                "digests": [one["digest"] for one in links],
            },
        )
        connection.execute(
            sa.text("delete from audit_pending where entry_id = any(:entries)"),
            {"entries": [one["entry"] for one in links]},
        )
        return len(links)


class Sealer:
    """The thread of one worker that keeps the chain up to date."""

    def __init__(self, engine: sa.Engine, settings: AuditSettings) -> None:
        self._engine = engine
        self._pause = settings.seal_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-sealer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what waits is sealed by the next one."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        failed = False
        while not self._stop.wait(self._pause):
            try:
                while seal(self._engine) == BATCH and not self._stop.is_set():
                    pass
                failed = False
            except (WusetuError, sa.exc.SQLAlchemyError) as error:
                if not failed:  # once per failure, not once per second
                    log.warning("the audit is not sealed: %s", type(error).__name__)
                failed = True


def verify(connection: sa.Connection, expected: tuple[int, bytes] | None = None) -> Verified:
    """Calculate the chain anew and compare.

    Parameters
    ----------
    connection : of the owner, in a transaction that sees one moment (repeatable read)
    expected : place and digest noted earlier; the chain must still go through it
    """
    pending: int = connection.execute(sa.text("select count(*) from audit_pending")).scalar_one()
    digest, good = ZERO, 0
    for row in _links(connection):
        if row.seq != good + 1:
            return Verified(good, pending, digest, f"place {good + 1} of the chain is missing")
        if row.id is None:
            return Verified(good, pending, digest, f"entry {row.entry_id} is missing")
        now = link(digest, row)
        if now != bytes(row.digest):
            what = f"entry {row.id} (place {row.seq}) is not as it was when it was written"
            return Verified(good, pending, digest, what)
        digest, good = now, row.seq
        if expected and expected[0] == good and expected[1] != digest:
            what = f"place {good} of the chain is not the one noted: the chain was made anew"
            return Verified(good - 1, pending, digest, what)
    return Verified(good, pending, digest, _outside(connection, good, expected))


def _links(connection: sa.Connection) -> Iterator[Any]:
    yield from connection.execute(
        sa.text(
            f"select c.seq, c.entry_id, c.digest, {_COLUMNS} from audit_chain c "  # noqa: S608
            "left join audit_entry e on e.id = c.entry_id order by c.seq"
        ),
        execution_options={"yield_per": 1_000},
    )


def _outside(
    connection: sa.Connection, good: int, expected: tuple[int, bytes] | None
) -> str | None:
    """Say what the chain itself cannot show."""
    if expected and expected[0] > good:
        return f"the chain ends at place {good}, place {expected[0]} was noted"
    loose = connection.scalar(
        sa.text(
            "select min(e.id) from audit_entry e "
            "where not exists (select from audit_chain c where c.entry_id = e.id) "
            "and not exists (select from audit_pending p where p.entry_id = e.id)"
        )
    )
    if loose is not None:
        return f"entry {loose} has no place in the chain and does not wait for one"
    lost = connection.scalar(
        sa.text(
            "select min(a.id) from account_event a left join audit_entry e "
            "on e.account_event_id = a.id where e.id is null or e.at <> a.at "
            "or e.action <> 'account.' || a.what or not e.question @> a.detail"
        )
    )
    if lost is not None:
        return f"account event {lost} is not the one in the audit"
    gone = connection.scalar(
        sa.text(
            "select min(e.id) from audit_entry e left join account_event a "
            "on a.id = e.account_event_id where e.account_event_id is not null and a.id is null"
        )
    )
    return None if gone is None else f"the account event of entry {gone} is missing"


# reading -----------------------------------------------------------------------------------------
def listed(
    connection: sa.Connection,
    *,
    account: int | None = None,
    action: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Row]:
    """Entries the claims of the transaction allow, newest first.

    Parameters
    ----------
    account : who asked
    action : of the entry; `account`: all of accounts
    since, until : half-open span of time
    before : only entries with a smaller number: the next page
    """
    rows = connection.execute(
        sa.text(
            "select e.id, e.at, e.action, e.outcome, e.account_id, e.account, e.role, e.how, "
            "e.prefixes, e.purpose, e.request_id, e.pack, e.run, e.question, e.row_count, "
            "c.seq, c.digest from audit_entry e left join audit_chain c on c.entry_id = e.id "
            "where (cast(:account as int) is null or e.account_id = :account) "
            "and (cast(:action as text) is null or e.action = :action "
            "or (:action = 'account' and e.action like 'account.%')) "
            "and (cast(:since as timestamptz) is null or e.at >= :since) "
            "and (cast(:until as timestamptz) is null or e.at < :until) "
            "and (cast(:before as bigint) is null or e.id < :before) "
            "order by e.id desc limit :limit"
        ),
        {
            "account": account, "action": action, "since": since, "until": until,
            "before": before, "limit": limit,
        },
    )  # fmt: skip
    return [Row(**row._mapping) for row in rows]


def head(connection: sa.Connection) -> tuple[int, bytes]:
    """Last place of the chain and its digest: note them elsewhere."""
    row = connection.execute(
        sa.text("select seq, digest from audit_chain order by seq desc limit 1")
    ).one_or_none()
    return (row.seq, bytes(row.digest)) if row else (0, ZERO)
