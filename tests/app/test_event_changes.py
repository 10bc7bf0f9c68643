"""What changed since a moment: nothing lost, nothing twice, whatever order transactions end in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import psycopg2
import pytest
import sqlalchemy as sa

from app.services import event_changes
from app.services.event_changes import Changes, Everything

KINDS = ("fire", "theft")
INSERT = (
    "insert into wusetu.event (source_id, reference, kind, occurred_at, located_by, geom) "
    "select id, %(name)s, %(kind)s, '2024-05-01T10:00:00.9Z'::timestamptz + %(n)s * interval '1 s', "
    "'point', st_setsrid(st_makepoint(120 + %(n)s / 1000.0, 30), 4326) "
    "from wusetu.event_source where pack = 'p'"
)


class Session:
    """A connection with a transaction of its own."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg2.connect(url.replace("+psycopg2", ""))
        self.cursor = self.connection.cursor()

    def add(self, n: int, kind: str = "theft") -> Session:
        self.cursor.execute(INSERT, {"name": f"e{n}", "kind": kind, "n": n})
        assert self.cursor.rowcount == 1
        return self

    def run(self, statement: str) -> Session:
        self.cursor.execute("set local search_path = wusetu, public")
        self.cursor.execute(statement)
        return self

    def commit(self) -> Session:
        self.connection.commit()
        return self


