"""Tasks that are sent by themselves: for alerts that have reached a step whose scene says `dispatch`.

Off unless the scene says so. One task per alert, ever: what was declined, or closed as unclear, waits for
people. Takes the connection of a look, so that an alert and its task are there together or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import NAMESPACE_URL, uuid5

import sqlalchemy as sa

from app.api.task_models import TaskDraft
from app.services import tasks
from app.services.scene_parts import STEPS, EscalationStep

# only where there is a desk on duty to send it to, and a place to go to
_WAITING = """
select a.id from alert a
where a.pack = :pack and a.about = :about and (cast(:scene as text) is null or a.scene = :scene)
  and (cast(:run as int) is null or a.run = :run)
  and a.state = 'open' and a.overflow_rank is null and a.escalation = any(:steps)
  and not exists (select from task t where t.alert_id = a.id)
  and exists (select from duty_desk d where d.pack = a.pack and a.code ^@ d.code)
  and exists (select from unit join boundary_version v on v.id = unit.boundary_version_id
              where v.pack = a.pack and unit.code = a.code)
order by a.colour desc, a.priority desc, a.id
"""


def send(
    connection: sa.Connection,
    pack: str,
    escalation: Sequence[EscalationStep],
    *,
    about: str,
    scene: str | None = None,
    run: int | None = None,
) -> int:
    """Make a task of every open alert at or behind the first step that dispatches; how many.

    Alerts behind the weekly budget wait, and those of units without a desk on duty.

    Parameters
    ----------
    about : kind or indicator
    scene : only alerts of this scene
    run : only alerts this run was looked at for: those of scenes beside it go by their own rules
    """
    first = min((STEPS.index(one.step) for one in escalation if one.dispatch), default=None)
    if first is None:
        return 0
    waiting = list(
        connection.execute(
            sa.text(_WAITING),
            {
                "pack": pack,
                "about": about,
                "scene": scene,
                "run": run,
                "steps": list(STEPS[first:]),
            },
        ).scalars()
    )
    if waiting:  # desks are looked up as by somebody who sees all of the map
        connection.execute(sa.text("select set_config('wusetu.prefixes', '*', true)"))
    for number in waiting:
        key = uuid5(NAMESPACE_URL, f"wusetu:{pack}:alert:{number}")
        tasks.make(connection, TaskDraft(alert=number, key=key))
    return len(waiting)
