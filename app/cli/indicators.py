"""Command `wusetu indicators`: import values of feeds, compute a scene's indicators, look at them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import sqlalchemy as sa

    from app.services.indicator_feeds import Report
    from app.services.scenes import Scene
    from app.settings import Settings

SOME_REJECTED = 3
SceneName = click.option(
    "--scene", "name", required=True, help="Name of a scene in force, or its YAML file."
)
PackName = click.option("--pack", required=True, help="Name of the map, or of a register of units.")


@click.group()
def command() -> None:
    """Compute indicators of a scene: values in, index, class and league table out."""


@contextmanager
def _open() -> Iterator[tuple[sa.Engine, Settings]]:
    from app import settings
    from app.database import open_engine

    chosen = settings.load()
    engine = open_engine(chosen)
    try:
        yield engine, chosen
    finally:
        engine.dispose()


def _scene(engine: sa.Engine, name: str) -> Scene:
    from app.services.scene_store import scene_of
    from app.services.scenes import load_scene

    if name.endswith((".yaml", ".yml")):
        return load_scene(Path(name))
    with engine.connect() as connection:
        return scene_of(connection, name)


def _tell(report: Report, rejects: Path | None) -> None:
    from app.services.indicator_feeds import write_rejects

    click.echo(
        f"rows      {report.rows:,}: {report.stored:,} new or changed, {report.unchanged:,} "
        f"unchanged, {report.rejected:,} rejected"
    )
    for feed, (first, through) in report.feeds.items():
        click.echo(f"feed      {feed}: {first} to {through} (day after)")
    for reason, count in report.reasons.most_common():
        click.echo(f"rejected  {count:,} × {reason}")
    for one in report.broken[:5]:
        click.echo(f"  line {one.line}, {one.column}: {one.value!r} {one.text}")
    if rejects is not None:
        write_rejects(report, rejects)
    if report.rejected:
        click.echo(f"rejects   {rejects or '(--rejects FILE keeps all of them)'}")
        sys.exit(SOME_REJECTED)


_REJECTS = click.option(
    "--rejects", type=click.Path(path_type=Path, dir_okay=False),
    help="CSV file for what is refused: line, column, value, reason, text.",
)  # fmt: skip


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@SceneName
@PackName
@click.option("--source", default="", help="Where the values come from; kept with them.")
@click.option("--simulated", is_flag=True, help="The values are made up; shown wherever one is.")
@click.option("--through", type=click.DateTime(["%Y-%m-%d"]),
              help="Last day the file is about, where its end is silent.")  # fmt: skip
@_REJECTS
def import_command(
    *,
    file: Path,
    name: str,
    pack: str,
    source: str,
    simulated: bool,
    through: datetime | None,
    rejects: Path | None,
) -> None:
    """Import values: a CSV or Parquet FILE with columns code, period, measure, value.

    Exit code 0: all rows are good; 3: some were rejected; 2: refused, nothing was written.
    """
    from datetime import timedelta

    from app.services.indicator_feeds import import_values

    with _open() as (engine, _):
        report = import_values(
            engine, file, scene=_scene(engine, name), pack=pack, source=source,
            simulated=simulated, today=datetime.now(UTC).date(),
            through=through.date() + timedelta(days=1) if through else None,
        )  # fmt: skip
    _tell(report, rejects)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@PackName
@_REJECTS
def units(*, file: Path, pack: str, rejects: Path | None) -> None:
    """Import units the map does not have (building sites, firms): code, level, name, parent, lon, lat.

    Exit codes as of `import`.
    """
    from app.services.indicator_register import import_units

    with _open() as (engine, _):
        report = import_units(engine, file, pack=pack)
    _tell(report, rejects)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@SceneName
@PackName
@click.option("--deadline", required=True, help="Id of the deadline in the scene.")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Day of the list; default: today.")
@click.option("--source", default="", help="Where the list comes from; kept with it.")
@click.option("--simulated", is_flag=True, help="The list is made up.")
@_REJECTS
def items(
    *,
    file: Path,
    name: str,
    pack: str,
    deadline: str,
    as_of: datetime | None,
    source: str,
    simulated: bool,
    rejects: Path | None,
) -> None:
    """Import things that run out: reference, code, kind, due; perhaps done, important.

    Exit codes as of `import`.
    """
    from app.services.indicator_register import import_items

    day = (as_of or datetime.now(UTC)).date()
    with _open() as (engine, _):
        report = import_items(
            engine, file, scene=_scene(engine, name), deadline=deadline, pack=pack, as_of=day,
            source=source, simulated=simulated,
        )  # fmt: skip
    _tell(report, rejects)


@command.command()
@SceneName
@PackName
@click.option("--deadline", required=True, help="Id of the deadline in the scene.")
@click.option("--on", type=click.DateTime(["%Y-%m-%d"]), help="Day; default: today.")
def warnings(*, name: str, pack: str, deadline: str, on: datetime | None) -> None:
    """List what is about to run out or has run out, the most urgent first."""
    from app.services.indicator_register import open_warnings

    day = (on or datetime.now(UTC)).date()
    with _open() as (engine, _):
        scene = _scene(engine, name)
        with engine.connect() as connection:
            found = open_warnings(connection, scene, deadline, pack, day)
    for one in found:
        mark = " important" if one.important else ""
        click.echo(f"{one.cls:8} {one.due} {one.code:20} {one.kind:12} {one.reference}{mark}")
    click.echo(f"{len(found):,} open on {day}")


@command.command()
@SceneName
@PackName
def run(*, name: str, pack: str) -> None:
    """Compute all indicators of a scene for a pack and publish them as a run."""
    from app.cli.assess import progress_bar
    from app.services import indicator_run

    with _open() as (engine, chosen), progress_bar() as show:
        made = indicator_run.run(
            engine, _scene(engine, name), pack, zone=chosen.time_zone, progress=show
        )
    _say(made)


def _say(made: object) -> None:
    from app.services.indicator_run import Made

    assert isinstance(made, Made)
    click.echo(
        f"run       {made.id} of {made.scene}, version {made.version}: {made.units:,} units, "
        f"{made.results:,} series, until {made.as_of}"
    )
    for text in made.stopped:
        click.echo(f"stopped   {text}")
    for note in made.notes[:5]:
        click.echo(f"note      {note['text']}")
    if len(made.notes) > 5:
        click.echo(f"note      and {len(made.notes) - 5:,} more")


@command.command()
@click.argument("name")
@click.option("--pack", help="Another pack than the sample's.")
def sample(name: str, pack: str | None) -> None:
    """Load the sample feed of a scene that ships, and compute its indicators."""
    from app.services import indicator_sample

    with _open() as (engine, chosen):
        made = indicator_sample.load(
            engine, name, zone=chosen.time_zone, today=datetime.now(UTC).date(), pack=pack
        )
    _say(made)


@command.command()
def status() -> None:
    """Say what each feed has covered, and which have stopped by today."""
    from app.services.indicators import feed_states

    with _open() as (engine, _), engine.connect() as connection:
        found = feed_states(connection, datetime.now(UTC).date())
    for one in found:
        click.echo(
            f"{one.pack:12} {one.scene:20} {one.feed:14} {one.first} to {one.through}"
            + (f"  {one.stopped}" if one.stopped else "")
        )
    if not found:
        click.echo("nothing was imported yet: `wusetu indicators import` or `… sample`")
