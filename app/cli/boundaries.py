"""`wusetu boundaries`: import, list and show boundary versions; successions.

Exit codes of the imports: 0 stored (what was found or repaired is in the report), 2 refused and
nothing stored, 3 stored but some rows were left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app import settings as settings_module
from app.errors import Invalid
from app.settings import PROJECT

# the libraries for shapes are slow to import: only the commands that need them do
if TYPE_CHECKING:
    import sqlalchemy as sa
    from rich.console import Console

    from app.services.boundary_checks import Progress as Step
    from geo.codes import CodeLayout

LAYOUTS = PROJECT / "data" / "layouts"
DROPPED = 3
_SHOWN = 10
_WIDEST = 10_000


@click.group()
def command() -> None:
    """Import boundaries, list and show what is there."""


@contextmanager
def _connected() -> Iterator[sa.Connection]:
    from app.database import open_engine, transaction

    engine = open_engine(settings_module.load())
    try:
        with transaction(engine) as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _progress() -> Iterator[Step]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<24}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0)

        def tell(step: str, part: float) -> None:
            bar.update(task, description=step, completed=part)

        yield tell


def _layout(name: str | None) -> CodeLayout | None:
    from app.yaml_text import read_yaml
    from geo.codes import LayoutError, load_layout

    if name is None or name == "none":
        return None
    path = Path(name) if name.endswith((".yaml", ".yml")) else LAYOUTS / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in LAYOUTS.glob("*.yaml")))
        raise Invalid(f"no layout {name!r}: use one of {known} or a YAML file of your own")
    try:
        _, body = read_yaml(path.read_text(encoding="utf-8-sig"), f"layout {path.name}")
        return load_layout(body)
    except (UnicodeDecodeError, LayoutError, TypeError) as error:
        raise Invalid(f"layout {path.name}: {error}") from error


def _rows(n: int, one: str = "", more: str = "") -> str:
    """Return the number of rows in words, with a verb when it is given."""
    return f"{n:,} {'row' if n == 1 else 'rows'} {one if n == 1 else more}".rstrip()


def _day(value: datetime | None) -> date | None:
    return value.date() if value else None


@command.command("import")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--pack", required=True, help="Series of versions this belongs to: hangzhou.")
@click.option("--label", required=True, help="Name of this version inside the pack: 2024.")
@click.option(
    "--source", "sources", multiple=True, metavar="'FILE;key=value;…'",
    help="A file with its own columns; repeatable. Keys: level level_column code name "
    "name_en parent layer crs encoding.",
)  # fmt: skip
@click.option("--layout", help="How codes are cut: unified-27, a YAML file, or none (default).")
@click.option("--level", help="Level of every row: city, county, town, village, grid …")
@click.option("--level-column", help="Column that holds the level of each row.")
@click.option("--code", help="Column of the code (default: code).")
@click.option("--name", help="Column of the name (default: name).")
@click.option("--name-en", help="Column of the English name (default: name_en, if there).")
@click.option("--parent", help="Column of the parent's code (default: parent, if there).")
@click.option("--layer", help="Layer of a GeoPackage, file inside a zip.")
@click.option("--crs", help="wgs84, cgcs2000, gcj02, bd09 or EPSG:n (default: what the file says).")
@click.option(
    "--encoding", help="Encoding of names: gbk (default: what the file says, or guessed)."
)
@click.option("--title-zh", help="Chinese title of the map.")
@click.option("--title-en", help="English title of the map.")
@click.option("--attribution", default="", help="Where the shapes are from.")
@click.option("--licence", default="", help="Their licence.")
@click.option("--valid-from", type=click.DateTime(["%Y-%m-%d"]), help="First day of validity.")
@click.option("--valid-to", type=click.DateTime(["%Y-%m-%d"]), help="Day after the last.")
@click.option("--approximate", is_flag=True, help="The shapes are not surveyed: say so on the map.")
@click.option("--strict", is_flag=True, help="Refuse whatever is not perfect.")
@click.option("--report", type=click.Path(path_type=Path), help="Write the whole report as JSON.")
def import_(  # noqa: PLR0917 - one argument per option
    files: tuple[Path, ...],
    pack: str,
    label: str,
    sources: tuple[str, ...],
    layout: str | None,
    title_zh: str | None,
    title_en: str | None,
    attribution: str,
    licence: str,
    valid_from: datetime | None,
    valid_to: datetime | None,
    approximate: bool,
    strict: bool,
    report: Path | None,
    **columns: str | None,
) -> None:
    """Import units from FILES as a new version of a pack.

    The column options hold for all FILES and are the defaults of every --source. Three files,
    one level each:

    \b
      wusetu boundaries import --pack taiwan --label 2021 \\
        --source 'counties.parquet;level=county;code=COUNTYCODE;name=COUNTYNAME' \\
        --source 'towns.parquet;level=town;code=TOWNCODE;name=TOWNNAME' \\
        --source 'villages.parquet;level=village;code=VILLCODE;name=VILLNAME'
    """  # noqa: D301 - click wants the backspace itself
    from rich.console import Console

    from app.services import boundaries, boundary_files
    from app.services.boundary_checks import Notes, count_findings

    if not files and not sources:
        raise click.UsageError("name at least one file")
    defaults = boundary_files.Source(Path(), **columns)
    wanted = [boundary_files.parse_source(str(file), defaults) for file in files]
    wanted += [boundary_files.parse_source(text, defaults) for text in sources]
    cut = _layout(layout)
    _check_writable(report)
    notes = Notes()
    with _progress() as tell:
        frame = boundary_files.read_all(wanted, notes, tell)
        if approximate:
            frame["approximate"] = True
        try:
            with _connected() as connection:
                result = boundaries.import_units(
                    connection, pack=pack, label=label, frame=frame, layout=cut,
                    title_zh=title_zh, title_en=title_en,
                    valid_from=_day(valid_from), valid_to=_day(valid_to),
                    source=attribution, licence=licence, strict=strict, notes=notes, progress=tell,
                )  # fmt: skip
        except boundaries.Refused as error:
            _write(report, error.detail)
            show_report(error.detail, Console(stderr=True))
            raise
    version = result.version
    console = Console()
    show_report(result.report, console)
    _write(report, result.report)
    state = "stored" if result.created else "already there, nothing changed:"
    console.print(
        f"{pack} {label}: {state} {result.report['units']} units, levels "
        f"{' '.join(version.levels)}, valid from {version.valid_from}"
        f"{f' to {version.valid_to}' if version.valid_to else ''}; "
        f"{count_findings(result.report)} findings",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    if result.closed:
        console.print(f"{pack} {result.closed} now ends on {version.valid_from}", markup=False)
    if result.dropped:
        console.print(
            f"{_rows(result.dropped, 'was', 'were')} left out (exit code {DROPPED})", markup=False
        )
        click.get_current_context().exit(DROPPED)


def _check_writable(path: Path | None) -> None:
    if path is None:
        return
    try:
        path.open("a").close()
    except OSError as error:
        raise Invalid(f"the report cannot be written: {error}") from error


def _write(path: Path | None, body: dict[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(body, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def show_report(body: dict[str, Any], console: Console) -> None:
    """Print a report: a table of the levels, then the units and rows concerned."""
    from rich.table import Table

    table = Table()
    table.add_column("")
    for level in body["levels"]:
        table.add_column(level["level"], justify="right")
    for title, cell in _ROWS.items():
        table.add_row(title, *(cell(level) for level in body["levels"]))
    console.print(table)
    for line in _lines(body):
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def _with_area(found: dict[str, Any]) -> str:
    return f"{found['count']} ({found['km2']:.4g} km²)" if found["count"] else "0"


_ROWS: dict[str, Callable[[dict[str, Any]], str]] = {
    "units": lambda v: str(v["units"]),
    "km²": lambda v: f"{v['area_km2']:.2f}",
    "parents found by": lambda v: v["parents_by"] or "–",
    "shapes repaired": lambda v: str(len(v["repaired"])),
    "rows merged": lambda v: str(len(v["merged"])),
    "orphans": lambda v: str(v["orphans"]["count"]),
    # reports written by older versions do not have these
    "codes apart from the parent's": lambda v: str(v.get("codes_apart", {"count": "–"})["count"]),
    "codes begun by another's": lambda v: str(v.get("codes_begun", {"count": "–"})["count"]),
    "overlaps": lambda v: _with_area(v["overlaps"]),
    "gaps": lambda v: _with_area(v["gaps"]),
    "outside the parent": lambda v: _with_area(v["outside_parent"]),
    "parent not covered": lambda v: _with_area(v["parent_uncovered"]),
    "edges unmatched": lambda v: str(v["edges_unmatched"]["count"]),
}


def _lines(body: dict[str, Any]) -> Iterator[str]:
    for level in body["levels"]:
        name = level["level"]
        for unit in level["repaired"]:
            yield (f"repaired {name} {unit['code']} {unit['name']}: {unit['reason']} "
                   f"({unit['change_km2']:+.6g} km²)")  # fmt: skip
        for unit in level["merged"]:
            yield f"merged {name} {unit['code']} {unit['name']}: {unit['rows']} rows with one code"
        texts: dict[str, Callable[[dict[str, Any]], str]] = {
            "orphans": lambda o: f"{_unit(o)} has no parent here",
            "codes_apart": lambda o: (
                f"{_unit(o)} does not begin with the code of {_unit(o, 'parent')}"
            ),
            "codes_begun": lambda o: f"{_unit(o)} begins with the code of {_unit(o, 'other')}",
            "overlaps": lambda o: f"{_unit(o)} and {_unit(o, 'other')}: {o['km2']:.6g} km²",
            "gaps": lambda o: f"at {o['lon']:.5f} {o['lat']:.5f}: {o['km2']:.6g} km²",
            "outside_parent": lambda o: (
                f"{_unit(o)} leaves {_unit(o, 'parent')}: {o['km2']:.6g} km²"
            ),
            "parent_uncovered": lambda o: f"children of {_unit(o)} leave {o['km2']:.6g} km²",
        }
        for key, text in texts.items():
            if key in level:
                yield from _some(f"{key.replace('_', ' ')} {name}", level[key], text)
    yield from _some(
        "left out", body["rejected"], lambda r: f"{r['place']} ({r['code']}): {r['reason']}"
    )
    for note in body["notes"]:
        yield f"note: {note}"


def _unit(item: dict[str, Any], key: str = "code") -> str:
    return f"{item[key]} {item['name' if key == 'code' else f'{key}_name']}"


def _some(head: str, found: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> Iterator[str]:
    for item in found["largest"][:_SHOWN]:
        yield f"{head}: {text(item)}"
    if found["count"] > _SHOWN:
        yield f"{head}: and {found['count'] - _SHOWN} more (--report FILE writes them)"


@command.command("list")
@click.argument("pack", required=False)
def list_(pack: str | None) -> None:
    """List the versions of PACK (default: of all)."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    from app.services import boundaries

    with _connected() as connection:
        found = boundaries.versions(connection, pack)
        counts = boundaries.unit_counts(connection)
    console = Console()
    if not found:
        console.print("there are no boundaries yet: see `wusetu boundaries import --help`")
        return
    # codes, dates and names are never cut: where it is no terminal, lines are as long as they are
    heads = ("pack", "label", "title", "valid from", "valid to", "units", "layout", "shapes")
    table = Table()
    for head in heads:
        table.add_column(head, overflow="fold", no_wrap=not console.is_terminal)
    for v in found:
        units = "  ".join(f"{level} {counts[v.id].get(level, 0)}" for level in v.levels)
        title = v.title_zh if v.title_zh == v.title_en else f"{v.title_zh} {v.title_en}"
        table.add_row(
            v.pack, v.label, title, str(v.valid_from), str(v.valid_to or "–"), units,
            v.layout.name if v.layout else "–", "approximate" if v.approximate else "surveyed",
        )  # fmt: skip
    if not console.is_terminal:
        # as wide as the table needs; COLUMNS, when set, is the terminal's, not the file's
        console.width = max(console.width, Measurement.get(
            console, console.options.update(max_width=_WIDEST), table).maximum)  # fmt: skip
    console.print(table)


