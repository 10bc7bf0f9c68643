"""Values of indicators from files: checks row by row, one transaction.

Columns `code, period, measure, value`; the register of units and things that run out are in
`indicator_register`. Promises: each bad row is named with line, column and reason, the good ones are
kept; sending a file again changes nothing.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import sqlalchemy as sa

from app.database import raw, transaction
from app.errors import Invalid
from app.services.event_files import Broken, Wanted, column_names, open_feed, quiet
from app.services.event_persons import shown
from app.services.indicator_calendar import read_period, stop_of
from app.services.indicator_ground import canonical, layout_of, newest_map
from app.services.scene_tree import CALENDAR, Calendar
from app.services.scenes import Scene
from geo.codes import CodeLayout

_BATCH = 65536
EARLIEST = date(1949, 1, 1)


@dataclass
class Report:
    """What an import did, counted in rows."""

    rows: int = 0
    stored: int = 0
    unchanged: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    broken: list[Broken] = field(default_factory=list)
    feeds: dict[str, tuple[date, date]] = field(default_factory=dict)

    @property
    def rejected(self) -> int:
        """Rows that were refused."""
        return len(self.broken)

    def refuse(self, line: int, column: str, value: object, reason: str, text: str) -> None:
        """Note a row as broken."""
        self.broken.append(Broken(line, column, shown(value), reason, text))
        self.reasons[reason] += 1


def read_table(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """Rows of a CSV or Parquet file as texts, with their lines in column `line`.

    Raises
    ------
    NotFound, Invalid
        The file cannot be read, or a column is missing; the message lists those there are.
    """
    there = column_names(path, Wanted(()))
    missing = [name for name in columns if name not in there]
    if missing:
        raise Invalid(
            f"{path.name} has no column {', '.join(map(repr, missing))}; its columns are "
            f"{', '.join(map(repr, there))}"
        )
    wanted = [*columns, *(name for name in optional if name in there)]
    frames = []
    broken: list[Broken] = []
    for chunk in open_feed(path, Wanted(tuple(wanted), point=("", ""))).chunks(_BATCH):
        frame = chunk.table.to_pandas()
        frame["line"] = chunk.lines
        frames.append(frame)
        broken += chunk.broken
    if broken:
        one = broken[0]
        raise Invalid(f"{path.name}, line {one.line}, {one.column}: {one.text}")
    table = (
        pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*wanted, "line"])
    )
    for name in (*columns, *optional):
        given = table[name].astype(object) if name in table else pd.Series([None] * len(table), dtype=object)  # fmt: skip
        table[name] = given.map(lambda v: "" if v is None or v != v else str(v).strip())  # noqa: PLR0124
    return table


@dataclass(frozen=True)
class Known:
    """Codes a pack knows, with the unit of the map each belongs to."""

    layout: CodeLayout | None
    place: dict[str, str]

    def find(self, code: str) -> str | None:
        """Canonical code of what is known, else None."""
        found = canonical(self.layout, code)
        return found if found in self.place else (code if code in self.place else None)


def known_codes(connection: sa.Connection, pack: str) -> Known:
    """Read the codes of a pack: of its map and its register."""
    version = newest_map(connection, pack)
    place: dict[str, str] = {}
    if version is not None:
        for code in connection.scalars(
            sa.text("select code from unit where boundary_version_id = :v"), {"v": version}
        ):
            place[code] = code
    for row in connection.execute(
        sa.text("select code, place from scene_unit where pack = :pack"), {"pack": pack}
    ):
        place[row.code] = row.place
    if not place:
        raise Invalid(
            f"the pack {pack!r} has neither a map nor units: `wusetu boundaries import` or "
            "`wusetu indicators units`"
        )
    return Known(layout_of(connection, version), place)


# values -------------------------------------------------------------------------------------------


def import_values(
    engine: sa.Engine,
    table: pd.DataFrame | Path,
    *,
    scene: Scene,
    pack: str,
    source: str = "",
    simulated: bool = False,
    through: date | None = None,
    today: date,
) -> Report:
    """Import values of feeds.

    Parameters
    ----------
    engine : sa.Engine
    table : file, or columns code, period, measure, value (and perhaps line)
    scene : names the measures and their feeds
    pack : name of the map or register
    source : where the values come from
    simulated : they are made up
    through : day after the last the file is about, where its end is silence that means 0
    today : the present: later periods are refused

    Raises
    ------
    Invalid
        The file or the pack cannot be used; nothing was written.
    """
    if isinstance(table, Path):
        table = read_table(table, ("code", "period", "measure", "value"))
    with engine.connect() as connection:
        known = known_codes(connection, pack)
    good, report = check_values(table, scene, known, today)
    if through is not None and through > today + timedelta(days=1):
        raise Invalid(f"--through {through}: a day to come")
    if len(good):
        with transaction(engine) as connection:
            report.stored = _store_values(connection, good, scene.name, pack)
            _note_feeds(connection, good, scene, pack, source, simulated, through, report)
    report.unchanged = len(good) - report.stored
    return report


def check_values(
    table: pd.DataFrame, scene: Scene, known: Known, today: date
) -> tuple[pd.DataFrame, Report]:
    """Good rows (measure, period, start, code, place, value, feed) and what is wrong with others."""
    report = Report(rows=len(table))
    if "line" not in table:
        table = table.assign(line=np.arange(1, len(table) + 1))
    feed_of = {m.id: feed for feed in scene.feeds for m in feed.measures}
    codes = {one: known.find(str(one)) for one in table.code.unique()}
    spans = {one: read_period(str(one)) for one in table.period.unique()}
    value = pd.to_numeric(table.value, errors="coerce")
    code = table.code.map(codes)
    period = table.period.map({one: found[0] for one, found in spans.items() if found})
    start = table.period.map({one: found[1] for one, found in spans.items() if found})
    every = {m: CALENDAR.index(feed.every) for m, feed in feed_of.items()}
    bad = pd.Series(data=False, index=table.index)
    names = ", ".join(feed_of) or "none"

    def refuse(mask: pd.Series[bool], column: str, reason: str, text: str) -> None:
        new = mask & ~bad
        bad.loc[new] = True
        for line, given in table.loc[new, ["line", column]].itertuples(index=False):
            report.refuse(int(line), column, given, reason, text)

    refuse(table.code == "", "code", "code_empty", "is empty")
    refuse(code.isna(), "code", "unknown_code", "no unit of this pack has this code")
    refuse(~table.measure.isin(list(feed_of)), "measure", "unknown_measure",
           f"is no measure of a feed of this scene; there are {names}")  # fmt: skip
    refuse(period.isna(), "period", "bad_period",
           "is no period like 2025-12-03, 2025-12, 2025-Q4 or 2025")  # fmt: skip
    fine = period.map({one: at for at, one in enumerate(CALENDAR)}).fillna(9)
    too_fine = fine < table.measure.map(every).fillna(0)
    refuse(too_fine, "period", "too_fine", "is finer than the feed says its rows are (every)")
    refuse(start.map(lambda d: isinstance(d, date) and d > today), "period", "future",
           f"begins after today, {today}")  # fmt: skip
    refuse(start.map(lambda d: isinstance(d, date) and d < EARLIEST), "period", "early",
           f"is before {EARLIEST}")  # fmt: skip
    refuse(table.value.astype(str) == "", "value", "missing_value", "no value is given")
    refuse(~np.isfinite(value), "value", "bad_value", "is no number")
    refuse(value < 0, "value", "negative", "is below 0")
    frame = pd.DataFrame(
        {"measure": table.measure, "period": period, "start": start, "code": code, "value": value}
    )
    again = frame[~bad].duplicated(["measure", "period", "start", "code"])
    repeated = pd.Series(data=False, index=table.index)
    repeated.loc[again[again].index] = True
    refuse(repeated, "code", "repeated",
           "an earlier row of this file has the same code, period and measure")  # fmt: skip
    good = frame[~bad].copy()
    good["place"] = good.code.map(known.place)
    good["value"] += 0.0
    good["feed"] = good.measure.map({m: feed.id for m, feed in feed_of.items()})
    report.broken.sort(key=lambda one: one.line)
    return good, report


_MERGE = sa.text("""
with stored as (
  insert into indicator_value as v (pack, scene, measure, period, start, code, place, value)
  select :pack, :scene, measure, period, start, code, place, value from incoming_value
  order by measure, period, start, code
  on conflict (pack, scene, measure, period, start, code) do update
    set value = excluded.value, place = excluded.place
    where (v.value, v.place) is distinct from (excluded.value, excluded.place)
  returning 1
)
select count(*) from stored
""")


def _store_values(connection: sa.Connection, good: pd.DataFrame, scene: str, pack: str) -> int:
    text = io.StringIO()
    good[["measure", "period", "start", "code", "place", "value"]].to_csv(
        text, header=False, index=False, quoting=csv.QUOTE_MINIMAL
    )
    text.seek(0)
    connection.exec_driver_sql(
        "create temporary table incoming_value (measure text, period text, start date, code text, "
        "place text, value double precision) on commit drop"
    )
    with raw(connection).cursor() as cursor:
        cursor.copy_expert("copy incoming_value from stdin (format csv)", text)
    return int(connection.execute(_MERGE, {"pack": pack, "scene": scene}).scalar_one())


NOTE_FEED = sa.text("""
insert into indicator_feed as f
  (pack, scene, feed, source, simulated, period, first, through)
