"""Snapshots are published whole, kept while needed, and made again when they are not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from app.api.dependencies import Store
from app.cli.cube import command
from app.errors import NotFound
from app.security.identity import LOCAL
from app.services import areas, snapshots
from app.services.caches import ScopedCaches
from app.services.snapshot_keeper import Keeper
from app.settings import PROJECT, CubeSettings
from geo.cube import Snapshot
from geo.cube.store import FORMAT

from .conftest import Small, install, settings_for

ZONE = "Asia/Shanghai"
STAGES = ("ingest", "acknowledged", "file", "rename", "publish", "clean", "remove")
WRITER = PROJECT / "tests" / "app" / "killed_writer.py"


@pytest.fixture
def made(engine: sa.Engine, tmp_path: Path) -> SimpleNamespace:
    """The small map with a published snapshot."""
    install(engine)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "update event set geom = st_setsrid(st_makepoint(119 + id % 101 / 50.0, 29.5), 4326) "
                "where id % 3 > 0"
            )
        )
    first = snapshots.build(engine, tmp_path, "small", ZONE)
    return SimpleNamespace(engine=engine, folder=tmp_path, first=first)


def run(engine: sa.Engine, statement: str) -> int:
    with engine.begin() as connection:
        return connection.execute(sa.text(statement)).rowcount


def folders(root: Path) -> set[str]:
    return {one.name for one in (root / snapshots.FOLDER).iterdir()}


def test_folding_in_equals_building_afresh(made: SimpleNamespace) -> None:
    assert snapshots.compact(made.engine, made.folder, "small", ZONE) is None
    assert run(made.engine, "delete from event where id % 7 = 0") > 100
    assert run(made.engine, "update event set geom = null where id % 11 = 0") > 100
    folded = snapshots.compact(made.engine, made.folder, "small", ZONE)
    assert folded is not None
    assert folded.made_by == "compact"
    afresh = snapshots.build(made.engine, made.folder, "small", ZONE)
    assert afresh.made_by == "build"
    assert (afresh.digest, afresh.events, afresh.newest) == (
        folded.digest, folded.events, folded.newest
    )  # fmt: skip
    assert folded.digest != made.first.digest
    found = snapshots.verify(made.engine, made.folder, "small", ZONE)
    assert [wrong for _, wrong in found] == [None, None]


def test_the_last_two_are_kept_with_what_was_removed_since(made: SimpleNamespace) -> None:
    numbers = [made.first.id]
    for step in range(4):
        run(made.engine, f"delete from event where id % 5 = {step}")
        one = snapshots.compact(made.engine, made.folder, "small", ZONE)
        assert one is not None
        numbers.append(one.id)
    with made.engine.connect() as connection:
        there = snapshots.published(connection, "small", made.first.boundary_version_id, ZONE)
        removed = connection.scalar(sa.text("select count(*) from event_removed"))
        last = connection.scalar(sa.text("select count(*) from event where id % 5 = 4"))
    assert [one.id for one in there] == numbers[:-3:-1]
    assert folders(made.folder) == {one.digest for one in there}
    # what the elder of the two still counts and the younger does not
    assert removed == there[1].events - there[0].events
    assert last == there[0].events


def test_what_a_killed_process_left_goes_with_the_next(made: SimpleNamespace) -> None:
    root = made.folder / snapshots.FOLDER
    for name in ("new-1", ".new-2-x", "f" * 64):
        (root / name).mkdir()
        (root / name / "lon.npy").write_bytes(b"torn")
    run(made.engine, "delete from event where id % 7 = 0")
    one = snapshots.compact(made.engine, made.folder, "small", ZONE)
    assert one is not None
    assert folders(made.folder) == {made.first.digest, one.digest}


@pytest.mark.parametrize(
    "how", ["flipped", "cut", "missing file", "missing folder", "older format"]
)
def test_damage_is_noticed_and_mended_from_the_database(made: SimpleNamespace, how: str) -> None:
    folder = snapshots.path_of(made.folder, made.first.digest)
    path = max(folder.glob("*.npy"), key=lambda one: one.stat().st_size)
    body = path.read_bytes()
    if how == "flipped":
        path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    elif how == "cut":
        path.write_bytes(body[: len(body) // 2])
    elif how == "missing file":
        path.unlink()
    elif how == "older format":  # as large as before
        manifest = folder / "manifest.json"
        manifest.write_text(manifest.read_text().replace(f'"format": {FORMAT}', '"format": 1'))
    else:
        for one in folder.iterdir():
            one.unlink()
        folder.rmdir()
    ((_, wrong),) = snapshots.verify(made.engine, made.folder, "small", ZONE)
    assert wrong
    assert made.first.digest in wrong
    with made.engine.connect() as connection:
        why = snapshots.why_renew(connection, made.folder, "small", ZONE)
    assert (why is None) == (how == "flipped")  # only reading it all shows that
    run(made.engine, "delete from event where id % 7 = 0")
    one = snapshots.compact(made.engine, made.folder, "small", ZONE)
    assert one is not None
    assert one.made_by == "build"
    assert snapshots.verify(made.engine, made.folder, "small", ZONE)[0][1] is None


def test_the_same_events_once_more_mend_their_own_folder(made: SimpleNamespace) -> None:
    path = next(snapshots.path_of(made.folder, made.first.digest).glob("*.npy"))
    path.write_bytes(b"torn")
    again = snapshots.build(made.engine, made.folder, "small", ZONE)
    assert again.digest == made.first.digest
    assert folders(made.folder) == {again.digest}
    assert [w for _, w in snapshots.verify(made.engine, made.folder, "small", ZONE)] == [None, None]


def test_verify_sees_a_snapshot_that_differs_from_the_events(made: SimpleNamespace) -> None:
    # as if a row had been changed behind the back of the triggers
    run(made.engine, "alter table event disable trigger user")
    run(made.engine, "update event set kind = 'fire' where id = (select min(id) from event "
                     "where kind <> 'fire')")  # fmt: skip
    run(made.engine, "alter table event enable trigger user")
    ((_, wrong),) = snapshots.verify(made.engine, made.folder, "small", ZONE)
    assert wrong
    assert "differs" in wrong


def test_snapshots_of_another_server_are_left_alone(made: SimpleNamespace) -> None:
    run(made.engine, "update cube_snapshot set server = server + 1")
    with made.engine.connect() as connection:
        assert snapshots.why_renew(connection, made.folder, "small", ZONE)
    one = snapshots.compact(made.engine, made.folder, "small", ZONE)
    assert one is not None
    assert one.made_by == "build"


def test_truncating_the_events_ends_every_snapshot(made: SimpleNamespace) -> None:
    run(made.engine, "truncate event")
    with made.engine.connect() as connection:
        assert not snapshots.published(connection, "small", made.first.boundary_version_id, ZONE)
    one = snapshots.build(made.engine, made.folder, "small", ZONE)
    assert (one.events, one.newest) == (0, None)


def test_one_process_at_a_time_makes_snapshots(made: SimpleNamespace) -> None:
    run(made.engine, "update event set kind = 'fire'")
    waiting = threading.Event()
    with snapshots.making(made.engine):
        with pytest.raises(snapshots.Busy), snapshots.making(made.engine, wait=False):
            pass
        assert snapshots.renew(
            made.engine, made.folder, "small", ZONE, delta_rows=1, wait=False
        ) is None  # fmt: skip
        results: list[object] = []
        thread = threading.Thread(
            target=lambda: results.append(
                snapshots.compact(
                    made.engine, made.folder, "small", ZONE,
                    lambda text, *_: waiting.set() if "waiting" in text else None,
                )
            )
        )  # fmt: skip
        thread.start()
        assert waiting.wait(60)
        assert not results
    thread.join()
    assert results[0] is not None


def test_the_server_folds_in_by_a_process_of_its_own(made: SimpleNamespace, db_url: str) -> None:
    settings = settings_for(
        db_url, data_dir=made.folder, cube=CubeSettings(check_seconds=0, delta_rows=50)
    )
    warmed: list[list[str]] = []
    keeper = Keeper(made.engine, db_url, settings, warmed.append)
    assert keeper.look() is False
    run(made.engine, "delete from event where id % 7 = 0")
    assert keeper.look() is True
    with made.engine.connect() as connection:
        there = snapshots.published(connection, "small", made.first.boundary_version_id, ZONE)
    assert there[0].id > made.first.id
    assert keeper.look() is False
    keeper.start()
    keeper.stop()
    assert warmed == [["small"]]


def test_what_answers_is_compiled_before_the_first_question(
    made: SimpleNamespace,
    db_url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caches = ScopedCaches().of(LOCAL.scope_key)
    store = Store(made.engine, LOCAL, caches, settings_for(db_url).database.statement_timeout_ms)
    one = areas.Areas(store.read, caches, made.folder, ZONE)
    totals = []
    count = areas._count
    monkeypatch.setattr(areas, "_count", lambda *asked: totals.append(count(*asked).total))
    caplog.set_level("INFO", "wusetu")
    areas.warm(one, ["nowhere", "small"])
    assert "nowhere is not warmed" in caplog.text
    # with and without a breakdown; edges that cut through the events, not past them
    assert totals[0] == totals[1]
    assert 0 < totals[0] < len(one.present("small")[0].snapshot)


def test_commands(made: SimpleNamespace, db_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WUSETU_DATABASE_URL", db_url)
    monkeypatch.setenv("WUSETU_DATA_DIR", str(made.folder))

    def call(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(command, words)
        return result.exit_code, result.output

    code, text = call("status")
    assert code == 0
    assert f"snapshot {made.first.id}: {made.first.events:,} events" in text
    run(made.engine, "delete from event where id % 7 = 0")
    assert "nothing to do" in call("compact", "--if-needed")[1]
    assert "(compact," in call("compact", "small")[1]
    assert "small: nothing to do" in call("compact", "small")[1]
    assert "(build," in call("build", "small")[1]
    code, text = call("verify")
    assert code == 0
    assert "whole, equal to the events" in text
    for path in (made.folder / snapshots.FOLDER).rglob("*.npy"):
        path.write_bytes(b"torn")
    assert call("verify")[0] == 3
    code, text = call("status")
    assert code == 3
    assert "run `wusetu cube build small`" in text
    assert isinstance(CliRunner().invoke(command, ["build", "nowhere"]).exception, NotFound)


def test_killed_at_twenty_moments(engine: sa.Engine, db_url: str, tmp_path: Path) -> None:
    """Every acknowledged event is there once, and the last snapshot is never torn.

    A writer stores batches, folds them in and publishes, over and over, and says what was
    acknowledged. It is killed at moments of its own count, not of a clock.
    """
    small: Small = install(engine)
    snapshots.build(engine, tmp_path, "small", ZONE)
    random = np.random.default_rng(20)
    acknowledged: set[str] = set()
    zygote = subprocess.Popen(
        [sys.executable, str(WRITER), db_url, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    with zygote:
        for number in range(21):
            stage = STAGES[number % len(STAGES)]
            moment = random.integers(1, 40 if stage == "file" else 4)
            print(stage, moment, file=zygote.stdin, flush=True)
            while "killed" not in (line := json.loads(zygote.stdout.readline())):
                acknowledged.update(line["stored"])
            assert line["killed"] == -signal.SIGKILL
            with engine.connect() as connection:
                there = snapshots.published(connection, "small", small.version, ZONE)
                names = connection.scalars(
                    sa.text("select reference from event where reference like 'w%'")
                ).all()
            assert len(names) == len(set(names))
            assert acknowledged <= set(names)
            assert there
            for one in there:
                assert len(snapshots.open_snapshot(tmp_path, one)) == one.events
        zygote.stdin.close()
    # what is published counts, with its changes, exactly what is stored
    assert snapshots.verify(engine, tmp_path, "small", ZONE)[0][1] is None
    last = snapshots.compact(engine, tmp_path, "small", ZONE) or there[0]
    assert folders(tmp_path) >= {last.digest}
    assert isinstance(snapshots.open_snapshot(tmp_path, last), Snapshot)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("select count(*) from event")) == last.events
    assert len(acknowledged) > 100
