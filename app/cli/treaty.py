"""`wusetu treaty`: what may cross the lines between the sides of a map, and who accepted it."""

from __future__ import annotations

import os
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.border import local_day

if TYPE_CHECKING:
    from app.services.treaty_packages import Package


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
@click.option("--min-count", type=click.IntRange(2, 1000), default=5, show_default=True,
              help="Smaller counts of a cell are not told.")  # fmt: skip
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
@click.option("--version", type=click.IntRange(1), required=True, help="Version of the treaty.")
@click.option("--side", "sides", multiple=True, required=True, help="Side that decides.")
@click.option("--reject", is_flag=True, help="Reject it instead.")
@click.option("--reason", default="", help="Needed to reject.")
def accept(*, name: str, version: int, sides: tuple[str, ...], reject: bool, reason: str) -> None:
    """Accept a version for a side of this installation, signed with the side's key.

    The key is made when it is first needed, in the data folder.
    """
    from app.cli.runs import _engine
    from app.services import treaty_terms
    from app.settings import load

    with _engine() as engine:
        for side in sides:
            state = treaty_terms.decide(
                engine, load().data_dir, name, version, side, "reject" if reject else "accept",
                reason, local_day(),
            )  # fmt: skip
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


@command.command()
@click.argument("name")
@click.option("--version", type=click.IntRange(1), required=True, help="Version of the treaty.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True,
              help="File to write.")  # fmt: skip
def terms(*, name: str, version: int, out: Path) -> None:
    """Write the terms of a version with every signed decision to a file for the other sides."""
    from app.cli.runs import _engine
    from app.errors import Invalid
    from app.services import treaty_terms

    with _engine() as engine, engine.connect() as connection:
        body = treaty_terms.document(connection, name, version, local_day())
    try:
        out.write_bytes(body)
    except OSError as error:
        raise Invalid(f"{out} cannot be written: {error.strerror or error}") from error
    click.echo(f"{out}")


@command.command("export")
@click.argument("name")
@click.option("--side", required=True, help="Side that tells.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True,
              help="Folder the two files of the package are written to.")  # fmt: skip
@click.option("--on", type=click.DateTime(["%Y-%m-%d"]), help="Local day it is (today).")
def export_command(*, name: str, side: str, out: Path, on: datetime | None) -> None:
    """Count, merge as agreed, sign and keep what a side tells; write it for the other sides."""
    from app.cli.runs import _engine
    from app.services import treaties, treaty_packages
    from app.settings import load

    settings = load()
    day = on.date() if on else local_day()
    with _engine() as engine:
        with engine.connect() as connection:
            version = treaties.in_force(connection, day, name=name)
        one = treaty_packages.export(
            engine, settings.data_dir, version, side, on=day, zone=settings.time_zone
        )
        for path in treaty_packages.write_files(one, out):
            click.echo(f"{path}")
        click.echo(
            f"package {one.about['sequence']} of {side}: {one.about['rows']:,} numbers, told up to "
            f"{one.about['cutoff']}, key {one.about['key']}"
        )


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--pack", help="Map here, when the treaty of a file of terms is not here yet.")
def import_command(*, file: Path, pack: str | None) -> None:
    """Take in a package (its .manifest, the .parquet beside it) or a file of terms (.json)."""
    from app.cli.runs import _engine
    from app.errors import Invalid
    from app.services import treaty_packages, treaty_terms

    with _engine() as engine:
        if file.suffix == ".manifest":
            one = treaty_packages.read_files(file)
            treaty_packages.take_in(engine, one, local_day())
            click.echo(_taken(one))
        elif file.suffix == ".json":
            lines = treaty_terms.take_in(engine, file.read_bytes(), pack, local_day())
            click.echo("\n".join(lines) or "nothing new")
        else:
            raise Invalid(f"{file.name}: a .manifest of a package, or a .json of terms")


def _taken(one: Package) -> str:
    about = one.about
    return (
        f"package {about['sequence']} of {about['side']} taken in: {about['rows']:,} numbers, "
        f"told up to {about['cutoff']}"
    )


@command.command()
@click.argument("name")
@click.option("--from", "address", required=True, help="Address of the other installation.")
@click.option("--side", required=True, help="Side whose packages are fetched.")
@click.option("--token-file", type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="File with a token of scope treaty:pull there (else WUSETU_TREATY_TOKEN).")  # fmt: skip
@click.option("--ca", type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="Certificates to trust instead of the system's.")  # fmt: skip
def pull(*, name: str, address: str, side: str, token_file: Path | None, ca: Path | None) -> None:
    """Fetch the newest package of a side over HTTPS and take it in."""
    from app.cli.runs import _engine
    from app.errors import Invalid
    from app.services import treaty_packages, treaty_pull

    try:
        token = token_file.read_text().strip() if token_file else os.environ["WUSETU_TREATY_TOKEN"]
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise Invalid("give the token: --token-file or WUSETU_TREATY_TOKEN") from error
    with _engine() as engine:
        with engine.connect() as connection:
            after = treaty_pull.taken(connection, name, side)
        one = treaty_pull.fetch(address, name, side, after, token, ca)
        if one is None:
            click.echo(f"nothing newer than package {after} of {side}")
            return
        treaty_packages.take_in(engine, one, local_day())
        click.echo(_taken(one))


@command.group()
def key() -> None:
    """Keys of the sides: private ones stay in the data folder, public ones are exchanged by hand."""


@key.command("show")
@click.option("--side", help="Make the key of this side of the installation when there is none.")
def key_show(*, side: str | None) -> None:
    """List the keys with their public part."""
    from app.cli.runs import _engine
    from app.database import transaction
    from app.services import treaty_keys
    from app.settings import load

    with _engine() as engine, transaction(engine) as connection:
        if side:
            treaty_keys.own_key(connection, load().data_dir, side)
        for one in treaty_keys.keys(connection, side):
            state = f"retired {one.retired_at}" if one.retired_at else "in use"
            whose = "made here" if one.own else "of another installation"
            click.echo(f"{one.side}  {one.key_id}  {one.public_key}  {whose}, {state}")


@key.command("add")
@click.option("--side", required=True, help="Side the key belongs to (its code prefix).")
@click.option("--public", required=True, help="64 hexadecimal digits.")
def key_add(*, side: str, public: str) -> None:
    """Register the public key of another installation's side: from now on it tells by packages."""
    from app.cli.runs import _engine
    from app.database import transaction
    from app.services import treaty_keys

    with _engine() as engine, transaction(engine) as connection:
        one = treaty_keys.register(connection, side, public)
    click.echo(f"key {one.key_id} of {side} registered: compare it over another way")


@key.command("retire")
@click.argument("name", metavar="KEY")
def key_retire(*, name: str) -> None:
    """Take nothing signed with KEY from now on."""
    from app.cli.runs import _engine
    from app.database import transaction
    from app.services import treaty_keys

    with _engine() as engine, transaction(engine) as connection:
        one = treaty_keys.retire(connection, name)
    click.echo(f"key {one.key_id} of {one.side} retired")


@key.command("rotate")
@click.option("--side", required=True, help="Side of this installation (its code prefix).")
def key_rotate(*, side: str) -> None:
    """Make a new key for a side of this installation and retire the old one."""
    from app.cli.runs import _engine
    from app.database import transaction
    from app.services import treaty_keys
    from app.settings import load

    with _engine() as engine, transaction(engine) as connection:
        one = treaty_keys.rotate(connection, load().data_dir, side)
    click.echo(f"{one.side}  {one.key_id}  {one.public_key}: tell the other sides")
