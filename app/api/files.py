"""Files that are made to be answered: in a folder of their own, gone when they were sent or failed.

`file_route` documents every route of one alike.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from app.api.dependencies import PRIVATE, errors
from app.security.identity import Identity
from app.services.export_files import MEDIA, Format

Handler = TypeVar("Handler", bound=Callable[..., Response])


def file_route(
    router: APIRouter, path: str, media_type: str, *, operation_id: str, summary: str, file: str
) -> Callable[[Handler], Handler]:
    """Make a route that answers a file out of a function that does.

    Parameters
    ----------
    file : what is in it
    """
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return router.get(
        path,
        operation_id=operation_id,
        summary=summary,
        response_class=Response,
        responses={200: {"description": file, "content": content}, **errors(404, 422, 503)},
    )


def asked_by(identity: Identity) -> str:
    """Who asks, as files say it: a desk or program, never a person."""
    return f"{identity.name} ({identity.role})"


def attachment(name: str, keep: str) -> dict[str, str]:
    """Headers of an answer that is to be saved under a name; `keep`: whether it may be kept."""
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": keep}


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
