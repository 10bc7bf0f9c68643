"""`wusetu brief`: the monthly brief of a map as a file."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

import click


def _month(_context: click.Context, _option: click.Parameter, value: str | None) -> date | None:
    if value is None:
        return None
    try:
        return datetime.strptime(value, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no month; write it as 2024-05") from error


@click.command()
@click.option("--pack", required=True, help="Map.")
@click.option("--month", callback=_month, help="Month, YYYY-MM (default: the newest complete one).")
@click.option("--within", help="Code of the unit it is about (default: the whole map).")
@click.option("--run", type=click.IntRange(min=1), help="Run (default: the newest published one).")
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "pdf", "json"]),
    help="json: every sentence with the addresses of its numbers.",
    default="pdf",
    show_default=True,
)
@click.option("--lang", type=click.Choice(["zh", "en"]), default="zh", show_default=True,
              help="Language of the text.")  # fmt: skip
@click.option(
    "--small/--no-small",
    default=True,
    show_default=True,
    help="Whether counts of 1 to 4 are printed; without, as for roles that do not see records.",
)
@click.option("--site", help="Address of the installation, for the links in the document.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File (default: a name of its own in this folder).",
)
def command(
    *,
    pack: str,
    month: date | None,
    within: str | None,
    run: int | None,
    form: Literal["html", "pdf", "json"],
    lang: Literal["zh", "en"],
    small: bool,
    site: str | None,
    output: Path | None,
) -> None:
    """Write what rose, where, why and what was done; every sentence with its numbers' sources."""
    from app import settings as settings_module
    from app.api.brief_models import BriefAnswer
    from app.cli.export import check_writable
    from app.database import open_engine, transaction, translated_errors
    from app.services import brief_document, brief_kept
    from app.services.brief import About, build
    from app.services.brief_document import Copy
    from app.services.caches import Caches

    settings = settings_module.load()
    engine = open_engine(settings)
    try:
        about = About(pack, month, within=within, run=run, small=small)
        with translated_errors(), transaction(engine) as connection:
            made = build(connection, Caches(), about)
            file = output or Path(f"wusetu-{pack}-brief-{made.month:%Y-%m}.{form}")
            part = file.with_name(f".{file.name}.part")
            check_writable(file, part)
            kept = brief_kept.keep(connection, made, None)
            address = (site or settings.accounts.public_url or "").rstrip("/")
            copy = Copy(made, kept, lang, datetime.now(UTC), address)
            if form == "json":
                answer = BriefAnswer(brief=made, digest=kept.digest, kept=kept)
                body = answer.model_dump_json(indent=1).encode()
            elif form == "html":
                body = brief_document.html(connection, copy)
            else:
                body = brief_document.pdf(connection, copy, settings.data_dir)
            try:
                part.write_bytes(body)  # the file appears complete or not at all
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)
    finally:
        engine.dispose()
    facts = sum(len(one.facts) for section in made.sections for one in section.sentences)
    click.echo(
        f"{file}: {made.month:%Y-%m}, run {made.run}, wording {kept.version}, {facts} numbers with "
        f"their sources"
    )
