"""`wusetu export`: one level, kind and period of a run as CSV or GeoPackage."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from app.services.runs import RunFacts

FORMATS = ("csv", "gpkg")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--pack", help="Map whose newest run is exported (or give --run).")
@click.option("--run", type=click.IntRange(min=1), help="Run number.")
@click.option("--level", required=True, help="Level, for example town.")
@click.option("--kind", default="overall", show_default=True, help="Kind of events.")
@click.option(
    "--period",
    type=click.Choice(["month", "quarter", "year"]),
    default="month",
    show_default=True,
)
@click.option("--start", help="First day of the period, YYYY-MM-DD (default: the newest).")
def command(
    *,
    file: Path,
    pack: str | None,
    run: int | None,
    level: str,
    kind: str,
    period: Literal["month", "quarter", "year"],
    start: str | None,
) -> None:
    """Write FILE (.csv or .gpkg): enough to recompute every colour."""
    from app import settings as settings_module
    from app.database import open_engine, translated_errors
    from app.errors import Invalid
    from app.services.caches import Caches
    from app.services.export import export_table, write_csv, write_gpkg
    from app.services.runs import Layer, newest_run, run_facts

    if file.suffix[1:] not in FORMATS:
        raise Invalid(f"{file}: the name must end with .csv or .gpkg")
    if (pack is None) == (run is None):
        raise Invalid("give either --pack or --run")
    part = file.with_name(f".{file.name}.part{file.suffix}")
    check_writable(file, part)
    settings = settings_module.load()
    engine = open_engine(settings)
    caches = Caches()
    try:
        with translated_errors(), engine.connect() as connection:
            number = run or newest_run(connection, str(pack))
            facts = run_facts(connection, caches, number)
            layer = Layer(level, kind, period, _ord(facts, period, start))
            table = export_table(connection, caches, number, layer)
            # the file appears complete or not at all
            if file.suffix == ".csv":
                write_csv(table, part)
            else:
                write_gpkg(connection, table, part)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
        engine.dispose()
    click.echo(f"{file}: {len(table):,} units of run {number}")


def check_writable(file: Path, part: Path) -> None:
    """Say before any work is done that the file cannot be written, and why."""
    from app.errors import Invalid

    if not file.parent.is_dir():
        raise Invalid(f"{file}: there is no folder {file.parent}")
    try:
        part.touch()
        part.unlink()
    except OSError as error:
        raise Invalid(
            f"{file}: nothing can be written in the folder {file.parent}: {error.strerror}"
        ) from error


def _ord(facts: RunFacts, period: Literal["month", "quarter", "year"], start: str | None) -> int:
    from app.errors import NotFound

    spans = facts.periods.get(period, ())
    if start is None:
        return len(spans) - 1
    for one in spans:
        if one.start.isoformat() == start:
            return one.ord
    first = spans[0].start if spans else date.min
    last = spans[-1].start if spans else date.min
    raise NotFound(f"no {period} begins on {start}; they begin from {first} to {last}")
