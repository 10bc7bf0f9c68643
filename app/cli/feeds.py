"""`wusetu feeds`: events that come by themselves, how they are, and what could not be used."""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.cube import fold

if TYPE_CHECKING:
    from app.services.feed_health import Health
    from app.services.feed_run import Look
    from app.services.feed_take import Taker
    from app.services.feeds import Feed
    from app.settings import Settings

SOME_REJECTED = 3
NOT_FINE = 4
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Span(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A time span such as 90s, 15m, 2h, 1d."""

    name = "span"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Seconds of the text."""
        found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", str(value))
        if not found:
            self.fail(f"{value!r} is no span such as 90s, 15m, 2h or 1d", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


_pack = click.option("--pack", help="Map of the feed, where several have one of this name.")


@click.group()
def command() -> None:
    """Let events come by themselves: folders, HTTP, databases, Kafka."""


@command.command("add")
@click.argument("name")
@click.argument("adapter", type=click.Choice(["folder", "push", "pull", "sql", "kafka"]))
@click.option("--pack", required=True, help="Map its events are located in.")
@click.option(
    "--mapping", required=True, help="YAML file: which column is what; or a shipped name."
)
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="Setting of the adapter.")
@click.option("--within", default="", help="Code of the jurisdiction it belongs to.")
@click.option("--expected", type=Span(), help="Something arrives at least so often: 15m, 1d.")
@click.option("--every", type=Span(), default="60s", show_default=True, help="Look so often.")
@click.option("--title", default="", help="What it is, for people.")
def add_command(
    *,
    name: str,
    adapter: str,
    pack: str,
    mapping: str,
    given: tuple[str, ...],
    within: str,
    expected: int | None,
    every: int,
    title: str,
) -> None:
    """Enter a feed; nothing is read yet.

    \b
    folder  folder=PATH [settle_s= patience_s= marker=.ok]
    push    [key=ID]
    pull    url= [records= cursor=answer:PATH|row:COLUMN|link cursor_param= token_file= ca_file=]
    sql     url= table=|query= cursor=COLUMN [password_file= overlap= batch=]
    kafka   brokers= topic= [user= password_file= tls= ca_file= wait_s= batch=]
    """  # noqa: D301 - the mark of click
    from app.database import transaction
    from app.services import feeds

    with _opened() as (taker, _), transaction(taker.engine) as connection:
        feed = feeds.add(
            connection, pack=pack, name=name, adapter=adapter, mapping=mapping,
            settings=_settings(given), title=title, code=within, expected_s=expected, every_s=every,
        )  # fmt: skip
    click.echo(f"feed {feed.id}: {feed.label}, {feed.adapter}, points in {feed.mapping.crs}")
    if adapter == "push":
        click.echo(f"send to   POST /api/feeds/{feed.id}/batches (docs/feeds.md)")
    else:
        click.echo(f"next      wusetu feeds run {name} --pack {pack}")


def _settings(given: tuple[str, ...]) -> dict[str, Any]:
    from app.errors import Invalid

    found: dict[str, Any] = {}
    for one in given:
        key, sign, value = one.partition("=")
        if not sign or key in found:
            raise Invalid(f"--set {key}: write each setting once, as KEY=VALUE")
        found[key] = value
    return found


@command.command("list")
@click.option("--pack", help="Only of this map.")
def list_command(pack: str | None) -> None:
    """List feeds and how they are.

    Exit code 0: all are fine, new or paused; 4: some are late, stopped or failing.
    """
    from rich.console import Console
    from rich.table import Table

    from app.services.feed_health import health

    with _opened() as (taker, settings), taker.engine.connect() as connection:
        found, _ = health(connection, settings.time_zone, pack=pack)
    if not found:
        click.echo("no feeds yet: wusetu feeds add --help")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("feed", "comes by", "state", "last", "expected", "rows 7d", "rejected", "mismatch",
                  "dead"):  # fmt: skip
        table.add_column(title, no_wrap=True)
    for one in found:
        table.add_row(
            f"{one.pack}/{one.name}", one.adapter, one.state,
            "never" if one.since_s is None else f"{span(one.since_s)} ago",
            "-" if one.expected_s is None else span(one.expected_s) + (" (learnt)" if one.learnt else ""),
            f"{one.rows:,}", _share(one.rejected, one.rows), _share(one.mismatch, one.compared),
            f"{one.dead:,}",
        )  # fmt: skip
    Console(width=160).print(table)
    for one in found:
        for line in _notes(one):
            click.echo(f"{one.pack}/{one.name}: {line}")
    if any(one.state in ("late", "stopped", "failing") for one in found):
        sys.exit(NOT_FINE)


def span(seconds: float) -> str:
    """Time span in its largest unit.

    >>> span(59), span(7300), span(200000)
    ('59 s', '2.0 h', '2.3 d')
    """
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "-"


def _notes(one: Health) -> Iterator[str]:
    if one.state == "stopped":
        yield "has stopped"
    if one.error:
        yield f"{one.failures} looks in a row failed: {one.error}"
    found = one.diagnosis
    names = {"wgs84": "WGS84", "gcj02": "GCJ-02", "bd09": "BD-09"}
    if found is not None and found.reading == "swapped":
        yield (
            f"longitude and latitude look swapped: {found.share:.1%} of {found.points:,} points are wrong, "
            f"the other way round {found.reading_share:.1%}; exchange the two columns in the mapping"
        )
    elif found is not None and found.reading is not None:
        yield (
            f"it looks like {names[found.reading]}: {found.share:.1%} of {found.points:,} points disagree with "
            f"their codes, read so {found.reading_share:.1%}; declare `crs: {found.reading}` and replay"
        )
    elif found is not None:
        yield f"{found.share:.1%} of {found.points:,} points disagree with their codes; no reading explains it"


@command.command("run")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@_pack
def run_command(names: tuple[str, ...], pack: str | None) -> None:
    """Look at feeds once, now; all of them without a name.

    Exit code 0: all rows were taken; 3: some were rejected or a feed failed; 2: refused.
    """
    from app.services import feeds
    from app.services.feed_run import Runner

    bad = False
    with _opened() as (taker, _):
        with taker.engine.connect() as connection:
            if names:
                chosen = [feeds.called(connection, name, pack) for name in names]
            else:
                chosen = [one for one in feeds.listed(connection, pack) if _looked_at(one)]
        if not chosen:
            click.echo("no feeds to look at: wusetu feeds add --help")
            return
        runner = Runner(taker)
        changed = set()
        for feed in chosen:
            look = runner.look(feed.id)
            if look.waiting and not look.error:
                # a file is whole when it is the same after a while
                time.sleep(feed.settings.settle_s + 0.1)
                look = _sum(look, runner.look(feed.id))
            _tell(look)
            bad = bad or bool(look.rejected or look.error)
            if look.new or look.updated:
                changed.add(feed.pack)
        for one in sorted(changed):
            fold(taker.engine, one)
    if bad:
        sys.exit(SOME_REJECTED)


def _looked_at(feed: Feed) -> bool:
    return feed.adapter != "push" and not feed.paused


def _sum(a: Look, b: Look) -> Look:
    for name in ("batches", "known", "rows", "new", "updated", "rejected"):
        setattr(b, name, getattr(a, name) + getattr(b, name))
    return b


def _tell(look: Look) -> None:
    if look.busy:
        click.echo(f"{look.label}: another process looks at it just now")
        return
    same = look.rows - look.new - look.updated - look.rejected
    click.echo(
        f"{look.label}: {look.batches} batches, {look.rows:,} rows: {look.new:,} new, "
        f"{look.updated:,} updated, {same:,} unchanged, {look.rejected:,} rejected"
        + (f"; {look.known} batches known" if look.known else "")
        + (f"; {look.waiting} files are waited for" if look.waiting else "")
    )
    if look.error:
        click.echo(f"{look.label}: {look.error}", err=True)


@command.command("watch")
def watch_command() -> None:
    """Look at every feed when its time has come, until Ctrl-C. Several may watch at once."""
    from app.services.feed_run import Runner

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def tell(look: Look) -> None:
        if look.batches or look.error or look.known:
            _tell(look)

    with _opened() as (taker, _):
        click.echo("watching; Ctrl-C ends it")
        Runner(taker).watch(stop, tell)


@command.command("dead")
@click.argument("name")
@_pack
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="At most so many.",
)
def dead_command(name: str, pack: str | None, limit: int) -> None:
    """List rows that could not be used, newest first."""
    from app.services import feeds
    from app.services.feed_dead import letters

    with _opened() as (taker, _), taker.engine.connect() as connection:
        found = letters(connection, feeds.called(connection, name, pack).id, limit=limit)
    for one in found:
        value = f" {one.value!r}" if one.value else ""
        kept = "" if one.row is not None else " (row not kept)"
        click.echo(
            f"{one.id}  {one.origin}, {one.place}  {one.reason}  {one.field}:{value} {one.said}{kept}"
        )
    if not found:
        click.echo("no dead letters")


