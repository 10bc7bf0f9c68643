"""Tasks: made of an alert, sent to a desk, taken step by step, closed.

Takes connections of the web's role and plain arguments, never a request. The steps are taken by one
function of the database (`task_step`), so that none can be skipped; each is written to `task_event`,
audited and told in the same transaction. The same key again changes nothing, so a phone may send what
it is not sure of a second time. States: sent → accepted → on_site → feedback → verified → closed;
sent → declined; what is not yet reported may be handed over (→ sent) or merged into another; feedback
may be returned (→ accepted).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg2.errors
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.api import task_models as models
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.security.identity import Identity
from app.services import alert_words
from app.services.alert_rules import CLOSES, QUIET, Rules, rules_of
from app.services.border_words import checked
from app.services.refusals import refusal
from geo.colours import COLOURS

ACTIVE = ("sent", "accepted", "on_site", "feedback", "verified")
#: Steps that judge what others did.
JUDGING = frozenset({"returned", "verified", "closed"})

_TASKS = """
select t.id, t.pack, t.alert_id as alert,
  (select json_build_object('zh', a.title_zh, 'en', a.title_en) from alert a
   where a.id = t.alert_id and a.title_zh is not null) as title, t.code, t.name, t.level, t.kind, t.colour, t.reason_zh,
  t.reason_en, t.look, t.state, t.due_at, t.overdue, t.escalation, t.desk, t.desk_code, t.lon, t.lat,
  t.answer, t.measures, t.handled as count, t.merged_into, t.version, t.changed_at,
  (select coalesce(array_agg(p.id order by p.id), '{}') from task_photo p where p.task_id = t.id)
    as photos,
  (select json_agg(json_build_object('n', e.n, 'step', e.step, 'state', e.after, 'at', e.at,
     'by_role', e.by_role, 'note', e.note) order by e.n) from task_event e where e.task_id = t.id)
    as steps
from task t
where (cast(:id as int) is null or t.id = :id)
  and (cast(:pack as text) is null or t.pack = :pack)
  and (cast(:states as text[]) is null or t.state = any(:states))
  and (cast(:within as text) is null or t.code ^@ :within)
  and (cast(:since as timestamptz) is null or t.changed_at > :since)
  and (cast(:own as text[]) is null or t.desk_code is null
       or exists (select from unnest(cast(:own as text[])) mine where mine ^@ t.desk_code))
order by t.state not in ('sent', 'accepted', 'on_site', 'feedback', 'verified'), t.due_at, t.id
limit :limit
"""


def tasks(
    connection: sa.Connection,
    *,
    number: int | None = None,
    pack: str | None = None,
    states: Sequence[str] | None = None,
    within: str | None = None,
    since: datetime | None = None,
    own: Sequence[str] | None = None,
    limit: int = 200,
) -> list[models.Task]:
    """Read the tasks that may be seen, those due first first.

    Parameters
    ----------
    own : only those of desks on duty for units that contain one of these code prefixes
    since : only those that changed later
    """
    rows = connection.execute(
        sa.text(_TASKS),
        {
            "id": number, "pack": pack, "states": None if states is None else list(states),
            "within": within, "since": since, "own": None if own is None else list(own),
            "limit": limit,
        },
    )  # fmt: skip
    found = []
    for row in rows:
        fields = dict(row._mapping)
        look = fields.pop("look")
        fields["reason"] = models.Words(zh=fields.pop("reason_zh"), en=fields.pop("reason_en"))
        fields["colour"] = COLOURS[fields["colour"]]
        fields |= {name: look.get(name, []) for name in ("check", "how", "offers")}
        found.append(models.Task(**fields))
    return found


def one_task(connection: sa.Connection, number: int) -> models.Task:
    """One task.

    Raises
    ------
    NotFound
        There is none that may be seen.
    """
    found = tasks(connection, number=number)
    if not found:
        raise NotFound(f"no task {number}")
    return found[0]


def without_small(found: models.Task) -> models.Task:
    """Task for who may not see small numbers: its reason prints no count of 1 to 4."""
    words = models.Words(
        zh=alert_words.without_small(found.reason.zh), en=alert_words.without_small(found.reason.en)
    )
    return found.model_copy(update={"reason": words})


def rules_for(
    connection: sa.Connection, pack: str, run: int | None, *, indicators_of: str | None = None
) -> Rules:
    """Rules of a run's scene; pruned: of the newest run of the pack; none: the defaults.

    Parameters
    ----------
    indicators_of : the scene, where the run is one of its indicators
    """
    if indicators_of is not None:
        given = connection.execute(
            sa.text(
                "select v.body from indicator_run r join scene_version v on v.id = r.scene_version_id "
                "where r.pack = :pack and r.scene = :scene and r.status = 'published' "
                "order by (r.id = :run) desc, r.id desc limit 1"
            ),
            {"pack": pack, "scene": indicators_of, "run": run or 0},
        ).scalar_one_or_none()
        return rules_of(given or {})
    body = connection.execute(
        sa.text(
            "select scene_body from run where pack = :pack and status = 'published' "
            "order by (id = :run) desc, id desc limit 1"
        ),
        {"pack": pack, "run": run or 0},
    ).scalar_one_or_none()
    return rules_of(body or {})


_ALERT = """
select a.id, a.pack, a.code, a.level, a.name, a.kind, a.colour, a.reason_zh, a.reason_en, a.state, a.run,
  a.about, a.scene,
  a.escalation, st_x(u.label_point) as lon, st_y(u.label_point) as lat, clock_timestamp() as now
