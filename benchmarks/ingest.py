"""File → PostgreSQL events + snapshot, against COPY and a spatial join in PostGIS, on the same rows.

    python -m benchmarks.ingest [--rows 1000000] [--peer-rows 1000000] [--pack hangzhou]
                                [--spark local[2]] [--keep FOLDER]

Makes a private database, the units of a sample pack, and a Parquet file of events at random points
of its leaf units (reference, kind, time, longitude, latitude). Then, each in a process of its own:

peer    COPY the raw rows into a table, INSERT … SELECT with an ST_Covers join on the same leaf
        polygons (GiST index, analysed) into a table like `event`: its primary and unique key, and
        its references as foreign keys
import  `wusetu events import` and the first snapshot
bulk    `wusetu bulk`, `wusetu bulk adopt` and the first snapshot
spark   the parts on Spark, compared file by file with those of `bulk`

The stored events of all ways are compared row by row (digest over reference, kind, time, unit,
point). Peak memory is that of the Wusetu process, the database's is not part of it. Seconds of CPU
are those of the process and its workers, and of all processes of the database, while the way ran:
what the machine does besides changes them less than the seconds of the clock. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import shapely
import sqlalchemy as sa

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ZONE = "Asia/Shanghai"
KINDS = ("theft", "fraud", "dispute", "petition", "fire", "traffic_death")
MAPPING = {
    "simulated": True,
    "time_zone": "UTC",
    "columns": {"reference": "ref", "kind": "kind", "time": "at", "lon": "lon", "lat": "lat"},
}
_CHUNK = 500_000


def write_events(path: Path, rows: int, shapes: Any, seed: int = 1) -> None:
    """Parquet of events inside the polygons, one after the other in no order."""
    random = np.random.default_rng(seed)
    west, south, east, north = shapely.bounds(shapes).T
    shapely.prepare(shapes)
    writer = None
    for first in range(0, rows, _CHUNK):
        n = min(_CHUNK, rows - first)
        leaf = random.integers(0, len(shapes), n)
        lon, lat = np.empty(n), np.empty(n)
        left = np.arange(n)
        while len(left):
            box = leaf[left]
            lon[left] = random.uniform(west[box], east[box])
            lat[left] = random.uniform(south[box], north[box])
            left = left[~shapely.contains_xy(shapes[box], lon[left], lat[left])]
        at = random.integers(1_704_038_400, 1_767_110_400, n).astype("datetime64[s]")
        table = pa.table(
            {
                "ref": pa.array([f"JQ{first + i:012}" for i in range(n)]),
                "kind": pa.array(np.array(KINDS)[random.integers(0, len(KINDS), n)]),
                "at": pa.array(at.astype("datetime64[us]")),
                "lon": lon,
                "lat": lat,
            }
        )
        writer = writer or pa.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def read_pack(name: str, limit: int | None) -> Any:
    """Units of a sample pack; `limit` keeps the first counties with about that many leaves."""
    import geopandas as gpd

    from app.services.sample_packs import read_pack as pack_file

    frame = gpd.read_parquet(pack_file(name).folder / "units.parquet")
    if limit is not None:
        counties = sorted(frame.code[frame.level == "county"])
        kept: list[str] = []
        for county in counties:
            kept.append(county)
            if (frame.code.str[:6].isin(kept) & (frame.level == "grid")).sum() >= limit:
                break
        city = {code[:4] for code in kept}
        frame = frame[frame.code.str[:6].isin(kept) | frame.code.isin(city)]
        for code in city:  # a city of fewer counties
            inside = frame.geometry[(frame.level == "county") & frame.code.str.startswith(code)]
            frame.loc[frame.code == code, "geometry"] = inside.union_all()
    return frame


def cpu(engine: sa.Engine) -> tuple[float, float]:
    """CPU seconds so far: this process with its children, the database server with its own."""
    here = sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    with engine.connect() as connection:
        backend = connection.exec_driver_sql("select pg_backend_pid()").scalar_one()
    postmaster = _process(Path(f"/proc/{backend}"))[1]
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = _process(folder)
        except OSError:  # it ended
            continue
        if postmaster in (int(folder.name), fields[1]):
            # of the postmaster also what its ended children used
            ticks += sum(fields[11 : 15 if int(folder.name) == postmaster else 13])
    return here, ticks / os.sysconf("SC_CLK_TCK")


def _process(folder: Path) -> list[int]:
    """Fields of /proc/<pid>/stat from the state on, which is put as 0."""
    text = (folder / "stat").read_text(encoding="ascii", errors="replace")
    return [0, *map(int, text.rpartition(")")[2].split()[1:])]


def _spent(engine: sa.Engine, before: tuple[float, float]) -> dict[str, float]:
    client, server = (b - a for a, b in zip(before, cpu(engine), strict=True))
    return {"client_cpu": client, "server_cpu": server}


# The ways ---------------------------------------------------------------------------------------
def peer(url: str, path: Path) -> dict[str, Any]:
    """COPY, then ST_Covers."""
    from app.database import make_engine, raw

    engine = make_engine(url)
    with engine.begin() as connection:
        for statement in _PEER_TABLES:
            connection.exec_driver_sql(statement)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("vacuum analyze peer_unit")
    used = cpu(engine)
    start = time.perf_counter()
    with engine.begin() as connection, raw(connection).cursor() as cursor:
        for batch in pa.parquet.ParquetFile(path).iter_batches(_CHUNK):
            sink = pa.BufferOutputStream()
            pa.csv.write_csv(batch, sink, pa.csv.WriteOptions(include_header=False))
            cursor.copy_expert(
                "copy peer_raw from stdin (format csv)", pa.BufferReader(sink.getvalue())
            )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("analyze peer_raw")
    copied = time.perf_counter()
    with engine.begin() as connection:
        connection.exec_driver_sql(_PEER_INSERT)
    done = time.perf_counter()
    spent = _spent(engine, used)
    with engine.connect() as connection:
        digest = stored(connection, "peer_event", None)
    return {
        "copy": copied - start, "store": done - copied, "total": done - start, **spent, **digest,
    }  # fmt: skip


_PEER_TABLES = (
    """create table peer_unit as select u.boundary_version_id, u.id, u.geom from unit u
  where not exists (select from unit c where c.boundary_version_id = u.boundary_version_id
                    and c.parent_id = u.id)""",
    "create index on peer_unit using gist (geom)",
    """insert into event_source (pack, name, crs, time_zone, mapping)
  values ('peer', 'peer', 'wgs84', 'UTC', '{}')""",
    "create table peer_raw (ref text, kind text, at timestamp, lon float8, lat float8)",
    """create table peer_event (
  id bigint generated always as identity primary key,
  source_id int not null references event_source,
  reference text not null, kind text not null, occurred_at timestamptz not null,
  located_by text not null check (located_by in ('code', 'point', 'address', 'none')),
  mismatch boolean not null default false,
  boundary_version_id int, unit_id int, code text collate "C", address text,
  geom geometry(Point, 4326), imported_at timestamptz not null default now(),
  unique (source_id, reference),
  foreign key (boundary_version_id, unit_id) references unit (boundary_version_id, id))""",
)
# lowest id wins on a shared edge, as everywhere
_PEER_INSERT = """
insert into peer_event (source_id, reference, kind, occurred_at, located_by, boundary_version_id,
                        unit_id, geom)
