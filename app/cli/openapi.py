"""`wusetu openapi`: the description of the API, written for the front end and compared in tests."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

import click

from app.settings import PROJECT, Settings

FILE = PROJECT / "frontend" / "src" / "api" / "openapi.json"


def document() -> str:
    """OpenAPI description as text, the same on every machine."""
    from app.main import create_app

    body = create_app(Settings()).openapi()
    return json.dumps(body, ensure_ascii=False, indent=2) + "\n"


@click.command()
@click.option(
    "--check", is_flag=True, help="Change nothing; exit 1 and show the drift when it is stale."
)
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    default=FILE,
    help="File to write or compare.",
)
def command(check: bool, path: Path) -> None:
    """Write the OpenAPI description the front end's types are made from."""
    text = document()
    stored = path.read_text(encoding="utf-8") if path.exists() else ""
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(f"{path}: {'unchanged' if text == stored else 'written'}")
    elif text != stored:
        lines = difflib.unified_diff(
            stored.splitlines(), text.splitlines(), str(path), "the application", lineterm="", n=1
        )
        click.echo("\n".join(list(lines)[:60]))
        raise click.ClickException(f"{path} is stale: run `wusetu openapi`")
