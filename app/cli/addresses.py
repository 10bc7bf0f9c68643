"""Command `wusetu addresses`: the address base of a map, and addresses in words → codes."""

from __future__ import annotations

import sys
from pathlib import Path

import click

SOME_REJECTED = 3


@click.group()
def command() -> None:
    """Resolve addresses in words; keep the address base they are resolved with."""


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--pack", required=True, help="Series of boundaries the codes belong to.")
@click.option("--source", required=True, help="Where the base comes from; kept with it.")
@click.option("--simulated", is_flag=True, help="The base is made up.")
def import_command(*, file: Path, pack: str, source: str, simulated: bool) -> None:
    """Replace the address base by a CSV or Parquet file: code, place, kind, number, units, floors, aliases.

    Exit code 0: all rows stored; 3: some were rejected; 2: refused, the old base stays.
    """
    from app import settings
    from app.database import open_engine
    from app.services import address_base

    engine = open_engine(settings.load())
    try:
        report = address_base.store(
            engine, pack, address_base.read_file(file), source, simulated=simulated
        )
    finally:
        engine.dispose()
    click.echo(f"{report.stored:,} of {report.rows:,} addresses stored")
    for line, reason, value in report.rejects:
        click.echo(f"  line {line}: {reason}: {value}", err=True)
    if report.reasons:
        said = ", ".join(f"{reason} {count:,}" for reason, count in report.reasons.most_common())
        click.echo(f"rejected: {said}", err=True)
        sys.exit(SOME_REJECTED)


@command.command("names")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--pack", required=True, help="Series of boundaries the codes belong to.")
def names_command(*, file: Path, pack: str) -> None:
    """Add other names of units (old ones, too) from a CSV with the columns name, code."""
    from app import settings
    from app.database import open_engine, transaction
    from app.services import address_base

    engine = open_engine(settings.load())
    try:
        with transaction(engine) as connection:
            count = address_base.add_names(connection, pack, file)
    finally:
        engine.dispose()
    click.echo(f"{count} names")


@command.command("sample")
@click.option("--pack", default="hangzhou", show_default=True, help="Map to make a base for.")
@click.option("--addresses", default=520_000, show_default=True, help="About how many.")
@click.option("--seed", default=20240101, show_default=True, help="Another one, other addresses.")
@click.option(
    "--noisy",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write addresses as people write them, with the codes they mean (CSV).",
)
@click.option("--noisy-rows", default=10_000, show_default=True, help="How many of these.")
def sample_command(
    *, pack: str, addresses: int, seed: int, noisy: Path | None, noisy_rows: int
) -> None:
    """Make up an address base over the units of a map and store it, marked as simulated."""
    from app import settings
    from app.database import open_engine
    from app.services import address_sample

    engine = open_engine(settings.load())
    try:
        report = address_sample.load(engine, pack, addresses, seed)
        click.echo(f"{report.stored:,} made-up addresses stored")
        if noisy:
            written = address_sample.write_noisy(engine, pack, noisy, noisy_rows, seed)
            click.echo(f"{written:,} noisy addresses in {noisy}")
    finally:
        engine.dispose()


@command.command("resolve")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--pack", required=True, help="Map whose address base is used.")
@click.option("--column", default="address", show_default=True, help="Column of the addresses.")
@click.option("--review/--no-review", default=False, help="Put uncertain ones into the queue.")
def resolve_command(*, file: Path, out: Path, pack: str, column: str, review: bool) -> None:
    """Resolve a column of a CSV; OUT has all columns and code, status, confidence, certain, reasons."""
    from rich.progress import Progress

    from app import settings
    from app.database import open_engine, transaction
    from app.services import address_files, address_resolve

    engine = open_engine(settings.load())
    try:
        with engine.connect() as connection:
            ground = address_resolve.Addresses().ground(connection, pack)
        with Progress(transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("addresses", total=None)
            counts, uncertain = address_files.resolve_file(
                ground, file, out, column, lambda rows: bar.advance(task, rows)
            )
        if review:
            with transaction(engine) as connection:
                queued = address_resolve.queue(connection, pack, uncertain)
            click.echo(f"{queued:,} in the review queue")
    finally:
        engine.dispose()
    said = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items()))
    click.echo(f"{counts.total():,} addresses: {said or 'none'}")
