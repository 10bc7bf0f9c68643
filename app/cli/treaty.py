"""`wusetu treaty`: what may cross the lines between the sides of a map, and who accepted it."""

from __future__ import annotations

from datetime import date, datetime

import click

from app.cli.border import local_day


@click.group()
def command() -> None:
    """Treaties: propose, accept, show; exchange signed packages with other installations."""


@command.command()
@click.option("--pack", required=True, help="Map.")
@click.option("--name", required=True, help="Name; a known one: its next version.")
@click.option("--side", required=True, help="Side that proposes (its code prefix).")
@click.option("--sides", required=True, help="All sides, separated by commas.")
@click.option("--resolution", type=click.IntRange(4, 8), default=6, show_default=True,
              help="H3 resolution of the cells that cross.")  # fmt: skip
@click.option("--period", "periods", type=click.Choice(["month", "quarter", "year"]), multiple=True,
              default=["quarter"], show_default=True, help="May be given more than once.")  # fmt: skip
@click.option("--delay", type=click.IntRange(0, 3660), default=7, show_default=True,
              help="Days after its end before a period crosses.")  # fmt: skip
@click.option("--min-count", type=click.IntRange(2, 1000), default=5, show_default=True)
@click.option("--kinds", help="Kinds, separated by commas (all of the scene).")
@click.option("--valid-from", type=click.DateTime(["%Y-%m-%d"]), help="First day (today).")
@click.option("--valid-to", type=click.DateTime(["%Y-%m-%d"]), help="First day it holds no longer.")
@click.option("--note", default="", help="At most 500 characters.")
def propose(
    *, pack: str, name: str, side: str, sides: str, resolution: int, periods: tuple[str, ...],
    delay: int, min_count: int, kinds: str | None, valid_from: datetime | None,
    valid_to: datetime | None, note: str,
) -> None:  # fmt: skip
    """Propose a treaty or its next version; every side has to accept it."""
    from app.cli.runs import _engine
    from app.database import transaction
    from app.services import treaties

    def day(value: datetime | None) -> date | None:
        return value.date() if value else None

    terms = treaties.Terms(
        name, 1, tuple(sorted({one.strip() for one in sides.split(",")})), resolution,
        tuple(one for one in treaties.PERIODS if one in periods), delay, min_count,
        treaties.scene_kinds([one.strip() for one in kinds.split(",")] if kinds else None),
        day(valid_from) or local_day(), day(valid_to), note,
    )  # fmt: skip
    with _engine() as engine:
        with transaction(engine) as connection:
            version = treaties.propose(connection, pack, side, terms)
        click.echo(f"treaty {name}, version {version}: proposed; now each side accepts it")


@command.command()
@click.argument("name")
@click.option("--version", type=click.IntRange(1), required=True)
@click.option("--side", "sides", multiple=True, required=True, help="Side that decides.")
@click.option("--reject", is_flag=True, help="Reject it instead.")
@click.option("--reason", default="", help="Needed to reject.")
def accept(*, name: str, version: int, sides: tuple[str, ...], reject: bool, reason: str) -> None:
    """Accept a version for a side of this installation."""
    from app.cli.runs import _engine
    from app.database import transaction
    from app.services import treaties

    with _engine() as engine:
        for side in sides:
            with transaction(engine) as connection:
                state = treaties.decide(
                    connection, name, version, side, "reject" if reject else "accept", reason
                )
            click.echo(f"treaty {name}, version {version}, side {side}: {state}")


@command.command()
@click.argument("name", required=False)
@click.option("--pack", help="Only of this map.")
def show(name: str | None, pack: str | None) -> None:
    """Show treaties with every version, its terms and who accepted them."""
    from app.cli.runs import _engine
    from app.errors import NotFound
    from app.services import treaties

    with _engine() as engine, engine.connect() as connection:
        found = treaties.versions(connection, local_day(), pack=pack, name=name)
    if name and not found:
        raise NotFound(f"no treaty {name!r}")
    for one in found:
        terms = one.terms
        click.echo(
            f"{terms.name} version {terms.version} of map {one.pack}: {one.state}\n"
            f"  sides {', '.join(terms.sides)}; H3 resolution {terms.resolution}; by "
            f"{', '.join(terms.periods)}, {terms.delay_days} days late; at least {terms.min_count}\n"
            f"  kinds {', '.join(terms.kinds)}; from {terms.valid_from} to {terms.valid_to or '…'}\n"
            f"  digest {one.digest}"
        )
        for said in one.decisions:
            how = " (signed)" if said.signature else ""
            click.echo(f"  {said.side} {said.decision}{how} {said.at} {said.reason}".rstrip())
        if one.state == "proposed":
            click.echo(f"  waits for {', '.join(one.waiting)}")
