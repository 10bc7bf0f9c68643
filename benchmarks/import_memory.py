"""Import a large generated file of events: rows per second and peak memory.

    python benchmarks/import_memory.py [--rows 10000000] [--keep FOLDER]

Makes a private database of its own, 15,000 square grids in four levels with 27-digit codes, and a
CSV of which 55 % of the rows have a code and a point, 25 % a point, 15 % a code, 4 % an address and
1 % are broken. The import and the snapshot after it run in a process of their own, whose peak
resident memory is reported; the database's is not part of it. Then the same file again.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.csv
import shapely
import yaml

if TYPE_CHECKING:
    from app.services.events import ImportReport

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

MAPPING = {
    "source": "bench",
    "simulated": True,
    "columns": {
        "reference": "ref", "kind": "kind", "time": "at", "lon": "lon", "lat": "lat",
        "code": "code", "address": "address",
    },
}  # fmt: skip
WEST, SOUTH, STEP, SIDE = 119.0, 29.5, 0.01, (150, 100)


def units() -> gpd.GeoDataFrame:
    """15,000 grids of 0.01 degrees in 1,000 villages, 100 towns, 10 counties, 1 city."""
    column, row = np.meshgrid(np.arange(SIDE[0]), np.arange(SIDE[1]))
    column, row = column.ravel(), row.ravel()
    shapes = shapely.box(
        WEST + column * STEP,
        SOUTH + row * STEP,
        WEST + (column + 1) * STEP,
        SOUTH + (row + 1) * STEP,
    )
    # 5 x 2 counties of 30 x 50, 2 x 5 towns of 15 x 10, 5 x 2 villages of 3 x 5, 3 x 5 grids
    county = column // 30 + 5 * (row // 50)
    town = column % 30 // 15 + 2 * (row % 50 // 10)
    village = column % 15 // 3 + 5 * (row % 10 // 5)
    grid = column % 3 + 3 * (row % 5)
    codes = np.array(
        [f"3301{c + 1:02}{t + 1:03}{v + 1:03}{g + 1:03}"
         for c, t, v, g in zip(county, town, village, grid, strict=True)]
    )  # fmt: skip
    frames = []
    for level, length in (("city", 4), ("county", 6), ("town", 9), ("village", 12), ("grid", 15)):
        frame = gpd.GeoDataFrame({"code": [c[:length] for c in codes]}, geometry=shapes, crs=4326)
        frame = frame.dissolve("code").reset_index() if length < 15 else frame
        frame["level"] = level
        tail = frame.code.str[-3 if length > 6 else -2 :]
        ends = {"city": "市", "county": "区", "town": "街道", "village": "社区", "grid": "网格"}
        frame["name"] = "第" + tail + ends[level]
        frames.append(frame)
    return gpd.GeoDataFrame(gpd.pd.concat(frames, ignore_index=True), crs=4326)


def write_csv(path: Path, rows: int, leaves: gpd.GeoDataFrame, names: dict[str, str]) -> None:
    """CSV with `rows` events, in pieces."""
    random = np.random.default_rng(1)
    kinds = np.array(["theft", "fraud", "dispute", "petition", "fire", "traffic_death"])
    codes = leaves.code.to_numpy()
    full = pa.array([code + "000000000000" for code in codes])
    spoken = pa.array(["".join(names[c[:n]] for n in (4, 6, 9, 12, 15)) for c in codes])
    bounds = shapely.bounds(leaves.geometry.to_numpy())
    with pa.OSFile(str(path), "wb") as sink:
        writer = None
        for first in range(0, rows, 500_000):
            n = min(500_000, rows - first)
            leaf = random.integers(0, len(codes), n)
            part = random.random(n)
            lon = bounds[leaf, 0] + random.random(n) * STEP
            lat = bounds[leaf, 1] + random.random(n) * STEP
            lat = np.where((part > 0.95) & (part < 0.955), 5.0, lat)
            seconds = random.integers(1_704_038_400, 1_767_110_400, n)
            at = pa.array(np.where(part > 0.995, 0, seconds).astype("datetime64[s]"))
            code = pa.compute.if_else((part < 0.7), full.take(pa.array(leaf)), None)
            no_point = ((part >= 0.55) & (part < 0.70)) | ((part >= 0.955) & (part < 0.995))
            table = pa.table(
                {
                    "ref": pa.array([f"JQ{first + i:012}" for i in range(n)]),
                    "kind": pa.array(kinds[random.integers(0, len(kinds), n)]),
                    "at": pa.compute.strftime(at, "%Y-%m-%d %H:%M:%S"),
                    "lon": pa.array(np.round(lon, 6), mask=no_point),
                    "lat": pa.array(np.round(lat, 6), mask=no_point),
                    "code": code,
                    "address": pa.compute.if_else(
                        pa.array((part >= 0.955) & (part < 0.995)),
                        spoken.take(pa.array(leaf)),
                        None,
                    ),
                }
            )
            writer = writer or pa.csv.CSVWriter(sink, table.schema)
            writer.write(table)
        if writer:
            writer.close()


def peak() -> float:
    """Most resident memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def worker(url: str, path: str, batch: int) -> None:
    """Import in this process, make the snapshot, and say how it went."""
    from app.database import make_engine
    from app.services import snapshots
    from app.services.event_fresh import FreshRows
    from app.services.events import import_file

    folder, engine = Path(path).parent, make_engine(url)
    with FreshRows(folder) as fresh:
        start = time.perf_counter()
        report = import_file(
            engine, path, pack="bench", mapping=MAPPING, batch=batch, fresh=fresh,
            rejects=Path(path).with_suffix(".rejects.csv"),
        )  # fmt: skip
        took = time.perf_counter() - start
        told(report, took)
        start = time.perf_counter()
        made = snapshots.renew(engine, folder, "bench", "Asia/Shanghai", fresh=fresh)
        took = time.perf_counter() - start
    if made:
        print(f"  snapshot of {made.events:,} events in {took:.1f} s, peak {peak():,.0f} MB")


