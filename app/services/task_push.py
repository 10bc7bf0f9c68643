"""Telling an outside grid platform every step of a task, and taking its reports back.

Promises: a step is written to the outbox in the transaction in which it is taken, and stays there until
the platform has answered 2xx: what is down for a week is told a week later. Steps of one task are told in
order, one at a time. The platform may be told a step twice (the answer was lost), never none; each
carries `Idempotency-Key`. Reports come signed and carry a key of their own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import sqlalchemy as sa

from app.api import task_models as models
from app.database import transaction
from app.errors import Forbidden, Invalid
from app.security.identity import Identity
from app.services import tasks
from app.services.border_words import checked
from app.services.task_keys import Keys

BATCH = 50
FIRST_WAIT, LONGEST_WAIT = 5.0, 3600.0  # seconds: doubled after every failure
PATIENCE = 10.0  # seconds for one answer


@dataclass
class Sent:
    """What one round did."""

    told: int = 0
    failed: int = 0
    waiting: int = 0


#: The oldest step of each task that waits; taken by one worker at a time.
_WAITING = """
select o.id, o.task_id, o.n, o.tries, t.pack, s.url, s.key_id
from task_outbox o join task t on t.id = o.task_id join task_sink s on s.pack = t.pack and s.active
where o.sent_at is null and o.next_try <= clock_timestamp()
  and not exists (select from task_outbox e where e.task_id = o.task_id and e.n < o.n and e.sent_at is null)
order by o.id limit 1 for update of o skip locked
"""


def send(engine: sa.Engine, keys: Keys, *, client: httpx.Client | None = None) -> Sent:
    """Tell what waits, at most `BATCH` steps.

    Parameters
    ----------
    client : to reach the platform with; none: one of its own, without redirects
    """
    report = Sent()
    own = client or httpx.Client(timeout=PATIENCE, follow_redirects=False)
    try:
        for _ in range(BATCH):
            with transaction(engine) as connection:
                row = connection.execute(sa.text(_WAITING)).one_or_none()
                if row is None:
                    break
                error = _tell(connection, own, keys, row)
                _note(connection, row, error)
                report.told += error is None
                report.failed += error is not None
    finally:
        if client is None:
            own.close()
    with engine.connect() as connection:
        report.waiting = connection.execute(
            sa.text("select count(*) from task_outbox where sent_at is null")
        ).scalar_one()
    return report


def _tell(
    connection: sa.Connection, client: httpx.Client, keys: Keys, row: sa.Row[Any]
) -> str | None:
    """Tell one step; None, or why it did not come through."""
    one = tasks.one_task(connection, row.task_id)
    delivery = f"{row.pack}-{row.task_id}-{row.n}"
    body = {
        "delivery": delivery,
        "step": next(step.model_dump(mode="json") for step in one.steps if step.n == row.n),
        "task": one.model_dump(mode="json", exclude={"steps", "photos"}),
    }
    content = json.dumps(body, ensure_ascii=False).encode()
    try:
        target = httpx.URL(row.url).raw_path.decode("ascii")  # as it stands in the request
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": delivery,
            **keys.signed(row.key_id, "POST", target, content),
        }
        answer = client.post(row.url, content=content, headers=headers)
    except Invalid as error:
        return error.message
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return type(error).__name__  # a ValueError: a name no host can have
    return None if answer.is_success else f"answered {answer.status_code}"


def _note(connection: sa.Connection, row: sa.Row[Any], error: str | None) -> None:
    wait = min(FIRST_WAIT * 2.0 ** min(row.tries, 20), LONGEST_WAIT)
    connection.execute(
        sa.text(
            "update task_outbox set tries = tries + 1, error = :error, "
            "sent_at = case when cast(:error as text) is null then clock_timestamp() end, "
            "next_try = clock_timestamp() + make_interval(secs => :wait) where id = :id"
        ),
        {"id": row.id, "error": error, "wait": wait},
    )


def take_report(connection: sa.Connection, identity: Identity, given: models.Report) -> models.Task:
    """Take a step the outside platform reports; the same key again changes nothing.

    Raises
    ------
    NotFound, Conflict
        As `tasks.take`.
    Forbidden
        Judging needs `dispatch`.
    Invalid
        Feedback without its form, a form without feedback, words that name a person.
    """
    if given.to in tasks.JUDGING and not identity.may("dispatch"):
        raise Forbidden("this account may not do this (dispatch)")
    if (given.form is not None) != (given.to == "feedback"):
        raise Invalid(
            "feedback has a form, and no other step has", {"field": "form", "reason": "not_here"}
        )
    note = checked("note", given.note, 500)
    detail: dict[str, Any] = {"origin": "outside"}
    if given.form is not None:
        note = checked("form.note", given.form.note, 500) or note
        detail |= tasks.feedback_detail(given.form)
    return tasks.take(
        connection, given.task, given.to, at=given.at, key=given.key, note=note, detail=detail
    )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna"), parts.port
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        return False
    usual = parts.scheme in {"http", "https"} and parts.username is None and port != 0
    return usual and bool(host) and len(url) <= 400 and not any(map(str.isspace, url))


def set_sink(
    connection: sa.Connection, pack: str, url: str | None, key_id: str | None, keys: Keys
) -> None:
    """Say where the steps of a map's tasks are told; `url` None: nowhere any more.

    Raises
    ------
    Invalid
        The address is no http(s) one, or there is no secret of that key.
    """
    if url is None:
        connection.execute(
            sa.text("update task_sink set active = false where pack = :pack"), {"pack": pack}
        )
        return
    if not _is_address(url):
        raise Invalid("url: an http:// or https:// address without a user name")
    if key_id is None or key_id not in keys:
        raise Invalid(f"no secret for the key {key_id!r}: see WUSETU_TASKS_KEYS_FILE")
    connection.execute(
        sa.text(
            "insert into task_sink (pack, url, key_id) values (:pack, :url, :key) "
            "on conflict (pack) do update set url = excluded.url, key_id = excluded.key_id, active = true"
        ),
        {"pack": pack, "url": url, "key": key_id},
    )