values (:pack, :scene, :feed, :source, :simulated, :period, :first, :through)
on conflict (pack, scene, feed) do update set
  source = case when excluded.source = '' then f.source else excluded.source end,
  simulated = f.simulated or excluded.simulated, period = excluded.period,
  first = least(f.first, excluded.first), through = greatest(f.through, excluded.through),
  updated_at = now()
""")


def _note_feeds(  # noqa: PLR0917
    connection: sa.Connection,
    good: pd.DataFrame,
    scene: Scene,
    pack: str,
    source: str,
    simulated: bool,
    through: date | None,
    report: Report,
) -> None:
    every: dict[str, Calendar] = {feed.id: feed.every for feed in scene.feeds}
    for name, part in good.groupby("feed"):
        first = part.start.min()
        ends = [
            stop_of(period, rows.start.max())  # type: ignore[arg-type]
            for period, rows in part.groupby("period")
            if period == every[str(name)]
        ] or [stop_of(p, s) for p, s in zip(part.period, part.start, strict=True)]
        end = max([*ends, *([through] if through else [])])
        report.feeds[str(name)] = (first, end)
        connection.execute(
            NOTE_FEED,
            {
                "pack": pack, "scene": scene.name, "feed": name, "source": source,
                "simulated": simulated, "period": every[str(name)], "first": first, "through": end,
            },
        )  # fmt: skip


def write_rejects(report: Report, path: Path) -> None:
    """Write what was refused as CSV: line, column, value, reason, text.

    Raises
    ------
    Invalid
        The file cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("line", "column", "value", "reason", "text"))
            writer.writerows(
                (b.line, b.column, quiet(b.value), b.reason, b.text) for b in report.broken
            )
    except OSError as error:
        raise Invalid(f"{path} cannot be written: {error.strerror}") from error
