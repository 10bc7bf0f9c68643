"""`wusetu export`: a layer of a run, or a boundary version, as a file."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    import sqlalchemy as sa

    from app.services.caches import Caches
    from app.services.runs import RunFacts

FORMATS = ("csv", "gpkg", "parquet", "pmtiles")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--pack", help="Map whose newest run or boundaries are exported (or give --run).")
@click.option("--run", type=click.IntRange(min=1), help="Run number.")
@click.option(
    "--boundaries",
    is_flag=True,
    help="The units with their shapes instead of a run; all levels unless --level is given.",
)
@click.option("--label", help="With --boundaries: which version of them (default: the newest).")
@click.option("--level", help="Level, for example town.")
@click.option("--kind", default="overall", show_default=True, help="Kind of events.")
@click.option(
    "--period",
    type=click.Choice(["month", "quarter", "year"]),
    default="month",
    show_default=True,
    help="Length of the period.",
)
@click.option("--start", help="First day of the period, YYYY-MM-DD (default: the newest).")
def command(
    *,
    file: Path,
    pack: str | None,
    run: int | None,
    boundaries: bool,
    label: str | None,
    level: str | None,
    kind: str,
    period: Literal["month", "quarter", "year"],
    start: str | None,
) -> None:
    """Write FILE (.csv, .gpkg, .parquet or .pmtiles): enough to recompute every colour.

    GeoPackage opens coloured in QGIS, GeoParquet in geopandas and DuckDB, PMTiles is a map in one
    file. Boundary versions have no .csv.

    \b
      wusetu export town.gpkg --pack hangzhou --level town --kind theft
      wusetu export hangzhou.pmtiles --pack hangzhou --boundaries
    """  # noqa: D301 - click wants the backspace itself
    from app import settings as settings_module
    from app.database import open_engine, translated_errors
    from app.errors import Invalid
    from app.services.caches import Caches

    if file.suffix[1:] not in FORMATS:
        raise Invalid(f"{file}: the name must end with .csv, .gpkg, .parquet or .pmtiles")
    if boundaries:
        if pack is None or run is not None:
            raise Invalid("give --pack with --boundaries, and no --run")
        if file.suffix == ".csv":
            raise Invalid(f"{file}: boundaries are written as .gpkg, .parquet or .pmtiles")
    elif (pack is None) == (run is None):
        raise Invalid("give either --pack or --run")
    elif level is None:
        raise Invalid("give --level: a file holds one level of a run")
    elif label is not None:
        raise Invalid("--label goes with --boundaries")
    part = file.with_name(f".{file.name}.part{file.suffix}")
    check_writable(file, part)
    engine = open_engine(settings_module.load())
    try:
        # one moment for all of a file
        with (
            translated_errors(),
            engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
        ):
            # the file appears complete or not at all
            if boundaries:
                said = _boundaries(connection, Caches(), part, str(pack), label=label, level=level)
            else:
                said = _run(
                    connection, Caches(), part, run or _newest(connection, str(pack)),
                    level=str(level), kind=kind, period=period, start=start,
                )  # fmt: skip
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
        engine.dispose()
    click.echo(f"{file}: {said}")


def _newest(connection: sa.Connection, pack: str) -> int:
    from app.services.runs import newest_run

    return newest_run(connection, pack)


def _run(
    connection: sa.Connection,
    caches: Caches,
    part: Path,
    run: int,
    *,
    level: str,
    kind: str,
    period: Literal["month", "quarter", "year"],
    start: str | None,
) -> str:
    from app.services.export import export_table, write_csv
    from app.services.export_files import FORMATS as SHAPED
    from app.services.export_files import write_run
    from app.services.runs import Layer, run_facts

    facts = run_facts(connection, caches, run)
    layer = Layer(level, kind, period, _ord(facts, period, start))
    table = export_table(connection, caches, run, layer)
    if part.suffix == ".csv":
        write_csv(table, part)
    else:
        form = next(one for one in SHAPED if part.suffix == f".{one}")
        write_run(connection, table, form, part)
    return f"{len(table):,} units of run {run}"


def _boundaries(
    connection: sa.Connection,
    caches: Caches,
    part: Path,
    pack: str,
    *,
    label: str | None,
    level: str | None,
) -> str:
    from app.services.boundaries import get_version, newest_version
    from app.services.export_files import FORMATS as SHAPED
    from app.services.export_files import find_boundaries, write_boundaries

    version = get_version(connection, pack, label) if label else newest_version(connection, pack)
    one = find_boundaries(connection, version.id, level)
    form = next(each for each in SHAPED if part.suffix == f".{each}")
    rows = write_boundaries(connection, caches, one, form, part)
    return f"{rows:,} units of the boundaries {pack} {one.label}"


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
