"""`wusetu audit`: check the chain of the audit, for whoever has the machine."""

from __future__ import annotations

import re

import click


@click.group()
def command() -> None:
    """Who asked what: check that nothing of it was changed or taken away."""


@command.command()
@click.option(
    "--expect",
    "noted",
    metavar="PLACE:DIGEST",
    help="A head noted earlier, elsewhere: the chain must still go through it.",
)
def verify(noted: str | None) -> None:
    """Calculate the chain of hashes anew; names the first entry that is not as it was (exit 1)."""
    from app import settings as settings_module
    from app.database import open_engine, translated_errors
    from app.services import audit

    expected = None
    if noted is not None:
        found = re.fullmatch(r"([1-9][0-9]{0,18}):([0-9a-f]{64})", noted)
        if found is None:
            raise click.UsageError("--expect takes what an earlier check printed: PLACE:DIGEST")
        expected = int(found[1]), bytes.fromhex(found[2])
    engine = open_engine(settings_module.load())
    try:
        while audit.seal(engine) == audit.BATCH:
            pass
        with translated_errors(), engine.connect() as connection, connection.begin():
            connection.exec_driver_sql("set transaction isolation level repeatable read, read only")
            result = audit.verify(connection, expected)
    finally:
        engine.dispose()
    waiting = f", {result.pending} waiting for their place" if result.pending else ""
    if result.broken is not None:
        click.echo(f"broken: {result.broken}; {result.entries} entries before it are sound")
        raise SystemExit(1)
    click.echo(f"sound: {result.entries} entries{waiting}")
    if result.entries:
        click.echo(f"head (note it elsewhere): {result.entries}:{result.head.hex()}")
