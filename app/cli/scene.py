"""Command `wusetu scene`: check scene files, apply, compare, write their JSON schema."""

from __future__ import annotations

import sys
from pathlib import Path

import click

BROKEN = 2


@click.group()
def command() -> None:
    """Scenes: what is counted, how it is judged, what is done about it."""


@command.command("list")
def list_command() -> None:
    """List the scenes that ship with the project."""
    from app.services.scenes import load_scene, scene_names

    for name in scene_names():
        scene = load_scene(name)
        indicators = len(scene.indicators.indicators()) if scene.indicators else 0
        click.echo(
            f"{name:20} {scene.title.zh} {scene.title.en}: {len(scene.kinds)} kinds, "
            f"{indicators} indicators"
        )


@command.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def check(files: tuple[Path, ...]) -> None:
    """Check scene FILES; each fault is named by file, line, field and reason.

    Exit code 0: all are good; 2: some are broken.
    """
    from app.errors import WusetuError
    from app.services.scenes import load_scene

    broken = 0
    for file in files:
        try:
            scene = load_scene(_file(file))
        except WusetuError as error:
            broken += 1
            click.echo(error.message, err=True)
            continue
        tree = scene.indicators
        told = [f"{len(scene.kinds)} kinds"] if scene.kinds else []
        if tree:
            told.append(
                f"{len(tree.fields)} fields, {sum(len(one.groups) for one in tree.fields)} groups, "
                f"{len(tree.indicators())} indicators"
            )
        click.echo(f"{file}: good: {scene.name}, version {scene.version}: {', '.join(told)}")
    if broken:
        sys.exit(BROKEN)


def _file(given: Path) -> Path | str:
    """Take a name of a scene that ships as that scene, anything else as a file."""
    from app.services.scenes import scene_names

    return str(given) if str(given) in scene_names() else given


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
def apply(file: Path) -> None:
    """Check a scene FILE and make it the one in force; a broken one changes nothing."""
    from app import settings
    from app.database import open_engine, transaction
    from app.services import scene_store
    from app.services.scenes import load_scene

    scene = load_scene(_file(file))
    engine = open_engine(settings.load())
    try:
        with transaction(engine) as connection:
            applied, new = scene_store.apply(connection, scene)
    finally:
        engine.dispose()
    what = "is in force now" if new else "is in force already"
    click.echo(f"scene {applied.name}, version {applied.version}, {what} ({applied.digest[:12]})")


@command.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
def diff(a: Path, b: Path) -> None:
    """Say what scene B changes against A (files or names).

    Exit code 0: nothing; 1: something.
    """
    from app.services.scene_store import diff as compare
    from app.services.scenes import load_scene

    lines = compare(load_scene(_file(a)), load_scene(_file(b)))
    for line in lines:
        click.echo(line)
    if not lines:
        click.echo("no difference")
    sys.exit(1 if lines else 0)


@command.command()
@click.option("--check", "only_check", is_flag=True, help="Compare with the committed files.")
def schema(*, only_check: bool) -> None:
    """Write the JSON schema of scene files and the reference of docs/scenes.md."""
    from app.services.scene_schema import FILE, PAGE, page_text, schema_text

    page = PAGE.read_text(encoding="utf-8")
    wrong = 0
    for file, text in ((FILE, schema_text()), (PAGE, page_text(page))):
        there = file.read_text(encoding="utf-8") if file.is_file() else ""
        if there == text:
            click.echo(f"{file}: up to date")
        elif only_check:
            wrong += 1
            click.echo(f"{file}: differs from the models: run `wusetu scene schema`", err=True)
        else:
            file.write_text(text, encoding="utf-8")
            click.echo(f"wrote {file}")
    if wrong:
        sys.exit(BROKEN)
