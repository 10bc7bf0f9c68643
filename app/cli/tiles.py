"""`wusetu tiles`: the geometry tiles of boundary versions."""

from __future__ import annotations

import click
import sqlalchemy as sa
from rich.console import Console
from rich.progress import Progress

from app import settings as settings_module
from app.database import open_engine
from app.errors import NotFound
from app.services import tile_archives
from app.settings import PROJECT
from tiles.archive import Archive, ArchiveError, path_of

SURROUNDINGS = PROJECT / "data" / "boundaries" / "context"


@click.group()
def command() -> None:
    """Make and check the geometry tiles."""


def _versions(connection: sa.Connection, pack: str | None) -> list[tuple[int, str, str]]:
    rows = connection.execute(
        sa.text(
            "select id, pack, label from boundary_version"
            " where cast(:pack as text) is null or pack = :pack order by id"
        ),
        {"pack": pack},
    ).fetchall()
    if not rows:
        raise NotFound(
            f"there is no map {pack!r}: see `wusetu boundaries list`"
            if pack
            else "there are no boundaries yet: see `wusetu boundaries import`"
        )
    return [(row[0], row[1], row[2]) for row in rows]


@command.command()
@click.argument("pack", required=False)
@click.option("--context/--no-context", default=True, help="Add the neutral surroundings.")
def build(pack: str | None, context: bool) -> None:
    """Make the tiles of all boundary versions of PACK (default: of every map).

    Nothing is done twice.
    """
    settings = settings_module.load()
    engine = open_engine(settings)
    with engine.connect() as connection:
        versions = _versions(connection, pack)
    for number, name, label in versions:
        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task(f"{name} {label}", total=None)

            def show(text: str, done: int, total: int, bar: Progress = bar) -> None:
                bar.update(task, description=text, completed=done, total=total)  # noqa: B023

            built = tile_archives.build(
                engine,
                number,
                settings.data_dir / "archives",
                show,
                SURROUNDINGS if context else None,
            )
        if not built.made:
            click.echo(f"{name} {label}: tiles are there")
            continue
        click.echo(
            f"{name} {label}: {built.tiles} tiles, {built.bytes / 1e6:.1f} MB, "
            f"{built.seconds:.1f} s"
        )
        for line in remarks(built):
            click.echo(f"  {line}")
    engine.dispose()


def remarks(built: tile_archives.Built) -> list[str]:
    """Sentences about what the simplification could not do as meant; none when all is well."""
    found: list[str] = []
    report = built.report
    for key, text in (
        ("unmatched", "units overlap a neighbour or leave a gap; that border is drawn per unit"),
        ("simplified_alone", "units reach beyond what their children cover; drawn by themselves"),
        ("left_over_filled", "units have a part no child covers"),
    ):
        if codes := report.get(key, []):
            more = " …" if len(codes) > 5 else ""
            found.append(f"{len(codes)} {text}: {', '.join(codes[:5])}{more}")
    return found


@command.command()
@click.argument("pack", required=False)
def check(pack: str | None) -> None:
    """Read every archive of PACK (default: of every map) and say whether it is whole."""
    settings = settings_module.load()
    engine = open_engine(settings)
    bad = 0
    with engine.connect() as connection:
        for number, name, label in _versions(connection, pack):
            rows = connection.execute(
                sa.text(
                    "select level, digest, tiles from tile_archive"
                    " where boundary_version_id = :id order by level"
                ),
                {"id": number},
            )
            for level, digest, tiles in rows:
                try:
                    with Archive(path_of(settings.data_dir / "archives", digest)) as archive:
                        whole = len(archive) == tiles and all(
                            archive.get(*address) for address in archive.addresses()
                        )
                    message = f"{tiles} tiles" if whole else "tiles are missing"
                except ArchiveError as error:
                    whole, message = False, str(error)
                bad += not whole
                click.echo(f"{name} {label} {level}: {message}")
    engine.dispose()
    if bad:
        raise SystemExit(3)
