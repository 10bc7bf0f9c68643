"""`wusetu tasks`: tell an outside grid platform, mark late tasks."""

from __future__ import annotations

import click

from app.cli.runs import _engine


@click.group()
def command() -> None:
    """Patrol tasks: the outside platform they are told to, and the clock."""


@command.command()
def push() -> None:
    """Tell the outside platforms every step that waits; the server does it by itself."""
    from app import settings as settings_module
    from app.services.task_keys import read_keys
    from app.services.task_push import BATCH, send

    keys = read_keys(settings_module.load().tasks.keys_file)
    told = failed = 0
    with _engine() as engine:
        while True:
            found = send(engine, keys)
            told, failed = told + found.told, failed + found.failed
            if found.told + found.failed < BATCH:
                break
    click.echo(f"told {told}, failed {failed} (tried again later), waiting {found.waiting}")


@command.command()
@click.option("--pack", required=True, help="Map.")
@click.option("--url", help="Address steps are posted to.")
@click.option("--key-id", help="Secret they are signed with, see WUSETU_TASKS_KEYS_FILE.")
@click.option("--off", is_flag=True, help="Tell it nothing more; what waits is kept.")
def sink(*, pack: str, url: str | None, key_id: str | None, off: bool) -> None:
    """Say where the tasks of a map are told."""
    from app import settings as settings_module
    from app.database import transaction
    from app.services.task_keys import read_keys
    from app.services.task_push import set_sink

    if off == (url is not None):
        raise click.UsageError("give --url and --key-id, or --off")
    keys = read_keys(settings_module.load().tasks.keys_file)
    with _engine() as engine, transaction(engine) as connection:
        set_sink(connection, pack, url, key_id, keys)
    click.echo("told nothing more" if off else f"tasks of {pack} are told to {url}")


@command.command()
def late() -> None:
    """Mark late tasks and escalate them; the server does it by itself."""
    from app.services.task_clock import late as mark

    with _engine() as engine:
        click.echo(f"{mark(engine)} steps")
