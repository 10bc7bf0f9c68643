"""`wusetu runs`: list and prune assessment runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import sqlalchemy as sa


@contextmanager
def _engine() -> Iterator[sa.Engine]:
    from app import settings as settings_module
    from app.database import open_engine

    settings = settings_module.load()
    engine = open_engine(settings)
    try:
        yield engine
    finally:
        engine.dispose()


@click.group()
def command() -> None:
    """List and prune assessment runs."""


@command.command("list")
@click.option("--pack", help="Only runs of this map.")
def list_command(pack: str | None) -> None:
    """List all runs, newest first; running and failed ones too."""
    from app.services.runs import list_runs

    with _engine() as engine, engine.connect() as connection:
        found = list_runs(connection, pack, published_only=False)
    if not found:
        click.echo("no runs yet: see `wusetu assess`")
    for one in found:
        at = one.published_at or one.started_at
        click.echo(
            f"{one.id:>6}  {one.pack:<16} {one.status:<10} {at:%Y-%m-%d %H:%M}  "
            f"{one.scene}, {one.boundary_version}, {one.event_count:,} events"
        )


@command.command()
@click.option(
    "--keep", type=click.IntRange(min=1), default=3, show_default=True, help="Runs to keep per map."
)
@click.option("--pack", help="Only runs of this map.")
def prune(keep: int, pack: str | None) -> None:
    """Delete all but the newest runs of each map, and the failed ones."""
    from app.database import transaction
    from app.services.runs import prune_runs

    with _engine() as engine, transaction(engine) as connection:
        deleted = prune_runs(connection, keep, pack)
    numbers = ", ".join(map(str, deleted))
    click.echo(f"deleted {len(deleted)} runs" + (f": {numbers}" if numbers else ""))
