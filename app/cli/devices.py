"""`wusetu devices`: enter and list devices, listen to a broker, make some up."""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import sqlalchemy as sa

    from app.services.border import Borders
    from app.services.device_mqtt import Broker
    from app.settings import Settings

SOME_REFUSED = 3


@click.group()
def command() -> None:
    """Enter and list devices, listen to a broker, make some up."""


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--pack", required=True, help="Map the devices stand on.")
def import_command(file: Path, pack: str) -> None:
    """Enter the devices of a CSV file: reference, kind, code, lon, lat, name, every_s.

    Exit code 0: all were entered; 3: some were refused; 2: refused as a whole, nothing was written.
    """
    from app.services.device_files import import_csv

    with _opened() as (engine, borders, _):
        report = import_csv(engine, borders, pack, file)
    click.echo(f"{report.new} new, {report.changed} changed, {report.unchanged} as they were")
    for one in report.refused[:20]:
        click.echo(f"line {one.row}, {one.field or 'row'}: {one.text} ({one.reason})", err=True)
    if report.refused:
        click.echo(f"{len(report.refused)} refused", err=True)
        sys.exit(SOME_REFUSED)


@command.command("list")
@click.option("--pack", help="Only of this map.")
def list_command(pack: str | None) -> None:
    """Count devices by side, kind and state."""
    from app.database import transaction
    from app.services.devices import devices

    with _opened() as (engine, _, _), transaction(engine) as connection:
        found = devices(connection, pack, limit=1_000_000).devices
    counts = Counter((one.pack, one.side, one.kind, one.state) for one in found)
    for (name, side, kind, state), n in sorted(counts.items()):
        click.echo(f"{name}  {side}  {kind:12} {state:9} {n:6}")
    click.echo(f"{len(found)} devices, {sum(one.alarming for one in found)} with an alarm")


def _broker_options(function: Any) -> Any:
    for option in reversed((
        click.option("--broker", required=True, help="mqtt://[user@]host[:port] or mqtts://…"),
        click.option("--password-file", type=click.Path(path_type=Path), help="File with the password."),
        click.option("--ca", type=click.Path(path_type=Path), help="Certificates to trust (PEM)."),
        click.option("--cert", type=click.Path(path_type=Path), help="One's own certificate (PEM)."),
        click.option("--key", type=click.Path(path_type=Path), help="Its key (PEM)."),
        click.option("--prefix", default="wusetu", show_default=True, help="First part of the topics."),
    )):  # fmt: skip
        function = option(function)
    return function


def _broker(given: dict[str, Any]) -> Broker:
    from app.errors import Invalid
    from app.services.device_mqtt import parse_broker

    password = None
    if file := given["password_file"]:
        try:
            password = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"the password file {file} cannot be read") from error
    return parse_broker(
        given["broker"], password, ca=given["ca"], certificate=given["cert"], key=given["key"]
    )


@command.command()
@_broker_options
@click.option("--name", help="Name of the session at the broker (wusetu-<host>); one per listener.")
@click.option("--receipts", is_flag=True, help="Tell <prefix>-stored/… what was stored or refused.")
@click.option("--clock/--no-clock", default=True, help="Look at silence and offline devices, too.")
def listen(*, name: str | None, receipts: bool, clock: bool, **given: Any) -> None:
    """Store readings that come by MQTT, until Ctrl-C.

    Topics are <prefix>/<map>/<side>/<device>; a payload is one reading {"at", "seq", "value"} or a
    list of them. A message is acknowledged after its rows are committed; what the broker holds
    meanwhile comes again.
    """
    from app.services.device_clock import DeviceClock
    from app.services.device_ingest import Ingest
    from app.services.device_mqtt import Listener

    broker = _broker(given)
    with _opened() as (engine, borders, settings):
        listener = Listener(
            Ingest(engine, settings), broker, name=name or f"wusetu-{socket.gethostname()}",
            prefix=given["prefix"], receipts=receipts,
            tell=lambda text: click.echo(f"listening to {text}"),
        )  # fmt: skip
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: listener.stop())
        looking = DeviceClock(engine, borders, settings) if clock else None
        if looking:
            looking.start()
        try:
            counts = listener.run()
        finally:
            if looking:
                looking.stop()
    click.echo(
        f"{counts.messages} messages, {counts.stored} readings stored, {counts.known} there already, "
        f"{sum(counts.refused.values())} refused"
    )


@command.command()
@_broker_options
@click.option("--pack", required=True, help="Map to put them on.")
@click.option("--devices", "count", type=click.IntRange(1, 100_000), default=600, show_default=True,
              help="How many.")  # fmt: skip
@click.option(
    "--seconds", type=click.IntRange(1), default=60, show_default=True, help="For so long."
)
@click.option(
    "--every",
    type=click.IntRange(1, 3_600),
    default=1,
    show_default=True,
    help="Seconds between readings.",
)
@click.option(
    "--fires",
    type=click.IntRange(0),
    default=2,
    show_default=True,
    help="Devices that see smoke half-way.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Another one, other readings.")
def simulate(  # noqa: PLR0917
    count: int, pack: str, seconds: int, every: int, fires: int, seed: int, **given: Any
) -> None:
    """Make devices up and send their readings to a broker; they are marked as simulated.

    Each reading is kept until its receipt comes (run `listen --receipts`) and sent again until then.
    """
    from app.services.device_simulate import Sender, make, play

    broker = _broker(given)
    with _opened() as (engine, borders, _):
        made = make(engine, borders, pack, count, seed, every_s=every)
    click.echo(f"{len(made)} devices on {pack}")
    sender = Sender(broker, f"wusetu-simulate-{seed}", given["prefix"])
    try:
        sent = play(sender, made, seconds=seconds, every=every, fires=fires, seed=seed)
        end = time.monotonic() + 30
        while len(sender) and time.monotonic() < end:
            time.sleep(0.1)
            sender.send_again(5)
    finally:
        sender.close()
    click.echo(
        f"{sent} readings sent, {sender.certain} stored for certain, {len(sender.refused)} refused, "
        f"{len(sender)} without receipt"
    )


@contextmanager
def _opened() -> Iterator[tuple[sa.Engine, Borders, Settings]]:
    from app import settings as settings_module
    from app.database import open_engine
    from app.logs import configure
    from app.security.identity import LOCAL
    from app.services.border import Borders
    from app.services.caches import ScopedCaches
    from app.services.units import unit_table

    settings = settings_module.load()
    configure(settings.log)
    engine = open_engine(settings)
    caches = ScopedCaches().of(LOCAL.scope_key)
    try:
        yield (
            engine,
            Borders(
                engine, settings.data_dir, lambda one, version: unit_table(one, caches, version)
            ),
            settings,
        )
    finally:
        engine.dispose()
