"""10,000 random transitions of alerts and tasks with crashes: none lost, none twice, each audited once."""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.database import make_engine, raw
from app.services import alerts
from app.services.assess import assess

from .border_house import MINE, House
from .conftest import Small
from .task_house import tasked

STEPS = 10_000
CODES = [f"330101{n:03d}" for n in range(1, 9)]
KINDS = ("theft", "fire")
ORDER = ("none", "remind", "supervise", "interview")
WORKING = ("sent", "accepted", "on_site")
ACTIVE = (*WORKING, "feedback", "verified")
ANSWERS = ("confirmed", "not_confirmed", "unclear")
#: step: states it is taken in, state after; the rules written a second time, in another form.
COURSE: dict[str, tuple[tuple[str, ...], str | None]] = {
    "accepted": (("sent",), "accepted"), "declined": (("sent",), "declined"),
    "on_site": (("accepted",), "on_site"), "feedback": (("on_site",), "feedback"),
    "returned": (("feedback",), "accepted"), "verified": (("feedback",), "verified"),
    "closed": (("verified",), "closed"), "handed_over": ((*WORKING, "declined"), "sent"),
    "merged": ((*WORKING, "declined"), "merged"), "escalated": (ACTIVE, None),
    "overdue": (WORKING, None),
}  # fmt: skip


@dataclass
class Task:
    """A task as it has to be."""

    alert: int
    state: str = "sent"
    answer: str | None = None
    escalation: str = "none"
    overdue: bool = False
    into: int | None = None
    steps: list[str] = field(default_factory=lambda: ["sent"])
    keys: dict[str, str] = field(default_factory=dict)


@dataclass
class Alert:
    """An alert as it has to be."""

    cell: tuple[str, str]
    state: str = "open"
    answer: str | None = None
    steps: list[str] = field(default_factory=lambda: ["open"])


@dataclass
class Model:
    """Everything as it has to be."""

    alerts: dict[int, Alert] = field(default_factory=dict)
    tasks: dict[int, Task] = field(default_factory=dict)

    def take(self, number: int, step: str, key: str, detail: dict[str, Any]) -> bool:
        """Whether the step is allowed; takes it when it is."""
        one = self.tasks[number]
        if key in one.keys:
            return one.keys[key] == step
        states, after = COURSE[step]
        if one.state not in states or (step == "overdue" and one.overdue):
            return False
        if step == "escalated" and ORDER.index(detail["escalation"]) <= ORDER.index(one.escalation):
            return False
        if step == "handed_over" and one.state == "declined" and not self.may_make(one.alert):
            return False  # another took its place
        if step == "merged":
            other = self.tasks.get(detail["into"])
            if other is None or other is one or other.state not in ACTIVE:
                return False
            one.into = detail["into"]
        one.keys[key] = step
        one.steps.append(step)
        one.state = after or one.state
        one.overdue = one.overdue or step == "overdue"
        if step == "escalated":
            one.escalation = detail["escalation"]
        if step == "feedback":
            one.answer = detail["answer"]
        if step == "closed":
            self._answer(number, one.answer)
        return True

    def _answer(self, number: int, answer: str | None) -> None:
        found = {number}
        while more := {n for n, t in self.tasks.items() if t.into in found} - found:
            found |= more
        for alert in {self.tasks[n].alert for n in found}:
            one = self.alerts[alert]
            if one.answer != answer:
                one.answer = answer
                one.steps.append("answer")
            if one.state == "open" and answer != "unclear":
                one.state = "closed"
                one.steps.append("close")

    def may_open(self, cell: tuple[str, str]) -> bool:
        return not any(a.cell == cell and a.state == "open" for a in self.alerts.values())

    def may_make(self, alert: int) -> bool:
        return not any(t.alert == alert and t.state in ACTIVE for t in self.tasks.values())


OPEN = (
    "insert into alert (pack, scene, code, level, name, kind, period, fired, holds, is_new, opened_run, run, "
    "opened_period, last_period, colour, observed, expected, relative_risk, low, high, exceedance, priority, "
    "reason_zh, reason_en, why_not, week, budget_code, opened_at) values ('small', 's', %(code)s, 'town', 'n', "
    "%(kind)s, 'month', 1, 1, false, 1, 1, '2024-01-01', '2024-01-01', 5, 9, 2, 3, 2, 4, .99, 1, 'r', 'r', "
    "'no_grids', '2024-01-01', %(code)s, clock_timestamp()) returning id"
)
MAKE = (
    "insert into task (pack, alert_id, code, level, name, kind, colour, reason_zh, reason_en, lon, lat, due_at, "
    "closes, quiet) select pack, id, code, level, name, kind, 5, 'r', 'r', 119, 29, "
    "clock_timestamp() - interval '1 minute', '{confirmed,not_confirmed}', 1 from alert where id = %(alert)s "
    "returning id"
)
TAKE = "select task_step(%(id)s, %(step)s, 'x', clock_timestamp(), %(key)s, null, '', %(detail)s)"
CLOSE = "select alert_close(%(id)s, 'desk', 'r', 1)"
#: One round trip instead of three, for what the rules may refuse.
TRIED = """
create function tried(statement text) returns text language plpgsql as $$
declare
  found text;
begin
  execute statement into found;
  return found;
exception when check_violation or unique_violation then
  return null;
end
$$
"""


