"""Alerts of indicators: opened, kept and closed by the step of the escalation a unit has reached.

After a run of indicators whose scene says so (`alerts.indicators`). The decision is the scene's own: its
escalation, computed with the run (`indicator_result.step`). One transaction per map and scene, one at a
time; what is written is a step of the alert as every other. Units of the map only: what stands in the
register (sites, firms) is seen by place, and has no alerts.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import sqlalchemy as sa

from app.database import transaction, translated_errors
from app.errors import Conflict, NotFound, WusetuError
from app.services import alert_dispatch, alert_words, indicator_small, indicators, scene_store
from app.services.alert_store import not_watched
from app.services.indicator_values import text_of
from app.services.scene_checks import links
from app.services.scene_parts import STEPS, IndicatorAlerts, Words
from app.services.scene_tree import Indicator
from app.services.scenes import Scene
from geo.colours import COLOURS
from geo.small_numbers import SHOWN, mask

log = logging.getLogger("wusetu.alerts")

#: Steps as `indicator_result` counts them.
_STEPS = ("none", *STEPS)
STEP_WORDS = {
    "none": Words(zh="未升级", en="no step"),
    "remind": Words(zh="提醒", en="reminder"),
    "supervise": Words(zh="督办", en="supervision"),
    "interview": Words(zh="约谈", en="interview"),
}


@dataclass
class Report:
    """What one look did."""

    pack: str
    scene: str
    run: int
    opened: int = 0
    updated: int = 0
    closed: int = 0
    sent: int = 0


@dataclass(frozen=True)
class _Look:
    """Run, scene and period that are looked at."""

    pack: str
    run: int
    scene: Scene
    rules: IndicatorAlerts
    period: str
    ord: int
    start: date
    now: datetime
    week: date


def update(engine: sa.Engine, run: int, *, zone: str) -> Report:
    """Look for alerts in a published run of indicators.

    Parameters
    ----------
    zone : time zone of the installation: its weeks

    Raises
    ------
    NotFound
        No such run.
    Conflict
        The run is older than the one looked at before.
    """
    with transaction(engine) as connection:
        row = connection.execute(
            sa.text(
                "select pack, scene, scene_version_id from indicator_run "
                "where id = :run and status = 'published'"
            ),
            {"run": run},
        ).one_or_none()
        if row is None:
            raise NotFound(f"no published run {run} of indicators")
        connection.execute(
            sa.text("select pg_advisory_xact_lock(hashtextextended('wusetu alerts ' || :pack, 0))"),
            {"pack": row.pack},
        )
        report = Report(row.pack, row.scene, run)
        scene = scene_store.by_id(connection, row.scene_version_id).scene
        rules = scene.alerts.indicators if scene.alerts is not None else None
        there = _stored(connection, row.pack, row.scene)
        if rules is None and not there:
            return report  # the usual case writes nothing
        seen = connection.execute(
            sa.text("select run from indicator_alert_clock where pack = :pack and scene = :scene"),
            {"pack": row.pack, "scene": row.scene},
        ).scalar_one_or_none()
        if seen is not None and run < seen:
            raise Conflict(f"run {run} is older than run {seen}, looked at before")
        if rules is None:
            report.closed = not_watched(
                connection, [one["id"] for one in there.values()], "场景不再对指标预警"
            )
        else:
            look = _look(connection, row.pack, run, scene, rules, zone)
            if look is not None:
                _decide(connection, look, there, report)
        connection.execute(
            sa.text(
                "insert into indicator_alert_clock (pack, scene, run) values (:pack, :scene, :run) "
                "on conflict (pack, scene) do update set run = excluded.run, at = excluded.at"
            ),
            {"pack": row.pack, "scene": row.scene, "run": run},
        )
        return report


def after_run(engine: sa.Engine, run: int, *, zone: str) -> Report | None:
    """Look at a run that was just published; the run stands whatever happens here, the clock tries again."""
    try:
        return update(engine, run, zone=zone)
    except (WusetuError, sa.exc.SQLAlchemyError) as error:
        log.warning("indicators, run %s: alerts were not looked for: %s", run, type(error).__name__)
        return None


def catch_up(engine: sa.Engine, *, zone: str) -> int:
    """Look at the newest runs of scenes with alerts that were not seen yet; how many."""
    with translated_errors(), engine.connect() as connection:
        waiting = list(
            connection.execute(
                sa.text(
                    "select newest.id from (select distinct on (pack, scene) r.id, r.pack, r.scene, "
                    "v.body from indicator_run r join scene_version v on v.id = r.scene_version_id "
                    "where r.status = 'published' order by pack, scene, r.id desc) newest "
                    "left join indicator_alert_clock c using (pack, scene) "
                    "where (json_typeof(body -> 'alerts' -> 'indicators') = 'object' "
                    "or c.run is not null) and newest.id > coalesce(c.run, 0) order by 1"
                )
            ).scalars()
        )
    return sum(after_run(engine, run, zone=zone) is not None for run in waiting)


_ROWS = """
select r.indicator, r.code, u.level, u.name, r.numerator[:at] as numerator, r.value[:at] as value,
  r.class[:at] as cls, coalesce(r.step[:at], 0) as step
