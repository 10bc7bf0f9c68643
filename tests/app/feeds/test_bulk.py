"""Bulk jobs end to end: the same events as an import, resumed, adopted once, cubes that add up."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from app.cli.bulk import command
from app.database import transaction
from app.errors import Conflict, Invalid, NotFound, Unavailable
from app.services import bulk, bulk_spark
from app.services.bulk_jobs import FILES, Job, file_digest, open_job
from app.services.events import import_file
from app.settings import PROJECT
from geo.cube import Snapshot, Spec

NOW = datetime(2025, 1, 1, tzinfo=UTC)
Prepare = Callable[..., Job]


def many(path: Path, rows: int, seed: int = 7, references: bool = True) -> Path:
    """A CSV of every sort of row, a tenth of them broken, some references and rows repeated."""
    random = np.random.default_rng(seed)
    lon, lat = random.uniform(119.98, 120.42, rows), random.uniform(29.98, 30.42, rows)
    code = [f"3301{('02', '05', '09')[c]}{t:03}" for c, t in random.integers(0, 3, (rows, 2))]
    seconds = random.integers(1_700_000_000, 1_735_000_000, rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ref", "kind", "at", "lon", "lat", "code", "address"])
        for i in range(rows):
            part = random.random()
            point = part < 0.7
            one = [
                f"A{i if random.random() > 0.05 else random.integers(0, rows)}"
                if references
                else "",
                "盗窃" if random.random() < 0.95 else "?",
                datetime.fromtimestamp(int(seconds[i]), UTC).strftime("%Y-%m-%d %H:%M:%S"),
                f"{lon[i]:.4f}" if point else "",
                f"{lat[i]:.4f}" if point else "",
                code[i] if part > 0.5 else "",
                "上城区清波街道\n城东社区" if random.random() < 0.2 else "",
            ]
            writer.writerow(one)
            if random.random() < 0.03:
                writer.writerow(one)
    return path


@pytest.fixture
def prepare(engine: sa.Engine, pack: str, mapping: dict[str, Any], tmp_path: Path) -> Prepare:
    """Make a job with the toy's mapping."""

    def make(*paths: Path | str, folder: str = "job", part_rows: int = 40, **more: Any) -> Job:
        return bulk.prepare(
            engine, paths, tmp_path / folder,
            **{"pack": pack, "mapping": mapping, "part_rows": part_rows, "now": NOW} | more,
        )  # fmt: skip

    return make


def table(engine: sa.Engine, source: str) -> list[tuple[Any, ...]]:
    """Everything about the events of a source, in order of references."""
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select reference, kind, occurred_at, located_by, mismatch, boundary_version_id, "
                "unit_id, code, address, st_asbinary(geom) from event where source_id = "
                "(select id from event_source where name = :s) order by reference"
            ),
            {"s": source},
        )
        return [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in rows]


