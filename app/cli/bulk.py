"""`wusetu bulk`: files of any size into parts, here or on Spark, and the parts into the database."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app.cli.cube import fold
from app.cli.events import _engine, progress_bar


class _Default(click.Group):
    """A group whose first word may be an input: then it means `run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Default, name="bulk")
def command() -> None:
    """Import files that are too large for one go.

    \b
    wusetu bulk INPUT… --mapping FILE --pack PACK --job FOLDER    make located parts
    wusetu bulk adopt FOLDER                                      store them

    INPUT is GeoParquet, Parquet or CSV (also gzip), a path or a URL (s3://…), or a folder of them.
    """  # noqa: D301 - click wants the backspace itself


@command.command("run")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--mapping", required=True, help="YAML file, or the name of one that ships.")
@click.option("--pack", required=True, help="Series of boundaries; its newest version is used.")
@click.option("--job", "folder", required=True, type=click.Path(file_okay=False, path_type=Path),
              help="Folder of the job; for Spark one that every worker sees.")  # fmt: skip
@click.option("--engine", type=click.Choice(["local", "spark"]), default="local", show_default=True,
              help="Processes of this machine, or Spark.")  # fmt: skip
@click.option("--master", default="local[*]", show_default=True, help="Master of Spark.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True,
              help="Processes of the local engine.")  # fmt: skip
@click.option("--source", help="Name of the feed instead of the mapping's own.")
@click.option("--h3", multiple=True, type=click.IntRange(0, 15),
              help="Also write the H3 cell of this resolution; repeatable.")  # fmt: skip
@click.option("--part-rows", type=click.IntRange(1, 10_000_000), default=500_000,
              show_default=True, help="Rows per part.")  # fmt: skip
def run_command(  # noqa: PLR0917
    inputs: tuple[str, ...],
    mapping: str,
    pack: str,
    folder: Path,
    engine: str,
    master: str,
    jobs: int,
    source: str | None,
    h3: tuple[int, ...],
    part_rows: int,
) -> None:
    """Read, check and locate files into the parts of a job; an interrupted one goes on."""
    from app.services import bulk
    from app.services.bulk_spark import check_java, check_pyspark

    if engine == "spark":
        check_java()
        check_pyspark()
    with _engine() as (database, cache_folder):
        job = bulk.prepare(
            database, inputs, folder, pack=pack, mapping=mapping, source=source, h3=h3,
            part_rows=part_rows, cache_folder=cache_folder,
        )  # fmt: skip
    try:
        with progress_bar("rows") as show:
            report = bulk.run(job, engine=engine, jobs=jobs, master=master, progress=show)
    except KeyboardInterrupt:
        click.echo("interrupted: finished parts are kept; run the same command again", err=True)
        sys.exit(130)
    click.echo(f"source    {report.source}, boundaries {report.version}")
    click.echo(f"rows      {report.rows:,}: {report.good:,} good, {report.rejected:,} rejected")
    again = f", {report.reused:,} of them were there already" if report.reused else ""
    click.echo(f"parts     {report.parts:,} in {job.folder}{again}")
    by = ", ".join(f"{name} {count:,}" for name, count in report.located.most_common())
    click.echo(f"located   {by or '-'}")
    for reason, count in report.reasons.most_common():
        click.echo(f"rejected  {count:,} × {reason}")
    if report.rejected:
        click.echo(f"rejects   {job.folder / 'rejects.csv'}")
    click.echo(f"next      wusetu bulk adopt {job.folder}")


@command.command("adopt")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--again", is_flag=True, help="Compare parts that were adopted before, too.")
def adopt_command(folder: Path, again: bool) -> None:
    """Store the events of a finished job; adopting twice changes nothing.

    A snapshot follows, as after an import.
    """
    from app.services import bulk
    from app.services.event_fresh import FreshRows

    with _engine() as (database, cache_folder), FreshRows(cache_folder.parent) as fresh:
        try:
            with progress_bar("events") as show:
                report = bulk.adopt(database, folder, again=again, progress=show, fresh=fresh)
        except KeyboardInterrupt:
            click.echo("interrupted: adopted parts are kept; run the same command again", err=True)
            sys.exit(130)
        new, updated, unchanged = report.new, report.updated, report.unchanged
        click.echo(f"source    {report.source}")
        click.echo(f"parts     {report.parts:,}, {report.skipped:,} of them adopted before")
        click.echo(f"events    {new:,} new, {updated:,} updated, {unchanged:,} unchanged")
        fold(database, report.pack, fresh)
