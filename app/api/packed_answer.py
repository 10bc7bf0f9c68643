"""Packed values as an answer: tagged, kept for the answer before routing, in both encodings."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from fastapi import Request, Response

from app.api.dependencies import PRIVATE, Store, accepts_gzip, not_modified
from app.services import runs as runs_service
from app.services.kept import Answer, Kept, address

Make = Callable[[sa.Connection], tuple[bytes, bytes]]


def packed_answer(request: Request, store: Store, run: int, name: str, make: Make) -> Response:
    """Answer packed values of a run, or that the client has them already.

    Parameters
    ----------
    name : what is asked, in one word: with the run and the jurisdiction it is the tag
    make : reads the values: (as they are, gzip), bytes

    Raises
    ------
    NotFound
        No such run, also for those who still hold its values; whatever `make` raises.
    """
    etag = store.etag(f"{run}-{name}")
    headers = {"ETag": etag, "Cache-Control": PRIVATE, "Vary": "Accept-Encoding"}
    kept: Kept = request.app.state.kept
    generation = kept.generation  # before the transaction begins
    with store.read() as connection:
        if not_modified(request, etag):
            runs_service.run_facts(connection, store.caches, run)
            return Response(status_code=304, headers=headers)
        body, squeezed = make(connection)
    kept.keep(
        address(store.identity, request.scope["path"]),
        Answer(etag.encode(), body, squeezed),
        generation,
    )
    if accepts_gzip(request.headers.get("accept-encoding", "").encode("latin-1")):
        body, headers["Content-Encoding"] = squeezed, "gzip"
    return Response(body, media_type="application/octet-stream", headers=headers)