def refused(path: Path) -> list[tuple[str, ...]]:
    """Line, column, value and reason of a reject file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [(r["line"], r["column"], r["value"], r["reason"]) for r in csv.DictReader(file)]


def contents(job: Job) -> dict[str, str]:
    """Digest of every file of every part."""
    return {
        f"{part.number}/{name}": file_digest(job.at(part.number) / name)
        for part in job.parts
        for name in FILES
    }


def snapshot_bytes(job: Job, folder: Path) -> dict[str, bytes]:
    """Files of the snapshot that the cube parts make."""
    spec = Spec(kinds=job.kinds)
    Snapshot.build(bulk.cube_columns(job), spec).save(folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("references", [True, False])
def test_a_job_stores_what_an_import_stores(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], prepare: Prepare, tmp_path: Path,
    references: bool,
) -> None:  # fmt: skip
    path = many(tmp_path / "events.csv", 400, references=references)
    if not references:
        del mapping["columns"]["reference"]
    rejects = tmp_path / "rejects.csv"
    one = import_file(
        engine, path, pack=pack, mapping={**mapping, "source": "one"}, rejects=rejects, now=NOW
    )
    job = prepare(path, source="two")
    assert len(job.parts) > 5
    report = bulk.run(job)
    assert (report.rows, report.rejected) == (one.rows, one.rejected)
    assert report.reasons == one.reasons
    assert report.reasons["repeated_reference"] > 3 or not references
    assert (report.located, report.levels) == (one.located, one.levels)
    assert (report.compared, report.mismatch) == (one.compared, one.mismatch)
    assert refused(job.folder / "rejects.csv") == refused(rejects)
    adopted = bulk.adopt(engine, job.folder)
    assert (adopted.new, adopted.updated, adopted.unchanged) == (one.new, 0, 0)
    assert table(engine, "two") == table(engine, "one")
    assert len(table(engine, "one")) > 300


def test_parquet_gives_the_same_events(prepare: Prepare, tmp_path: Path, engine: sa.Engine) -> None:
    path = many(tmp_path / "events.csv", 200)
    text = pa.csv.read_csv(
        path,
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types={"code": pa.string()}, null_values=[""], strings_can_be_null=True
        ),
    )
    pa.parquet.write_table(text, tmp_path / "events.parquet", row_group_size=17)
    found = {}
    for name in ("events.csv", "events.parquet"):
        job = prepare(tmp_path / name, folder=name + "-job", source=name[7:])
        bulk.run(job)
        bulk.adopt(engine, job.folder)
        found[name] = table(engine, name[7:])
    assert found["events.csv"] == found["events.parquet"]


def test_however_it_is_cut_the_cube_is_the_same(prepare: Prepare, tmp_path: Path) -> None:
    path = many(tmp_path / "events.csv", 300)
    snapshots = []
    for part_rows in (7, 100, 10_000):
        job = prepare(f"file://{path}", folder=f"job{part_rows}", part_rows=part_rows)
        bulk.run(job)
        snapshots.append(snapshot_bytes(job, tmp_path / f"snapshot{part_rows}"))
    assert snapshots[0] == snapshots[1] == snapshots[2]
    columns = bulk.cube_columns(job)
    assert len(columns) == bulk.report(job).good > 200


def test_two_processes_write_the_same_bytes(prepare: Prepare, tmp_path: Path) -> None:
    path = many(tmp_path / "events.csv", 150)
    one, two = (prepare(path, folder=name, h3=(8,)) for name in ("one", "two"))
    bulk.run(one)
    bulk.run(two, jobs=2)
    assert contents(one) == contents(two)
    events = pa.parquet.read_table(one.at(0) / "events.parquet")
    assert events["h3_8"].type == pa.uint64()


def test_a_row_of_an_earlier_file_is_taken_once(
    prepare: Prepare, mapping: dict[str, Any], tmp_path: Path, engine: sa.Engine
) -> None:
    del mapping["columns"]["reference"]
    path = many(tmp_path / "a.csv", 90, references=False)
    lines = path.read_bytes()
    (tmp_path / "b.csv").write_bytes(lines)
    job = prepare(tmp_path / "a.csv", tmp_path / "b.csv", part_rows=20)
    report = bulk.run(job)
    alone = prepare(tmp_path / "a.csv", folder="alone", source="alone", part_rows=20)
    first = bulk.run(alone)
    assert report.good == first.good
    assert report.reasons["repeated_reference"] == first.good + first.reasons["outside"]
    bulk.adopt(engine, job.folder)
    bulk.adopt(engine, alone.folder)
    assert table(engine, "alarm") == table(engine, "alone")


def test_adopting_twice_changes_nothing(
    prepare: Prepare, tmp_path: Path, engine: sa.Engine
) -> None:
    job = prepare(many(tmp_path / "events.csv", 200))
    report = bulk.run(job)
    assert bulk.adopt(engine, job.folder).new == report.good
    before = table(engine, "alarm")
    versions = "select array_agg(xmin::text order by id) from event"
    with engine.connect() as connection:
        written = connection.scalar(sa.text(versions))
    for again in (False, True):
        second = bulk.adopt(engine, job.folder, again=again)
        assert (second.new, second.updated, second.unchanged) == (0, 0, report.good)
        assert second.skipped == (0 if again else len(job.parts))
    with engine.connect() as connection:
        assert connection.scalar(sa.text(versions)) == written
    assert table(engine, "alarm") == before


def test_an_interrupted_adoption_goes_on(
    prepare: Prepare, tmp_path: Path, engine: sa.Engine
) -> None:
    job = prepare(many(tmp_path / "events.csv", 300))
    good = bulk.run(job).good

    def stop(at: Any) -> None:
        if at.done > good / 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bulk.adopt(engine, job.folder, progress=stop)
    with engine.connect() as connection:
        noted = connection.scalar(sa.text("select sum(events) from bulk_part"))
        assert connection.scalar(sa.text("select count(*) from event")) == noted
    assert 0 < noted <= good
    second = bulk.adopt(engine, job.folder)
    assert (second.new, second.updated) == (good - noted, 0)
    assert len(table(engine, "alarm")) == good


def test_corrected_events_are_not_overwritten_by_a_second_adoption(
    prepare: Prepare, tmp_path: Path, engine: sa.Engine
) -> None:
    job = prepare(many(tmp_path / "events.csv", 60))
    bulk.run(job)
    bulk.adopt(engine, job.folder)
    with transaction(engine) as connection:
        connection.execute(sa.text("update event set kind = 'fire'"))
    bulk.adopt(engine, job.folder)
    assert {row[1] for row in table(engine, "alarm")} == {"fire"}
    assert bulk.adopt(engine, job.folder, again=True).updated > 0
    assert "theft" in {row[1] for row in table(engine, "alarm")}


def test_events_that_are_there_already_are_merged(
    prepare: Prepare, tmp_path: Path, engine: sa.Engine, pack: str, mapping: dict[str, Any]
) -> None:
    path = many(tmp_path / "events.csv", 200)
    import_file(engine, path, pack=pack, mapping=mapping, now=NOW)
    before = table(engine, "alarm")
    job = prepare(path)
    report = bulk.run(job)
    adopted = bulk.adopt(engine, job.folder)
    assert (adopted.new, adopted.updated, adopted.unchanged) == (0, 0, report.good)
    assert table(engine, "alarm") == before


def test_finished_parts_are_not_done_again(prepare: Prepare, tmp_path: Path) -> None:
    path = many(tmp_path / "events.csv", 300)
    whole = prepare(path, folder="whole")
    bulk.run(whole)
    job = prepare(path)

    def stop(at: Any) -> None:
        if at.done > 120:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bulk.run(job, progress=stop)
    with pytest.raises(Conflict, match="is not finished"):
        bulk.report(job)
    inodes = {p.name: p.stat().st_ino for p in (job.folder / "parts").iterdir()}
    assert 0 < len(inodes) < len(job.parts)
    assert job.settled() is None
    # what a killed worker leaves
    (job.folder / "parts" / ".00007-half").mkdir()
    second = bulk.run(prepare(path))
    assert second.reused == len(inodes)
    now = {p.name: p.stat().st_ino for p in (job.folder / "parts").iterdir()}
    assert {name: now[name] for name in inodes} == inodes
    assert contents(job) == contents(whole)


def test_a_damaged_part_is_made_anew(prepare: Prepare, tmp_path: Path, engine: sa.Engine) -> None:
    job = prepare(many(tmp_path / "events.csv", 120))
    bulk.run(job)
    good = contents(job)
    path = job.at(1) / "events.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(Invalid, match=r"part 1 of .* is damaged"):
        bulk.adopt(engine, job.folder)
    assert table(engine, "alarm") == []
    (job.folder / "parts" / "00001" / "cube.arrow").write_bytes(b"")
    bulk.run(job)
    assert contents(job) == good


KILLED = """
import sys
from app.services import bulk
from app.services.bulk_jobs import open_job
bulk.run(open_job(sys.argv[1]))
"""


def test_a_killed_job_goes_on(prepare: Prepare, tmp_path: Path) -> None:
    path = many(tmp_path / "events.csv", 2000)
    whole = prepare(path, folder="whole", part_rows=50)
    bulk.run(whole)
    job = prepare(path, part_rows=50)
    for wanted in (1, 5, 12):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(job.folder)], cwd=PROJECT)
        while process.poll() is None:
            if len(list((job.folder / "parts").glob("[0-9]*"))) >= wanted:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        process.wait()
    bulk.run(job)
    assert contents(job) == contents(whole)


def test_a_folder_holds_one_job(prepare: Prepare, tmp_path: Path, engine: sa.Engine) -> None:
    path = many(tmp_path / "events.csv", 50)
    job = prepare(path)
    assert prepare(path).digest == job.digest
    with pytest.raises(Conflict, match=r"asked something else \(mapping differ"):
        prepare(path, source="other")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "letter.txt").write_text("mine")
    with pytest.raises(Conflict, match=r"holds other files \(letter\.txt\)"):
        prepare(path, folder="used")
    with pytest.raises(NotFound, match="no bulk job in"):
        bulk.adopt(engine, tmp_path / "used")
    with pytest.raises(Conflict, match="is not finished"):
        bulk.adopt(engine, job.folder)
    (job.folder / "job.json").write_text("{")
    with pytest.raises(Invalid, match="is damaged"):
        open_job(job.folder)


def test_a_job_on_older_boundaries_is_refused(
    prepare: Prepare, tmp_path: Path, engine: sa.Engine
) -> None:
    job = prepare(many(tmp_path / "events.csv", 50))
    bulk.run(job)
    body = json.loads((job.folder / "job.json").read_text())
    body["version"] |= {"digest": "0" * 64, "label": "old"}
    (job.folder / "job.json").write_text(json.dumps(body))
    with pytest.raises(Conflict, match=r"boundaries old of toy, the newest .* are 1"):
        bulk.adopt(engine, job.folder)


def test_what_spoils_an_input_stops_the_job(prepare: Prepare, tmp_path: Path) -> None:
    path = many(tmp_path / "events.csv", 100)
    data = path.read_bytes()
    at = data.index(b"A60,")
    path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    job = prepare(path)
    with pytest.raises(Invalid, match=r"part \d: events\.csv, line \d+, byte \d+: not utf-8"):
        bulk.run(job)
    assert job.settled() is None


def test_the_command(
    prepare: Prepare, db_url: str, pack: str, mapping: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("WUSETU_DATABASE_URL", db_url)
    monkeypatch.setenv("WUSETU_DATA_DIR", str(tmp_path / "data"))
    path = many(tmp_path / "events.csv", 100)
    (tmp_path / "mapping.yaml").write_text(json.dumps(mapping), encoding="utf-8")
    ask = [str(path), "--mapping", str(tmp_path / "mapping.yaml"), "--pack", pack,
           "--job", str(tmp_path / "job"), "--part-rows", "30"]  # fmt: skip
    run = CliRunner().invoke(command, ask, catch_exceptions=False)
    assert run.exit_code == 0, run.output
    assert "× unknown_kind" in run.output
    assert "next      wusetu bulk adopt" in run.output
    again = CliRunner().invoke(command, ask, catch_exceptions=False)
    assert "of them were there already" in again.output
    for words, made in (("0 of them adopted before", 1), ("4 of them adopted before", 0)):
        done = CliRunner().invoke(command, ["adopt", str(tmp_path / "job")], catch_exceptions=False)
        assert words in done.output, done.output
        assert done.output.count("snapshot  ") == made


def test_spark_without_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(Unavailable, match="Spark needs Java and there is none"):
        bulk_spark.check_java()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match=f"JAVA_HOME is {tmp_path}"):
        bulk_spark.check_java()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('java version "1.8.0_402"', "is Java 8: install Java 17"),
        ('openjdk version "11.0.2" 2019-01-15', "is Java 11: install Java 17"),
        ("something else", "does not tell its version"),
        ('openjdk version "21.0.1"', None),
    ],
)
def test_spark_on_another_java(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, message: str | None
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if message is None:
        assert bulk_spark.check_java() == 21
    else:
        with pytest.raises(Unavailable, match=message):
            bulk_spark.check_java()


def test_spark_without_pyspark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(Unavailable, match=r"pip install 'wusetu\[spark\]'"):
        bulk_spark.check_pyspark()


@pytest.mark.spark
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_spark_writes_the_same_bytes(prepare: Prepare, tmp_path: Path, form: str) -> None:
    path = many(tmp_path / "events.csv", 600)
    if form == "parquet":
        text = pa.csv.read_csv(path, parse_options=pa.csv.ParseOptions(newlines_in_values=True))
        path = tmp_path / "events.parquet"
        pa.parquet.write_table(
            text.cast(pa.schema([(n, pa.string()) for n in text.column_names])), path
        )
    here, there = (prepare(path, folder=name, part_rows=60) for name in ("here", "there"))
    bulk.run(here)
    report = bulk.run(there, engine="spark", master="local[2]")
    assert report.reused == 0
    assert contents(here) == contents(there)
    one, two = (snapshot_bytes(job, tmp_path / f"s{i}") for i, job in enumerate((here, there)))
    assert one == two


@pytest.mark.spark
def test_spark_goes_on_and_tells_what_is_wrong(prepare: Prepare, tmp_path: Path) -> None:
    path = many(tmp_path / "events.csv", 200)
    job = prepare(path)
    bulk.run(job)
    before = contents(job)
    shutil.rmtree(job.folder / "parts" / "00002")
    assert bulk.run(job, engine="spark", master="local[2]").reused == len(job.parts) - 1
    assert contents(job) == before
    shutil.rmtree(job.folder / "parts" / "00001")
    os.utime(path, (1, 1))
    with pytest.raises(Invalid, match=r"part 1: events\.csv has changed"):
        bulk.run(job, engine="spark", master="local[2]")
    with pytest.raises(Invalid, match="master 'nowhere' is none"):
        bulk.run(job, engine="spark", master="nowhere")


@pytest.mark.machine
def test_the_benchmark_compares_equal_events() -> None:
    ask = "--rows 3000 --peer-rows 1500 --units 50 --jobs 1"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ingest", *ask.split()],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("events of all ways equal: yes") == 2
    assert "| COPY + ST_Covers | 1,500 |" in done.stdout
