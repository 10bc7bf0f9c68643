"""`wusetu events`: import events, locate them again, list the feeds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

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
    default=50_000,
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
    from app.services.events import import_file

    with _engine() as engine, progress_bar("events") as show:
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
    if report.rejected:
        sys.exit(SOME_REJECTED)


@contextmanager
def _engine() -> Iterator[sa.Engine]:
    from app import settings
    from app.database import make_engine, resolve_url

    chosen = settings.load()
    engine = make_engine(resolve_url(chosen), chosen.database)
    try:
        yield engine
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
    words = {"none": "known nowhere"}
    by = (f"{words.get(k, 'by ' + k)} {n:,}" for k, n in report.located.most_common())
    yield f"located   {', '.join(by) or '-'}"
    levels = (f"{k} {n:,}" for k, n in report.levels.most_common() if k != "none")
    yield f"levels    {', '.join(levels) or '-'}"
    if report.mismatch_share is not None:
        yield (
            f"mismatch  {report.mismatch:,} of {report.compared:,} events with a code and a point "
            f"disagree ({report.mismatch_share:.2%})"
        )
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
