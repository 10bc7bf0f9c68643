"""The address base of a map: imported, replaced as a whole, read into memory.

Imports `geo.addresses`, the boundaries and the database. Promises: a row is refused with its line and
reason (unknown code, kind, number, something of a person) and the good ones are kept; a base is
replaced in one transaction, so that nobody ever reads half of one; learning a name makes what was
built from the base new.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import sqlalchemy as sa

from app.database import raw, transaction
from app.errors import Invalid, NotFound
from app.services import event_persons
from app.services.boundaries import BoundaryVersion, newest_version
from geo.addresses.base import SCHEMA, Base, Kind
from geo.addresses.names import Unit, UnitMeaning

_EXAMPLES = 20
_NEEDED = ("code", "place", "kind")


@dataclass
class BaseReport:
    """What an import did; `reasons` counts refused rows, `rejects` names some of them."""

    rows: int = 0
    stored: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    rejects: list[tuple[int, str, str]] = field(default_factory=list)

    def refuse(self, line: int, reason: str, value: str) -> None:
        """Note a refused row."""
        self.reasons[reason] += 1
        if len(self.rejects) < _EXAMPLES:
            self.rejects.append((line, reason, event_persons.shown(value)))


def read_file(path: Path) -> pa.Table:
    """Read a CSV (UTF-8) or Parquet file with the columns of `geo.addresses.base.SCHEMA`.

    Raises
    ------
    NotFound, Invalid
        No such file; it cannot be read; a needed column is missing.
    """
    if not path.is_file():
        raise NotFound(f"no file {path}")
    try:
        if path.suffix.lower() == ".parquet":
            table = pyarrow.parquet.read_table(path)
        else:
            table = pyarrow.csv.read_csv(
                path,
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types={one.name: one.type for one in SCHEMA}, strings_can_be_null=True
                ),
            )
    except (pa.ArrowInvalid, OSError) as error:
        raise Invalid(f"{path.name} cannot be read: {error}") from error
    missing = [name for name in _NEEDED if name not in table.schema.names]
    if missing:
        raise Invalid(
            f"{path.name}: no column {', '.join(missing)}; there are {', '.join(table.schema.names)}"
        )
    try:
        columns = [
            table.column(one.name).cast(one.type)
            if one.name in table.schema.names
            else pa.nulls(table.num_rows, one.type)
            for one in SCHEMA
        ]
    except pa.ArrowInvalid as error:
        raise Invalid(f"{path.name}: {error}") from error
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def store(
    engine: sa.Engine, pack: str, rows: pa.Table, source: str, *, simulated: bool
) -> BaseReport:
    """Replace the address base of a map.

    Parameters
    ----------
    rows : table of `geo.addresses.base.SCHEMA`

    Raises
    ------
    NotFound
        The map has no boundaries.
    Invalid
        Its codes have no layout, or no row is good; what was there stays.
    """
    with transaction(engine) as connection:
        version = newest_version(connection, pack)
        layout = version.layout
        if layout is None:
            raise Invalid(f"map {pack} has no code layout: addresses need codes that can be cut")
        known = set(
            connection.execute(
                sa.text("select code from unit where boundary_version_id = :v"), {"v": version.id}
            ).scalars()
        )
        report = BaseReport(rows.num_rows)
        text = _checked(rows, version, known, report)
        if not report.stored:
            raise Invalid(
                f"no row of the address base is good: {dict(report.reasons)}; "
                f"the first: {report.rejects[:3]}"
            )
        connection.execute(sa.text("delete from address_entry where pack = :p"), {"p": pack})
        with raw(connection).cursor() as cursor:
            cursor.copy_expert(
                "copy address_entry (pack, code, place, kind, number, units, floors, aliases) from stdin",
                _Prefixed(text, pack),
            )
        connection.execute(
            sa.text(
                "insert into address_base (pack, entries, source, simulated) values (:p, :n, :s, :m) "
                "on conflict (pack) do update set version = address_base.version + 1, "
                "entries = excluded.entries, source = excluded.source, "
                "simulated = excluded.simulated, imported_at = now()"
            ),
            {"p": pack, "n": report.stored, "s": source, "m": simulated},
        )
    return report


class _Prefixed(io.StringIO):
    """Rows of COPY text, the pack before each."""

    def __init__(self, rows: list[str], pack: str) -> None:
        super().__init__("".join(f"{pack}\t{row}" for row in rows))


def _checked(
    rows: pa.Table, version: BoundaryVersion, known: set[str], report: BaseReport
) -> list[str]:
    """Good rows as COPY text."""
    layout = version.layout
    assert layout is not None  # asked before
    lengths = sorted({len(code) for code in known}, reverse=True)
    persons = event_persons.find(rows.column("place").combine_chunks())
    kinds = set(Kind)
    result = []
    columns = (rows.column(name).to_pylist() for name in SCHEMA.names)
    for at, (code, place, kind, number, units, floors, aliases) in enumerate(
        zip(*columns, strict=True)
    ):
        line = at + 2
        if at in persons:
            report.refuse(line, "person", place)
        elif not code or not code.isdigit() or not any(code[:n] in known for n in lengths):
            report.refuse(line, "unknown_code", str(code))
        elif not place or not place.strip():
            report.refuse(line, "no_place", "")
        elif kind not in kinds:
            report.refuse(line, "unknown_kind", str(kind))
        elif min(number or 0, units or 0, floors or 0) < 0:
            report.refuse(line, "negative", str(number))
        elif aliases and event_persons.looks_like(aliases):
            report.refuse(line, "person", aliases)
        else:
            report.stored += 1
            also = _escaped(aliases) if aliases else "\\N"
            result.append(
                f"{code}\t{_escaped(place.strip())}\t{kind}\t{number or 0}\t{units or 0}"
                f"\t{floors or 0}\t{also}\n"
            )
    return result


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", " ").replace("\n", " ").replace("\r", " ")


@dataclass(frozen=True)
class State:
    """What a resolver was made from."""

    version: int
    boundary_version: int


def state(connection: sa.Connection, pack: str) -> State | None:
    """Return the present state of the base of a map, None when it has none."""
    found = connection.execute(
        sa.text("select version from address_base where pack = :p"), {"p": pack}
    ).scalar()
    if found is None:
        return None
    return State(int(found), newest_version(connection, pack).id)


def read_rows(connection: sa.Connection, pack: str) -> pa.Table:
    """Read the entries of a map as rows of `geo.addresses.base.SCHEMA`, ordered by code."""
    out = io.BytesIO()
    with raw(connection).cursor() as cursor:
        query = cursor.mogrify(
            "copy (select code, place, kind, number, units, floors, aliases from address_entry "
            "where pack = %s order by code, place, number) to stdout with (format csv, header)",
            (pack,),
        )
        cursor.copy_expert(query.decode(), out)
    out.seek(0)
    return pyarrow.csv.read_csv(
        out,
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={one.name: one.type for one in SCHEMA}, strings_can_be_null=True
        ),
    )


def read_base(connection: sa.Connection, pack: str, version: BoundaryVersion) -> Base:
    """Read the base of a map into memory, learnt names of places among it."""
    table = read_rows(connection, pack)
    learnt: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, code, place in connection.execute(
        sa.text(
            "select name, code, place from address_alias where pack = :p and place is not null"
        ),
        {"p": pack},
    ):
        learnt[place].append((code, name))
    if learnt:
        table = _with_aliases(table, learnt)
    lengths, county = _lengths(version)
    return Base.build(table, lengths, county)


def _with_aliases(table: pa.Table, learnt: Mapping[str, list[tuple[str, str]]]) -> pa.Table:
    codes, places = table.column("code").to_pylist(), table.column("place").to_pylist()
    aliases = table.column("aliases").to_pylist()
    for at, place in enumerate(places):
        for code, name in learnt.get(place, ()):
            if codes[at].startswith(code):
                aliases[at] = f"{aliases[at]}|{name}" if aliases[at] else name
    at = table.schema.get_field_index("aliases")
    return table.set_column(at, "aliases", pa.array(aliases, pa.string()))


def _lengths(version: BoundaryVersion) -> tuple[tuple[int, ...], int]:
    """Code lengths of the levels and of a building, and of what a name is looked for inside."""
    layout = version.layout
    assert layout is not None  # a base is stored for maps with a layout only
    ends, total = {}, 0
    after: list[int] = []
    for segment in layout.segments:
        total += segment.length
        if segment.level:
            ends[segment.level] = total
            after = []
        else:
            after.append(total)
    levels = [ends[level] for level in version.levels if level in ends]
    lengths = (*levels, *after[:1])
    return lengths, levels[1] if len(levels) > 2 else levels[0]


def read_units(connection: sa.Connection, version: BoundaryVersion) -> list[Unit]:
    """Units of a boundary version."""
    rows = connection.execute(
        sa.text("select code, level, name from unit where boundary_version_id = :v order by id"),
        {"v": version.id},
    )
    return [Unit(*row) for row in rows]


def other_names(
    connection: sa.Connection, pack: str, version: BoundaryVersion
) -> dict[str, UnitMeaning]:
    """Names of units that are not their own today: learnt ones, and those of units that ended.

    Old units are known by name from older boundary versions; the succession table says what they
    became, and where one became several the name may mean any of them.
    """
    meant: dict[str, set[str]] = defaultdict(set)
    for name, code in connection.execute(
        sa.text(
            "select name, code from address_alias where pack = :p and place is null "
            "union select u.name, coalesce(s.to_code, u.code) from unit u "
            "join boundary_version v on v.id = u.boundary_version_id and v.pack = :p "
            "left join succession s on s.pack = :p and s.from_code = u.code "
            "where v.id <> :v"
        ),
        {"p": pack, "v": version.id},
    ):
        meant[name].add(code)
    level: dict[str, str] = dict(
        tuple(row)
        for row in connection.execute(
            sa.text("select code, level from unit where boundary_version_id = :v"),
            {"v": version.id},
        )
    )
    found = {}
    for name, codes in meant.items():
        good = sorted(code for code in codes if code in level)
        if good:
            found[name] = UnitMeaning(tuple(good), level[good[0]], 0.9)
    return found


def add_names(connection: sa.Connection, pack: str, path: Path) -> int:
    """Add names of units from a CSV of `name,code`; return how many rows it has.

    Raises
    ------
    Invalid
        A row without a name or a code.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for line, row in enumerate(rows, 2):
        if not row.get("name") or not row.get("code"):
            raise Invalid(f"{path.name}, line {line}: a name and a code are needed")
    connection.execute(
        sa.text(
            "insert into address_alias (pack, name, code, origin) values (:p, :n, :c, 'pack') "
            "on conflict do nothing"
        ),
        [{"p": pack, "n": row["name"], "c": row["code"]} for row in rows],
    )
    touch(connection, pack)
    return len(rows)


def touch(connection: sa.Connection, pack: str) -> None:
    """Say that what was made from the base of a map is old."""
    connection.execute(
        sa.text("update address_base set version = version + 1 where pack = :p"), {"p": pack}
    )


def described(connection: sa.Connection, pack: str) -> tuple[str, bool]:
    """Where the base of a map comes from, and whether it is made."""
    row = connection.execute(
        sa.text("select source, simulated from address_base where pack = :p"), {"p": pack}
    ).one()
    return str(row.source), bool(row.simulated)
