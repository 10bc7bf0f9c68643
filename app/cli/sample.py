"""`wusetu sample`: make up events, load a pack that ships with the project."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click


@click.group()
def command() -> None:
    """Load the sample packs; make up events to try an import with."""


@command.command("list")
def list_() -> None:
    """List the packs that ship with the project."""
    from app.services.sample_packs import pack_names, read_pack

    for name in pack_names():
        pack = read_pack(name)
        click.echo(f"{name:10} {pack.title.zh} {pack.title.en}")


@command.command()
@click.option("--pack", "name", default="hangzhou", show_default=True, help="Pack to put them in.")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False),
              help="File to write: .csv or .parquet.")  # fmt: skip
@click.option("--events", type=click.IntRange(1, 50_000_000), help="About how many.")
@click.option("--seed", type=click.IntRange(0), help="Another seed makes other events.")
def simulate(name: str, out: Path, events: int | None, seed: int | None) -> None:
    """Make up events; write them with mapping, truth and counts beside them.

    The same options give the same file.
    """
    from app.services.sample import make_events, write_events
    from app.services.sample_packs import read_pack

    started = time.monotonic()
    made = make_events(read_pack(name), events, seed)
    files = write_events(made, out)
    click.echo(
        f"events    {made.good:,} and {sum(made.simulation.bad.values())} broken rows "
        f"in {time.monotonic() - started:.1f} s"
    )
    for what, path in files.items():
        click.echo(f"{what:9} {path}")
    click.echo(
        f"import    wusetu events import {files['events']} --pack {name} "
        f"--mapping {files['mapping']}"
    )


@command.command()
@click.argument("name", metavar="[PACK]", default="hangzhou")
@click.option("--fresh", is_flag=True, help="Remove the loaded sample first.")
@click.option("--events", type=click.IntRange(1, 50_000_000),
              help="About how many events (default: what the pack says).")  # fmt: skip
def load(name: str, fresh: bool, events: int | None) -> None:
    """Load boundaries, exposures and made-up events of PACK, assess, make tiles.

    Steps whose result is there are skipped; interrupted: run it again.
    """
    from app import settings as settings_module
    from app.database import open_engine
    from app.services.sample import Loader, Step, remove
    from app.services.sample_packs import read_pack

    pack = read_pack(name)
    settings = settings_module.load()
    started = time.monotonic()
    engine = open_engine(settings)

    def tell(step: Step) -> None:
        if step.done:
            click.echo(f"{step.name:12} {step.text} ({step.seconds:.1f} s)", err=True)

    try:
        if fresh:
            remove(engine, pack)
        with _progress() as show:
            steps = Loader(
                engine, settings.data_dir, pack, events=events, progress=show, tell=tell,
                zone=settings.time_zone,
            ).load()  # fmt: skip
        made = sum(step.done for step in steps)
        took = f"{time.monotonic() - started:.1f} s"
        click.echo(
            f"sample {name}: loaded in {took}"
            if made
            else f"sample {name}: all there already ({took})"
        )
    except KeyboardInterrupt:
        click.echo("interrupted: run the same command again to finish", err=True)
        sys.exit(130)
    finally:
        engine.dispose()


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=1.0)

        def show(text: str, part: float) -> None:
            bar.update(task, description=text, completed=part)

        yield show