from indicator_result r join indicator_unit u on u.run_id = r.run_id and u.code = r.code
where r.run_id = :run and r.period = :period and r.step is not null and u.place = u.code
  and (:every or r.indicator = any(:named)) and (:all or u.level = any(:levels))
order by r.indicator, r.code
"""


def _look(  # noqa: PLR0917
    connection: sa.Connection, pack: str, run: int, scene: Scene, rules: IndicatorAlerts, zone: str
) -> _Look | None:
    """Newest whole period of the run; None: there is none yet."""
    assert scene.alerts is not None
    period = scene.alerts.period
    row = connection.execute(
        sa.text(
            "select ord, start from indicator_period where run_id = :run and period = :period "
            "and complete order by ord desc limit 1"
        ),
        {"run": run, "period": period},
    ).one_or_none()
    if row is None:
        return None
    now: datetime = connection.execute(sa.text("select clock_timestamp()")).scalar_one()
    day = now.astimezone(ZoneInfo(scene.time_zone or zone)).date()
    week = day - timedelta(days=day.weekday())
    return _Look(pack, run, scene, rules, period, row.ord, row.start, now, week)


def _stored(connection: sa.Connection, pack: str, scene: str) -> dict[tuple[str, str], Any]:
    """Open alerts of the scene by indicator and unit."""
    rows = connection.execute(
        sa.text(
            "select * from alert where pack = :pack and scene = :scene and about = 'indicator' "
            "and state = 'open' order by id for update"
        ),
        {"pack": pack, "scene": scene},
    ).mappings()
    return {(row["kind"], row["code"]): row for row in rows}


def _quiet(connection: sa.Connection, look: _Look) -> set[tuple[str, str]]:
    rows = connection.execute(
        sa.text(
            "select distinct kind, code from alert where pack = :pack and scene = :scene "
            "and about = 'indicator' and state = 'closed' and quiet_until > :start"
        ),
        {"pack": look.pack, "scene": look.scene.name, "start": look.start},
    )
    return {(row.kind, row.code) for row in rows}


def _decide(
    connection: sa.Connection, look: _Look, there: dict[tuple[str, str], Any], report: Report
) -> None:
    """Open from the named step on, keep while there is any step, close in a later period without one."""
    levels = look.scene.alerts.levels if look.scene.alerts is not None else []
    rows = connection.execute(
        sa.text(_ROWS),
        {
            "run": look.run, "period": look.period, "at": look.ord + 1,
            "every": not look.rules.named, "named": list(look.rules.named),
            "all": not levels, "levels": list(levels),
        },
    ).all()  # fmt: skip
    least = _STEPS.index(look.rules.from_step)
    quiet = _quiet(connection, look)
    finest = _finest(connection, look.pack)
    left = dict(there)
    spoken = {
        row.indicator for row in rows if row.step >= least or (row.indicator, row.code) in there
    }
    small = _small(connection, look, spoken)
    for row in rows:
        key = (row.indicator, row.code)
        old = left.pop(key, None)
        again = old is not None and old["last_period"] >= look.start
        if old is None and (row.step < least or key in quiet):
            continue
        if old is not None and not row.step and not again:
            _close(connection, look, old, row)
            report.closed += 1
            continue
        away = _away(small, look, row)
        fields = _columns(look, row, old, finest=row.level == finest, away=away)
        if old is None:
            _insert(connection, fields)
            report.opened += 1
        elif any(old[name] != fields[name] for name in fields if name != "run"):
            _update(connection, old["id"], fields)
            report.updated += 1
    report.closed += not_watched(
        connection, [one["id"] for one in left.values()], "指标、层级或单位不再在场景之内"
    )
    report.sent = alert_dispatch.send(
        connection, look.pack, look.scene.escalation, about="indicator", scene=look.scene.name
    )


def _small(
    connection: sa.Connection, look: _Look, spoken: set[str]
) -> indicator_small.Hidden | None:
    """Which values of indicators tell of a count of 1 to 4; those of their parts go into them."""
    if not spoken:
        return None
    assert look.scene.indicators is not None
    below, names = links(look.scene.indicators), sorted(spoken)
    for name in names:  # grows while it is read
        names += [one for one in below.get(name, ()) if one not in names]
    run = indicators.numbered_run(connection, look.run)
    return indicator_small.hidden(connection, run, look.period, [look.ord], names)


def _away(small: indicator_small.Hidden | None, look: _Look, row: sa.Row[Any]) -> bool:
    at = (row.indicator, row.code, look.ord)
    return small is not None and (small.state(*at) != SHOWN or small.is_rough(*at))


def _finest(connection: sa.Connection, pack: str) -> str | None:
    found: str | None = connection.execute(
        sa.text(
            "select levels[cardinality(levels)] from boundary_version where pack = :pack "
            "order by valid_from desc, id desc limit 1"
        ),
        {"pack": pack},
    ).scalar_one_or_none()
    return found


def _columns(
    look: _Look, row: sa.Row[Any], old: Any, *, finest: bool, away: bool
) -> dict[str, Any]:
    words = reason(look.scene, row, look.period, look.start, away=away)
    before = _STEPS.index(old["escalation"]) if old else 0
    value = None if row.value is None or not np.isfinite(row.value) else float(row.value)
    node = look.scene.indicators.find(row.indicator) if look.scene.indicators else None
    assert node is not None
    return {
        "name": row.name, "run": look.run, "title_zh": node.zh, "title_en": node.en,
        "last_period": max(look.start, old["last_period"]) if old else look.start,
        "colour": colour_of(look.scene, row.cls or 0),
        "observed": counted(look.scene, row), "value": value, "hidden": away, "priority": float(row.step),
        "reason_zh": words.zh, "reason_en": words.en, "escalation": _STEPS[max(before, row.step)],
        "grids": [row.code] if finest else [], "why_not": None if finest else "not_located",
        **({} if old else {
            "pack": look.pack, "scene": look.scene.name, "code": row.code, "level": row.level,
            "about": "indicator", "kind": row.indicator, "period": look.period, "fired": 1, "holds": 1,
            "is_new": False, "opened_run": look.run, "opened_period": look.start,
            "week": look.week, "budget_code": row.code, "opened_at": look.now,
        }),
    }  # fmt: skip


def counted(scene: Scene, row: sa.Row[Any]) -> int | None:
    """Count a value was made of; None: an index, an amount or no data."""
    if row.numerator is None or not np.isfinite(row.numerator):
        return None
    node = scene.indicators.find(row.indicator) if scene.indicators else None
    if not isinstance(node, Indicator) or node.type == "duration":
        return None
    return max(0, round(float(row.numerator)))


def colour_of(scene: Scene, place: int) -> int:
    """Colour of the map for a class of a palette: the class of that name, else by its place.

    Parameters
    ----------
    place : from 1, the best; 0: no data
    """
    if place == 0:
        return 0
    name = scene.palette[place - 1].id
    if name in COLOURS:
        return COLOURS.index(name)
    last = len(COLOURS) - 1
    return 1 + round((place - 1) * (last - 1) / (len(scene.palette) - 1))


def reason(scene: Scene, row: sa.Row[Any], period: str, start: date, *, away: bool) -> Words:
    """One sentence: what the value is, its class, the step it has reached; no count of 1 to 4.

    Parameters
    ----------
    away : the value would tell of one (of 98 of 100 the two others, METHODS 11)
    """
    assert scene.indicators is not None
    node = scene.indicators.find(row.indicator)
    assert node is not None
    when = alert_words.period_words(period, start)
    place = row.cls or 0
    cls = scene.palette[place - 1] if place else None
    step = STEP_WORDS[_STEPS[row.step]]
    count = counted(scene, row)
    if count is not None and mask(count):
        value = Words(zh="不足5（不列出）", en="fewer than 5 (not printed)")
    elif away:
        value = Words(zh="（不列出）", en="(not printed)")
    else:
        text = text_of(node, row.value)
        unit = getattr(node, "unit", None)
        share = isinstance(node, Indicator) and node.type == "share"
        zh = "%" if share else unit.zh if unit else ""
        en = " %" if share else f" {unit.en}" if unit else ""
        value = Words(zh=f"{text}{zh}", en=f"{text}{en}")
    return Words(
        zh=f"{when.zh}{node.zh}{value.zh}，{cls.zh if cls else '无数据'}，达到{step.zh}条件。",
        en=f"{when.en}: {node.en} {value.en}, {cls.en if cls else 'no data'}: {step.en}.",
    )


def _insert(connection: sa.Connection, fields: dict[str, Any]) -> None:
    connection.execute(
        sa.text(
            f"insert into alert ({', '.join(fields)}) "  # noqa: S608 - names of this module
            f"values ({', '.join(':' + name for name in fields)})"
        ),
        fields,
    )


def _update(connection: sa.Connection, number: int, fields: dict[str, Any]) -> None:
    connection.execute(
        sa.text(
            "update alert set version = version + 1, "  # noqa: S608
            + ", ".join(f"{name} = :{name}" for name in fields)
            + " where id = :id"
        ),
        {**fields, "id": number},
    )


def _close(connection: sa.Connection, look: _Look, old: Any, row: sa.Row[Any]) -> None:
    value = row.value is not None and np.isfinite(row.value)
    when = alert_words.period_words(look.period, look.start).zh
    why = f"{when}不再达到任何升级条件" if value else f"{when}没有数据"
    connection.execute(
        sa.text(
            "update alert set state = 'closed', closed_at = clock_timestamp(), closed_by = 'rule', "
            "closed_reason = :why, version = version + 1, run = :run, last_period = :last where id = :id"
        ),
        {"why": why, "run": look.run, "last": look.start, "id": old["id"]},
    )
