"""Jobs: what is asked, how far it is, what it found. Takes connections and plain arguments.

Promises: a job belongs to who asked it and to the jurisdiction it was asked with (row security);
its state only goes queued → running → done or failed, and from the first two to cancelled; a result
is stored in the same transaction that says done. The work itself is in `job_process`.
"""

# ruff: noqa: S608 - the pieces of the statements are constants of this file

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any, Protocol

import sqlalchemy as sa
from pydantic import TypeAdapter

from app.api.job_models import Job, JobProblem, JobQuestion
from app.api.models import Words
from app.errors import Invalid, NotFound, TooMany
from app.security.identity import Identity
from app.settings import JobSettings

QUESTION: TypeAdapter[JobQuestion] = TypeAdapter(JobQuestion)
#: First of the two keys of the advisory lock a job's process holds.
LOCK_SPACE = 0x71144
_COLUMNS = (
    "id, type, state, pack, question, account_id, progress, step, method, run, rows, error_code, error, "
    "created_at, started_at, ended_at, expires_at"
)

#: Pooled runs are asked for and told of by `pooled_jobs`.
_HERE = "type <> 'pooled'"


class Asked(Protocol):
    """A question of any type, a pydantic model."""

    @property
    def type(self) -> str:
        """Type of the job."""

    @property
    def pack(self) -> str:
        """Name of the map."""

    def model_dump_json(self, *, exclude_none: bool) -> str:
        """Write the question as JSON."""


def create(
    connection: sa.Connection, identity: Identity, question: JobQuestion, settings: JobSettings
) -> Job:
    """Store a question; a process takes it up.

    Raises
    ------
    TooMany
        The account has too many jobs that wait or run.
    """
    return _job(insert(connection, identity, question, settings), identity)


def insert(
    connection: sa.Connection, identity: Identity, question: Asked, settings: JobSettings
) -> sa.Row[Any]:
    """Store a question of any type; returns its row.

    Raises
    ------
    TooMany
        The account has too many jobs that wait or run.
    """
    waiting = connection.execute(
        sa.text(
            "select count(*) from analysis_job where state in ('queued', 'running') "
            "and account_id is not distinct from :account"
        ),
        {"account": identity.account},
    ).scalar_one()
    if waiting >= settings.waiting:
        raise TooMany(
            f"this account has {waiting} jobs that wait or run; end one or wait for it", 10
        )
    row: sa.Row[Any] = connection.execute(
        sa.text(
            "insert into analysis_job (type, pack, question, account_id, role, prefixes, expires_at) "
            "values (:type, :pack, cast(:question as jsonb), :account, :role, :prefixes, "
            f"now() + make_interval(days => :days)) returning {_COLUMNS}"
        ),
        {
            "type": question.type,
            "pack": question.pack,
            "question": _written(question),
            "account": identity.account,
            "role": identity.role,
            "prefixes": None if identity.prefixes is None else list(identity.prefixes),
            "days": settings.keep_days,
        },
    ).one()
    return row


def _written(question: Asked) -> str:
    """Text of a question as the database takes it."""
    try:
        text = question.model_dump_json(exclude_none=True)
    except ValueError as error:
        raise Invalid(
            "the question holds text that is no Unicode, or is nested too deeply to be kept"
        ) from error
    if "\\u0000" in text:
        raise Invalid("the question holds a character that cannot be kept: U+0000")
    return text


def listed(
    connection: sa.Connection, identity: Identity, pack: str | None = None, limit: int = 50
) -> list[Job]:
    """Jobs that may be seen, newest first."""
    rows = connection.execute(
        sa.text(
            f"select {_COLUMNS} from analysis_job where expires_at > now() "
            f"and {_HERE} and (cast(:pack as text) is null or pack = :pack) order by id desc limit :limit"
        ),
        {"pack": pack, "limit": limit},
    )
    return [_job(row, identity) for row in rows]


