"""Rules over a real store: what readings and the clock raise, repeat, confirm and clear."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.api.device_models import Alarm, RuleDraft
from app.database import transaction
from app.errors import Conflict, Invalid, NotFound
from app.security.identity import LOCAL
from app.services import device_alarms, device_clock, device_rules, devices
from app.services.border import Borders
from app.services.caches import ScopedCaches
from app.services.device_files import import_csv
from app.services.device_ingest import Ingest
from app.services.units import unit_table
from app.settings import Settings

from .border_house import MINE
from .conftest import install

SETTINGS = Settings(time_zone="Asia/Shanghai")
NOW = datetime.now(UTC)
#: 12:00 in Shanghai, some days ago.
NOON = NOW.replace(hour=4, minute=0, second=0, microsecond=0) - timedelta(days=3)


class Place:
    """The small map with devices 200 m apart on one line."""

    def __init__(self, engine: sa.Engine, folder: Path) -> None:
        install(engine)
        self.engine = engine
        caches = ScopedCaches().of(LOCAL.scope_key)
        self.borders = Borders(
            engine, folder, lambda one, version: unit_table(one, caches, version)
        )
        self.ingest = Ingest(engine, SETTINGS)
        self._seq = itertools.count()

    def enter(self, count: int, kind: str = "smoke", **more: Any) -> None:
        rows = [
            {
                "reference": f"{kind}-{n}", "kind": kind, "lon": 119.5, "lat": 29.5 + 0.0018 * n,
                "every_s": 600, **more,
            }
            for n in range(count)
        ]  # fmt: skip
        with transaction(self.engine) as connection:
            done = devices.enter(self.borders, connection, LOCAL, "small", rows)
        assert done.new == count, done

    def rule(self, **more: Any) -> int:
        given = {
            "pack": "small", "within": MINE, "kind": "smoke", "sense": "above", "level": 50,
            "words": {"zh": "烟", "en": "Smoke"}, **more,
        }  # fmt: skip
        with transaction(self.engine) as connection:
            draft = RuleDraft.model_validate(given)
            return device_rules.make(self.borders, connection, LOCAL, draft).id

    def say(self, device: int, value: float | None, at: datetime, kind: str = "smoke") -> None:
        row = {
            "device": f"{kind}-{device}",
            "at": at.isoformat(),
            "value": value,
            "seq": next(self._seq),
        }
        done = self.ingest.take("small", [row])
        assert (done.stored, done.refused) == (1, [])

    def alarms(self, state: str | None = None) -> list[Alarm]:
        with transaction(self.engine) as connection:
            return device_alarms.alarms(connection, state=state)[::-1]

    def states(self) -> dict[str, str]:
        with transaction(self.engine) as connection:
            return {one.reference: one.state for one in devices.devices(connection).devices}


@pytest.fixture
def place(engine: sa.Engine, tmp_path: Path) -> Place:
    return Place(engine, tmp_path)


def minutes(n: float) -> datetime:
    return NOON + timedelta(minutes=n)


def test_threshold_duration_repetition(place: Place) -> None:
    place.enter(1)
    place.rule(hold_s=300, reset=30, quiet_s=1_800)
    for n, value in enumerate([60, 40, 60, None, 60]):
        place.say(0, value, minutes(n))
    assert place.alarms() == []
    place.say(0, 35, minutes(5))  # five minutes without a break: it never fell below 30
    (one,) = place.alarms()
    assert (one.state, one.raised_at, one.repeats) == ("raised", minutes(5), 0)
    place.say(0, 10, minutes(6))
    (one,) = place.alarms()
    assert (one.state, one.cleared_at, one.reason) == ("cleared", minutes(6), "")
    for n in (7, 12):
        place.say(0, 90, minutes(n))
    (one,) = place.alarms()  # within half an hour: the same
    assert (one.state, one.repeats, one.raised_at, one.last_at) == (
        "raised",
        1,
        minutes(5),
        minutes(12),
    )
    place.say(0, 0, minutes(13))
    for n in (50, 55):
        place.say(0, 90, minutes(n))
    assert [one.state for one in place.alarms()] == ["cleared", "raised"]
    place.say(0, 0, minutes(20))  # late: it ends nothing
    assert [one.state for one in place.alarms()] == ["cleared", "raised"]


def test_a_rule_without_a_quiet_time_keeps_the_least(place: Place) -> None:
    """A device that flickers raises one alarm a minute at most."""
    place.enter(1)
    place.rule()
    for n, value in enumerate([60, 0] * 4):
        place.say(0, value, minutes(n / 6))  # on and off every ten seconds
    (one,) = place.alarms()
    assert (one.raised_at, one.repeats) == (minutes(0), 3)
    place.say(0, 60, minutes(1 + one.repeats))
    assert [one.repeats for one in place.alarms()] == [3, 0]


def test_a_batch_is_looked_at_in_the_order_of_time(place: Place) -> None:
    place.enter(1)
    place.rule()
    rows = [
        {"device": "smoke-0", "at": minutes(n).isoformat(), "value": value}
        for n, value in [(3, 0), (1, 0), (0, 90), (2, 90)]
    ]
    assert len(place.ingest.take("small", rows).alarms) == 2
    assert [(one.raised_at, one.state) for one in place.alarms()] == [
        (minutes(0), "cleared"), (minutes(2), "cleared"),
    ]  # fmt: skip


def test_only_at_night(place: Place) -> None:
    place.enter(1, "infrared")
    place.rule(kind="infrared", level=1, night={"from": "22:00", "to": "05:00"})
    place.say(0, 1, minutes(0), "infrared")  # noon
    assert place.alarms() == []
    place.say(0, 1, minutes(10 * 60), "infrared")  # ten in the evening
    assert [one.raised_at for one in place.alarms()] == [minutes(600)]


def test_neighbours_confirm_one_alarm(place: Place) -> None:
    place.enter(5)
    place.rule(neighbours={"n": 3, "metres": 250, "within_s": 600})
    place.say(0, 90, minutes(0))
    place.say(2, 90, minutes(1))
    assert place.alarms() == []
    place.say(1, 90, minutes(2))  # in the middle: both are its neighbours
    (one,) = place.alarms()
    with transaction(place.engine) as connection:
        ids = {one.reference: one.id for one in devices.devices(connection).devices}
        alarming = {one.reference for one in devices.devices(connection, alarming=True).devices}
    assert one.devices == [ids["smoke-1"], ids["smoke-0"], ids["smoke-2"]]
    assert alarming == {"smoke-0", "smoke-1", "smoke-2"}
    place.say(3, 90, minutes(3))  # with 1 no more than a neighbour of 2: it joins
    (one,) = place.alarms()
    assert set(one.devices) == {ids[f"smoke-{n}"] for n in range(4)}
    for n in (0, 1, 2):
        place.say(n, 0, minutes(4))
        assert place.alarms()[0].state == "raised"
    place.say(3, 0, minutes(5))
    assert place.alarms()[0].state == "cleared"


def age(engine: sa.Engine, hours: float) -> None:
    """Let everything have happened so much earlier."""
    with engine.begin() as connection:
        for table, columns in (
            ("device", ["made_at"]), ("device_rule", ["valid_from"]), ("device_track", ["at", "since"]),
            ("device_state", ["since", "last_seen", "last_at"]),
        ):  # fmt: skip
            sets = ", ".join(f"{one} = {one} - make_interval(secs => :s)" for one in columns)
            connection.execute(sa.text(f"update {table} set {sets}"), {"s": 3600 * hours})


def test_twenty_hours_without_flow(place: Place) -> None:
    place.enter(3, "water", every_s=604_800)
    place.rule(kind="water", sense="silence", level=0, hold_s=72_000, event_kind="dispute")
    place.say(0, 12.5, NOW, "water")
    place.say(1, 0.0, NOW, "water")
    age(place.engine, 19.0)  # an hour for whoever runs many tests before this one
    assert device_clock.look(place.engine, SETTINGS) == 0
    place.say(0, 3.0, NOW + timedelta(seconds=1), "water")
    age(place.engine, 1.1)
    # 0 had a flow since; 1 had none, 2 was never heard
    assert device_clock.look(place.engine, SETTINGS) == 1
    assert [one.reference for one in place.alarms()] == ["water-1"]
    assert device_clock.look(place.engine, SETTINGS) == 0
    place.say(1, 5.0, NOW + timedelta(seconds=2), "water")
    assert [one.state for one in place.alarms()] == ["cleared"]
    # one alarm, one event, however often it is asked for
    assert [device_clock.raise_events(place.engine, place.borders, SETTINGS) for _ in range(2)] == [
        1,
        0,
    ]
    with place.engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select e.reference, e.kind, e.located_by, u.level from event e join event_source s "
                "on s.id = e.source_id join unit u on u.boundary_version_id = e.boundary_version_id "
                "and u.id = e.unit_id where s.name = 'devices'"
            )
        ).all()
    assert [tuple(row) for row in rows] == [("alarm-1", "dispute", "point", "grid")]


def test_offline_and_flapping(place: Place) -> None:
    place.enter(2, every_s=60)
    assert set(place.states().values()) == {"offline"}
    place.say(0, 1, NOW)
    assert place.states() == {"smoke-0": "online", "smoke-1": "offline"}
    assert device_clock.look(place.engine, SETTINGS) == 0
    for n in range(3):
        age(place.engine, 0.1)
        assert device_clock.look(place.engine, SETTINGS) == 1
        assert place.states()["smoke-0"] == "offline"
        place.say(0, None, NOW + timedelta(seconds=n + 1))
        assert place.states()["smoke-0"] == ("flapping" if n == 2 else "online")
    with place.engine.begin() as connection:
        connection.exec_driver_sql(
            "update device_state set returns = array(select r - interval '1 hour' from unnest(returns) r)"
        )
    assert device_clock.look(place.engine, SETTINGS) == 1
    assert place.states()["smoke-0"] == "online"
    with place.engine.connect() as connection:
        told = connection.execute(
            sa.text("select payload ->> 'state' from live_event where topic = 'device' order by id")
        ).scalars()
        assert list(told) == [*["online", "offline"] * 3, "flapping", "online"]


def test_days_are_made_and_dropped(place: Place) -> None:
    place.enter(1)
    place.say(0, 1, NOW - timedelta(days=20))
    made, gone = device_clock.keep_house(place.engine, SETTINGS)
    assert (made, gone) == (4, 0)
    few = SETTINGS.model_copy(
        update={"devices": SETTINGS.devices.model_copy(update={"keep_days": 10})}
    )
    assert device_clock.keep_house(place.engine, few) == (0, 1)
    with place.engine.connect() as connection:
        assert connection.scalar(sa.text("select count(*) from reading")) == 0
    place.ingest.forget_days()
    place.say(0, 2, NOW - timedelta(days=20))


def test_rules_have_versions(place: Place) -> None:
    place.enter(1)
    number = place.rule()
    place.say(0, 90, minutes(0))
    draft = {
        "pack": "small", "within": MINE, "kind": "smoke", "sense": "above", "level": 95,
        "words": {"zh": "烟", "en": "Smoke"},
    }  # fmt: skip
    with transaction(place.engine) as connection:
        changed = device_rules.change(
            place.borders, connection, LOCAL, number, RuleDraft.model_validate(draft)
        )
    assert (changed.version, changed.level) == (2, 95)
    assert [one.state for one in place.alarms()] == ["cleared"]
    place.say(0, 90, minutes(1))
    assert [one.state for one in place.alarms()] == ["cleared"]
    with transaction(place.engine) as connection:
        device_rules.end(connection, LOCAL, number)
        assert device_rules.rules(connection) == []
    with pytest.raises(NotFound), transaction(place.engine) as connection:
        device_rules.end(connection, LOCAL, number)
    for wrong in (
        {"sense": "silence"}, {"reset": 96}, {"event_kind": "nothing"}, {"within": "9"},
        {"words": {"zh": "浙A12345", "en": "x"}}, {"night": {"from": "05:00", "to": "05:00"}},
    ):  # fmt: skip
        with pytest.raises(Invalid), transaction(place.engine) as connection:
            device_rules.make(
                place.borders, connection, LOCAL, RuleDraft.model_validate({**draft, **wrong})
            )


def test_an_alarm_is_cleared_by_hand_once(place: Place) -> None:
    place.enter(1)
    place.rule()
    place.say(0, 90, minutes(0))

    def clear(reason: str) -> None:
        with transaction(place.engine) as connection:
            device_alarms.clear(connection, LOCAL, 1, reason)

    for reason in ("", "call 13800138000"):
        with pytest.raises(Invalid):
            clear(reason)
    clear("steam of a kitchen")
    with pytest.raises(Conflict):
        clear("again")
    place.say(0, 95, minutes(1))  # what goes on is not raised again
    assert [one.state for one in place.alarms()] == ["cleared"]
    place.say(0, 0, minutes(2))
    place.say(0, 95, minutes(3))
    assert [one.state for one in place.alarms()] == ["cleared", "raised"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": "张三 13800138000"}, "person"), ({"name": "司机"}, "person"),
    ({"reference": "13800138000"}, "person"), ({"lat": None}, "half_point"),
    ({"lon": None, "lat": None}, "nowhere"), ({"lon": 10.0}, "outside"), ({"code": "9999"}, "unknown"),
    ({"owner": "x"}, "malformed"), ({"kind": "Smoke"}, "malformed"), ({"every_s": 0}, "malformed"),
]  # fmt: skip


def test_devices_that_are_refused(place: Place) -> None:
    good = {"reference": "a", "kind": "smoke", "lon": 119.5, "lat": 29.5}
    rows = [{**good, "reference": f"bad-{n}", **row} for n, (row, _) in enumerate(REFUSED)]
    with transaction(place.engine) as connection:
        done = devices.enter(place.borders, connection, LOCAL, "small", [*rows, good, good, "x"])
    wanted = [*enumerate(reason for _, reason in REFUSED), (11, "twice"), (12, "malformed")]
    assert (done.new, [(one.row, one.reason) for one in done.refused]) == (1, wanted)
    assert not any("13800138000" in one.text for one in done.refused)


def test_a_file_of_devices(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "devices.csv"
    file.write_text(
        "\ufeffreference,kind,code,lon,lat,name\na,smoke,,119.5,29.5,库房\nb,smoke,330101001001001,,,\n"
        "c,smoke,,1,1,\n\nb,smoke,330101001001001,,,\nd,smoke\n",
        encoding="utf-8",
    )
    done = import_csv(place.engine, place.borders, "small", file)
    assert (done.new, sorted((one.row, one.reason) for one in done.refused)) == (
        2, [(4, "outside"), (6, "twice"), (7, "malformed")],
    )  # fmt: skip
    again = import_csv(place.engine, place.borders, "small", file)
    assert (again.new, again.unchanged, len(again.refused)) == (0, 2, 3)
    file.write_text("reference,kind,owner_name\n", encoding="utf-8")
    with pytest.raises(Invalid, match="columns are"):
        import_csv(place.engine, place.borders, "small", file)


def test_waits_for_another_batch(place: Place) -> None:
    """Two writers with the same devices in another order: both are stored, none for ever waiting."""
    place.enter(20)
    place.rule(neighbours={"n": 2, "metres": 250, "within_s": 600})
    errors: list[BaseException] = []

    def write(order: Callable[[range], Any], first: int) -> None:
        try:
            for n in range(8):
                place.ingest.take(
                    "small",
                    [
                        {"device": f"smoke-{k}", "at": minutes(n).isoformat(), "seq": first, "value": 90 * (n % 2)}
                        for k in order(range(20))
                    ],
                )  # fmt: skip
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=write, args=(one, n)) for n, one in enumerate((list, reversed))
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert errors == []
    with place.engine.connect() as connection:
        assert connection.scalar(sa.text("select count(*) from reading")) == 2 * 8 * 20
