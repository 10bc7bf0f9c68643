"""`wusetu cube`: the snapshots that areas are counted from."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import sqlalchemy as sa

    from app.services.event_fresh import FreshRows
    from app.services.snapshots import Published
    from app.settings import Settings

DAMAGED = 3


@click.group()
def command() -> None:
    """Make, check and show the snapshots that areas are counted from."""


@command.command()
@click.argument("pack", required=False)
def build(pack: str | None) -> None:
    """Make a snapshot of all events of PACK (default: of every map) from PostgreSQL.

    Interrupted: nothing was published, the one before stays; run the same command again.
    """
    from app.services import snapshots

    with _engine() as (engine, settings):
        for name in _packs(engine, pack):
            started = time.monotonic()
            with _bar(name) as show:
                made = snapshots.build(engine, settings.data_dir, name, settings.time_zone, show)
            _tell(made, started)


@command.command()
@click.argument("pack", required=False)
@click.option("--if-needed", is_flag=True, help="Only where much changed or something is missing.")
@click.option("--background", is_flag=True, hidden=True, help="As the server runs it: politely.")
def compact(pack: str | None, if_needed: bool, background: bool) -> None:
    """Fold what changed into the snapshot of PACK (default: of every map)."""
    from app.services import snapshots

    if background:
        os.nice(10)
    with _engine() as (engine, settings):
        for name in _packs(engine, pack):
            started = time.monotonic()
            with _bar(name) as show:
                if if_needed or background:
                    made = snapshots.renew(
                        engine,
                        settings.data_dir,
                        name,
                        settings.time_zone,
                        show,
                        delta_rows=settings.cube.delta_rows,
                        wait=not background,
                    )
                else:
                    made = snapshots.compact(
                        engine, settings.data_dir, name, settings.time_zone, show
                    )
            if made is None:
                click.echo(f"{name}: nothing to do")
            else:
                _tell(made, started)


@command.command()
@click.argument("pack", required=False)
def status(pack: str | None) -> None:
    """Show the snapshots of PACK (default: of every map) and what changed since.

    Exit code 3: one of them is missing or visibly damaged.
    """
    from app.services import snapshots

    bad = 0
    with _engine() as (engine, settings), engine.connect() as connection:
        for name in _packs(engine, pack):
            found = snapshots.status(connection, settings.data_dir, name, settings.time_zone)
            click.echo(f"{name}, boundaries {found.version}")
            for one in found.snapshots:
                click.echo(
                    f"  snapshot {one.id}: {one.events:,} events, {one.bytes / 1e6:.1f} MB, "
                    f"{one.made_by} of {one.read_at:%Y-%m-%d %H:%M:%S} UTC, {one.digest[:12]}"
                )
                if one.elsewhere:
                    click.echo(
                        f"    {one.elsewhere:,} events located on other boundaries: "
                        "`wusetu events relocate`"
                    )
            if found.snapshots:
                click.echo(f"  changed since: {found.changed:,} rows")
            if found.wrong:
                bad += bool(found.snapshots)
                click.echo(f"  {found.wrong}: run `wusetu cube build {name}`")
    if bad:
        sys.exit(DAMAGED)


@command.command()
@click.argument("pack", required=False)
def verify(pack: str | None) -> None:
    """Read every file of the snapshots of PACK (default: of every map), compare with PostgreSQL.

    Exit code 3: one of them is damaged or differs.
    """
    from app.services import snapshots

    bad = 0
    with _engine() as (engine, settings):
        for name in _packs(engine, pack):
            with _bar(name) as show:
                found = snapshots.verify(engine, settings.data_dir, name, settings.time_zone, show)
            for number, (one, wrong) in enumerate(found):
                bad += wrong is not None
                good = "whole, equal to the events" if number == 0 else "whole"
                click.echo(f"{name} snapshot {one.id}: {wrong or good}")
    if bad:
        sys.exit(DAMAGED)


def fold(engine: sa.Engine, pack: str, fresh: FreshRows | None = None) -> None:
    """After an import: make the snapshot when there is none yet or much changed.

    What the import has just stored (`fresh`) is not read back.

    The events are stored already, so what goes wrong here is told and no more: they are counted
    from the changes, and the server or the next import tries again.
    """
    from app import settings as settings_module
    from app.errors import WusetuError
    from app.services import snapshots

    settings = settings_module.load()
    started = time.monotonic()
    try:
        with _bar(pack) as show:
            made = snapshots.renew(
                engine,
                settings.data_dir,
                pack,
                settings.time_zone,
                show,
                delta_rows=settings.cube.delta_rows,
                wait=False,
                fresh=fresh,
            )
    except WusetuError as error:
        click.echo(f"note      no new snapshot: {error.message} (`wusetu cube build`)", err=True)
        return
    if made is not None:
        click.echo(
            f"snapshot  {made.id}, {made.events:,} events ({time.monotonic() - started:.1f} s)"
        )


def _tell(made: Published, started: float) -> None:
    click.echo(
        f"{made.pack}: snapshot {made.id}, {made.events:,} events, {made.bytes / 1e6:.1f} MB "
        f"({made.made_by}, {time.monotonic() - started:.1f} s)"
    )


def _packs(engine: sa.Engine, pack: str | None) -> list[str]:
    from app.errors import NotFound
    from app.services import snapshots

    if pack:
        return [pack]
    with engine.connect() as connection:
        found = snapshots.packs(connection)
    if not found:
        raise NotFound("there are no events yet: see `wusetu events import`")
    return found


@contextmanager
def _engine() -> Iterator[tuple[sa.Engine, Settings]]:
    from app import settings as settings_module
    from app.database import open_engine

    chosen = settings_module.load()
    engine = open_engine(chosen)
    try:
        yield engine, chosen
    except KeyboardInterrupt:
        click.echo("interrupted: the snapshot before stays; run the same command again", err=True)
        sys.exit(130)
    finally:
        engine.dispose()


@contextmanager
def _bar(title: str) -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(title, total=None)

        def show(text: str, done: int, total: int) -> None:
            bar.update(task, description=f"{title}: {text}", completed=done, total=total or None)

        yield show
