"""`wusetu restore`: see `app.cli.backup`."""

from app.cli.backup import restore as command

__all__ = ["command"]