from alert a
left join lateral (
  select label_point from unit join boundary_version v on v.id = boundary_version_id
  where v.pack = a.pack and unit.code = a.code order by v.valid_from desc, v.id desc limit 1) u on true
where a.id = :alert
"""


def make(
    connection: sa.Connection, draft: models.TaskDraft, *, made: datetime | None = None
) -> models.Task:
    """Make a task of an alert and send it to a desk.

    Parameters
    ----------
    made : when it was made, for made-up pasts (the web may not); none: now

    Raises
    ------
    NotFound
        No such alert or desk that may be seen.
    Conflict
        The alert is closed, its unit is gone, or a task about it is under way: `detail.task`.
    Invalid
        The map has no such kind.
    """
    if draft.key is not None:
        there = connection.execute(
            sa.text("select id from task where key = :key"), {"key": draft.key}
        ).scalar_one_or_none()
        if there is not None:
            return one_task(connection, there)
    one = connection.execute(sa.text(_ALERT), {"alert": draft.alert}).one_or_none()
    if one is None:
        raise NotFound(f"no alert {draft.alert}")
    if one.state != "open" or one.lon is None:
        raise Conflict("the alert is closed or its unit is no longer on the map")
    active = connection.execute(
        sa.text("select id from task where alert_id = :alert and state = any(:active)"),
        {"alert": one.id, "active": list(ACTIVE)},
    ).scalar_one_or_none()
    if active is not None:
        raise Conflict("a task about this alert is under way", {"task": active})
    desk = _desk(connection, one.pack, one.code, draft.desk)
    scene = one.scene if one.about == "indicator" else None
    rules = rules_for(connection, one.pack, one.run, indicators_of=scene)
    if draft.kind not in {None, one.kind, *rules.names}:
        raise Invalid(
            f"kind: there is no {draft.kind!r}; there are {', '.join(rules.names)}",
            {"field": "kind", "reason": "unknown"},
        )
    sheet = rules.template(draft.kind or one.kind)
    look = {
        name: [{"zh": line.zh, "en": line.en} for line in lines]
        for name, lines in (("check", sheet.check), ("how", sheet.how), ("offers", sheet.measures))
    }
    fields: dict[str, Any] = {
        "pack": one.pack, "alert_id": one.id, "code": one.code, "level": one.level,
        "name": one.name, "kind": draft.kind or one.kind, "colour": one.colour,
        "reason_zh": one.reason_zh, "reason_en": one.reason_en,
        "look": json.dumps(look, ensure_ascii=False), "lon": one.lon, "lat": one.lat,
        "desk_id": desk and desk.id, "desk": desk and desk.name, "desk_code": desk and desk.code,
        "due_at": (made or one.now) + timedelta(hours=sheet.due_hours),
        "escalates": json.dumps(rules.overdue_hours()), "closes": list(CLOSES), "quiet": QUIET,
        "key": draft.key,
    }  # fmt: skip
    if made is not None:
        fields["made_at"] = made
    number: int = connection.execute(
        sa.text(
            f"insert into task ({', '.join(fields)}) "  # noqa: S608 - the names above
            f"values ({', '.join(':' + name for name in fields)}) returning id"
        ),
        fields,
    ).scalar_one()
    return one_task(connection, number)


def _desk(
    connection: sa.Connection, pack: str, code: str, wanted: int | None
) -> sa.Row[Any] | None:
    """Desk on duty for a unit: the one wanted, else the nearest above; None: there is none."""
    rows = connection.execute(
        sa.text(
            "select id, name, code from own_desks(:pack) where :code ^@ code "
            "order by length(code) desc, name, id"
        ),
        {"pack": pack, "code": code},
    ).all()
    if wanted is None:
        return rows[0] if rows else None
    found = next((row for row in rows if row.id == wanted), None)
    if found is None:
        raise NotFound(f"no desk {wanted} on duty for this unit")
    return found


# steps -------------------------------------------------------------------------------------------
def take(
    connection: sa.Connection,
    number: int,
    step: str,
    *,
    at: datetime | None = None,
    key: UUID | None = None,
    expected: int | None = None,
    note: str = "",
    detail: dict[str, Any] | None = None,
) -> models.Task:
    """Take a step of a task that may be seen; the same key again changes nothing.

    Raises
    ------
    NotFound
        No such task.
    Conflict
        The step does not fit its state, or another came first: `detail` has state and version.
    """
    now = datetime.now(UTC)
    place = connection.begin_nested()
    try:
        after = connection.execute(
            sa.text(
                "select take_task_step(:id, :step, :at, :key, :expected, :note, cast(:detail as jsonb))"
            ),
            {
                "id": number, "step": step,
                # a phone's clock may be ahead; what came in later than it happened keeps both times
                "at": now if at is None else min(at, now),
                "key": key, "expected": expected, "note": note,
                "detail": json.dumps(detail or {}, ensure_ascii=False),
            },
        ).scalar_one()  # fmt: skip
    except DBAPIError as error:
        place.rollback()
        said = refusal(error)
        if isinstance(error.orig, psycopg2.errors.UniqueViolation):
            said = Conflict("another task about the same alert is under way")
        if not isinstance(said, Conflict):
            raise said from error
        there = one_task(connection, number)
        state = {"state": there.state, "version": there.version}
        raise Conflict(said.message, state) from error
    place.commit()
    if after is None:
        raise NotFound(f"no task {number}")
    return one_task(connection, number)


def step(
    connection: sa.Connection, identity: Identity, number: int, draft: models.StepDraft
) -> models.Task:
    """Take the step of a draft.

    Raises
    ------
    NotFound, Conflict
        As `take`.
    Forbidden
        Judging needs `dispatch`.
    Invalid
        Feedback without its form, a form without feedback, or words that name a person.
    """
    if draft.to in JUDGING and not identity.may("dispatch"):
        raise Forbidden("this account may not do this (dispatch)")
    if (draft.form is not None) != (draft.to == "feedback"):
        raise Invalid(
            "feedback has a form, and no other step has", {"field": "form", "reason": "not_here"}
        )
    needed = draft.to in {"declined", "returned"}
    note = checked("note", draft.note, 500, needed=needed)
    detail: dict[str, Any] = {}
    if draft.form is not None:
        note = checked("form.note", draft.form.note, 500) or note
        detail = feedback_detail(draft.form)
    if draft.position is not None:
        detail["place"] = _place(connection, number, draft.position)
    return take(
        connection, number, draft.to, at=draft.at, key=draft.key,
        expected=draft.expected_version, note=note, detail=detail,
    )  # fmt: skip


def feedback_detail(form: models.Feedback) -> dict[str, Any]:
    """Answer, measures and count of a form, checked.

    Raises
    ------
    Invalid
        A measure seems to name a person.
    """
    measures = [checked("form.measures", one, 80, needed=True) for one in form.measures]
    return {"answer": form.answer, "measures": measures, "count": form.count}


def _place(
    connection: sa.Connection, number: int, position: models.Position
) -> dict[str, Any] | None:
    """Whether a position is inside the task's unit and how many metres off; not the position."""
    metres = connection.execute(
        sa.text(
            "select st_distance(u.geom::geography, "
            "st_setsrid(st_makepoint(:lon, :lat), 4326)::geography) "
            "from task t join boundary_version v on v.pack = t.pack "
            "join unit u on u.boundary_version_id = v.id and u.code = t.code "
            "where t.id = :id order by v.valid_from desc, v.id desc limit 1"
        ),
        {"id": number, "lon": position.lon, "lat": position.lat},
    ).scalar_one_or_none()
    if metres is None:
        return None
    off = round(metres / 10) * 10
    return {"inside": metres <= (position.accuracy_m or 0), "metres": off}