def tried(connection: sa.Connection, statement: str, values: dict[str, Any]) -> str | None:
    """What a statement answers; None when the rules refuse it."""
    with raw(connection).cursor() as cursor:
        cursor.execute("select tried(%s)", (cursor.mogrify(statement, values).decode(),))
        found: str | None = cursor.fetchone()[0]
    return found


def one_thing(
    connection: sa.Connection, model: Model, dice: random.Random, seen: Counter[str]
) -> None:
    """Do one random thing in the database and in the model; they have to agree."""
    what = dice.random()
    if what < 0.06 or not model.alerts:
        cell = (dice.choice(CODES), dice.choice(KINDS))
        allowed = model.may_open(cell)
        found = tried(connection, OPEN, {"code": cell[0], "kind": cell[1]})
        assert (found is not None) is allowed
        seen["open" if allowed else "open refused"] += 1
        if found is not None:
            model.alerts[int(found)] = Alert(cell)
        return
    if what < 0.08:
        alert = dice.choice(list(model.alerts))
        one = model.alerts[alert]
        found = tried(connection, CLOSE, {"id": alert})
        assert (found is not None) is (one.state == "open")
        if found is not None:
            one.state = "closed"
            one.steps.append("close")
        seen["close"] += 1
        return
    if what < 0.16 or not model.tasks:
        alert = dice.choice(list(model.alerts))
        allowed = model.may_make(alert)
        found = tried(connection, MAKE, {"alert": alert})
        assert (found is not None) is allowed
        if found is not None:
            model.tasks[int(found)] = Task(alert)
        seen["make" if allowed else "make refused"] += 1
        return
    running = [n for n, t in model.tasks.items() if t.state not in {"closed", "merged"}]
    number = dice.choice(running if running and dice.random() < 0.95 else list(model.tasks))
    task = model.tasks[number]
    forward = [step for step, (states, _) in COURSE.items() if task.state in states]
    step = dice.choice(forward if forward and dice.random() < 0.8 else list(COURSE))
    again = task.keys and dice.random() < 0.1
    key = (
        dice.choice(list(task.keys))
        if again
        else str(uuid.UUID(int=dice.getrandbits(128), version=4))
    )
    if again and dice.random() < 0.7:
        step = task.keys[key]
    detail: dict[str, Any] = {}
    if step == "feedback":
        detail = {"answer": dice.choice(ANSWERS), "measures": ["m"], "count": 2}
    elif step == "merged":
        detail = {"into": dice.choice(list(model.tasks))}
    elif step == "escalated":
        detail = {"escalation": dice.choice(ORDER[1:])}
    allowed = model.take(number, step, key, detail)
    found = tried(
        connection, TAKE, {"id": number, "step": step, "key": key, "detail": json.dumps(detail)}
    )
    assert (found is not None) is allowed, (task, step, detail)
    if allowed:
        assert found == model.tasks[number].state
    seen[step if allowed else "refused"] += 1


def stored(engine: sa.Engine) -> Model:
    """The model as the database has it."""
    found = Model()
    with engine.connect() as connection:
        for row in connection.execute(sa.text(
            "select a.*, (select array_agg(step order by n) from alert_event e where e.alert_id = a.id) as steps "
            "from alert a")):  # fmt: skip
            found.alerts[row.id] = Alert((row.code, row.kind), row.state, row.answer, row.steps)
        for row in connection.execute(sa.text(
            "select t.*, (select array_agg(step order by n) from task_event e where e.task_id = t.id) as steps, "
            "(select json_object_agg(key, step) from task_event e where e.task_id = t.id and key is not null) as keys "
            "from task t")):  # fmt: skip
            found.tasks[row.id] = Task(row.alert_id, row.state, row.answer, row.escalation, row.overdue,
                                       row.merged_into, row.steps, row.keys or {})  # fmt: skip
    return found


