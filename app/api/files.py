"""Files that are made to be answered: in a folder of their own, gone when they were sent or failed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from app.api.dependencies import PRIVATE
from app.security.identity import Identity
from app.services.export_files import MEDIA, Format


def documented(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    """Documented answer of a route that answers a file."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"description": description, "content": content}}


def asked_by(identity: Identity) -> str:
    """Who asks, as files say it: a desk or program, never a person."""
    return f"{identity.name} ({identity.role})"


@dataclass
class Made:
    """A file that is being written.

    Attributes
    ----------
    name : what the client is to call it
    path : where it is written
    """

    folder: tempfile.TemporaryDirectory[str]
    form: Format
    path: Path
    name: str

    def answer(self) -> FileResponse:
        """Send it; the folder is removed after that."""
        return FileResponse(
            self.path,
            media_type=MEDIA[self.form],
            filename=self.name,
            headers={"Cache-Control": PRIVATE},
            background=BackgroundTask(self.folder.cleanup),
        )


@contextmanager
def file_made(form: Format) -> Iterator[Made]:
    """Folder for a file; removed at once when the block fails, else by the answer."""
    folder = tempfile.TemporaryDirectory(prefix="wusetu-export-")
    try:
        yield Made(folder, form, Path(folder.name) / f"export.{form}", f"export.{form}")
    except BaseException:
        folder.cleanup()
        raise
