"""`wusetu assess`: compute and publish a run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from app.services.assess import Progress


@click.command()
@click.option("--pack", required=True, help="Map to assess.")
@click.option(
    "--scene",
    help="Name of a scene or a YAML file (default: that of the newest run, else nine-kinds).",
)
@click.option("--level", "finest", help="Finest level to assess, with all coarser ones (all).")
@click.option("--time-zone", "zone", help="Calendar where the scene names none (the setting).")
@click.option("--wait/--no-wait", default=True, help="Wait for another assess of the same map.")
def command(
    *, pack: str, scene: str | None, finest: str | None, zone: str | None, wait: bool
) -> None:
    """Assess every level, kind and period of a map and publish the run.

    Interrupted or killed: nothing has changed, the last run stays.
    """
    try:
        _assess(pack, scene, finest=finest, zone=zone, wait=wait)
    except KeyboardInterrupt:
        click.echo("interrupted: nothing was changed, the last run stays", err=True)
        sys.exit(130)


def _assess(
    pack: str, scene: str | None, *, finest: str | None, zone: str | None, wait: bool
) -> None:
    from app import settings as settings_module
    from app.database import open_engine
    from app.services.assess import assess

    settings = settings_module.load()
    started = time.monotonic()
    engine = open_engine(settings)
    try:
        with progress_bar() as show:
            run = assess(
                engine,
                pack,
                scene,
                finest=finest,
                zone=zone or settings.time_zone,
                wait=wait,
                progress=show,
            )
        for line in report(engine, run):
            click.echo(line)
        click.echo(f"published  run {run} in {time.monotonic() - started:.1f} s")
    finally:
        engine.dispose()


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Progress bar on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    with Bar(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,  # a log file wants no bar, not even its empty line
    ) as bar:
        task = bar.add_task("", total=None)

        def show(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        yield show


def report(engine: object, run: int) -> Iterator[str]:
    """Say what was assessed and what to look at before believing it."""
    import sqlalchemy as sa

    from app.services.caches import Caches
    from app.services.runs import quality_notes, run_facts

    assert isinstance(engine, sa.Engine)
    with engine.connect() as connection:
        facts = run_facts(connection, Caches(), run)
        notes = quality_notes(connection, facts)
    spans = next(iter(facts.periods.values()))
    yield f"map        {facts.pack}, scene {facts.scene.name}, calendar {facts.time_zone}"
    yield f"periods    {spans[0].start} up to {spans[-1].end}, {', '.join(facts.periods)}"
    yield f"levels     {', '.join(facts.levels)}"
    yield f"events     {facts.event_count:,}, " + ", ".join(
        f"{count:,} by {name}" for name, count in facts.located["by"].items() if count
    )
    for note in notes:
        yield f"note       {note}"
