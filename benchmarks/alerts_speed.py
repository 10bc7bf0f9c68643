"""One month anew over 15,000 grids × 10 kinds: assessed, published, looked at for alerts.

    WUSETU_DATA_DIR=… wusetu sample load && WUSETU_DATA_DIR=… python -m benchmarks.alerts_speed [--rounds 3]

Works on a copy of the loaded sample's database: every sixteenth event becomes one of a tenth kind, then
`assess` (all levels, 24 months, no cells) and `alerts.update` are timed as a user would run them: reading
events, counting, computing, COPY, commit; reading the run, deciding, writing alerts with their steps, audit and
news. Each round is a new run, so the second and third look update the alerts of the first. Clock and processor
time of this process; the database's own work is in the clock only. Also told: the same with quarters and years.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app import settings  # noqa: E402
from app.cluster import Cluster  # noqa: E402
from app.database import DATABASE, make_engine  # noqa: E402
from app.services import alerts  # noqa: E402
from app.services.assess import assess  # noqa: E402
from app.services.scenes import Scene, load_scene  # noqa: E402

BAR = 20.0
COPY = "wusetu_alerts_speed"


def ten_kinds(periods: list[str]) -> Scene:
    """Nine kinds and a tenth."""
    body = load_scene("nine-kinds").body()
    body |= {"name": "ten-kinds", "periods": periods}
    body["kinds"]["nuisance"] = {**body["kinds"]["dispute"], "zh": "扰民", "en": "Nuisance"}
    body["tasks"] = {}
    return Scene.model_validate(body)


def timed(what: str, work: Callable[[], object]) -> float:
    """Seconds on the clock; prints clock and processor time."""
    clock, cpu = time.monotonic(), time.process_time()
    found = work()
    clock, cpu = time.monotonic() - clock, time.process_time() - cpu
    print(f"{what:<44}{clock:>7.1f} s clock{cpu:>7.1f} s processor  {found}", flush=True)
    return clock


def main() -> int:
    """Print the times; 1 when the bar is missed by the quickest round."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    cluster = Cluster(settings.load().data_dir)
    cluster.start()
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database if exists {COPY} with (force)")
        connection.exec_driver_sql(f"create database {COPY} template {DATABASE}")
    engine = make_engine(cluster.url(COPY))
    try:
        with engine.begin() as connection:
            for table in ("task", "alert", "alert_clock", "run"):
                connection.exec_driver_sql(f"delete from {table}")
            connection.exec_driver_sql("update event set kind = 'nuisance' where mod(id, 16) = 0")
            grids = connection.exec_driver_sql(
                "select count(*) from unit where level = 'grid' and boundary_version_id in "
                "(select id from boundary_version where pack = 'hangzhou')"
            ).scalar_one()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("vacuum analyze event")
        print(f"{grids:,} grids x 10 kinds")
        best = min(month(engine, n) for n in range(given.rounds))
        print(f"month anew: {best:.1f} s, bar {BAR:.0f} s")
        whole = ten_kinds(["month", "quarter", "year"])
        timed(
            "with quarters and years",
            lambda: assess(engine, "hangzhou", whole, cells=(), look=False),
        )
    finally:
        engine.dispose()
        with admin.connect() as connection:
            connection.exec_driver_sql(f"drop database if exists {COPY} with (force)")
        admin.dispose()
    return int(best > BAR)


def month(engine: sa.Engine, n: int) -> float:
    """One round: seconds for assessing and looking."""
    scene, runs = ten_kinds(["month"]), []

    def assessed() -> int:
        runs.append(assess(engine, "hangzhou", scene, cells=(), look=False))
        return runs[0]

    seconds = timed(f"round {n + 1}: assess and publish", assessed)
    return seconds + timed("         look for alerts", lambda: alerts.update(engine, runs[0]))


if __name__ == "__main__":
    raise SystemExit(main())
