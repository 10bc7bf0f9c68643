"""Where ended units went to: shares of their exposure and history, from a CSV.

Promises: the shares of one unit on one day add up to 1 or none of its rows is stored; sending a
file again changes nothing.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import sqlalchemy as sa

from app.errors import Invalid
from app.services.boundaries import newest_version
from geo.codes import CodeError, CodeLayout, plain_code

_COLUMNS = ("from_code", "to_code", "share", "effective")
_SLACK = 1e-6


@dataclass(frozen=True)
class Succession:
    """`share` of `from_code`, ended before `effective`, went to `to_code`."""

    from_code: str
    to_code: str
    share: float
    effective: date
    source: str = ""


@dataclass(frozen=True)
class SuccessionResult:
    """Rows stored, and (line, reason) of those that were not."""

    stored: int
    rejects: tuple[tuple[int, str], ...]
    notes: tuple[str, ...]


def import_successions(
    connection: sa.Connection, pack: str, path: Path, encoding: str = "utf-8-sig"
) -> SuccessionResult:
    """Store `from_code,to_code,share,effective[,source]` of a CSV file with a heading.

    Raises
    ------
    Invalid
        The file cannot be read as such a table.
    NotFound
        The pack has no boundaries.
    """
    layout = newest_version(connection, pack).layout
    rows, rejects = _read(path, encoding, layout)
    groups: dict[tuple[str, date], list[tuple[int, Succession]]] = defaultdict(list)
    for line, row in rows:
        groups[row.from_code, row.effective].append((line, row))
    good: list[Succession] = []
    for (code, day), members in groups.items():
        total = sum(row.share for _, row in members)
        targets = [row.to_code for _, row in members]
        reason = ""
        if len(set(targets)) < len(targets):
            reason = f"{code} goes to the same unit twice on {day}"
        elif abs(total - 1) > _SLACK:
            reason = f"the shares of {code} on {day} add up to {total:g}, not 1"
        if reason:
            rejects += [(line, reason) for line, _ in members]
        else:
            good += [row for _, row in members]
    for code, day in {(row.from_code, row.effective) for row in good}:
        connection.execute(
            sa.text("delete from succession where pack = :p and from_code = :c and effective = :d"),
            {"p": pack, "c": code, "d": day},
        )
    if good:
        connection.execute(
            sa.text(
                "insert into succession (pack, from_code, to_code, share, effective, source)"
                " values (:pack, :from_code, :to_code, :share, :effective, :source)"
            ),
            [{"pack": pack, **vars(row)} for row in good],
        )
    return SuccessionResult(len(good), tuple(sorted(rejects)), _unknown(connection, pack, good))


def _unknown(connection: sa.Connection, pack: str, rows: list[Succession]) -> tuple[str, ...]:
    known = set(
        connection.scalars(
            sa.text(
                "select code from unit u join boundary_version v on v.id = boundary_version_id"
                " where pack = :p"
            ),
            {"p": pack},
        )
    )
    lost = sorted({row.to_code for row in rows} - known)
    return tuple(f"no version of {pack} has a unit {code}" for code in lost)


def _read(
    path: Path, encoding: str, layout: CodeLayout | None
) -> tuple[list[tuple[int, Succession]], list[tuple[int, str]]]:
    try:
        text = path.read_bytes().decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except (OSError, UnicodeDecodeError, LookupError) as error:
        raise Invalid(f"{path.name} cannot be read: {error}") from error
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    names = [str(name).strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    missing = [c for c in _COLUMNS if c not in names]
    if missing:
        raise Invalid(
            f"{path.name} has no column {', '.join(missing)}; "
            f"its columns: {', '.join(names) or 'none (it is empty)'}"
        )
    parse: Callable[[object], str] = layout.parse if layout else plain_code
    rows: list[tuple[int, Succession]] = []
    rejects: list[tuple[int, str]] = []
    for raw in reader:
        try:
            share = float(raw["share"] or "")
            if not 0 < share <= 1:
                raise ValueError(f"share {share:g} is not in (0, 1]")
            row = Succession(
                parse(raw["from_code"]),
                parse(raw["to_code"]),
                share,
                date.fromisoformat((raw["effective"] or "").strip()),
                (raw.get("source") or "").strip(),
            )
        except (CodeError, ValueError) as error:
            rejects.append((reader.line_num, str(error)))
            continue
        rows.append((reader.line_num, row))
    return rows, rejects