@command.command()
@click.argument("pack")
@click.argument("label", required=False)
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
def show(pack: str, label: str | None, as_json: bool) -> None:
    """Show what the import of a version found (default: the newest of PACK)."""
    from rich.console import Console

    from app.services import boundaries

    with _connected() as connection:
        version = (
            boundaries.get_version(connection, pack, label)
            if label
            else boundaries.newest_version(connection, pack)
        )
        body = boundaries.stored_report(connection, version)
    if as_json:
        click.echo(json.dumps(body, ensure_ascii=False, indent=1))
        return
    console = Console()
    console.print(
        f"{version.pack} {version.label}: {version.title_zh} / {version.title_en}, "
        f"valid from {version.valid_from} to {version.valid_to or 'now'}, "
        f"sha256 {version.digest}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    for head, text in (("source", version.source), ("licence", version.licence)):
        if text:
            console.print(f"{head}: {text}", markup=False, highlight=False, soft_wrap=True)
    show_report(body, console)


@command.group()
def successions() -> None:
    """Say where ended units went to."""


@successions.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--pack", required=True, help="Pack whose units these are.")
@click.option("--encoding", default="utf-8", show_default=True, help="Encoding of the file.")
def import_succession(file: Path, pack: str, encoding: str) -> None:
    """Import FILE: from_code,to_code,share,effective[,source].

    The shares of one from_code on one day must add up to 1.
    """
    from app.services.succession_files import import_successions

    with _connected() as connection:
        result = import_successions(connection, pack, file, encoding)
        if not result.stored:
            first = f"; first: line {result.rejects[0][0]}: {result.rejects[0][1]}" if (
                result.rejects) else ""  # fmt: skip
            raise Invalid(f"{file.name} holds no usable row{first}")
    for line, reason in result.rejects:
        click.echo(f"left out: line {line}: {reason}", err=True)
    for note in result.notes:
        click.echo(f"note: {note}", err=True)
    stored = "1 succession" if result.stored == 1 else f"{result.stored} successions"
    click.echo(f"{pack}: {stored} stored, {_rows(len(result.rejects))} left out")
    if result.rejects:
        click.get_current_context().exit(DROPPED)
