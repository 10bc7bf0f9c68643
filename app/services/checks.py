"""Two-sided checks: opened for a zone in force, answered by its sides, closed or over in time.

Takes connections of the web's role and plain arguments, never a request. The steps are taken by one
function of the database (`check_step`), so that none can be skipped; each is written to
`check_event`, audited and told in the same transaction. States: open → running → closed | expired,
open → declined | closed | expired.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from app.api import border_models as models
from app.errors import Forbidden, Invalid, NotFound
from app.security.identity import Identity
from app.services.border import speaking
from app.services.border_words import checked, reference
from app.services.refusals import refused

LONGEST = timedelta(hours=72)

_CHECKS = """
select c.id, z.pack, c.zone_id as zone, z.name as zone_name, c.version, c.side, c.reference, c.reason,
  c.kinds, c.state, c.opened_at, c.ends_at, c.ended_at, c.sides,
  (select coalesce(json_agg(json_build_object('side', a.side, 'answer', a.answer, 'reason', a.reason,
     'checkpoint', a.checkpoint, 'place', a.place, 'at', a.at) order by a.id), '[]')
   from check_answer a where a.check_id = c.id) as answers,
  (select coalesce(json_agg(json_build_object('n', e.n, 'step', e.step, 'side', e.side,
     'before', e.before, 'after', e.after, 'at', e.at) order by e.n), '[]')
   from check_event e where e.check_id = c.id) as events
from check_case c join zone z on z.id = c.zone_id
where (cast(:id as int) is null or c.id = :id)
  and (cast(:zone as int) is null or c.zone_id = :zone)
  and (not :running or c.state in ('open', 'running'))
