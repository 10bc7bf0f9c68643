"""`wusetu docs`: build the documentation that the application serves at /docs."""

from __future__ import annotations

import time

import click


@click.group()
def command() -> None:
    """Build the documentation; write its reference from the code."""


@command.command()
@click.option("--force", is_flag=True, help="Build it even when nothing changed.")
@click.option("--strict", is_flag=True, help="Refuse links that lead nowhere.")
def build(force: bool, strict: bool) -> None:
    """Build the documentation for /docs; nothing is done when its sources did not change."""
    from app.docsite.build import SITE
    from app.docsite.build import build as build_site

    started = time.monotonic()
    if build_site(force=force, strict=strict):
        click.echo(f"documentation built in {time.monotonic() - started:.1f} s: {SITE}")
    else:
        click.echo("documentation: built already")


@command.command()
@click.option("--check", is_flag=True, help="Only compare: exit code 1 when a page is not current.")
def reference(check: bool) -> None:
    """Write the pages of docs/*/reference from commands, settings, errors, scenes and tables.

    Their Chinese is in app/docsite/zh/*.po: new texts get an empty entry there, entries no longer
    asked for are dropped, and both are named. Makes a database of its own on the configured server,
    and drops it again.
    """
    from app import settings as settings_module
    from app.database import make_engine, resolve_url
    from app.docsite import catalogue
    from app.docsite.reference import pages, stale
    from app.settings import PROJECT

    with catalogue.fresh_database(resolve_url(settings_module.load())) as url:
        engine = make_engine(url)
        with engine.connect() as connection:
            found = catalogue.read(connection)
        engine.dispose()
    made, missing = pages(found)
    for one in missing:
        click.echo(one, err=True)
    if missing:
        click.echo(f"{len(missing)} to describe or translate", err=True)
    old = stale(made)
    for file in old:
        if not check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(made[file], encoding="utf-8")
        click.echo(f"{'not current' if check else 'written'}: {file.relative_to(PROJECT)}")
    if check and (old or missing):
        raise SystemExit(1)
