"""Command `wusetu exposures`: import residents, firms, dwellings and other measures, or a raster."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

SOME_REJECTED = 3


@click.group()
def command() -> None:
    """Import exposures: residents, floating population, firms, dwellings, any measure."""


def _pairs(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in given:
        measure, equals, column = text.partition("=")
        if not equals or not measure or not column:
            raise click.BadParameter(f"{text!r} is not measure=COLUMN")
        if measure in pairs:
            raise click.BadParameter(f"measure {measure!r} is given twice")
        pairs[measure] = column
    return pairs


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--pack", required=True, help="Series of boundaries the codes belong to.")
@click.option("--source", default="", help="Where the values come from; kept with them.")
@click.option(
    "--measure",
    "measures",
    multiple=True,
    callback=_pairs,
    metavar="NAME=COLUMN",
    help="Wide file: which column is which measure; repeat it.",
)
@click.option("--code", help="Column of the code (default: the one called code).")
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Day the values describe, where the file has no column as_of.",
)
@click.option("--encoding", type=click.Choice(["utf-8", "gb18030", "gbk"]), default="utf-8",
              help="Encoding of a CSV.")  # fmt: skip
@click.option(
    "--rejects",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV file for what is refused: line, column, value, reason, text.",
)
def import_command(
    *,
    file: Path,
    pack: str,
    source: str,
    measures: dict[str, str],
    code: str | None,
    as_of: datetime | None,
    encoding: str,
    rejects: Path | None,
) -> None:
    """Import a CSV or Parquet file: long (code, measure, value, as_of) or wide (--measure).

    Exit code 0: all values loaded; 3: some were rejected; 2: refused, nothing was written.
    """
    from app import settings
    from app.database import open_engine
    from app.services.exposures import import_file, scene_measures

    chosen = settings.load()
    engine = open_engine(chosen)
    try:
        report = import_file(
            engine,
            file,
            pack=pack,
            source=source,
            measures=measures,
            code=code,
            as_of=as_of.date() if as_of else None,
            encoding="gb18030" if encoding == "gbk" else encoding,
            rejects=rejects,
        )
        with engine.connect() as connection:
            known = scene_measures(connection, pack)
    finally:
        engine.dispose()
    click.echo(
        f"values    {report.rows:,}: {report.new:,} new, {report.updated:,} updated, "
        f"{report.unchanged:,} unchanged, {report.rejected:,} rejected"
    )
    for measure, total in report.totals.items():
        click.echo(f"total     {measure} {total:,.10g}")
    if report.succeeded:
        click.echo(
            f"note      {report.succeeded:,} value(s) of units that ended go to their successors"
        )
    unused = [measure for measure in report.totals if measure not in known]
    if unused:
        click.echo(f"note      no scene uses {', '.join(unused)}; they know {', '.join(known)}")
    for reason, count in report.reasons.most_common():
        click.echo(f"rejected  {count:,} × {reason}")
    for broken in report.examples:
        value = f" {broken.value!r}" if broken.value else ""
        click.echo(f"  line {broken.line}, {broken.column}:{value} {broken.text}")
    if report.rejected:
        click.echo(f"rejects   {rejects or '(--rejects FILE keeps all of them)'}")
        sys.exit(SOME_REJECTED)


@command.command("raster")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--pack", required=True, help="Series of boundaries; its newest version is used.")
@click.option("--measure", required=True, help="What the amounts are: resident, dwellings, …")
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    required=True,
    help="Day the values describe.",
)
@click.option("--source", default="", help="Where the values come from (default: the file's name).")
@click.option("--band", type=int, help="Band, from 1; needed where there are several.")
@click.option("--crs", help="CRS of a file that does not say it, for example EPSG:4326.")
@click.option("--nodata", type=float, help="Value that means: none (beside the file's own).")
@click.option("--zero", is_flag=True, help="Pixels without a value hold 0 (default: unknown).")
@click.option(
    "--least",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Part of a unit's area the raster must know for the unit to get a value.",
)
@click.option("--dry-run", is_flag=True, help="Sum and report, store nothing.")
def raster_command(
    *,
    file: Path,
    pack: str,
    measure: str,
    as_of: datetime,
    source: str,
    band: int | None,
    crs: str | None,
    nodata: float | None,
    zero: bool,
    least: float,
    dry_run: bool,
) -> None:
    """Sum a GeoTIFF of amounts per pixel over the units, by exact area weights.

    Exit code 0: stored (or, with --dry-run, could be); 2: refused, nothing was written.
    """
    from app import settings
    from app.cli.assess import progress_bar
    from app.database import open_engine
    from app.services.raster_exposures import import_raster

    engine = open_engine(settings.load())
    try:
        with progress_bar() as show:
            report = import_raster(
                engine,
                file,
                pack=pack,
                measure=measure,
                as_of=as_of.date(),
                source=source,
                band=band,
                crs=crs,
                nodata=nodata,
                zero=zero,
                least=least,
                dry_run=dry_run,
                progress=lambda part: show("raster", int(part * 1000), 1000),
            )
    finally:
        engine.dispose()
    share = (lambda x: x / report.total) if report.total else (lambda _: 0.0)
    click.echo(f"raster    band {report.band}, {report.crs}, {report.pixels:,} pixels under units")
    click.echo(f"total     {report.total:,.10g} in these pixels")
    click.echo(f"assigned  {report.assigned:,.10g} ({share(report.assigned):.2%})")
    click.echo(f"outside   {report.outside:,.10g} ({report.outside_share:.2%}) lies in no unit")
    if report.left_out:
        click.echo(
            f"left out  {report.left_out:,.10g} ({share(report.left_out):.2%}) lies in units of "
            "which less is known than --least"
        )
    if report.shared:
        click.echo(f"shared    {report.shared:,.10g} lies in several units and was divided")
    click.echo(
        f"units     {report.leaves:,} of the finest have a value, {report.missing:,} have none; "
        f"{report.units:,} of all levels"
    )
    if report.partly:
        click.echo(f"partly    {len(report.partly):,} units are known in part:")
        for one in report.partly[:5]:
            click.echo(f"  {one.code} {one.name}: {one.known:.1%}")
    if dry_run:
        click.echo("nothing was stored (--dry-run)")
        return
    click.echo(
        f"values    {report.new:,} new, {report.updated:,} updated, {report.unchanged:,} unchanged"
    )
