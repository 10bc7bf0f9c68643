"""Pages of features and single ones, as GeoJSON.

Imports the rooms beside it. Promises: pages follow a key that never changes, so that no feature
comes twice or is left out however long a client takes; what a page shows is pinned in the address of
the next one; `numberMatched` counts the whole answer, not the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import orjson
import shapely
import sqlalchemy as sa

from app.errors import NotFound
from app.ogc import cql, relations
from app.ogc.collections import Collection
from app.ogc.crs import told
from app.ogc.parameters import Asked
from app.ogc.relations import PINNED, Choice, Relation, Store, whole


@dataclass(frozen=True)
class Page:
    """A page of features.

    Attributes
    ----------
    features : GeoJSON features, geometries already written
    shapes : their shapes, longitude latitude, for drawing
    matched : features of the whole answer
    after : key the next page begins after; None: this is the last
    pinned : parameters that choose the same run, kind and period again
    events : counted events the features tell of, for the audit
    """

    features: list[dict[str, Any]]
    shapes: list[shapely.Geometry]
    matched: int
    after: str | None
    pinned: Mapping[str, Any]
    events: int | None


def page(store: Store, collection: Collection, asked: Asked) -> Page:
    """Answer a page.

    Raises
    ------
    NotFound
        No such run, kind, period or job.
    BadRequest
        The filter means nothing.
    """
    choice, relation = _relation(store, collection, asked)
    table = relation.table.c
    with store.read() as connection:
        where = _conditions(collection, relation, asked)
        matched = relation.total
        if matched is None:
            matched = connection.execute(
                sa.select(sa.func.count()).select_from(relation.table).where(*where)
            ).scalar_one()
        wanted = _select(collection, relation).where(*where).order_by(table.key)
        if not relation.done:
            if asked.after is not None:
                numeric = collection.coloured
                key = asked.after.partition(PINNED)[0] if relation.jobs else asked.after
                after: Any = whole(key) if numeric else key
                wanted = wanted.where(table.key > sa.literal(after))
            wanted = wanted.limit(asked.limit + 1)
        rows = connection.execute(wanted).all()
    more = len(rows) > asked.limit
    rows = rows[: asked.limit]
    shapes = _shapes(relation, rows)
    return Page(
        features=_features(collection, rows, told(shapes, asked.crs)),
        shapes=shapes.tolist(),
        matched=matched,
        after=_after(rows[-1].key, relation) if more else None,
        pinned=choice.pinned() if choice else {},
        events=relation.events,
    )


def _after(key: Any, relation: Relation) -> str:
    jobs = ",".join(map(str, relation.jobs))
    return f"{key}{PINNED}{jobs}" if jobs else str(key)


def one(store: Store, collection: Collection, identifier: str, asked: Asked) -> Page:
    """Answer a single feature, as a page of one.

    Raises
    ------
    NotFound
        There is none of this identifier, or none for this caller.
    """
    if "\0" in identifier:
        raise NotFound(f"no such feature in {collection.id}")
    choice, relation = _relation(store, collection, asked.but(limit=1, identifier=identifier))
    with store.read() as connection:
        rows = connection.execute(
            _select(collection, relation).where(relation.table.c.id == sa.literal(identifier))
        ).all()
    if not rows:
        raise NotFound(f"no feature {identifier!r} in {collection.id}")
    shapes = _shapes(relation, rows[:1])
    features = _features(collection, rows[:1], told(shapes, asked.crs))
    pinned = choice.pinned() if choice else {}
    return Page(features, shapes.tolist(), 1, None, pinned, relation.events)


def _relation(store: Store, collection: Collection, asked: Asked) -> tuple[Choice | None, Relation]:
    """Find what is shown, and the features of it before any condition."""
    choice: Choice | None = None
    with store.read() as connection:
        if collection.coloured:
            choice = relations.choose(connection, store.caches, collection, asked)
        if collection.room == "units":
            assert choice is not None
            return choice, relations.units(connection, store.caches, collection, choice)
        if collection.room == "zones":
            return None, relations.zones(connection, collection, asked)
        if collection.room == "facilities":
            return None, relations.facilities(connection, store.identity, collection)
        if collection.room == "hotspots":
            return None, relations.hotspots(connection, store.identity, collection, asked)
    assert choice is not None
    return choice, relations.cells(store, collection, choice, asked)


def _conditions(
    collection: Collection, relation: Relation, asked: Asked
) -> list[sa.ColumnElement[bool]]:
    columns = relation.table.c
    found: list[sa.ColumnElement[bool]] = [
        columns[name] == sa.literal(value) for name, value in asked.equal.items()
    ]
    if asked.box is not None and not relation.placed:
        body = sa.literal(shapely.to_wkb(asked.box), sa.LargeBinary)
        found.append(sa.func.ST_Intersects(columns.geometry, sa.func.ST_GeomFromWKB(body, 4326)))
    if asked.filter is not None:
        text, language, crs = asked.filter
        by_name = {name: columns[name] for name in collection.fields}
        written = cql.condition(
            text, language, crs, collection.fields, {**by_name, cql.GEOMETRY: columns.geometry}
        )
        found.append(written)
    return found


def _select(collection: Collection, relation: Relation) -> sa.Select[Any]:
    columns = relation.table.c
    shape = (sa.func.ST_AsBinary(columns.geometry) if relation.shapes is None else sa.null()).label(
        "body"
    )
    # a property may be called as a column of ours is
    named = [columns[name].label(f"p_{name}") for name in collection.fields]
    return sa.select(columns.key.label("key"), columns.id.label("id"), shape, *named)


def _shapes(relation: Relation, rows: Any) -> Any:
    if relation.shapes is not None:
        found = [relation.shapes[row.key] for row in rows]
    else:
        found = shapely.from_wkb([bytes(row.body) for row in rows]).tolist() if rows else []
    shapes = np.empty(len(found), object)
    shapes[:] = found
    return shapes


def _features(collection: Collection, rows: Any, shapes: Any) -> list[dict[str, Any]]:
    texts = shapely.to_geojson(shapes).tolist() if len(rows) else []
    return [
        {
            "type": "Feature",
            "id": row.id,
            "geometry": orjson.Fragment(text),
            "properties": {name: _value(getattr(row, f"p_{name}")) for name in collection.fields},
        }
        for row, text in zip(rows, texts, strict=True)
    ]


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


def written(body: Mapping[str, Any]) -> bytes:
    """Write GeoJSON or any other document; texts as UTF-8."""
    return orjson.dumps(body)


def collection_of(found: Page, links: list[dict[str, Any]]) -> dict[str, Any]:
    """Make the GeoJSON of a page; without a moment, so that the same page is the same bytes."""
    return {
        "type": "FeatureCollection",
        "numberMatched": found.matched,
        "numberReturned": len(found.features),
        "links": links,
        "features": found.features,
    }