order by c.id desc limit :limit
"""


def checks(
    connection: sa.Connection,
    *,
    number: int | None = None,
    zone: int | None = None,
    running: bool = False,
    limit: int = 100,
) -> list[models.Check]:
    """Read the checks that may be seen, newest first."""
    rows = connection.execute(
        sa.text(_CHECKS), {"id": number, "zone": zone, "running": running, "limit": limit}
    )
    found = []
    for row in rows:
        fields = dict(row._mapping)
        answers, sides = fields.pop("answers"), fields.pop("sides")
        said = {one["side"]: one for one in answers if one["answer"] in {"accept", "decline"}}
        fields["sides"] = [
            models.CheckSide(
                side=side,
                answer=said[side]["answer"] if side in said else None,
                reason=said[side]["reason"] if side in said else "",
                at=said[side]["at"] if side in said else None,
            )
            for side in sides
        ]
        fields["reports"] = [one for one in answers if one["answer"] in {"hit", "no_hit"}]
        found.append(models.Check(**fields))
    return found


def one_check(connection: sa.Connection, number: int) -> models.Check:
    """One check.

    Raises
    ------
    NotFound
        There is none that may be seen.
    """
    found = checks(connection, number=number)
    if not found:
        raise NotFound(f"no check {number}")
    return found[0]


def open_check(
    connection: sa.Connection, identity: Identity, zone: int, draft: models.CheckDraft
) -> models.Check:
    """Open a check for a zone in force.

    Raises
    ------
    NotFound
        No such zone, or none in force.
    Forbidden
        The account speaks for none of its sides.
    Invalid
        The reference or reason names a person or vehicle, or the end is not within 72 hours.
    """
    name, why = reference(draft.reference), checked("reason", draft.reason, 200, needed=True)
    row = connection.execute(
        sa.text(
            "select version, sides, valid_to, clock_timestamp() as now from zone_version v "
            "where zone_id = :zone and state = 'live' and valid_from <= now() "
            "and (valid_to is null or valid_to > now())"
        ),
        {"zone": zone},
    ).one_or_none()
    if row is None:
        raise NotFound(f"no zone {zone} in force")
    side = speaking(identity, row.sides, draft.side)
    if not row.now < draft.ends_at <= row.now + LONGEST:
        raise Invalid("ends_at is in the next 72 hours", {"field": "ends_at", "reason": "bad_time"})
    # one after the other, until the transaction ends: two at one moment would both find none
    connection.execute(
        sa.text("select pg_advisory_xact_lock(hashtextextended(:about, 0))"),
        {"about": f"wusetu check {zone} {side} {name}"},
    )
    # sent once more because the answer was lost on the way: the same check, not another one
    known: int | None = connection.execute(
        sa.text(
            "select id from check_case where zone_id = :zone and side = :side and reference = "
            ":reference and reason = :reason and ends_at = :ends"
        ),
        {"zone": zone, "side": side, "reference": name, "reason": why, "ends": draft.ends_at},
    ).scalar()
    if known is not None:
        return one_check(connection, known)
    number: int = connection.execute(
        sa.text(
            "insert into check_case (zone_id, version, side, sides, reference, reason, kinds, "
            "opened_at, ends_at, account_id) values (:zone, :version, :side, :sides, :reference, "
            ":reason, :kinds, :opened, :ends, :account) returning id"
        ),
        {
            "zone": zone, "version": row.version, "side": side, "sides": row.sides,
            "reference": name, "reason": why, "kinds": draft.kinds, "opened": row.now,
            "ends": draft.ends_at, "account": identity.account,
        },
    ).scalar_one()  # fmt: skip
    return one_check(connection, number)


def answer(
    connection: sa.Connection, identity: Identity, number: int, given: models.CheckAnswerDraft
) -> models.Check:
    """Take a step of a check for one's own side.

    Raises
    ------
    NotFound
        No such check, or checkpoint, that may be seen.
    Forbidden
        The account speaks for none of its sides.
    Conflict
        The step does not fit its state.
    Invalid
        A reason is missing, or words name a person or vehicle.
    """
    row = connection.execute(
        sa.text(
            "select c.sides, c.opened_at, c.ends_at, z.pack from check_case c "
            "join zone z on z.id = c.zone_id where c.id = :id"
        ),
        {"id": number},
    ).one_or_none()
    if row is None:
        raise NotFound(f"no check {number}")
    side = _side(identity, row.sides, given)
    detail: dict[str, object] = {
        "reason": checked("reason", given.reason, 200, needed=given.answer == "decline"),
        "place": checked("place", given.place, 120),
    }
    if given.at is not None:
        if not row.opened_at <= given.at <= datetime.now(UTC) + timedelta(minutes=2):
            raise Invalid(
                "at is between the opening of the check and now",
                {"field": "at", "reason": "bad_time"},
            )
        detail["at"] = given.at.isoformat()
        # sent once more because the answer was lost on the way: taken already
        same = connection.execute(
            sa.text(
                "select exists (select from check_answer where check_id = :id and side = :side "
                "and answer = :answer and at = :at)"
            ),
            {"id": number, "side": side, "answer": given.answer, "at": given.at},
        ).scalar_one()
        if same:
            return one_check(connection, number)
    if given.checkpoint is not None:
        point = connection.execute(
            sa.text(
                "select id, name from checkpoint where pack = :pack and code = :code "
                "and side = :side"
            ),
            {"pack": row.pack, "code": given.checkpoint, "side": side},
        ).one_or_none()
        if point is None:
            raise NotFound(f"no checkpoint {given.checkpoint!r} on this side")
        detail |= {"checkpoint_id": point.id, "checkpoint": point.name}
    with refused():
        after = connection.execute(
            sa.text("select take_check_step(:id, :step, :side, :account, cast(:detail as jsonb))"),
            {
                "id": number, "step": given.answer, "side": side, "account": identity.account,
                "detail": json.dumps(detail),
            },
        ).scalar_one()  # fmt: skip
    if after is None:
        raise NotFound(f"no check {number}")
    return one_check(connection, number)


def _side(identity: Identity, sides: list[str], given: models.CheckAnswerDraft) -> str:
    """Side the account speaks for; a checkpoint inside a side may report for it."""
    try:
        return speaking(identity, sides, given.side)
    except Forbidden:
        inside = [
            one
            for one in sides
            if identity.prefixes and any(mine.startswith(one) for mine in identity.prefixes)
        ]
        if given.answer in {"hit", "no_hit"} and len(inside) == 1 and given.side in {None, *inside}:
            return inside[0]
        raise
