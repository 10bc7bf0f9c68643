"""Exposures: what can be hit. Import of values by code; `exposure_table` reads them by unit.

Imports `event_files` for reading and `geo.codes`. Promises: values are stored under the code and
day they were given for; `area_km2` is computed and never stored; an import is one transaction and
sending a file again changes nothing.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sa

from app.database import raw, transaction
from app.errors import Invalid
from app.services.boundaries import newest_version
from app.services.event_files import Broken, Wanted, column_names, open_feed, quiet
from app.services.event_persons import shown
from app.services.exposure_table import AREA
from app.services.scene_store import versions
from app.services.scenes import load_scene, scene_names
from geo.codes import CodeError, CodeLayout

REJECT_COLUMNS = ("line", "column", "value", "reason", "text")
_MEASURE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_BATCH = 65536
EARLIEST = date(1949, 1, 1)


@dataclass
class ExposureReport:
    """What an import did, counted in values (a code, a measure, a day)."""

    rows: int = 0
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    succeeded: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[Broken] = field(default_factory=list)
    totals: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Columns:
    """Where things stand in a file.

    Long: `measure` and `value` name columns. Wide: `measures` says which column is which measure.
    """

    code: str
    measure: str | None = None
    value: str | None = None
    as_of: str | None = None
    measures: Mapping[str, str] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Every column used, each once."""
        found = [self.code, self.measure, self.value, self.as_of, *self.measures.values()]
        return tuple(dict.fromkeys(name for name in found if name is not None))


def import_file(
    engine: sa.Engine,
    path: str | Path,
    *,
    pack: str,
    source: str = "",
    measures: Mapping[str, str] | None = None,
    code: str | None = None,
    as_of: date | None = None,
    encoding: str = "utf-8",
    rejects: str | Path | None = None,
    today: date | None = None,
) -> ExposureReport:
    """Import a CSV or Parquet file of exposures.

    Parameters
    ----------
    engine : sa.Engine
    path : str or Path
        Long: columns code, measure, value and perhaps as_of (any case). Wide: one row per code
        and one column per measure, named by `measures`.
    pack : str
        Series of boundaries the codes belong to.
    source : str
        Where the values come from; kept with them.
    measures : mapping, optional
        Measure → column, for wide files.
    code : str, optional
        Column of the code; default: the one called code.
    as_of : date, optional
        Day the values describe, for rows that do not say it.
    encoding : str
        `utf-8` or `gb18030`.
    rejects : str or Path, optional
        CSV file for what is refused: line, column, value, reason, text.
    today : date, optional
        The present; default: that of the clock. Values of days more than one day later, and of
        days before 1949, are refused.

    Raises
    ------
    NotFound, Invalid
        The file or the pack cannot be used; nothing was written.
    """
    try:
        frame, lines, columns, broken = _read(
            Path(path), rejects, dict(measures or {}), code=code, as_of=as_of, encoding=encoding
        )
    except Invalid as error:
        # readers speak of the mapping of a feed; there is none here
        said = re.sub(r"declare `encoding: (\S+)`", r"say `--encoding \1`", str(error))
        raise Invalid(said) from error
    long = _lengthen(frame, lines, columns, as_of)
    return _store(engine, long, broken, pack=pack, source=source, rejects=rejects, today=today)


def _read(
    path: Path,
    rejects: str | Path | None,
    measures: dict[str, str],
    *,
    code: str | None,
    as_of: date | None,
    encoding: str,
) -> tuple[pd.DataFrame, npt.NDArray[np.int64], Columns, list[Broken]]:
    """Rows of a file as given, their lines (n,), where things stand, and unreadable rows."""
    if rejects is not None and Path(rejects).resolve() == path.resolve():
        raise Invalid(f"the reject file {rejects} would overwrite the file itself")
    there = column_names(path, Wanted((), encoding=encoding))
    columns = _find_columns(path.name, there, measures, code)
    if columns.as_of is None and as_of is None:
        raise Invalid(
            f"{path.name} has no column as_of: say which day the values describe (--as-of)"
        )
    feed = open_feed(path, Wanted(columns.names(), point=("", ""), encoding=encoding))
    frames, lines, broken = [], [], []
    for chunk in feed.chunks(_BATCH):
        frames.append(chunk.table.to_pandas())
        lines.append(chunk.lines)
        broken += chunk.broken
    frame = (
        pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns.names())
    )
    numbers = np.concatenate(lines) if lines else np.zeros(0, dtype=np.int64)
    return frame, numbers, columns, broken