select s.id, r.ref, r.kind, r.at at time zone 'UTC', 'point', u.boundary_version_id, u.id, r.geom
from (select ref, kind, at, st_setsrid(st_makepoint(lon, lat), 4326) as geom from peer_raw) r
join event_source s on s.pack = 'peer'
join lateral (select boundary_version_id, id from peer_unit p where st_covers(p.geom, r.geom)
              order by id limit 1) u on true
"""


def stored(connection: sa.Connection, table: str, source: str | None) -> dict[str, Any]:
    """How many events, and one digest of them that their order does not change."""
    where = "" if source is None else (
        "where source_id = (select id from event_source where name = :source)"
    )  # fmt: skip
    row = connection.execute(
        sa.text(
            "select count(*) as events, coalesce(sum(hashtextextended(concat_ws('|', reference, "
            "kind, extract(epoch from occurred_at), unit_id, st_asbinary(geom)), 0)::numeric), 0)"
            f"::text as digest from {table} {where}"
        ),
        {} if source is None else {"source": source},
    ).one()
    return {"events": row.events, "digest": row.digest}


def way_import(url: str, path: Path, folder: Path, pack: str) -> dict[str, Any]:
    """`wusetu events import`, then the snapshot."""
    from app.database import make_engine
    from app.services import snapshots
    from app.services.event_fresh import FreshRows
    from app.services.events import import_file

    engine = make_engine(url)
    used = cpu(engine)
    start = time.perf_counter()
    with FreshRows(folder) as fresh:
        import_file(
            engine, path, pack=pack, mapping={**MAPPING, "source": "import"}, now=NOW,
            cache_folder=folder.parent / "locate", fresh=fresh,
        )  # fmt: skip
        loaded = time.perf_counter()
        snapshots.build(engine, folder, pack, ZONE, fresh=fresh)
    return _told(engine, used, start, loaded, "import", {})


def way_bulk(url: str, path: Path, folder: Path, pack: str, jobs: int) -> dict[str, Any]:
    """`wusetu bulk`, adopt, snapshot."""
    from app.database import make_engine
    from app.services import bulk, snapshots
    from app.services.event_fresh import FreshRows

    engine = make_engine(url)
    used = cpu(engine)
    start = time.perf_counter()
    job = bulk.prepare(
        engine, [path], folder / "job", pack=pack, mapping={**MAPPING, "source": "bulk"}, now=NOW,
        cache_folder=folder.parent / "locate",
    )  # fmt: skip
    bulk.run(job, jobs=jobs)
    made = time.perf_counter()
    with FreshRows(folder) as fresh:
        bulk.adopt(engine, job.folder, fresh=fresh)
        loaded = time.perf_counter()
        snapshots.build(engine, folder, pack, ZONE, fresh=fresh)
    parts = {"parts": made - start, "adopt": loaded - made}
    return _told(engine, used, start, loaded, "bulk", parts)


def _told(
    engine: sa.Engine, used: tuple[float, float], start: float, loaded: float, source: str,
    more: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    done = time.perf_counter()
    more = {**more, **_spent(engine, used)}
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with engine.connect() as connection:
        digest = stored(connection, "event", source)
    return {
        **more, "store": loaded - start, "snapshot": done - loaded, "total": done - start,
        "own_mb": own / 1024, "child_mb": child / 1024, **digest,
    }  # fmt: skip


def way_spark(url: str, path: Path, folder: Path, pack: str, master: str) -> dict[str, Any]:
    """Make the same parts on Spark and build the cube of both; every file is compared."""
    from app.database import make_engine
    from app.services import bulk
    from app.services.bulk_jobs import FILES, file_digest, open_job
    from geo.cube import Snapshot, Spec

    here = open_job(folder / "job")
    there = bulk.prepare(
        make_engine(url), [path], folder / "job-spark", pack=pack,
        mapping={**MAPPING, "source": "bulk"}, now=NOW, cache_folder=folder.parent / "locate",
    )  # fmt: skip
    start = time.perf_counter()
    bulk.run(there, engine="spark", master=master)
    total = time.perf_counter() - start
    same = all(
        file_digest(here.at(part.number) / name) == file_digest(there.at(part.number) / name)
        for part in here.parts
        for name in FILES
    )
    digests = []
    for name, job in (("here", here), ("there", there)):
        target = folder / f"cube-{name}"
        shutil.rmtree(target, ignore_errors=True)
        digests.append(Snapshot.build(bulk.cube_columns(job), Spec(job.kinds, ZONE)).save(target))
        shutil.rmtree(target)
    return {"total": total, "same": same and digests[0] == digests[1], "cube": digests[0]}


# The run ----------------------------------------------------------------------------------------
def _child(way: str, *arguments: str, python: str = sys.executable) -> dict[str, Any]:
    """A way in a process of its own."""
    done = subprocess.run(
        [python, "-m", "benchmarks.ingest", "--way", way, *arguments],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{way} failed:\n{done.stderr[-3000:]}")
    body: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return body


def run(given: argparse.Namespace, folder: Path) -> list[str]:
    """Everything; the lines of the table."""
    import yaml

    from app.cluster import Cluster
    from app.database import make_engine, migrate, transaction
    from app.services.boundaries import import_units
    from app.services.event_places import open_place
    from app.services.sample_packs import read_pack as pack_file
    from geo.codes import load_layout

    cluster = Cluster(folder)
    cluster.start()
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    try:
        frame = read_pack(given.pack, given.units)
        layout_name = pack_file(given.pack).layout
        layout = load_layout(
            yaml.safe_load((ROOT / f"data/layouts/{layout_name}.yaml").read_text())
        )
        template = "ingest"
        cluster.create_database(template)
        migrate(cluster.url(template))
        engine = make_engine(cluster.url(template))
        with transaction(engine) as connection:
            import_units(connection, pack=given.pack, label="1", frame=frame, layout=layout)
            version = connection.execute(
                sa.text("select version() as pg, postgis_lib_version() as postgis")
            ).one()
            # the index is made once per boundary version, as the GiST index of the peer is
            open_place(connection, given.pack, folder / "locate")
        engine.dispose()
        shapes = frame.geometry[frame.level == "grid"].to_numpy()
        corners = int(shapely.get_num_coordinates(shapes).sum())
        path, few = folder / "events.parquet", folder / "few.parquet"
        write_events(path, given.rows, shapes)
        write_events(few, given.peer_rows, shapes)
        say(
            f"{len(shapes):,} leaf polygons of {given.pack} ({corners:,} corners); "
            f"{' '.join(version.pg.split()[:2])}, PostGIS {version.postgis}, pyarrow "
            f"{pa.__version__}, shapely {shapely.__version__}; {os.cpu_count()} cores"
        )
        say(
            "| way | rows | s | rows/s | of it | CPU s client + server | peak MB | x peer | by CPU |"
        )
        say("|---|---|---|---|---|---|---|---|---|")
        slow = None
        slow_cpu = 0.0

        def database(name: str) -> str:
            cluster.create_database(name)
            migrate(cluster.url(name))
            engine = make_engine(cluster.url(name))
            with transaction(engine) as connection:
                import_units(connection, pack=given.pack, label="1", frame=frame, layout=layout)
            engine.dispose()
            return cluster.url(name)

        def row(way: str, rows: int, told: dict[str, Any]) -> None:
            parts = ", ".join(
                f"{name} {told[name]:.1f}"
                for name in ("copy", "parts", "adopt", "store", "snapshot")
                if name in told
            )
            ratio = "1" if slow is None else f"{rows / told['total'] / slow:.1f}"
            by_cpu, spent = "-", "-"
            if "client_cpu" in told:
                each = (told["client_cpu"] + told["server_cpu"]) / rows
                by_cpu = f"{slow_cpu / each:.1f}" if slow_cpu else "1"
                spent = f"{told['client_cpu']:.1f} + {told['server_cpu']:.1f}"
            memory = f"{told['own_mb']:,.0f}" if "own_mb" in told else "-"
            if told.get("child_mb"):
                memory += f", workers {told['child_mb']:,.0f} each"
            say(
                f"| {way} | {rows:,} | {told['total']:.1f} | {rows / told['total']:,.0f} | "
                f"{parts or '-'} | {spent} | {memory} | {ratio} | {by_cpu} |"
            )

        found = _child("peer", database("peer"), str(few))
        slow_told = found
        row("COPY + ST_Covers", given.peer_rows, found)
        slow = given.peer_rows / found["total"]
        slow_cpu = (found["client_cpu"] + found["server_cpu"]) / given.peer_rows
        runs = [("few", few, given.peer_rows)]
        if given.rows != given.peer_rows:
            runs.append(("all", path, given.rows))
        for name, file, rows in runs:
            digests = []
            for way in ("import", "bulk"):
                home = folder / f"{name}-{way}"
                home.mkdir(exist_ok=True)
                url = database(f"{name}_{way}")
                told = _child(way, url, str(file), str(home), given.pack, str(given.jobs))
                row(f"`{way}`", rows, told)
                digests.append((told["events"], told["digest"]))
            if name == "few":
                digests.append((slow_told["events"], slow_told["digest"]))
            same = len(set(digests)) == 1 and digests[0][0] == rows
            say(f"{rows:,} rows, events of all ways equal: {'yes' if same else 'NO'}")
            if not same:
                raise SystemExit(f"the ways differ: {digests}")
        name, file, rows = runs[-1]
        if given.spark:
            told = _child(
                "spark", cluster.url(f"{name}_bulk"), str(file), str(folder / f"{name}-bulk"),
                given.pack, given.spark, python=given.spark_python,
            )  # fmt: skip
            row(f"parts on Spark {given.spark}", rows, told)
            say(f"parts and cube of Spark and of this process byte for byte equal: "
                f"{'yes' if told['same'] else 'NO'} (cube {told['cube'][:12]})")  # fmt: skip
            if not told["same"]:
                raise SystemExit("Spark's parts differ")
    finally:
        cluster.stop()
    return lines


def main(arguments: list[str] | None = None) -> list[str]:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peer-rows", type=int, default=1_000_000)
    parser.add_argument("--pack", default="hangzhou")
    parser.add_argument("--units", type=int, help="only about so many leaf units")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--spark", help="master of Spark; none: without it")
    parser.add_argument("--spark-python", default=str(ROOT / ".venv-spark/bin/python"))
    parser.add_argument("--keep", type=Path, help="folder for database and files; else a new one")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.way:
        url, path, *rest = given.rest
        if given.way == "peer":
            told = peer(url, Path(path))
        elif given.way == "import":
            told = way_import(url, Path(path), Path(rest[0]), rest[1])
        elif given.way == "bulk":
            told = way_bulk(url, Path(path), Path(rest[0]), rest[1], int(rest[2]))
        else:
            told = way_spark(url, Path(path), Path(rest[0]), rest[1], rest[2])
        print(json.dumps(told))
        return []
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
        given.keep.chmod(0o755)
        return run(given, given.keep)
    folder = Path(tempfile.mkdtemp(prefix="wusetu-bench-"))
    folder.chmod(0o755)
    try:
        return run(given, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
