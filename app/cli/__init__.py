"""`wusetu`: one module per noun, imported only when its command runs."""

from __future__ import annotations

import gc
import importlib
import sys

import click

from app.errors import WusetuError

COMMANDS = {
    "accounts": "app.cli.accounts",
    "addresses": "app.cli.addresses",
    "alerts": "app.cli.alerts",
    "assess": "app.cli.assess",
    "audit": "app.cli.audit",
    "backup": "app.cli.backup",
    "border": "app.cli.border",
    "boundaries": "app.cli.boundaries",
    "brief": "app.cli.brief",
    "bulk": "app.cli.bulk",
    "cube": "app.cli.cube",
    "cells": "app.cli.cells",
    "db": "app.cli.db",
    "devices": "app.cli.devices",
    "docs": "app.cli.docs",
    "events": "app.cli.events",
    "export": "app.cli.export",
    "exposures": "app.cli.exposures",
    "feeds": "app.cli.feeds",
    "indicators": "app.cli.indicators",
    "openapi": "app.cli.openapi",
    "restore": "app.cli.restore",
    "runs": "app.cli.runs",
    "sample": "app.cli.sample",
    "scene": "app.cli.scene",
    "serve": "app.cli.serve",
    "tasks": "app.cli.tasks",
    "tiles": "app.cli.tiles",
    "treaty": "app.cli.treaty",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return found


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wusetu")
def cli() -> None:
    """Wusetu: a five-colour risk map that explains itself."""


def main() -> None:
    """Entry point; domain errors become one clear line and exit code 2."""
    # what is loaded stays: walking it for garbage at every 700th object is a fifth of loading it
    gc.set_threshold(50_000, 20, 50)
    try:
        cli()
    except WusetuError as error:
        click.echo(f"wusetu: {error.message}", err=True)
        sys.exit(2)
