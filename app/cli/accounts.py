"""`wusetu accounts`: accounts from the command line, for whoever has the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import sqlalchemy as sa

    from app.services.accounts import Account, Link
    from app.settings import Settings

ROLES = ["viewer", "analyst", "border_officer", "grid_worker", "dispatcher", "auditor", "admin"]


@contextmanager
def _open() -> Iterator[tuple[Settings, sa.Connection]]:
    from app import settings as settings_module
    from app.database import open_engine, transaction

    settings = settings_module.load()
    engine = open_engine(settings)
    try:
        with transaction(engine) as connection:
            yield settings, connection
    finally:
        engine.dispose()


def _site(settings: Settings) -> str:
    """Address people reach the server at."""
    from app.cli.serve import _address

    public = settings.accounts.public_url
    return public or _address(settings.server.host, settings.server.port).rstrip("/")


def _say_link(settings: Settings, account: Account, link: Link) -> None:
    click.echo(
        f"{account.name} sets its password here (once, until {link.expires_at:%Y-%m-%d %H:%M} UTC):\n"
        f"{_site(settings)}/login#link={link.secret}"
    )


@click.group()
def command() -> None:
    """Make, list and disable accounts: desks and programs, never persons."""


@command.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What it may do.")
@click.option("--title", default="", help="What the desk or program is, as shown.")
@click.option(
    "--prefix", "prefixes", multiple=True, help="Code prefix it may see; give it several times."
)
@click.option("--everything", is_flag=True, help="It may see everything.")
@click.option("--zone", "zones", type=int, multiple=True, help="Joint zone it belongs to.")
@click.option("--program", is_flag=True, help="A program: it gets tokens, and no link.")
def add(
    *,
    name: str,
    role: str,
    title: str,
    prefixes: tuple[str, ...],
    everything: bool,
    zones: tuple[int, ...],
    program: bool,
) -> None:
    """Make an account and print the one-time link that sets its password."""
    from app.security.identity import Role
    from app.services import accounts

    if everything == bool(prefixes):
        raise click.UsageError("say what it may see: --prefix CODE (several), or --everything")
    with _open() as (settings, connection):
        made = accounts.create(
            connection,
            name,
            Role(role),
            title=title,
            kind="program" if program else "desk",
            prefixes=None if everything else list(prefixes),
            zones=zones,
        )
        link = (
            None
            if program
            else accounts.new_link(connection, made.id, settings.accounts.link_hours)
        )
    if link is None:
        click.echo(f"made {made.name}; give it a token: wusetu accounts token {made.name} …")
    else:
        _say_link(settings, made, link)


@command.command("list")
def list_command() -> None:
    """List all accounts."""
    from app.services import accounts

    with _open() as (_, connection):
        found = accounts.listed(connection)
    if not found:
        click.echo("no accounts yet: see `wusetu accounts add`")
    for one in found:
        sees = "everything" if one.prefixes is None else ",".join(one.prefixes) or "nothing"
        state = [
            "disabled" if one.disabled_at else "",
            f"locked until {one.locked_until:%H:%M:%S} UTC" if one.locked_until else "",
            "" if one.has_password or one.external or one.kind == "program" else "no password yet",
            "one-time codes" if one.has_totp else "",
        ]
        notes = "; ".join(filter(None, state))
        click.echo(
            f"{one.id:>5}  {one.name:<24} {one.role:<15} {sees:<24} {one.title}"
            + (f"  ({notes})" if notes else "")
        )


@command.command()
@click.argument("name")
@click.option("--undo", is_flag=True, help="Enable it again.")
def disable(name: str, undo: bool) -> None:
    """Let nobody in with an account any more; its sessions, links and tokens are over at once."""
    from app.services import accounts

    with _open() as (_, connection):
        found = accounts.by_name(connection, name)
        accounts.change(connection, found.id, {"disabled": not undo})
    click.echo(f"{found.name} is {'enabled' if undo else 'disabled'}")


@command.command("reset-link")
@click.argument("name")
def reset_link(name: str) -> None:
    """Print a one-time link to set a new password; sessions and older links are over."""
    from app.services import accounts

    with _open() as (settings, connection):
        found = accounts.by_name(connection, name)
        link = accounts.new_link(connection, found.id, settings.accounts.link_hours)
    _say_link(settings, found, link)


@command.command()
@click.argument("name")
def unlock(name: str) -> None:
    """Forget the failed tries of an account."""
    from app.services import accounts

    with _open() as (_, connection):
        found = accounts.by_name(connection, name)
        accounts.unlock(connection, found.id)
    click.echo(f"{found.name} may try again")


@command.command()
@click.argument("name")
@click.option("--title", required=True, help="What the token is for.")
@click.option("--scope", "scopes", multiple=True, required=True, help="Action it may do; several.")
@click.option("--days", type=int, default=90, show_default=True, help="Life in days.")
def token(name: str, title: str, scopes: tuple[str, ...], days: int) -> None:
    """Make a token of an account; its secret is printed this once."""
    from app.security.identity import ACTIONS
    from app.services import accounts, accounts_tokens

    if unknown := set(scopes) - set(ACTIONS):
        raise click.UsageError(
            f"no such action: {', '.join(sorted(unknown))}; there are {', '.join(ACTIONS)}"
        )
    with _open() as (settings, connection):
        found = accounts.by_name(connection, name)
        made, secret = accounts_tokens.create(
            connection,
            account=found.id,
            title=title,
            scopes=[one for one in ACTIONS if one in scopes],
            days=days,
            longest=settings.accounts.token_days,
        )
    click.echo(f"token {made.id} of {found.name}, until {made.expires_at:%Y-%m-%d}:", err=True)
    click.echo(secret)