def test_ten_thousand_steps_with_crashes(db_url: str) -> None:
    """Sessions are killed by the server at random moments: what was not committed never happened."""
    dice = random.Random(20260101)
    seen: Counter[str] = Counter()
    engine, killer = make_engine(db_url), make_engine(db_url)
    model, done = Model(), 0
    with engine.begin() as connection:
        connection.exec_driver_sql(TRIED)
    while done < STEPS:
        crash, length = dice.random() < 0.2, dice.randint(1, 120)
        before = copy.deepcopy(model) if crash else model
        with engine.connect() as connection:
            place = connection.begin()
            for _ in range(length):
                one_thing(connection, model, dice, seen)
            done += length
            if crash:
                number = connection.execute(sa.text("select pg_backend_pid()")).scalar_one()
                with killer.begin() as other:
                    other.execute(
                        sa.text("select pg_terminate_backend(:id, 10000)"), {"id": number}
                    )
                with pytest.raises(DBAPIError):
                    connection.execute(sa.text("select 1"))
                connection.invalidate()
                model = before
                seen["crash"] += 1
            else:
                place.commit()
    assert stored(engine) == model
    assert (
        min(seen[step] for step in (*COURSE, "open refused", "make refused", "refused", "crash"))
        > 15
    ), seen
    with engine.connect() as connection:
        for what, steps in (
            ("alert", sum(len(a.steps) for a in model.alerts.values())),
            ("task", sum(len(t.steps) for t in model.tasks.values())),
        ):
            # in the audit each step once, and nothing else; told as often, numbered without a gap
            audited = connection.execute(
                sa.text(
                    "select count(*) as n, count(distinct (question ->> :what, question ->> 'n')) as steps "
                    "from audit_entry where action like :pattern"
                ),
                {"what": what, "pattern": f"{what}.%"},
            ).one()
            assert tuple(audited) == (steps, steps)
            told = connection.execute(
                sa.text("select count(*), count(distinct id), count(*) filter (where id is null) "
                        "from live_event where topic = :what"),
                {"what": what},
            ).one()  # fmt: skip
            assert tuple(told) == (steps, steps, 0)
    engine.dispose()
    killer.dispose()


# whole processes ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def home(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    yield from tasked(cluster, template, tmp_path_factory.mktemp("killed"))


def started(*arguments: str) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("killed_tasks.py")
    return subprocess.Popen([sys.executable, str(script), *arguments], stdout=subprocess.PIPE, text=True,
                            cwd=Path(__file__).resolve().parents[2])  # fmt: skip


def test_a_killed_sender_loses_and_doubles_nothing(home: House, tmp_path: Path) -> None:
    dice = random.Random(7)
    with home.engine.begin() as connection:
        numbers = [
            connection.exec_driver_sql(MAKE, {"alert": alert}).scalar_one()
            for alert in connection.execute(
                sa.text("select id from alert where code ^@ :mine and state = 'open' order by id limit 12"),
                {"mine": MINE},
            ).scalars().all()
        ]  # fmt: skip
    course = ("accepted", "on_site", "feedback", "verified", "closed")
    queue = [
        (task, step, str(uuid.uuid4()), {"answer": "unclear"} if step == "feedback" else {})
        for step in course
        for task in numbers
    ]
    file = tmp_path / "queue.json"
    file.write_text(json.dumps(queue))
    for _ in range(2):
        child = started(home.url, "steps", str(file))
        assert child.stdout is not None
        for _ in range(dice.randint(5, len(queue) - 5)):  # killed at work, after so many steps
            assert child.stdout.readline().startswith("done")
        child.kill()
        child.wait()
        child.stdout.close()
    child = started(home.url, "steps", str(file))
    out, _ = child.communicate()
    assert out.splitlines()[-1] == "all done"
    assert "refused" not in out
    with home.engine.connect() as connection:
        for task in numbers:
            found = connection.execute(
                sa.text("select array_agg(step order by n) from task_event where task_id = :id"),
                {"id": task},
            ).scalar_one()
            assert found == ["sent", *course]
        keys = connection.execute(
            sa.text(
                "select count(*), count(distinct key) from task_event where key = any(cast(:keys as uuid[]))"
            ),
            {"keys": [one[2] for one in queue]},
        ).one()
    assert tuple(keys) == (len(queue), len(queue))


def test_a_look_that_is_killed_leaves_nothing_half(
    engine: sa.Engine, db_url: str, small: Small
) -> None:
    run = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai", look=False)
    count = sa.text("select count(*) from alert")
    # another session holds the look up in its middle, so that it is killed there for certain
    with engine.connect() as holder:
        holder.execute(sa.text("lock table alert_clock in access exclusive mode"))
        child = started(db_url, "alerts", str(run))
        assert child.stdout is not None
        assert child.stdout.readline() == "began\n"
        child.kill()
        child.wait()
        child.stdout.close()
        holder.rollback()
    with engine.connect() as connection:
        assert connection.execute(count).scalar_one() == 0
    report = alerts.update(engine, run)
    with engine.connect() as connection:
        assert connection.execute(count).scalar_one() == report.opened > 0
