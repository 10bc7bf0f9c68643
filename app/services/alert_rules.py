"""Rules of alerts, escalation and tasks: what a scene says, else the defaults of METHODS 7.

Imports the parts of a scene and the kernel's rule. Reads the scene as it stands with a run, so that an
old run keeps its rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.services.scene_parts import (
    STEPS,
    AlertRules,
    Budget,
    EscalationStep,
    Persistent,
    TaskTemplate,
    When,
    Words,
)
from app.services.scenes import OVERALL
from geo.alerts import AlertRule
from geo.colours import COLOURS

__all__ = ["STEPS", "Budget", "Rules", "rules_of"]

#: Answers that close the alert when the task is closed; the others leave it to the numbers.
CLOSES = ("confirmed", "not_confirmed")
#: Periods for which an alert people closed does not open again.
QUIET = 2
#: Hours after the time feedback was due, where a scene says nothing.
OVERDUE_HOURS = {"remind": 0, "supervise": 24, "interview": 72}
#: Smallest level that is watched when the scene names none: fewer units are not tested (METHODS 3).
LEAST_UNITS = 20


def _red(of: int, within: int) -> When:
    return When(persistent=Persistent(colour="red", of=of, within=within))


def _orange(of: int, within: int) -> When:
    return When(persistent=Persistent(colour="orange", of=of, within=within))


#: On red or persistent orange: remind → supervise → interview.
ESCALATION = (
    EscalationStep(step="remind", when=When(any_of=[When(colour="red"), _orange(2, 3)])),
    EscalationStep(step="supervise", when=When(any_of=[_red(2, 3), _orange(4, 5)])),
    EscalationStep(step="interview", when=When(any_of=[_red(4, 5), _orange(6, 7)])),
)

GENERAL = TaskTemplate(
    check=[
        Words(zh="近期事件集中在哪些地点、什么时段", en="Which places and hours recent events gather at"),
        Words(zh="现场是否仍有同类隐患", en="Whether the same hazard is still there"),
        Words(zh="已有措施是否落实", en="Whether measures agreed before are in place"),
    ],
    how=[
        Words(zh="到场查看，拍摄场所，不拍人", en="Look at the place; take photos of it, not of people"),
        Words(zh="与社区、物业核对台账，只记件数", en="Compare with the local record; note counts only"),
        Words(zh="当场能改的当场改，不能改的限期", en="Mend at once what can be; set a date for the rest"),
    ],
    measures=[
        Words(zh="现场整改", en="Mended on site"),
        Words(zh="告知提醒", en="Advised"),
        Words(zh="增派巡查", en="More patrols"),
        Words(zh="移交部门", en="Passed to a department"),
    ],
)  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """Everything alerts and tasks of a run go by.

    Attributes
    ----------
    names : kind → its name in both languages
    watched : whether the scene raises alerts at all
    harm : kind → weight
    """

    alerts: AlertRules
    escalation: tuple[EscalationStep, ...]
    tasks: Mapping[str, TaskTemplate]
    names: Mapping[str, Words]
    harm: Mapping[str, float]
    watched: bool

    def kernel(self) -> AlertRule:
        """Rule as the kernel takes it."""
        one = self.alerts
        lasts = one.persistent if one.persistent and one.persistent.colour in COLOURS else None
        return AlertRule(
            fdr=one.fdr,
            theta_min=one.theta_min,
            min_count=one.min_count,
            close_below=one.close_below,
            clear_below=one.clear_below,
            lasting_colour=COLOURS.index(lasts.colour) if lasts else len(COLOURS),
            lasting_of=lasts.of if lasts else 0,
            lasting_within=lasts.within if lasts else 1,
        )

    def template(self, kind: str) -> TaskTemplate:
        """Task sheet of a kind: its own, else that of `overall`, else the general one."""
        return self.tasks.get(kind) or self.tasks.get(OVERALL, GENERAL)

    def overdue_hours(self) -> dict[str, int]:
        """Hours after the time feedback was due at which each step is taken.

        A step's `overdue_days` where it is enough by itself; else as usual. None comes before an
        earlier one.
        """
        hours, least = {}, 0
        for step, usual in OVERDUE_HOURS.items():
            days = [
                one
                for rule in self.escalation
                if rule.step == step and (one := _late(rule.when)) is not None
            ]
            least = max(least, 24 * min(days) if days else usual)
            hours[step] = least
        return hours

    def depth(self) -> int:
        """How many periods back the colours are looked at, the present one included."""
        seen = [1, self.kernel().lasting_within]
        for step in self.escalation:
            seen += [one.persistent.within for one in step.when.conditions() if one.persistent]
        return max(seen)


def _late(when: When) -> int | None:
    """Days overdue at which a condition holds whatever else is; None: it needs more than that."""
    if when.colour or when.persistent or when.last_places or when.open_days is not None:
        return None
    found = [one for deeper in when.any_of if (one := _late(deeper)) is not None]
    if when.overdue_days is None:
        return min(found, default=None)
    return (
        max(when.overdue_days, min(found)) if found else None if when.any_of else when.overdue_days
    )


def rules_of(body: Mapping[str, Any]) -> Rules:
    """Rules of a scene as it is stored with a run.

    Parameters
    ----------
    body : `run.scene_body`
    """
    kinds = body.get("kinds") or {}
    alerts = body.get("alerts")
    steps = body.get("escalation")
    return Rules(
        alerts=AlertRules.model_validate(alerts) if alerts else AlertRules(),
        escalation=tuple(map(EscalationStep.model_validate, steps)) if steps else ESCALATION,
        tasks={
            name: TaskTemplate.model_validate(one)
            for name, one in (body.get("tasks") or {}).items()
        },
        names={name: Words(zh=one["zh"], en=one["en"]) for name, one in kinds.items()},
        harm={name: float(one.get("harm", 1)) for name, one in kinds.items()},
        watched=not ("alerts" in body and alerts is None),
    )
