"""`wusetu border`: what all sides of a treaty see together."""

from __future__ import annotations

import time
from datetime import date, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from app.services.treaties import Version


@click.group()
def command() -> None:
    """Clusters across the lines between the sides of a map."""


def local_day() -> date:
    """Local day it is."""
    from zoneinfo import ZoneInfo

    from app.settings import load

    return datetime.now(ZoneInfo(load().time_zone)).date()


@command.command()
@click.option("--pack", help="Map with one treaty in force.")
@click.option("--treaty", "name", help="Name of the treaty.")
@click.option("--period", type=click.Choice(["month", "quarter", "year"]),
              help="Only periods of this type (all the treaty has).")  # fmt: skip
@click.option(
    "--from", "start", type=click.DateTime(["%Y-%m-%d"]), help="A single period: its first day."
)
@click.option("--last", type=click.IntRange(1, 1000), default=1, show_default=True,
              help="So many newest periods of each type.")  # fmt: skip
@click.option("--on", type=click.DateTime(["%Y-%m-%d"]), help="Local day it is (today).")
@click.option("--alpha", type=click.FloatRange(0.001, 0.5), default=0.05, show_default=True,
              help="Level of the test, of all sides together.")  # fmt: skip
@click.option("--max-share", type=click.FloatRange(0.001, 0.5), default=0.25, show_default=True,
              help="Largest circle, share of what is expected.")  # fmt: skip
@click.option("--max-km", type=click.FloatRange(0.1, 1000), default=30, show_default=True,
              help="Largest circle, radius.")  # fmt: skip
@click.option("--replicates", type=click.IntRange(19, 99_999), default=999, show_default=True,
              help="Simulated maps the p-value is counted from.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=20260101, show_default=True,
              help="Of the simulated maps.")  # fmt: skip
def assess(
    *, pack: str | None, name: str | None, period: str | None, start: datetime | None, last: int,
    on: datetime | None, alpha: float, max_share: float, max_km: float, replicates: int, seed: int,
) -> None:  # fmt: skip
    """Find clusters: each side alone, and all together, with equally many false alarms.

    Reads nothing but what crosses by the treaty: own events merged as it says, packages of other
    installations.
    """
    from app.cli.runs import _engine
    from app.errors import Invalid
    from app.services import border_assess as service
    from app.services import treaties, treaty_sources
    from app.settings import load

    if (pack is None) == (name is None):
        raise Invalid("say --pack or --treaty")
    day = on.date() if on else local_day()
    method = service.Method(
        alpha=alpha, max_share=max_share, max_radius=max_km * 1000, replicates=replicates, seed=seed
    )
    began = time.monotonic()
    with _engine() as engine:
        with engine.connect() as connection:
            version: Version = treaties.in_force(connection, day, pack=pack, name=name)
        click.echo(f"treaty {version.terms.name}, version {version.terms.version}")
        treaty_sources.ensure_lines(engine, version.pack)
        sides, sources = treaty_sources.gather(
            engine, version, on=day, zone=load().time_zone,
            tell=lambda text: click.echo(f"  {text}"),
        )  # fmt: skip
        for kind in [period] if period else list(version.terms.periods):
            starts = [start.date()] if start else service.common(sides, kind)[-last:]
            for one in starts:
                (number,) = service.assess(
                    engine, version, sides, kind, [one], method, sources=sources
                )
                click.echo(f"pooled run {number}: {kind} from {one}, {_seen(engine, number)}")
    click.echo(f"{time.monotonic() - began:.1f} s")


@command.command()
@click.option("--pack", required=True, help="Map the zones are of.")
@click.option("--scene", "name", default="border-evaluation", show_default=True,
              help="Scene in force, or a YAML file, with these measures.")  # fmt: skip
@click.option("--from", "start", type=click.DateTime(["%Y-%m-%d"]),
              help="A day of the first month (that of the first check).")  # fmt: skip
@click.option("--to", "end", type=click.DateTime(["%Y-%m-%d"]),
              help="A day of the last month (the last that is over).")  # fmt: skip
def evaluate(*, pack: str, name: str, start: datetime | None, end: datetime | None) -> None:
    """Evaluate how the sides work together as an indicator scene, by side and month.

    Sends what the checks came to as values of the scene and computes its indicators. Exit codes as of
    `wusetu indicators import`.
    """
    from app.cli.indicators import _open, _say, _scene, _tell
    from app.services import border_measures

    with _open() as (engine, chosen):
        report, made = border_measures.evaluate(
            engine, _scene(engine, name), pack, zone=chosen.time_zone, today=local_day(),
            start=start.date() if start else None, end=end.date() if end else None,
        )  # fmt: skip
    _say(made)
    _tell(report, None)


def _seen(engine: object, run: int) -> str:
    import sqlalchemy as sa

    from app.services import pooled

    assert isinstance(engine, sa.Engine)
    with engine.connect() as connection:
        seen = pooled.one_run(connection, run).seen
    return (
        f"{seen['together']} clusters only visible together, {seen['several']} seen by several, "
        f"{seen['one']} by one"
    )
