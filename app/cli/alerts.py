"""`wusetu alerts`: look for alerts in a published run, list them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from app.cli.runs import _engine

if TYPE_CHECKING:
    from app.services.alerts import Report


@click.group()
def command() -> None:
    """Units whose risk is above what is to be expected, and has to be looked into."""


@command.command()
@click.option("--run", type=click.IntRange(1), help="Run to look at (the newest of the map).")
@click.option("--pack", help="Map, where no run is named.")
@click.option("--since", type=click.DateTime(["%Y-%m", "%Y-%m-%d"]),
              help="For a map never looked at: from this period on (the newest only).")  # fmt: skip
def update(*, run: int | None, pack: str | None, since: datetime | None) -> None:
    """Open, update, close and escalate alerts; done by itself after every `wusetu assess`.

    Safe to repeat: the same run changes nothing.
    """
    from app.services.alerts import update as look

    if run is None and pack is None:
        raise click.UsageError("name --run or --pack")
    with _engine() as engine:
        click.echo(told(look(engine, run, pack=pack, since=since.date() if since else None)))


def told(report: Report) -> str:
    """Say what a look did, in one line."""
    return (
        f"alerts     run {report.run}, {report.periods} periods: {report.opened} opened, "
        f"{report.updated} updated, {report.closed} closed, {report.escalated} escalated; "
        f"{report.open} open, {report.waiting} of them behind the week's budget"
    )


@command.command("list")
@click.option("--pack", help="Only of this map.")
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@click.option("--limit", type=click.IntRange(1, 2000), default=50, show_default=True,
              help="At most so many.")  # fmt: skip
def list_(*, pack: str | None, everything: bool, limit: int) -> None:
    """List alerts, the most urgent first."""
    from app.services.alerts_read import alerts

    with _engine() as engine, engine.connect() as connection:
        state = None if everything else "open"
        found = alerts(connection, pack=pack, state=state, limit=limit)
    for one in found:
        rank = f" (waits, {one.overflow_rank})" if one.overflow_rank else ""
        click.echo(f"{one.id:>6} {one.colour:<7} {one.state:<7} {one.kind:<14} {one.code:<16} "
                   f"{one.name} {one.reason.zh}{rank}")  # fmt: skip
    if not found:
        click.echo("no alerts")
