"""`wusetu events`: import events, locate them again, list the feeds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.cube import fold

if TYPE_CHECKING:
    import sqlalchemy as sa

    from app.services.events import ImportReport, Progress

SOME_REJECTED = 3


@click.group()
def command() -> None:
    """Import events, locate them again, list the feeds."""


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--pack", required=True, help="Series of boundaries to locate in.")
@click.option(
    "--mapping", required=True, help="YAML file that says which column is what, or a shipped name."
)
@click.option("--source", help="Name of the feed, instead of the mapping's own.")
@click.option(
    "--rejects",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV file for rows that are refused: line, column, value, reason, text.",
)
@click.option("--dry-run", is_flag=True, help="Check and locate everything, store nothing.")
@click.option(
    "--batch",
    type=click.IntRange(1, 1_000_000),
    default=100_000,
    show_default=True,
    help="Rows per transaction.",
)
def import_command(
    *,
    file: Path,
    pack: str,
    mapping: str,
    source: str | None,
    rejects: Path | None,
    dry_run: bool,
    batch: int,
) -> None:
    """Import a file of events: CSV, NDJSON, GeoJSON (also .gz) or Parquet.

    Exit code 0: all rows loaded; 3: some were rejected; 2: refused, nothing was written.
    Interrupted: what was committed stays; run the same command again.
    """
    from app.services.event_fresh import FreshRows
    from app.services.events import import_file

    with (
        _engine() as (engine, cache_folder),
        FreshRows(cache_folder.parent) as fresh,
        progress_bar("events") as show,
    ):
        try:
            report = import_file(
                engine,
                file,
                pack=pack,
                mapping=mapping,
                source=source,
                rejects=rejects,
                progress=show,
                dry_run=dry_run,
                batch=batch,
                cache_folder=cache_folder,
                fresh=fresh,
            )
        except KeyboardInterrupt:
            click.echo(
                "interrupted: the batches written so far are kept; run the same command again "
                "to finish (rows that are there already change nothing)",
                err=True,
            )
            sys.exit(130)
        for line in report_lines(report, rejects):
            click.echo(line)
        if not dry_run:
            fold(engine, pack, fresh)
    if report.rejected:
        sys.exit(SOME_REJECTED)


@command.command("relocate")
@click.option("--pack", required=True, help="Series of boundaries; its newest version is used.")
def relocate_command(pack: str) -> None:
    """Locate all events of a pack again, after new boundaries were imported."""
    from app.services.event_relocate import relocate
    from app.services.events import Progress

    with _engine() as (engine, cache_folder), progress_bar("events") as show:
        try:
            report = relocate(
                engine,
                pack=pack,
                cache_folder=cache_folder,
                progress=lambda done, total: show(Progress(done, total, 0)),
            )
        except KeyboardInterrupt:
            click.echo("interrupted: run the same command again to finish", err=True)
            sys.exit(130)
        fold(engine, pack)
    by = (f"{_by(k)} {n:,}" for k, n in report.located.most_common())
    click.echo(f"events    {report.events:,} on boundaries {report.version}")
    click.echo(f"changed   {report.changed:,}; {report.lost:,} of them lie in no unit any more")
    click.echo(f"located   {', '.join(by) or '-'}")


@command.command("sources")
@click.option("--pack", help="Only the feeds of this pack.")
def sources_command(pack: str | None) -> None:
    """List the feeds: events, time span, how they were located, share of mismatches."""
    from zoneinfo import ZoneInfo

    from rich.console import Console
    from rich.table import Table

    from app.services.event_relocate import feeds

    with _engine() as (engine, _), engine.connect() as connection:
        found = feeds(connection, pack)
    if not found:
        click.echo("no feeds yet")
        return
    table = Table(box=None, pad_edge=False)
    titles = ("pack", "source", "made up", "crs", "events", "first", "last",
              "code", "point", "address", "nowhere", "mismatch")  # fmt: skip
    for title in titles:
        table.add_column(title, no_wrap=True)
    for name, feed in found:
        share = feed.mismatch_share
        table.add_row(
            name,
            feed.name,
            "yes" if feed.simulated else "no",
            feed.crs,
            f"{feed.events:,}",
            *(
                "-" if at is None else f"{at.astimezone(ZoneInfo(feed.time_zone)):%Y-%m-%d}"
                for at in (feed.first, feed.last)
            ),
            *(f"{feed.located[by]:,}" for by in ("code", "point", "address", "none")),
            "-" if share is None else f"{share:.2%}",
        )
    Console(width=200).print(table)


@contextmanager
def _engine() -> Iterator[tuple[sa.Engine, Path]]:
    from app import settings
    from app.database import open_engine

    chosen = settings.load()
    engine = open_engine(chosen)
    try:
        yield engine, chosen.data_dir / "locate"
    finally:
        engine.dispose()


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[Progress], None]]:
    """Progress bar on stderr with rows per second and refused rows."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    with Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}  {task.fields[rejected]} rejected"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(title, total=None, rate="", rejected=0)

        def show(at: Progress) -> None:
            speed = bar.tasks[0].speed
            rate = f"{speed:,.0f} rows/s" if speed else ""
            bar.update(
                task, completed=at.done, total=at.total, rate=rate, rejected=f"{at.rejected:,}"
            )

        yield show


def _by(located_by: str) -> str:
    return "known nowhere" if located_by == "none" else f"by {located_by}"


def report_lines(report: ImportReport, rejects: Path | None) -> Iterator[str]:
    """Say what an import did."""
    kept = report.rows - report.rejected
    verb = "would be kept" if report.dry_run else "kept"
    yield f"source    {report.source}, boundaries {report.version}"
    yield f"rows      {report.rows:,}: {kept:,} {verb}, {report.rejected:,} rejected"
    if not report.dry_run:
        yield (
            f"events    {report.new:,} new, {report.updated:,} updated, "
            f"{report.unchanged:,} unchanged"
        )
    by = (f"{_by(k)} {n:,}" for k, n in report.located.most_common())
    yield f"located   {', '.join(by) or '-'}"
    levels = (f"{k} {n:,}" for k, n in report.levels.most_common() if k != "none")
    yield f"levels    {', '.join(levels) or '-'}"
    if report.mismatch_share is not None:
        yield (
            f"mismatch  {report.mismatch:,} of {report.compared:,} events with a code and a point "
            f"disagree ({report.mismatch_share:.2%})"
        )
    if report.review:
        yield f"review    {report.review:,} addresses are not certain; see docs/addresses.md"
    if report.hint:
        yield f"note      {report.hint}"
    for reason, count in report.reasons.most_common():
        yield f"rejected  {count:,} × {reason}"
    for broken in report.examples:
        where = f", {broken.column}" if broken.column else ""
        value = f" {broken.value!r}" if broken.value else ""
        yield f"  line {broken.line}{where}:{value} {broken.text}"
    if report.rejected:
        yield f"rejects   {rejects}" if rejects else "rejects   (--rejects FILE keeps all of them)"
