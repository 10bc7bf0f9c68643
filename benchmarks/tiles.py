"""Tiles against tipg: one run, one database, one list of tiles, one client.

    python -m benchmarks.tiles [--pack hangzhou] [--run N] [--seconds 8]

tipg lives in an environment of its own (the `bench` extra), because it pins other versions:

    python -m venv .venv-bench
    .venv-bench/bin/pip install tipg uvicorn uvloop httptools

Both serve the same units at the same addresses: counties to zoom 6, towns to 8, villages to 10,
grids beyond. tipg reads one view per level that joins unit shapes to the colours of one period in
an indexed table; it is given room for all features (its default drops those past 10,000). We serve
our prebuilt tiles and one row of packed values. Each is one worker process; the client keeps four
connections and accepts gzip.

warm      the list again and again, after one pass
cold      first pass after both servers start anew; files of the archives and, when the cluster is
          the private one, of the database are dropped from the file cache, PostgreSQL restarts
from nothing  the first pass plus the time our tiles took to build (tipg needs no building)
switch    another period on a map of the finest level, 20 tiles in sight, at the zoom that shows
          most units at once (the whole city); "close" the same two zooms nearer. Ours always
          recolours the whole level

Not compared: what the answers are for. tipg's tiles carry exact shapes, simplified for no zoom,
and can be filtered; ours are simplified and cannot. That is the point of the design, and it is
precomputation against rendering. Prints a table; exit code 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import sqlalchemy as sa

from app import settings as settings_module
from app.database import make_engine, resolve_url
from app.services import tile_archives
from tiles.archive import Archive, path_of

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = "bench_tiles"
GOALS = {"warm": 20.0, "cold": 3.0, "switch": 100.0}
BYTES_GOAL = 30_000
CONNECTIONS = 4
SHOWN_FROM = {"city": 4, "county": 4, "town": 7, "village": 9, "grid": 11}


@dataclass
class Pass:
    """One walk over addresses."""

    seconds: float
    requests: int
    bytes: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


class Line:
    """One keep-alive connection; plain sockets, so that the client takes little of the machine."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=600)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def fetch(self, request: bytes) -> int:
        """One GET; bytes of the body as sent. An error status stops the benchmark."""
        self.socket.sendall(request)
        data = self.rest
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        head = data[:end].lower()
        status = int(head[9:12])
        if status not in (200, 204):
            raise SystemExit(f"{request.decode().splitlines()[0]}: status {status}")
        at = head.find(b"\r\ncontent-length:")
        if at < 0 and b"chunked" in head:
            raise SystemExit("chunked answers are not understood")
        length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        stop = end + 4 + length
        parts, have = [data], len(data)
        while have < stop:
            parts.append(self._more())
            have += len(parts[-1])
        self.rest = b"".join(parts)[stop:]
        return length

    def _more(self) -> bytes:
        more = self.socket.recv(1 << 18)
        if not more:
            raise ConnectionError("the server closed the connection")
        return more


def walk(port: int, paths: list[str], seconds: float = 0.0) -> Pass:
    """Ask for every path, over and over until `seconds` have passed (0: once)."""
    requests = [
        f"GET {p} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: gzip\r\n\r\n".encode()
        for p in paths
    ]
    lines = [Line(port) for _ in range(min(CONNECTIONS, len(requests)))]
    turns = itertools.count()
    begin = time.perf_counter()

    def one(line: Line) -> tuple[int, int]:
        done = size = 0
        while (turn := next(turns)) < len(requests) or time.perf_counter() - begin < seconds:
            size += line.fetch(requests[turn % len(requests)])
            done += 1
        return done, size

    with ThreadPoolExecutor(len(lines)) as pool:
        found = list(pool.map(one, lines))
    took = time.perf_counter() - begin
    for line in lines:
        line.socket.close()
    return Pass(took, sum(f[0] for f in found), sum(f[1] for f in found))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(python: str, target: list[str], extra: dict[str, str], ready: str) -> Iterator[int]:
    """One uvicorn worker, until the block ends; its port."""
    port = free_port()
    argv = [
        python, "-m", "uvicorn", *target, "--port", str(port), "--log-level", "warning",
        "--no-access-log", "--loop", "uvloop", "--http", "httptools",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            argv, env={**os.environ, **extra}, cwd=ROOT if target[0].startswith("app") else folder
        )
        try:
            for _ in range(300):
                try:
                    walk(port, [ready])
                    break
                except OSError:
                    if process.poll() is not None:
                        raise SystemExit(f"{target[0]} did not start") from None
                    time.sleep(0.1)
            yield port
        finally:
            process.terminate()
            process.wait()