@pytest.fixture
def session(db_url: str, engine: sa.Engine) -> Iterator[object]:
    """Maker of sessions on a database with one source of pack p and one of another pack."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "insert into event_source (pack, name, crs, time_zone, mapping) values "
            "('p', 's', 'wgs84', 'UTC', '{}'), ('other', 's', 'wgs84', 'UTC', '{}')"
        )
    made: list[Session] = []

    def make() -> Session:
        made.append(Session(db_url))
        return made[-1]

    yield make
    for one in made:
        one.connection.close()


def everything(engine: sa.Engine) -> Everything:
    with engine.begin() as connection:
        return event_changes.read_all(connection, "p", 1, extra_kinds=KINDS)


def changes(engine: sa.Engine, since: str, kinds: tuple[str, ...] = KINDS) -> Changes:
    with engine.begin() as connection:
        moment = event_changes.begin(connection)
        return event_changes.read_changes(
            connection, "p", 1, since=since, taken=moment.taken, kinds=kinds
        )


def numbers(rows: object) -> list[int]:
    """The n of `Session.add`, of every row."""
    return sorted(np.rint((rows.lon - 120) * 1000).astype(int).tolist())  # type: ignore[attr-defined]


def test_begun_before_and_committed_after_is_in_the_delta_exactly_once(
    engine: sa.Engine, session
) -> None:
    late = session().add(1)
    session().add(2).commit()
    first = everything(engine)
    assert numbers(first.rows) == [2]
    session().add(3).commit()
    assert numbers(changes(engine, first.moment.taken).added) == [3]
    late.commit()
    found = changes(engine, first.moment.taken)
    assert numbers(found.added) == [1, 3]
    assert len(found.removed) == 0
    # advancing step by step ends at the same
    assert numbers(changes(engine, found.taken).added) == []
    assert numbers(everything(engine).rows) == [1, 2, 3]


def test_time_is_cut_downward_and_a_kind_is_a_position(engine: sa.Engine, session) -> None:
    session().add(0, "theft").add(5, "fire").commit()
    rows = everything(engine).rows
    assert sorted(rows.time.tolist()) == [1714557600, 1714557605]
    assert [KINDS[k] for k in rows.kind[np.argsort(rows.time)]] == ["theft", "fire"]
    assert set(rows.located.tolist()) == {event_changes.LOCATED.index("point")}


def test_corrected_deleted_and_short_lived_events(engine: sa.Engine, session) -> None:
    session().add(1).add(2).add(3).commit()
    since = everything(engine).moment.taken
    session().run("update event set kind = 'fire' where reference = 'e1'").commit()
    session().run("delete from event where reference = 'e2'").commit()
    session().add(4).commit().run("delete from event where reference = 'e4'").commit()
    both = session().add(5).run("update event set kind = 'fire' where reference = 'e5'")
    both.run("update event set kind = 'theft' where reference = 'e5'").commit()
    found = changes(engine, since)
    assert numbers(found.added) == [1, 5]
    assert numbers(found.removed) == [1, 2]
    assert found.added.kind[found.added.lon < 120.002].tolist() == [0]
    assert found.removed.kind.tolist() == [1, 1]


def test_steps_add_up_to_the_whole(engine: sa.Engine, session) -> None:
    """Any interleaving of writers: what is resident equals what is stored, after every step."""
    random = np.random.default_rng(5)
    writers = [session() for _ in range(4)]
    begin = everything(engine)
    since, held = begin.moment.taken, Counter(begin.rows.time.tolist())
    number = 0
    for _ in range(120):
        writer = writers[random.integers(len(writers))]
        what = random.integers(5)
        if what <= 1:
            number += 1
            writer.add(number, KINDS[number % 2])
        elif what == 2:
            # own residue class, so that writers never wait for each other
            mine = writers.index(writer)
            writer.run(f"update event set kind = 'fire', occurred_at = occurred_at + interval '1 d' "
                       f"where id %% 4 = {mine}".replace("%%", "%"))  # fmt: skip
        elif what == 3:
            mine = writers.index(writer)
            writer.run(
                f"delete from event where id = (select min(id) from event where id % 4 = {mine})"
            )
        elif random.random() < 0.8:
            writer.commit()
        else:
            writer.connection.rollback()
        if random.random() < 0.3:
            found = changes(engine, since)
            since = found.taken
            held.update(found.added.time.tolist())
            held.subtract(found.removed.time.tolist())
            assert +held == Counter(everything(engine).rows.time.tolist())
            assert min(held.values(), default=0) >= 0
    assert number > 20
    assert begin.moment.taken != since


def test_kinds_nobody_knew_are_named(engine: sa.Engine, session) -> None:
    since = everything(engine).moment.taken
    session().add(1, "noise").add(2, "fire").add(3, "arson").commit()
    found = changes(engine, since)
    assert found.kinds == ("fire", "theft", "arson", "noise")
    assert {found.kinds[k] for k in found.added.kind} == {"arson", "fire", "noise"}


def test_other_packs_are_left_out(engine: sa.Engine, session) -> None:
    since = everything(engine).moment.taken
    session().run(
        "insert into event (source_id, reference, kind, occurred_at, located_by) select id, 'x', "
        "'fire', now(), 'none' from event_source where pack = 'other'"
    ).commit()
    session().run("delete from event").commit()
    assert len(changes(engine, since)) == 0
    assert len(everything(engine).rows) == 0


def test_counting_changes_stops_at_the_limit(engine: sa.Engine, session) -> None:
    since = everything(engine).moment.taken
    session().add(1).add(2).add(3).commit().run("delete from event where reference = 'e1'").commit()
    with engine.begin() as connection:
        assert event_changes.count_changes(connection, "p", since, 100) == 2
        assert event_changes.count_changes(connection, "p", since, 1) == 1


def test_rows_of_another_server_are_adopted(engine: sa.Engine, session) -> None:
    """As a restored dump has them: written by transactions this server has not counted yet."""
    session().add(1).add(2).commit()
    session().run("alter table event disable trigger user").run(
        "update event set changed_in = '9000000000000' where reference = 'e1'"
    ).run("alter table event enable trigger user").commit()
    before = everything(engine)
    assert numbers(before.rows) == [2]  # the rest is its delta: a whole cut in two all the same
    assert numbers(changes(engine, before.moment.taken).added) == [1]
    assert event_changes.adopt(engine) == 1
    after = everything(engine)
    assert numbers(after.rows) == [1, 2]
    assert len(changes(engine, after.moment.taken)) == 0
    assert event_changes.adopt(engine) == 0