@command.command("replay")
@click.argument("name")
@_pack
@click.option("--mapping", help="The mended mapping; the feed keeps it.")
def replay_command(name: str, pack: str | None, mapping: str | None) -> None:
    """Read the dead letters again, perhaps with a mended mapping.

    Exit code 0: none is left; 3: some failed again.
    """
    from app.database import transaction
    from app.services import feeds
    from app.services.feed_dead import replay

    with _opened() as (taker, _):
        with transaction(taker.engine) as connection:
            feed = feeds.called(connection, name, pack)
            if mapping:
                feed = feeds.mend(connection, feed, mapping)
        done = replay(taker, feed)
        click.echo(
            f"{feed.label}: {done.stored:,} stored, {done.superseded:,} overtaken by newer rows, "
            f"{done.failed:,} failed again, {done.unkept:,} were not kept: send them again"
        )
        if done.stored:
            fold(taker.engine, feed.pack)
    if done.failed or done.unkept:
        sys.exit(SOME_REJECTED)


@command.command("where")
@click.argument("name")
@click.argument("reference")
@_pack
def where_command(name: str, reference: str, pack: str | None) -> None:
    """Say where an event came from: feed, batch, file or offset, and when."""
    from app.services import feeds

    with _opened() as (taker, _), taker.engine.connect() as connection:
        feed = feeds.called(connection, name, pack)
        found = feeds.origin_of(connection, feed.pack, feed.name, reference)
    click.echo(
        f"{found.feed} ({found.adapter}), batch {found.batch}: {found.origin}, {found.place}, "
        f"{found.arrived_at:%Y-%m-%d %H:%M:%S} UTC"
    )