def read(connection: sa.Connection, identity: Identity, job: int) -> Job:
    """One job.

    Raises
    ------
    NotFound
        It is not there, or not for this caller.
    """
    return _job(row_of(connection, job), identity)


def end(connection: sa.Connection, identity: Identity, job: int) -> Job:
    """Cancel a job that waits or runs; remove one that has ended. Returns it as it was left.

    Raises
    ------
    NotFound
        It is not there, or not for this caller.
    """
    return _job(end_row(connection, job), identity)


def row_of(connection: sa.Connection, job: int, *, pooled: bool = False) -> sa.Row[Any]:
    """Row of a job, those of pooled runs apart.

    Raises
    ------
    NotFound
        It is not there, or not for this caller.
    """
    row = connection.execute(
        sa.text(
            f"select {_COLUMNS} from analysis_job where id = :job and expires_at > now() "
            "and (type = 'pooled') = :pooled"
        ),
        {"job": job, "pooled": pooled},
    ).one_or_none()
    if row is None:
        raise NotFound(f"no job {job}")
    return row


def end_row(connection: sa.Connection, job: int, *, pooled: bool = False) -> sa.Row[Any]:
    """Row of a job as it was left: cancelled when it waited or ran, removed when it had ended.

    Raises
    ------
    NotFound
        It is not there, or not for this caller.
    """
    row = connection.execute(
        sa.text(
            "update analysis_job set state = 'cancelled', ended_at = clock_timestamp() "
            "where id = :job and state in ('queued', 'running') and (type = 'pooled') = :pooled "
            f"returning {_COLUMNS}"
        ),
        {"job": job, "pooled": pooled},
    ).one_or_none()
    if row is not None:
        return row
    found = row_of(connection, job, pooled=pooled)
    connection.execute(sa.text("delete from analysis_job where id = :job"), {"job": job})
    return found


def body(connection: sa.Connection, identity: Identity, job: int, name: str) -> tuple[Job, bytes]:
    """Part of a result: `json`, `tif` or `png`.

    Raises
    ------
    NotFound
        No such job, it is not done, or its kind of result has no such part.
    """
    about = read(connection, identity, job)
    blob = connection.execute(
        sa.text("select body from analysis_result where job_id = :job and name = :name"),
        {"job": job, "name": name},
    ).scalar_one_or_none()
    if blob is None:
        what = f"is {about.state}" if about.state != "done" else f"has no {name}"
        raise NotFound(f"job {job} {what}")
    return about, zlib.decompress(blob) if name == "json" else bytes(blob)


def _job(row: sa.Row[Any], identity: Identity) -> Job:
    problem = JobProblem(code=row.error_code, message=row.error or "") if row.error_code else None
    return Job(
        id=row.id,
        type=row.type,
        state=row.state,
        progress=row.progress,
        step=row.step,
        question=QUESTION.validate_json(json.dumps(row.question)),
        mine=row.account_id == identity.account,
        method=Words.model_validate(row.method) if row.method else None,
        rows=row.rows,
        error=problem,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        expires_at=row.expires_at,
    )


# what the installation itself does ---------------------------------------------------------------
def claim_next(connection: sa.Connection, settings: JobSettings, seconds: float = 60) -> int | None:
    """Job whose process may be started now; nobody else is given it for some time."""
    # one at a time, so that two servers do not both find the last free place
    connection.execute(sa.text("select pg_advisory_xact_lock(:space, 0)"), {"space": LOCK_SPACE})
    found: int | None = connection.execute(
        sa.text(
            "with busy as (select account_id from analysis_job where state = 'running' "
            "  or (state = 'queued' and claimed_until > clock_timestamp())) "
            "update analysis_job set claimed_until = clock_timestamp() "
            "  + make_interval(secs => :seconds) "
            "where id = (select id from analysis_job as one where state = 'queued' "
            "  and (claimed_until is null or claimed_until <= clock_timestamp()) "
            "  and (select count(*) from busy) < :at_once "
            "  and (select count(*) from busy "
            "       where busy.account_id is not distinct from one.account_id) < :per_account "
            "  order by id limit 1) returning id"
        ),
        {
            "seconds": seconds,
            "at_once": settings.at_once,
            "per_account": settings.per_account,
        },
    ).scalar_one_or_none()
    return found


