"""`wusetu db`: the store of record — the private cluster, the schema, a prompt."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from app import settings as settings_module
from app.database import DATABASE, migrate, plain_url, require_answer, resolve_url
from app.errors import ClusterError

if TYPE_CHECKING:
    from app.cluster import Cluster


@click.group()
def command() -> None:
    """Start, stop, migrate and look into the database."""


def _private() -> Cluster:
    """Return the private cluster; an error where a server of the user's own is configured."""
    settings = settings_module.load()
    if settings.database.url:
        raise ClusterError(
            "WUSETU_DATABASE_URL names a server of yours; there is no private cluster to command"
        )
    from app.cluster import Cluster

    return Cluster(settings.data_dir)


@command.command()
@click.option("--migrate", "schema", is_flag=True, help="Bring the schema up to date, too.")
def start(schema: bool) -> None:
    """Make the private cluster if there is none, and start it."""
    cluster = _private()
    new = cluster.start()
    cluster.create_database(DATABASE)
    where = f"{cluster.data}"
    if cluster.moved:
        where += (
            f" (user {cluster.user.pw_name if cluster.user else '?'} cannot enter {cluster.root})"
        )
    click.echo(f"PostgreSQL {'started' if new else 'runs already'}: {where}")
    if schema:
        migrate(cluster.url(DATABASE))


@command.command()
@click.option(
    "--if-unused", is_flag=True, help="Leave it running while another program is connected."
)
def stop(if_unused: bool) -> None:
    """Stop the private cluster."""
    cluster = _private()
    if if_unused and (others := cluster.others(patience=3)):
        click.echo(f"PostgreSQL is left running: {others} connection(s) use it")
        return
    cluster.stop()
    click.echo(f"PostgreSQL is stopped: {cluster.data}")


@command.command()
def status() -> None:
    """Say where the database is and whether it answers; exit code 3 when it does not."""
    settings = settings_module.load()
    if settings.database.url:
        from app.database import answers, checked_url, without_password

        checked_url(settings.database.url)
        shown = without_password(settings.database.url)
        reason = answers(settings.database.url)
        click.echo(f"your server   {shown}\nstate         {reason or 'answers'}")
        raise SystemExit(3 if reason else 0)
    cluster = _private()
    running = cluster.running()
    click.echo(f"folder        {cluster.data}")
    click.echo(f"programs      {cluster.programs[0].bin}")
    click.echo(f"state         {'answers' if running else 'stopped'}")
    if running:
        click.echo(f"connections   {cluster.others()}")
        click.echo(f"url           {cluster.url(DATABASE)}")
    if cluster.home.exists():
        click.echo(f"free space    {cluster.free() / 2**30:.1f} GB")
    raise SystemExit(0 if running else 3)


@command.command("migrate")
def migrate_command() -> None:
    """Bring the schema to the newest revision (starts the private cluster when needed)."""
    target = resolve_url(settings_module.load())
    require_answer(target)
    migrate(target)
    click.echo("the schema is up to date")


@command.command()
def url() -> None:
    """Print the URL of the database (starts the private cluster when needed)."""
    click.echo(resolve_url(settings_module.load()))


@command.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    """Open a psql prompt; further ARGUMENTS go to psql."""
    settings = settings_module.load()
    target = plain_url(resolve_url(settings))
    from app import postgres

    programs = postgres.find(settings.data_dir)[0]
    program = str(programs.bin / "psql")
    environment = {**os.environ, **programs.env, "PGOPTIONS": "-c search_path=wusetu,public"}
    os.execve(program, [program, target, *arguments], environment)  # noqa: S606