@command.command("pause")
@click.argument("name")
@_pack
@click.option("--off", is_flag=True, help="Go on.")
def pause_command(name: str, pack: str | None, off: bool) -> None:
    """Let a feed rest."""
    from app.database import transaction
    from app.services import feeds

    with _opened() as (taker, _), transaction(taker.engine) as connection:
        feed = feeds.called(connection, name, pack)
        feeds.pause(connection, feed, not off)
    click.echo(f"{feed.label} {'goes on' if off else 'rests'}")


@command.command("remove")
@click.argument("name")
@_pack
def remove_command(name: str, pack: str | None) -> None:
    """End a feed. Its events stay, and where they came from; its dead letters go."""
    from app.database import transaction
    from app.services import feeds

    with _opened() as (taker, _), transaction(taker.engine) as connection:
        feed = feeds.called(connection, name, pack)
        feeds.remove(connection, feed)
    click.echo(f"{feed.label} was removed; its events stay")


@contextmanager
def _opened() -> Iterator[tuple[Taker, Settings]]:
    from app import settings as settings_module
    from app.database import open_engine
    from app.logs import configure
    from app.services.feed_take import Taker

    settings = settings_module.load()
    configure(settings.log)
    engine = open_engine(settings)
    try:
        yield Taker(engine, Path(settings.data_dir) / "locate"), settings
    finally:
        engine.dispose()
