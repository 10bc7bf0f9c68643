"""Requests with large shapes: read and written down without needless work. Imports no service.

Promises: what a route gets is the same as without it; what the audit stores is the same too, but for
shapes whose text it would not keep in any case: those it knows by the digest of their corners.
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
import shapely
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic_core import from_json

from geo.corners import corners
from geo.crs import normalise

#: bytes of a body from which on it counts that lists are made by the thousand
_LARGE = 1 << 15
#: corners whose text is longer than what the audit keeps whole, however short each is: `[1,2],`
_CORNERS = (1 << 15) // 6 + 1


def _read(body: bytes) -> Any:
    if len(body) < _LARGE or not gc.isenabled():
        return from_json(body)
    # an outline of 18,000 corners is as many lists: the collector would look through all of them
    # a dozen times, and none is garbage
    gc.disable()
    try:
        return orjson.loads(body)
    finally:
        gc.enable()


class _QuickJson(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body = await self.body()
            try:
                # an outline of 18,000 corners: a third of the time of `json`
                self._json = _read(body)
            except ValueError:
                self._json = json.loads(body)  # says what is wrong in the words of the framework
        return self._json


class QuickRoute(APIRoute):
    """Route whose JSON body is parsed quickly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Make the handler."""
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await answer(_QuickJson(request.scope, request.receive))

        return handler


def asked(question: BaseModel, shape: object = None) -> dict[str, Any]:
    """Question with an `area` as the audit takes it: JSON objects, without what was not given.

    A shape given as GeoJSON is not copied, for it is JSON already.

    Parameters
    ----------
    question : BaseModel
    shape : optional
        What was made of its area. Of one with so many corners that the audit would keep a digest
        only, the digest is made of the corners, which is quicker than writing their text first.
    """
    found = question.model_dump(mode="json", exclude_none=True, exclude={"area": {"geojson"}})
    area = getattr(question, "area", None)
    given = None if area is None else getattr(area, "geojson", None)
    if area is None or given is None:
        return found
    large = isinstance(shape, shapely.Geometry) and shapely.get_num_coordinates(shape) >= _CORNERS
    if large and normalise(area.crs) in {"wgs84", "cgcs2000"}:
        found["area"] = {**_digest(shape), **found["area"]}
    else:
        found["area"] = {"geojson": given, **found["area"]}
    return found


def _digest(shape: shapely.Geometry) -> dict[str, Any]:
    """Tell a shape by its corners: sha256 over all x, all y, and which are the last of a ring.

    x and y as float64, little-endian, as they were given; a byte 0 or 1 for each corner.
    """
    x, y, last = corners(shape)
    made = hashlib.sha256()
    for column in (x.astype("<f8", copy=False), y.astype("<f8", copy=False), last):
        made.update(column.data)
    return {
        "corners_sha256": made.hexdigest(),
        "corners": len(x),
        "bounds": [float(x.min()), float(y.min()), float(x.max()), float(y.max())],
    }