def import_frame(
    engine: sa.Engine,
    frame: pd.DataFrame,
    *,
    pack: str,
    source: str = "",
    as_of: date | None = None,
    rejects: str | Path | None = None,
    today: date | None = None,
    beside: Callable[[sa.Connection], None] | None = None,
) -> ExposureReport:
    """Import a table in memory with columns code, measure, value and perhaps as_of.

    `beside` writes more in the same transaction. Rows count from 1 in what is refused. Raises as
    `import_file`.
    """
    there = [str(name) for name in frame.columns]
    columns = _find_columns("the table", there, {}, None)
    if columns.as_of is None and as_of is None:
        raise Invalid("the table has no column as_of: say which day the values describe")
    lines = np.arange(1, len(frame) + 1, dtype=np.int64)
    long = _lengthen(frame, lines, columns, as_of)
    return _store(
        engine, long, [], pack=pack, source=source, rejects=rejects, today=today, beside=beside
    )


def _find_columns(
    where: str, there: Sequence[str], measures: dict[str, str], code: str | None
) -> Columns:
    listed = f"its columns are {', '.join(map(repr, there))}"
    by_name = {name.lower(): name for name in reversed(there)}
    code = code or by_name.get("code")
    if code is None:
        raise Invalid(f"{where} has no column 'code': name it (--code); {listed}")
    as_of = by_name.get("as_of")
    for measure in measures:
        check_measure(measure)
    if measures:
        columns = Columns(code, as_of=as_of, measures=measures)
    else:
        columns = Columns(code, by_name.get("measure"), by_name.get("value"), as_of)
        if columns.measure is None or columns.value is None:
            raise Invalid(
                f"{where} has no columns 'measure' and 'value'; for one column per measure say "
                f"which is which (--measure resident=COLUMN); {listed}"
            )
    missing = [name for name in columns.names() if name not in there]
    if missing:
        raise Invalid(f"{where} has no column {', '.join(map(repr, missing))}; {listed}")
    return columns


def check_measure(measure: str) -> None:
    """Do nothing when values of `measure` can be stored.

    Raises
    ------
    Invalid
        It is computed, or no name.
    """
    if measure == AREA:
        raise Invalid(f"{AREA} is computed from the boundaries and never imported")
    if not _MEASURE.fullmatch(measure):
        raise Invalid(f"measure {measure!r}: a name has small letters, digits and _ (up to 40)")


@dataclass(frozen=True)
class _Pack:
    """What codes a pack knows."""

    layout: CodeLayout | None
    units: frozenset[str]
    ended: frozenset[str]

    def known(self) -> frozenset[str]:
        return self.units | self.ended


def _load_pack(connection: sa.Connection, pack: str) -> _Pack:
    layout = newest_version(connection, pack).layout
    units = connection.scalars(
        sa.text(
            "select distinct u.code from unit u join boundary_version v on "
            "v.id = u.boundary_version_id where v.pack = :pack"
        ),
        {"pack": pack},
    )
    ended = connection.scalars(
        sa.text("select distinct from_code from succession where pack = :pack"), {"pack": pack}
    )
    return _Pack(layout, frozenset(units), frozenset(ended))


class _Checker:
    """Rows in long form and what is wrong with them."""

    def __init__(self, long: pd.DataFrame) -> None:
        self.long = long
        self.broken: list[Broken] = []
        self.bad = np.zeros(len(long), dtype=bool)

    def refuse(self, mask: Any, field_: str, reason: str, text: str | Mapping[int, str]) -> None:
        """Note rows (n,) as broken that were good so far."""
        new = np.asarray(mask, dtype=bool) & ~self.bad
        self.bad |= new
        rows = np.flatnonzero(new).tolist()
        told = self.long.iloc[rows][["line", f"{field_}_column", f"{field_}_given"]]
        for row, (line, column, value) in zip(rows, told.values.tolist(), strict=True):
            shown_value = "" if pd.isna(value) else shown(value)
            said = text if isinstance(text, str) else text[row]
            self.broken.append(Broken(line, column, shown_value, reason, said))


