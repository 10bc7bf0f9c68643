"""Alerts as they are shown: the list, one of them, closing one by hand.

Takes connections of the web's role and plain arguments, never a request; the database decides what may
be seen and writes down every step.
"""

from __future__ import annotations

import sqlalchemy as sa

from app.api import task_models as models
from app.errors import NotFound
from app.services.alert_rules import QUIET
from app.services.alert_words import without_small
from app.services.border_words import checked
from app.services.refusals import refused
from geo import small_numbers as rule
from geo.colours import COLOURS

_ALERTS = """
select a.id, a.pack, a.run, a.code, a.name,
  (select unit.name_en from unit join boundary_version v on v.id = boundary_version_id
   where v.pack = a.pack and unit.code = a.code order by v.valid_from desc, v.id desc limit 1) as name_en,
  a.level, a.about, a.kind,
  case when a.title_zh is not null then json_build_object('zh', a.title_zh, 'en', a.title_en) end as title,
  a.value, a.hidden, a.colour, a.state, a.period, a.opened_period,
  a.last_period, a.is_new as new, a.reason_zh, a.reason_en, a.relative_risk, a.low, a.high, a.exceedance,
  a.observed, a.expected, a.located_share, a.why_not, a.overflow_rank, a.escalation, a.answer, a.opened_at,
  a.closed_at, a.closed_by, a.closed_reason, a.quiet_until,
  (select coalesce(json_agg(json_build_object('code', g.code, 'name', coalesce(u.name, g.code))
     order by g.at), '[]')
   from unnest(a.grids) with ordinality g (code, at)
   left join lateral (
     select unit.name from unit join boundary_version v on v.id = boundary_version_id
     where v.pack = a.pack and unit.code = g.code order by v.valid_from desc, v.id desc limit 1) u on true)
   as grids,
  (select json_agg(json_build_object('n', e.n, 'step', e.step, 'at', e.at, 'run', e.run,
     'period', e.period) order by e.n) from alert_event e where e.alert_id = a.id) as steps,
  (select coalesce(json_agg(json_build_object('id', t.id, 'state', t.state, 'overdue', t.overdue)
     order by t.id), '[]') from task t where t.alert_id = a.id) as tasks
from alert a
where (cast(:id as int) is null or a.id = :id)
  and (cast(:pack as text) is null or a.pack = :pack)
  and (cast(:state as text) is null or a.state = :state)
  and (cast(:kind as text) is null or a.kind = :kind)
  and (cast(:within as text) is null or a.code ^@ :within)
order by a.state = 'closed', a.overflow_rank is not null, a.colour desc, a.priority desc, a.id
limit :limit
"""


def alerts(
    connection: sa.Connection,
    *,
    number: int | None = None,
    pack: str | None = None,
    state: str | None = None,
    kind: str | None = None,
    within: str | None = None,
    limit: int = 500,
    small: bool = True,
) -> list[models.Alert]:
    """Read the alerts that may be seen: open ones first, those within the budget before the rest.

    Parameters
    ----------
    small : whether who asks is given counts of 1 to 4
    """
    rows = connection.execute(
        sa.text(_ALERTS),
        {"id": number, "pack": pack, "state": state, "kind": kind, "within": within,
         "limit": limit},
    )  # fmt: skip
    found = []
    for row in rows:
        fields = dict(row._mapping)
        fields["reason"] = models.Words(zh=fields.pop("reason_zh"), en=fields.pop("reason_en"))
        fields["colour"] = COLOURS[fields["colour"]]
        fields["observed_text"] = "—" if fields["observed"] is None else str(fields["observed"])
        away = fields.pop("hidden")
        made = models.Alert(**fields)
        found.append(made if small else _hidden(made, away=away))
    return found


def _hidden(one: models.Alert, *, away: bool) -> models.Alert:
    count = one.observed or 0
    few = 0 < count < rule.THRESHOLD
    text = one.observed_text if one.observed is None else rule.shown(count)
    words = models.Words(zh=without_small(one.reason.zh), en=without_small(one.reason.en))
    return one.model_copy(
        update={
            "observed": None if few or away else one.observed,
            "observed_text": "…" if away and not few and one.observed is not None else text,
            # of an indicator the value would tell the count
            "value": None if few or away else one.value,
            "reason": words,
            "closed_reason": without_small(one.closed_reason),
        }
    )


def one_alert(connection: sa.Connection, number: int, *, small: bool = True) -> models.Alert:
    """One alert; `small` as for `alerts`.

    Raises
    ------
    NotFound
        There is none that may be seen.
    """
    found = alerts(connection, number=number, small=small)
    if not found:
        raise NotFound(f"no alert {number}")
    return found[0]


def located_share(found: list[models.Alert]) -> float | None:
    """Part of the alerts' events that are located to the finest level; None without events."""
    known = [one for one in found if one.located_share is not None]
    events = sum(one.observed or 0 for one in known)  # a hidden one weighs nothing
    if not events:
        return None
    return sum((one.located_share or 0.0) * (one.observed or 0) for one in known) / events


def close(connection: sa.Connection, number: int, reason: str) -> models.Alert:
    """Close an alert by hand; it does not open again for some periods.

    Raises
    ------
    NotFound
        There is none that may be seen.
    Conflict
        It is closed already.
    Invalid
        The reason seems to name a person.
    """
    why = checked("reason", reason, 500, needed=True)
    with refused(), connection.begin_nested():
        after = connection.execute(
            sa.text("select close_alert(:id, :reason, :quiet)"),
            {"id": number, "reason": why, "quiet": QUIET},
        ).scalar_one()
    if after is None:
        raise NotFound(f"no alert {number}")
    return one_alert(connection, number)