def forget(files: Iterator[Path]) -> None:
    """Drop files from the operating system's cache."""
    os.sync()
    for path in files:
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def prepare(engine: sa.Engine, run: int, kind: str, levels: list[str], ords: list[int]) -> None:
    """Views for tipg: unit shapes joined to an indexed table of colours of each period."""
    with engine.begin() as connection:
        connection.execute(sa.text(f"drop schema if exists {SCHEMA} cascade"))
        connection.execute(sa.text(f"create schema {SCHEMA}"))
        connection.execute(
            sa.text(
                f"create table {SCHEMA}.colours as"
                " select p.ord, u.id as unit_id, get_byte(p.payload, u.id - p.first_id) as colour,"
                " power(2.0, (get_byte(p.payload, p.n + u.id - p.first_id) - 128) / 16.0)::float8"
                " as theta from packed_values p join run r on r.id = p.run_id join unit u"
                " on u.boundary_version_id = r.boundary_version_id"
                " and u.id between p.first_id and p.first_id + p.n - 1"
                " where p.run_id = :run and p.kind = :kind and p.period = 'month'"
                " and p.ord = any(:ords)"
            ),
            {"run": run, "kind": kind, "ords": ords},
        )
        connection.execute(sa.text(f"create unique index on {SCHEMA}.colours (ord, unit_id)"))
        version = connection.execute(
            sa.text("select boundary_version_id from run where id = :r"), {"r": run}
        ).scalar_one()
        for level in levels:
            for order in ords:
                connection.execute(
                    sa.text(
                        f"create view {SCHEMA}.{level}_{order} as select u.id, u.code, u.name,"
                        f" u.geom, c.colour, c.theta from unit u join {SCHEMA}.colours c"
                        f" on c.unit_id = u.id and c.ord = {order}"
                        f" where u.boundary_version_id = {version} and u.level = '{level}'"
                    )
                )
        connection.execute(sa.text(f"analyze {SCHEMA}.colours"))


def tile_list(archives: dict[str, Archive]) -> list[tuple[str, int, int, int]]:
    """Each tile of the level a map shows at its zoom; of zoom 13 every third."""
    order = [level for level in SHOWN_FROM if level in archives]
    found = []
    for k, level in enumerate(order):
        stop = SHOWN_FROM[order[k + 1]] if k + 1 < len(order) else 99
        found += [
            (level, *address)
            for number, address in enumerate(archives[level].addresses())
            if SHOWN_FROM[level] <= address[0] < stop and (address[0] < 13 or number % 3 == 0)
        ]
    return found


def in_sight(archive: Archive, zoom: int) -> list[tuple[int, int, int]]:
    """20 tiles, 5 wide and 4 high, where the map is fullest: a 1920 × 1080 window."""
    there = {a for a in archive.addresses() if a[0] == zoom}
    best: list[tuple[int, int, int]] = []
    for _, x, y in there:
        window = [(zoom, x + i, y + j) for i in range(5) for j in range(4)]
        kept = [t for t in window if t in there]
        if len(kept) > len(best):
            best = kept
    return best


def widest(archive: Archive) -> int:
    """Zoom at which a window of 20 tiles shows most of the map: the last with 30 tiles or fewer."""
    count: dict[int, int] = defaultdict(int)
    for z, _, _ in archive.addresses():
        count[z] += 1
    return max([z for z, n in count.items() if n <= 30], default=archive.min_zoom)


def tipg_address(url: str) -> str:
    """Address for asyncpg: the socket folder goes into the host part."""
    parsed = sa.make_url(url)
    host = parsed.query.get("host") or parsed.host or "localhost"
    port = parsed.query.get("port") or parsed.port or 5432
    password = f":{urllib.parse.quote(parsed.password)}" if parsed.password else ""
    where = urllib.parse.quote(str(host), safe="")
    return f"postgresql://{parsed.username}{password}@{where}:{port}/{parsed.database}"