def told(report: ImportReport, took: float) -> None:
    """Say how an import went."""
    print(
        f"{report.rows:,} rows in {took:.1f} s: {report.rows / took:,.0f} rows/s, "
        f"peak memory {peak():,.0f} MB; {report.new:,} new, {report.unchanged:,} unchanged, "
        f"{report.rejected:,} rejected {dict(report.reasons)}, located {dict(report.located)}",
        flush=True,
    )


def main() -> None:
    """Make everything, import twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--batch", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, help="folder for database and file; else a new one")
    parser.add_argument("--worker", nargs=2, metavar=("URL", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker(*given.worker, given.batch)
        return
    from app.cluster import Cluster
    from app.database import make_engine, migrate, transaction
    from app.services.boundaries import import_units
    from geo.codes import load_layout

    folder = given.keep or Path(tempfile.mkdtemp(prefix="wusetu-bench-"))
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    cluster = Cluster(folder)
    cluster.start()
    try:
        cluster.create_database("bench")
        url = cluster.url("bench")
        migrate(url)
        frame = units()
        layout = load_layout(yaml.safe_load((ROOT / "data/layouts/unified-27.yaml").read_text()))
        with transaction(make_engine(url)) as connection:
            import_units(connection, pack="bench", label="1", frame=frame, layout=layout)
        path = folder / f"events-{given.rows}.csv"
        if not path.exists():
            names = dict(zip(frame.code, frame.name, strict=True))
            write_csv(path, given.rows, frame[frame.level == "grid"], names)
        print(f"{path.name}: {path.stat().st_size / 1e6:,.0f} MB", flush=True)
        for again in ("first", "again"):
            print(f"{again}: ", end="", flush=True)
            subprocess.run(
                [sys.executable, __file__, "--batch", str(given.batch), "--worker", url, str(path)],
                check=True,
            )
    finally:
        cluster.stop()
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