def handover(connection: sa.Connection, number: int, draft: models.Handover) -> models.Task:
    """Hand a task to another desk on duty for its unit; it begins anew as sent.

    Raises
    ------
    NotFound, Conflict
        As `take`; no such desk.
    """
    there = one_task(connection, number)
    desk = _desk(connection, there.pack, there.code, draft.desk)
    assert desk is not None
    return take(
        connection, number, "handed_over", key=draft.key, note=checked("note", draft.note, 500),
        detail={"desk_id": desk.id, "desk": desk.name, "desk_code": desk.code},
    )  # fmt: skip


def merge(connection: sa.Connection, number: int, draft: models.Merge) -> models.Task:
    """Merge a task into another of the same map: closing that one answers for both.

    Raises
    ------
    NotFound, Conflict
        As `take`; the other one takes none in.
    """
    return take(
        connection, number, "merged", key=draft.key, note=checked("note", draft.note, 500),
        detail={"into": draft.into},
    )  # fmt: skip


_DESKS = """
select d.id, d.pack, d.code, d.name, d.office_line, d.hours,
  (select count(*) from task t where t.desk_id = d.id and t.state = any(:active)) as active
from own_desks(:pack) d
"""


def desks(connection: sa.Connection, pack: str) -> list[models.TaskDesk]:
    """Duty desks of one's own units and of those that contain them."""
    rows = connection.execute(sa.text(_DESKS), {"pack": pack, "active": list(ACTIVE)})
    return [models.TaskDesk(**row._mapping) for row in rows]