def _lengthen(
    frame: pd.DataFrame, lines: npt.NDArray[np.int64], columns: Columns, as_of: date | None
) -> pd.DataFrame:
    """One row per code, measure and day, each with what was given and where."""
    parts = []
    pairs: list[tuple[str | None, str | None]] = [*columns.measures.items()] or [
        (None, columns.value)
    ]
    for measure, column in pairs:
        part = pd.DataFrame({"line": lines, "code_given": _plain(frame[columns.code])})
        part["value_given"] = _plain(frame[column])
        part["measure_given"] = measure if measure else _plain(frame[columns.measure])
        if columns.as_of is None:
            part["as_of_given"] = as_of.isoformat() if as_of else None
        else:
            given = _plain(frame[columns.as_of])
            part["as_of_given"] = given.fillna(as_of.isoformat()) if as_of else given
        part["code_column"], part["value_column"] = columns.code, column
        part["measure_column"] = columns.measure or column
        part["as_of_column"] = columns.as_of or ""
        parts.append(part)
    long = pd.concat(parts, ignore_index=True)
    return long.sort_values("line", kind="stable", ignore_index=True)


def _plain(column: pd.Series[Any]) -> pd.Series[Any]:
    """Column as given, texts trimmed, None where there is nothing."""
    given = column.astype(object)
    text = given.map(lambda v: v.strip() if isinstance(v, str) else v)
    return text.where(text.notna() & (text != ""), None)


def _check(long: pd.DataFrame, pack: _Pack, today: date) -> tuple[pd.DataFrame, list[Broken]]:
    """Good values (code, measure, as_of, value) and broken ones."""
    work = _Checker(long)
    _check_codes(work, pack)
    measure = long["measure_given"].astype(object)
    named = measure.map(lambda m: isinstance(m, str) and bool(_MEASURE.fullmatch(m)))
    work.refuse(measure == AREA, "measure", "computed", "is computed and never imported")
    work.refuse(~named.astype(bool), "measure", "bad_measure",
                "is no name of a measure (small letters, digits, _)")  # fmt: skip
    long["measure"] = measure
    value = pd.to_numeric(long["value_given"], errors="coerce").astype(np.float64)
    work.refuse(long["value_given"].isna(), "value", "missing_value", "no value is given")
    work.refuse(~np.isfinite(value), "value", "bad_value", "is no number")
    work.refuse(value < 0, "value", "negative", "is below 0")
    long["value"] = value + 0.0  # -0.0 is 0
    day = pd.to_datetime(
        long["as_of_given"].map(lambda v: None if v is None else str(v)[:10]),
        format="%Y-%m-%d",
        errors="coerce",
    )
    work.refuse(day.isna(), "as_of", "bad_date", "is no day like 2020-11-01")
    latest = today + timedelta(days=1)
    work.refuse(day > pd.Timestamp(latest), "as_of", "future_date",
                f"is a day to come; the latest is {latest}")  # fmt: skip
    work.refuse(day < pd.Timestamp(EARLIEST), "as_of", "early_date", f"is before {EARLIEST}")
    long["as_of"] = day.dt.strftime("%Y-%m-%d")
    left = long[~work.bad]
    again = np.zeros(len(long), dtype=bool)
    again[left.index[left.duplicated(["code", "measure", "as_of"])]] = True
    work.refuse(again, "code", "repeated",
                "an earlier row of this file has the same code, measure and day")  # fmt: skip
    good = long.loc[~work.bad, ["code", "measure", "as_of", "value"]]
    return good, sorted(work.broken, key=lambda b: b.line)


