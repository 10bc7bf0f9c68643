"""`wusetu sample`: make up events, load a pack that ships with the project."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
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
    from app.services.sample_events import make_events, write_events
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
@click.argument("names", metavar="[PACK]...", nargs=-1)
@click.option("--fresh", is_flag=True, help="Remove the loaded sample first.")
@click.option("--events", type=click.IntRange(1, 50_000_000),
              help="About how many events of each (default: what the pack says).")  # fmt: skip
def load(names: tuple[str, ...], fresh: bool, events: int | None) -> None:
    """Load boundaries, exposures and made-up events of PACK, assess, make tiles.

    Without PACK: hangzhou. Several are loaded side by side; pages open with the first. Steps whose
    result is there are skipped; interrupted: run it again.
    """
    from app import settings as settings_module
    from app.database import open_engine
    from app.services.sample import DEFAULT, Loader, Step, remove
    from app.services.sample_packs import read_pack

    packs = [read_pack(name) for name in dict.fromkeys(names or (DEFAULT,))]
    settings = settings_module.load()
    engine = open_engine(settings)

    def loader(number: int, show: Callable[[str, float], None]) -> Loader:
        def tell(step: Step) -> None:
            if step.done:
                click.echo(f"{step.name:12} {step.text} ({step.seconds:.1f} s)", err=True)
            if number == 0 and step.name == "boundaries":  # the first map is the first to be there
                others.start()

        return Loader(
            engine, settings.data_dir, packs[number], events=events, progress=show, tell=tell,
            zone=settings.time_zone,
        )  # fmt: skip

    # who ends this process ends those beside it
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    more = ["--events", str(events)] if events else []
    others = Others([], more)
    try:
        with _progress() as show:
            if fresh:
                for pack in packs:
                    remove(engine, pack)
            here = [0]
            for number in range(1, len(packs)):
                if loader(number, show).begun():
                    here.append(number)
                else:
                    others.names.append(packs[number].pack)
            for number in here:
                started = time.monotonic()
                made = any(step.done for step in loader(number, show).load())
                took = f"{time.monotonic() - started:.1f} s"
                said = f"loaded in {took}" if made else f"all there already ({took})"
                click.echo(f"sample {packs[number].pack}: {said}")
            others.wait()
    except KeyboardInterrupt:
        click.echo("interrupted: run the same command again to finish", err=True)
        sys.exit(130)
    finally:
        others.end()
        engine.dispose()


class Others:
    """Further packs, each loaded by a process of its own; what they say is told with their name."""

    def __init__(self, names: list[str], options: list[str]) -> None:
        self.names = names
        self.options = options
        self.running: list[tuple[str, subprocess.Popen[str], threading.Thread]] = []

    def start(self) -> None:
        """Start those that were named and do not run yet."""
        for name in self.names[len(self.running) :]:
            script = "from app.cli import main; main()"
            process = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-c", script, "sample", "load", name, *self.options],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            teller = threading.Thread(target=self._tell, args=(name, process), daemon=True)
            teller.start()
            self.running.append((name, process, teller))

    def wait(self) -> None:
        """Wait for all.

        Raises
        ------
        SystemExit
            One of them failed; it has said why.
        """
        for _, process, teller in self.running:
            process.wait()
            teller.join()
        failed = [process.returncode for _, process, _ in self.running if process.returncode]
        if failed:
            sys.exit(failed[0])

    def end(self) -> None:
        """End those that still run: each is left as an interrupted load."""
        for _, process, _ in self.running:
            if process.poll() is None:
                process.terminate()
                process.wait()

    @staticmethod
    def _tell(name: str, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            if text := line.rstrip():
                own = text.startswith(("sample ", "wusetu: "))
                click.echo(text if own else f"{name}: {text}", err=True)


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
