"""`wusetu backup` and `wusetu restore`: everything into one file, and back into an empty database."""

from __future__ import annotations

from pathlib import Path

import click


def _say(text: str) -> None:
    click.echo(f"  {text}", err=True)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def command(file: Path) -> None:
    """Write everything that cannot be made again to FILE; the server may run meanwhile."""
    from app import settings as settings_module
    from app.database import open_engine
    from app.services.backup import backup

    settings = settings_module.load()
    engine = open_engine(settings)
    try:
        url = engine.url.render_as_string(hide_password=False)
        made = backup(engine, url, settings.data_dir, file, _say)
    finally:
        engine.dispose()
    click.echo(
        f"{file}: {made.rows:,} rows of {made.tables} tables, {made.archives} tile archives, "
        f"{made.bytes / 1e6:,.1f} MB, schema {made.schema}"
    )


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(file: Path) -> None:
    """Bring a backup from FILE into an empty database, prove every count and checksum."""
    from app import settings as settings_module
    from app.cli.cube import fold
    from app.database import make_engine, migrate, require_answer, resolve_url
    from app.services import snapshots
    from app.services.backup import restore as bring_back

    settings = settings_module.load()
    url = resolve_url(settings)
    require_answer(url)
    made = bring_back(url, settings.data_dir, file, _say)
    click.echo(
        f"restored and proven: {made.rows:,} rows of {made.tables} tables, "
        f"{made.archives} tile archives"
    )
    migrate(url)
    engine = make_engine(url, settings.database)
    try:
        with engine.connect() as connection:
            packs = snapshots.packs(connection)
        for pack in packs:
            fold(engine, pack)
    finally:
        engine.dispose()