def _check_codes(work: _Checker, pack: _Pack) -> None:
    given = work.long["code_given"].to_numpy(dtype=object)
    if pack.layout is None:
        codes = np.array([None if v is None else str(v) for v in given], dtype=object)
        work.refuse(pd.isna(codes), "code", "code_empty", "is empty")
    else:
        codes, reasons = pack.layout.parse_many(given)
        said = {}
        for row in np.flatnonzero([reason is not None for reason in reasons]).tolist():
            try:
                pack.layout.parse(given[row])
            except CodeError as error:
                said[row] = str(error).partition(repr(given[row]))[2].strip()
        for reason in sorted({reasons[row] for row in said}):
            work.refuse(reasons == reason, "code", f"code_{reason}", said)
    known = pack.known()
    unknown = np.array([code not in known for code in codes], dtype=bool)
    work.refuse(unknown, "code", "unknown_code", "no unit has this code, now or before")
    work.long["code"] = codes


_MERGE = sa.text("""
with stored as (
  insert into exposure as e (pack, code, measure, as_of, value, source)
  select :pack, code, measure, as_of, value, :source from incoming_exposure
  order by code, measure, as_of
  on conflict (pack, code, measure, as_of) do update
    set value = excluded.value, source = excluded.source
    where (e.value, e.source) is distinct from (excluded.value, excluded.source)
  returning (xmax = 0) as is_new
)
select count(*) filter (where is_new), count(*) filter (where not is_new) from stored
""")


def _store(
    engine: sa.Engine,
    long: pd.DataFrame,
    broken: list[Broken],
    *,
    pack: str,
    source: str,
    rejects: str | Path | None,
    today: date | None,
    beside: Callable[[sa.Connection], None] | None = None,
) -> ExposureReport:
    with engine.connect() as connection:
        known = _load_pack(connection, pack)
    good, refused = _check(long, known, today or datetime.now(UTC).date())
    refused = sorted([*broken, *refused], key=lambda b: b.line)
    report = ExposureReport(len(good) + len(refused), rejected=len(refused))
    report.reasons.update(b.reason for b in refused)
    report.examples = refused[:5]
    report.succeeded = int(good["code"].isin(known.ended - known.units).sum())
    report.totals = {str(k): float(v) for k, v in good.groupby("measure")["value"].sum().items()}
    with ExitStack() as stack:
        if rejects is not None:
            try:
                file = stack.enter_context(
                    Path(rejects).open("w", encoding="utf-8-sig", newline="")
                )
            except OSError as error:
                raise Invalid(f"{rejects} cannot be written: {error.strerror}") from error
            writer = csv.writer(file)
            writer.writerow(REJECT_COLUMNS)
            writer.writerows((b.line, b.column, quiet(b.value), b.reason, b.text) for b in refused)
        if len(good):
            report.new, report.updated = _write(engine, good, pack, source, beside)
    report.unchanged = len(good) - report.new - report.updated
    return report


def _write(
    engine: sa.Engine,
    good: pd.DataFrame,
    pack: str,
    source: str,
    beside: Callable[[sa.Connection], None] | None,
) -> tuple[int, int]:
    text = io.StringIO()
    good.to_csv(text, header=False, index=False)
    text.seek(0)
    with transaction(engine) as connection:
        connection.exec_driver_sql(
            "create temporary table incoming_exposure (code text, measure text, as_of date, "
            "value double precision) on commit drop"
        )
        with raw(connection).cursor() as cursor:
            cursor.copy_expert("copy incoming_exposure from stdin (format csv)", text)
        new, updated = connection.execute(_MERGE, {"pack": pack, "source": source}).one()
        if beside is not None:
            beside(connection)
    return int(new), int(updated)


def scene_measures(connection: sa.Connection, pack: str) -> list[str]:
    """Measures the scenes that ship or were applied and the newest run of `pack` know, in order."""
    known = {measure for name in scene_names() for measure in load_scene(name).measures}
    known |= {measure for one in versions(connection) for measure in one.scene.measures}
    body = connection.scalar(
        sa.text("select scene_body from run where pack = :pack order by id desc limit 1"),
        {"pack": pack},
    )
    known |= set((body or {}).get("measures", {}))
    return sorted(known - {AREA})
