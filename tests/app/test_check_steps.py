"""10,000 random steps of two- and three-sided checks against a model: none skipped, each audited."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2.errors
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.api.border_models import CheckAnswerDraft
from app.database import claim, make_web_engine
from app.errors import Conflict, WusetuError
from app.security.identity import Identity, Role
from app.services import checks
from app.settings import DatabaseSettings

from .border_house import House, house

SIDES = ["330101", "330102", "330103"]
STEPS = 10_000
ANSWERS = ("accept", "decline", "hit", "no_hit", "close", "expire")


@pytest.fixture(scope="module")
def home(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    yield from house(cluster, template, tmp_path_factory.mktemp("steps"))


class Model:
    """A check as it has to be: the rules written a second time, in another form."""

    def __init__(self, number: int, opener: str, sides: list[str]) -> None:
        self.number, self.opener, self.sides = number, opener, sides
        self.said: dict[str, str] = {}
        self.over = ""
        self.steps = [("open", opener, None, "open")]

    @property
    def state(self) -> str:
        if self.over:
            return self.over
        return "running" if "accept" in self.said.values() else "open"

    def take(self, step: str, side: str, *, late: bool) -> bool:
        """Whether the step is allowed; takes it when it is."""
        before = self.state
        allowed = not self.over and (late if step == "expire" else not late) and {
            "accept": side not in self.said,
            "decline": side not in self.said,
            "hit": self.said.get(side) == "accept",
            "no_hit": self.said.get(side) == "accept",
            "close": side == self.opener,
            "expire": True,
        }[step] and (step == "expire" or side in self.sides)  # fmt: skip
        if not allowed:
            return False
        if step in {"accept", "decline"}:
            self.said[side] = step
        if step in {"close", "expire"}:
            self.over = step + "d"
        elif self.said and list(self.said.values()) == ["decline"] * len(self.sides):
            self.over = "declined"
        self.steps.append((step, None if step == "expire" else side, before, self.state))
        return True


def zone(connection: sa.Connection, sides: list[str]) -> int:
    """A zone in force, as the owner could enter it."""
    number: int = connection.execute(
        sa.text(
            "insert into zone (pack, name, side, sides) values ('small', 'z', :side, :sides) "
            "returning id"
        ),
        {"side": sides[0], "sides": sides},
    ).scalar_one()
    connection.execute(
        sa.text(
            "insert into zone_version (zone_id, version, state, side, sides, units, valid_from, geom) "
            "values (:zone, 1, 'live', :side, :sides, :sides, now() - interval '1 day', "
            "st_multi(st_makeenvelope(119, 29, 121, 30, 4326)))"
        ),
        {"zone": number, "side": sides[0], "sides": sides},
    )
    return number


def opened(connection: sa.Connection, dice: random.Random, zones: dict[int, list[str]]) -> Model:
    number = dice.choice(list(zones))
    sides = zones[number]
    opener = dice.choice(sides)
    found: int = connection.execute(
        sa.text(
            "insert into check_case (zone_id, version, side, sides, reference, reason, opened_at, "
            "ends_at) values (:zone, 1, :side, :sides, 'A-1', 'r', now(), now() + interval '1 hour') "
            "returning id"
        ),
        {"zone": number, "side": opener, "sides": sides},
    ).scalar_one()
    return Model(found, opener, sides)


def step_of(connection: sa.Connection, model: Model, step: str, side: str, at: datetime) -> bool:
    """Take a step in the database; False when it is refused."""
    place = connection.begin_nested()
    try:
        found = connection.execute(
            sa.text("select check_step(:id, :step, :side, :at, null, '{}')"),
            {"id": model.number, "step": step, "side": side, "at": at},
        ).scalar_one()
    except DBAPIError as error:
        place.rollback()
        if not isinstance(error.orig, psycopg2.errors.CheckViolation):
            raise
        return False
    place.commit()
    assert found == model.state
    return True


def test_ten_thousand_steps(home: House) -> None:
    dice = random.Random(17)
    taken: Counter[str] = Counter()
    refused = 0
    done: list[Model] = []
    with home.engine.connect() as connection:
        with connection.begin():
            zones = {zone(connection, sides): sides for sides in (SIDES[:2], SIDES)}
        running: list[Model] = []
        for n in range(STEPS):
            if n % 500 == 0 and n:
                connection.commit()
            if len(running) < 6:
                running.append(opened(connection, dice, zones))
            model = dice.choice(running)
            # steps that are refused for sure are tried, too, and sides that take no part
            step = dice.choices(ANSWERS, (6, 4, 6, 4, 1, 1))[0]
            late = dice.random() < (0.5 if step == "expire" else 0.03)
            at = datetime.now(UTC) + (timedelta(hours=2) if late else timedelta(0))
            side = dice.choice(SIDES)
            expected = model.take(step, side, late=late)
            assert step_of(connection, model, step, side, at) is expected, (model.steps, step, side)
            if expected:
                taken[step] += 1
            else:
                refused += 1
            if model.over and dice.random() < 0.5:  # others are tried on after their end
                running.remove(model)
                done.append(model)
        connection.commit()
        done += running
        assert min(taken.values()) > 100
        assert refused > 1_000
        stored = connection.execute(
            sa.text(
                "select c.id, c.state, c.ended_at is not null as ended, "
                "(select array_agg(array[e.step, e.side, e.before, e.after] order by e.n) "
                " from check_event e where e.check_id = c.id) as steps, "
                "(select array_agg(e.n order by e.n) from check_event e where e.check_id = c.id) as n "
                "from check_case c"
            )
        ).all()
        audited = connection.execute(
            sa.text(
                "select (question ->> 'check')::int as id, array_agg(array[substr(action, 7), "
                "question ->> 'side', question ->> 'before', question ->> 'after'] "
                "order by (question ->> 'n')::int) as steps "
                "from audit_entry where action like 'check.%' group by 1"
            )
        ).all()
        told = connection.execute(
            sa.text("select count(*) from live_event where topic = 'check' and id is not null")
        ).scalar_one()
    wanted = {model.number: [list(one) for one in model.steps] for model in done}
    assert {row.id: row.steps for row in stored} == wanted
    assert {row.id: row.steps for row in audited} == wanted
    assert all(row.n == list(range(1, len(row.n) + 1)) for row in stored)
    assert {row.id: row.state for row in stored} == {model.number: model.state for model in done}
    assert all(row.ended == bool(row.state in {"closed", "expired", "declined"}) for row in stored)
    assert told == sum(map(len, wanted.values()))


def test_the_web_takes_no_step_beside_the_rules(home: House) -> None:
    """What the web's role may do by itself: steps of its own side, through one function."""
    settings = DatabaseSettings(url=home.url)
    engine = make_web_engine(home.url, settings)
    with home.engine.begin() as connection:
        number = zone(connection, SIDES[:2])
        model = opened(connection, random.Random(1), {number: SIDES[:2]})
    mine, theirs = (Identity(None, "x", Role.border_officer, (one,), (), None, "token")
                    for one in SIDES[:2])  # fmt: skip
    with engine.connect() as connection:

        def refuses(statement: str, who: Identity = mine) -> None:
            with connection.begin():
                claim(connection, who.prefixes, role=who.role)
                with pytest.raises(DBAPIError):
                    connection.execute(sa.text(statement))
                connection.rollback()

        for statement in (
            f"update check_case set state = 'closed' where id = {model.number}",
            f"delete from check_case where id = {model.number}",
            (
                "insert into check_event (check_id, n, step, after, at) "
                f"values ({model.number}, 9, 'close', 'closed', now())"
            ),
            (
                "insert into check_answer (check_id, side, answer, at) "
                f"values ({model.number}, '330101', 'accept', now())"
            ),
            f"select check_step({model.number}, 'close', '330101', now(), null, '{{}}')",
            f"select take_check_step({model.number}, 'accept', '330102', null, '{{}}')",
            f"select take_check_step({model.number}, 'expire', '330101', null, '{{}}')",
            "select border_time()",
            "select border_audit('check.open', null, null, '{}')",
            "update live_event set payload = '{}'",
            "insert into live_event (topic, sides) values ('zone', '{330102}')",
            "insert into live_event (topic, sides) values ('run', null)",
            "update zone_version set state = 'live'",
            (
                "insert into check_case (zone_id, version, side, sides, reference, reason, opened_at, "
                f"ends_at) values ({number}, 1, '330102', '{{330101,330102}}', 'A-1', 'r', now(), "
                "now() + interval '1 hour')"
            ),
        ):
            refuses(statement)
        # through the service it goes, once
        with connection.begin():
            claim(connection, theirs.prefixes, role=theirs.role)
            found = checks.answer(
                connection, theirs, model.number, CheckAnswerDraft(answer="accept")
            )
            assert found.state == "running"
        with connection.begin():
            claim(connection, theirs.prefixes, role=theirs.role)
            with pytest.raises(Conflict):
                checks.answer(connection, theirs, model.number, CheckAnswerDraft(answer="accept"))
            connection.rollback()
        other = Identity(None, "y", Role.border_officer, ("330103",), (), None, "token")
        with connection.begin():
            claim(connection, other.prefixes, role=other.role)
            with pytest.raises(WusetuError):
                checks.one_check(connection, model.number)
    engine.dispose()
    # not even the owner turns it back
    with home.engine.connect() as connection:
        for statement in ("update check_case set state = 'open'",
                          "update check_case set reference = 'B-2'",
                          "update check_event set step = 'hit'"):  # fmt: skip
            with connection.begin(), pytest.raises(DBAPIError):
                connection.execute(sa.text(statement))
            connection.rollback()