def main() -> int:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--pack", default="hangzhou")
    options.add_argument("--run", type=int, help="default: newest published run of the pack")
    options.add_argument("--seconds", type=float, default=8.0, help="length of a warm round")
    options.add_argument("--rounds", type=int, default=3, help="interleaved rounds")
    given = options.parse_args()
    python = ROOT / ".venv-bench" / "bin" / "python"
    if not python.exists():
        raise SystemExit(__doc__)
    settings = settings_module.load()
    url = resolve_url(settings)
    engine = make_engine(url, settings.database)
    with engine.connect() as connection:
        run, version = connection.execute(
            sa.text(
                "select id, boundary_version_id from run where status = 'published' and"
                " case when cast(:run as int) is null then pack = :pack else id = :run end"
                " order by id desc limit 1"
            ),
            {"run": given.run, "pack": given.pack},
        ).one()
        kind, ords = connection.execute(
            sa.text(
                "select kind, array_agg(distinct ord order by ord) from packed_values"
                " where run_id = :r and period = 'month' group by kind"
                " order by kind <> 'overall', kind limit 1"
            ),
            {"r": run},
        ).one()
        servers = connection.execute(
            sa.text("select current_setting('server_version'), postgis_lib_version()")
        ).one()
        found = tile_archives.existing(connection, version, settings.data_dir / "archives")
    archives = {
        level: Archive(path_of(settings.data_dir / "archives", digest))
        for level, digest in found.items()
        if level in SHOWN_FROM
    }
    finest = [level for level in SHOWN_FROM if level in archives][-1]
    tiles = tile_list(archives)
    ords = ords[-2:]
    prepare(engine, run, kind, list(archives), ords)
    now, before = ords[-1], ords[0]
    ours = [f"/tiles/{found[level]}/{z}/{x}/{y}.mvt" for level, z, x, y in tiles]

    def of_tipg(level: str, order: int, z: int, x: int, y: int) -> str:
        return f"/collections/{SCHEMA}.{level}_{order}/tiles/WebMercatorQuad/{z}/{x}/{y}"

    theirs = [of_tipg(level, now, z, x, y) for level, z, x, y in tiles]
    wide = widest(archives[finest])
    seen = in_sight(archives[finest], wide)
    close = in_sight(archives[finest], wide + 2)
    switch_theirs = {o: [of_tipg(finest, o, *a) for a in seen] for o in ords}
    close_theirs = {o: [of_tipg(finest, o, *a) for a in close] for o in ords}
    switch_ours = {o: [f"/api/runs/{run}/values/{finest}/{kind}/month/{o}"] for o in ords}
    environment = {"WUSETU_DATABASE_URL": url, "WUSETU_DATA_DIR": str(settings.data_dir)}
    peer = {
        "DATABASE_URL": tipg_address(url), "TIPG_DB_SCHEMAS": f'["{SCHEMA}"]',
        "TIPG_MAX_FEATURES_PER_TILE": "1000000", "TIPG_CATALOG_TTL": "100000",
        "DB_MIN_CONN_SIZE": "4",
    }  # fmt: skip
    our_server = (
        sys.executable,
        ["app.main:application", "--factory"],
        environment,
        "/api/openapi.json",
    )
    their_server = (str(python), ["tipg.main:app"], peer, "/healthz")
    results: dict[str, list[Pass]] = defaultdict(list)

    restarted = restart(settings, engine)
    forget(path_of(settings.data_dir / "archives", d) for d in found.values())
    with server(*our_server) as port:
        cold_ours = walk(port, ours)
    restart(settings, engine)
    with server(*their_server) as port:
        cold_theirs = walk(port, theirs)
    with server(*our_server) as a, server(*their_server) as b:
        walk(a, ours)
        walk(b, theirs)
        for turn in range(given.rounds):
            results["ours"].append(walk(a, ours, given.seconds))
            results["tipg"].append(walk(b, theirs, given.seconds))
            for number in range(10):
                order = (now, before)[(turn + number) % 2]
                results["switch ours"].append(walk(a, switch_ours[order]))
            for number in range(3):
                order = (now, before)[(turn + number) % 2]
                results["switch tipg"].append(walk(b, switch_theirs[order]))
                results["close tipg"].append(walk(b, close_theirs[order]))
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        build = rebuild(engine, version, Path(folder))
    print(f"# built again for its time: {build:.1f} s of {time.perf_counter() - begin:.1f} s")
    with engine.begin() as connection:
        connection.execute(sa.text(f"drop schema {SCHEMA} cascade"))
    versions = subprocess.run(
        [str(python), "-c", "import tipg, uvicorn; print(tipg.__version__, uvicorn.__version__)"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    print(
        f"# tipg {versions[0]}, uvicorn {versions[1]}, PostgreSQL {servers[0].split()[0]}, PostGIS"
        f" {servers[1]}, {os.cpu_count()} cores, {CONNECTIONS} connections, run {run}, kind {kind}"
    )
    print(f"# {len(tiles)} tiles of {', '.join(archives)}; {len(seen)} tiles of {finest} in sight at zoom {wide};"
          f" cold: PostgreSQL {'restarted' if restarted else 'not restarted (not ours)'}")  # fmt: skip
    return report(results, cold_ours, cold_theirs, build)


def restart(settings: settings_module.Settings, engine: sa.Engine) -> bool:
    """Restart the private cluster with nothing in the file cache; False when it is not ours."""
    if settings.database.url:
        return False
    from app.cluster import Cluster

    engine.dispose()
    cluster = Cluster(settings.data_dir)
    cluster.stop()
    forget(p for p in cluster.data.rglob("*") if p.is_file())
    cluster.start()
    return True


def rebuild(engine: sa.Engine, version: int, folder: Path) -> float:
    """Seconds to build all tiles of a version, in a transaction that is undone."""

    class Undo(Exception):
        pass

    begin = time.perf_counter()
    seconds = 0.0

    def show(text: str, done: int, total: int) -> None:
        nonlocal seconds
        if text == "archive" and done == total:
            seconds = time.perf_counter() - begin
            raise Undo

    try:
        tile_archives.build(engine, version, folder, show)
    except Undo:
        return seconds
    raise SystemExit("the tiles were not built again")


def report(results: dict[str, list[Pass]], cold_ours: Pass, cold_theirs: Pass, build: float) -> int:
    """Print the table; 1 when a goal is missed."""
    rate_ours = median(p.rate for p in results["ours"])
    rate_theirs = median(p.rate for p in results["tipg"])
    size_ours = sum(p.bytes for p in results["ours"]) / sum(p.requests for p in results["ours"])
    size_theirs = sum(p.bytes for p in results["tipg"]) / sum(p.requests for p in results["tipg"])
    switch_ours = median(p.seconds for p in results["switch ours"]) * 1000
    switch_theirs = median(p.seconds for p in results["switch tipg"]) * 1000
    close_theirs = median(p.seconds for p in results["close tipg"]) * 1000
    bytes_close = max(p.bytes for p in results["close tipg"])
    bytes_ours = max(p.bytes for p in results["switch ours"])
    bytes_theirs = max(p.bytes for p in results["switch tipg"])
    nothing = cold_ours.requests / (cold_ours.seconds + build)
    rows = [
        ("warm", "tiles/s", rate_ours, rate_theirs, rate_ours / rate_theirs),
        ("cold", "tiles/s", cold_ours.rate, cold_theirs.rate, cold_ours.rate / cold_theirs.rate),
        ("from nothing", "tiles/s", nothing, cold_theirs.rate, nothing / cold_theirs.rate),
        ("tile size", "bytes", size_ours, size_theirs, size_theirs / size_ours),
        ("switch", "ms", switch_ours, switch_theirs, switch_theirs / switch_ours),
        ("switch size", "bytes", bytes_ours, bytes_theirs, bytes_theirs / bytes_ours),
        ("switch, close", "ms", switch_ours, close_theirs, close_theirs / switch_ours),
        ("its size", "bytes", bytes_ours, bytes_close, bytes_close / bytes_ours),
    ]
    print(f"{'':14}{'unit':>8}{'wusetu':>12}{'tipg':>12}{'ratio':>9}   goal")
    missed = bytes_ours > BYTES_GOAL
    for name, unit, a, b, ratio in rows:
        goal = GOALS.get(name)
        missed |= goal is not None and ratio < goal
        wanted = f"≥ {goal:.0f} ×" if goal else ""
        wanted = f"≤ {BYTES_GOAL} bytes" if name == "switch size" else wanted
        print(f"{name:14}{unit:>8}{a:12.1f}{b:12.1f}{ratio:8.1f}×   {wanted}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