def bury(connection: sa.Connection) -> list[int]:
    """Say of running jobs whose process is gone that they were interrupted; returns them.

    A process holds an advisory lock from before its job runs until after it has ended.
    """
    lost = []
    running = connection.execute(
        sa.text("select id from analysis_job where state = 'running' order by id")
    ).scalars()
    for job in running.all():
        if connection.scalar(
            sa.text("select pg_try_advisory_xact_lock(:space, cast(:job % 2147483647 as int))"),
            {"space": LOCK_SPACE, "job": job},
        ) and fail(connection, job, "interrupted", "its process went away; ask it again"):
            lost.append(job)
    return lost


def any_running(connection: sa.Connection, numbers: Sequence[int]) -> bool:
    """Whether one of these jobs is running, or looks so because its end was not noticed yet."""
    return bool(
        connection.scalar(
            sa.text(
                "select exists (select from analysis_job where id = any(:numbers) "
                "and state = 'running')"
            ),
            {"numbers": list(numbers)},
        )
    )


def fail(
    connection: sa.Connection,
    job: int,
    code: str,
    message: str,
    states: Sequence[str] = ("running",),
) -> bool:
    """Say that a job failed; False when it had ended already."""
    changed = connection.execute(
        sa.text(
            "update analysis_job set state = 'failed', step = '', error_code = :code, "
            "error = :message, ended_at = clock_timestamp() "
            "where id = :job and state = any(:states)"
        ),
        {"job": job, "code": code, "message": message[:2000], "states": list(states)},
    )
    return bool(changed.rowcount)


def begin(connection: sa.Connection, job: int) -> sa.Row[Any] | None:
    """Take a job up; None when it does not wait any more."""
    return connection.execute(
        sa.text(
            "update analysis_job set state = 'running', started_at = clock_timestamp(), "
            "step = 'opening' where id = :job and state = 'queued' "
            "returning question, prefixes"
        ),
        {"job": job},
    ).one_or_none()


def hold(connection: sa.Connection, job: int) -> bool:
    """Keep a running job from being cancelled until the transaction ends; False: it was."""
    found = connection.scalar(
        sa.text("select id from analysis_job where id = :job and state = 'running' for update"),
        {"job": job},
    )
    return found is not None


def report(connection: sa.Connection, job: int, progress: float, step: str) -> bool:
    """Say how far a job is; False: it is not wanted any more."""
    changed = connection.execute(
        sa.text(
            "update analysis_job set progress = :progress, step = :step "
            "where id = :job and state = 'running'"
        ),
        {"job": job, "progress": min(max(progress, 0.0), 1.0), "step": step},
    )
    return bool(changed.rowcount)


def finish(
    connection: sa.Connection,
    job: int,
    *,
    method: Words,
    run: int,
    rows: int,
    parts: dict[str, bytes],
) -> bool:
    """Store what a job found; False when it is not wanted any more."""
    changed = connection.execute(
        sa.text(
            "update analysis_job set state = 'done', progress = 1, step = '', rows = :rows, "
            "run = :run, method = cast(:method as jsonb), ended_at = clock_timestamp() "
            "where id = :job and state = 'running'"
        ),
        {"job": job, "rows": rows, "run": run, "method": method.model_dump_json()},
    )
    if not changed.rowcount:
        return False
    for name, part in parts.items():
        connection.execute(
            sa.text("insert into analysis_result values (:job, :name, :body)"),
            {"job": job, "name": name, "body": zlib.compress(part, 6) if name == "json" else part},
        )
    return True


def forget_old(connection: sa.Connection) -> int:
    """Remove jobs whose time has come; returns how many."""
    return int(
        connection.execute(sa.text("delete from analysis_job where expires_at <= now()")).rowcount
    )
