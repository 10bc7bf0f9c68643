"""Versions of scenes in the store of record: apply, look up, compare.

Takes a connection and scenes that are valid already: a broken file never gets here, so it never
replaces a working one. Promises: a version once applied never changes; the same scene again is no
new version; another scene under an old number is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.errors import Conflict, NotFound
from app.services.scenes import Scene, load_scene, scene_names


@dataclass(frozen=True)
class Version:
    """A scene as it was applied."""

    id: int
    name: str
    version: int
    digest: str
    applied_at: datetime
    scene: Scene


def digest(scene: Scene) -> str:
    """Sha256 of what a scene says, whatever the order of its keys.

    What is usual is left out, so that a newer program with more to say finds the same scene.
    """
    text = json.dumps(_plain(scene), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


_COLUMNS = "id, name, version, digest, applied_at, body"


def _version(row: sa.Row[Any]) -> Version:
    return Version(
        row.id, row.name, row.version, row.digest, row.applied_at, Scene.model_validate(row.body)
    )


def apply(connection: sa.Connection, scene: Scene) -> tuple[Version, bool]:
    """Keep a scene as a version; whether it is new.

    Raises
    ------
    Conflict
        Its number was given to another scene already, or a higher one is in force; the message
        says which number is free.
    """
    connection.execute(
        sa.text("select pg_advisory_xact_lock(hashtext('wusetu scene ' || :name))"),
        {"name": scene.name},
    )
    mark = digest(scene)
    newest = connection.execute(
        sa.text(
            "select version, digest from scene_version where name = :name "
            "order by version desc limit 1"
        ),
        {"name": scene.name},
    ).one_or_none()
    if newest is not None:
        if newest.digest == mark and newest.version == scene.version:
            return find(connection, scene.name), False
        if scene.version <= newest.version:
            raise Conflict(
                f"scene {scene.name}: version {newest.version} is in force and this file is "
                f"another one under number {scene.version}; give it version {newest.version + 1}"
            )
    connection.execute(
        sa.text(
            "insert into scene_version (name, version, digest, body) "
            "values (:name, :version, :digest, cast(:body as json))"
        ),
        {
            "name": scene.name,
            "version": scene.version,
            "digest": mark,
            "body": json.dumps(scene.body(), ensure_ascii=False),
        },
    )
    return find(connection, scene.name), True


def find(connection: sa.Connection, name: str) -> Version:
    """Newest version of a scene.

    Raises
    ------
    NotFound
        It was never applied.
    """
    row = connection.execute(
        sa.text(
            f"select {_COLUMNS} from scene_version where name = :name "  # noqa: S608
            "order by version desc limit 1"
        ),
        {"name": name},
    ).one_or_none()
    if row is None:
        raise NotFound(f"no scene {name!r} was applied: `wusetu scene apply FILE`")
    return _version(row)


def by_id(connection: sa.Connection, number: int) -> Version:
    """Version a run was made with."""
    row = connection.execute(
        sa.text(f"select {_COLUMNS} from scene_version where id = :id"),  # noqa: S608
        {"id": number},
    ).one()
    return _version(row)


def versions(connection: sa.Connection, name: str | None = None) -> list[Version]:
    """List applied versions, by name, newest first."""
    rows = connection.execute(
        sa.text(
            f"select {_COLUMNS} from scene_version "  # noqa: S608
            "where cast(:name as text) is null or name = :name order by name, version desc"
        ),
        {"name": name},
    )
    return [_version(row) for row in rows]


def scene_of(connection: sa.Connection, name: str) -> Scene:
    """Scene in force: the newest applied version, else the one that ships.

    Raises
    ------
    NotFound
        There is neither; the message names those there are.
    """
    applied = sorted({one.name for one in versions(connection)})
    if name in applied:
        return find(connection, name).scene
    if name in scene_names():
        return load_scene(name)
    raise NotFound(f"no scene {name!r}; there are {', '.join(sorted({*applied, *scene_names()}))}")


# comparing ----------------------------------------------------------------------------------------


def diff(old: Scene, new: Scene) -> list[str]:
    """Say what another scene changes, one line each: place, before → after.

    Members of lists that have an id are compared by id, so that moving one is no change.
    """
    return list(_changes("", _plain(old), _plain(new)))


def _plain(scene: Scene) -> dict[str, Any]:
    said = scene.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"name": scene.name, "version": scene.version, **said}


def _by_id(value: list[Any]) -> dict[str, Any] | None:
    if value and all(isinstance(one, dict) and "id" in one for one in value):
        return {str(one["id"]): one for one in value}
    return None


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}…"


def _changes(place: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, list) and isinstance(new, list):
        before, after = _by_id(old), _by_id(new)
        if before is not None and after is not None:
            old, new = before, after
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            where = f"{place}.{key}" if place else str(key)
            if key not in new:
                yield f"- {where}: {_shown(old[key])}"
            elif key not in old:
                yield f"+ {where}: {_shown(new[key])}"
            else:
                yield from _changes(where, old[key], new[key])
    elif old != new:
        yield f"~ {place}: {_shown(old)} → {_shown(new)}"
