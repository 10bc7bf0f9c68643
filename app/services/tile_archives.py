"""Make the tiles of a boundary version: simplified shapes in the database, archives on disk.

Idempotent: what is there is kept. Rows appear in one transaction, after the files they name; a
killed build leaves the version as it was and at most nameless files behind.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import sqlalchemy as sa

from app.database import raw, transaction
from app.errors import Invalid, NotFound
from tiles import archive, context, cut, geometry, levels, tilejson
from tiles.mvt import Columns

Progress = Callable[[str, int, int], None]
"""Called with what is being done, steps done and steps in all."""

CONTEXT = "context"
"""Level name of the archive of neutral surroundings in `tile_archive`."""

# tells our lock from other advisory locks; any constant does
LOCK_SPACE = 0x71135


@dataclass
class Built:
    """What `build` found or made."""

    version_id: int
    made: bool
    archives: dict[str, str]
    """Level → digest; with surroundings also `context`."""
    bytes: int = 0
    tiles: int = 0
    seconds: float = 0.0
    report: dict[str, Any] = field(default_factory=dict)


def silent(text: str, done: int, total: int) -> None:
    """Report no progress."""


def load_units(connection: sa.Connection, version_id: int) -> geometry.Units:
    """All units of a version as arrays.

    Raises
    ------
    NotFound
        No such version.
    Invalid
        A version without units.
    """
    found = connection.execute(
        sa.text("select levels from boundary_version where id = :id"), {"id": version_id}
    ).scalar()
    if found is None:
        raise NotFound(f"there is no boundary version {version_id}")
    rows = connection.execute(
        sa.text(
            "select id, coalesce(parent_id, 0), level, code, name, area_km2,"
            " ST_X(label_point), ST_Y(label_point), ST_AsBinary(geom), coalesce(name_en, '')"
            " from unit where boundary_version_id = :id order by id"
        ),
        {"id": version_id},
    ).fetchall()
    if not rows:
        raise Invalid(f"boundary version {version_id} has no units")
    ids, parents, level, codes, names, area, x, y, shape, english = zip(*rows, strict=True)
    place = {name: k for k, name in enumerate(found)}
    return geometry.Units(
        tuple(found),
        np.array(ids, np.int64),
        np.array(parents, np.int64),
        np.array([place[name] for name in level], np.int64),
        list(codes),
        list(names),
        np.array(area, float),
        np.column_stack([x, y]).astype(float),
        shapely.from_wkb([bytes(s) for s in shape]),
        list(english),
    )


def existing(connection: sa.Connection, version_id: int, folder: Path) -> dict[str, str]:
    """Level → digest of the archives whose file is there, whole, and of this version of tiles."""
    rows = connection.execute(
        sa.text("select level, digest, bytes from tile_archive where boundary_version_id = :id"),
        {"id": version_id},
    )
    result = {}
    for level, digest, size in rows:
        path = archive.path_of(folder, digest)
        if path.is_file() and path.stat().st_size == size:
            with contextlib.suppress(archive.ArchiveError), archive.Archive(path) as there:
                if there.metadata.get("version") == tilejson.VERSION:
                    result[level] = digest
    return result


def context_digest(connection: sa.Connection, version_id: int) -> str | None:
    """Digest of the surroundings shown with a version; None: it has none."""
    found: str | None = connection.execute(
        sa.text(
            "select digest from tile_archive where boundary_version_id = :id and level = :level"
        ),
        {"id": version_id, "level": CONTEXT},
    ).scalar()
    return found


def build(
    engine: sa.Engine,
    version_id: int,
    folder: Path,
    progress: Progress = silent,
    surroundings: Path | None = None,
) -> Built:
    """Make shapes and archives of a version, or find that they are there.

    Parameters
    ----------
    engine : Engine
    version_id : int
        `boundary_version.id`.
    folder : Path
        Folder of the archives (`<data folder>/archives`).
    progress : callable
    surroundings : Path, optional
        Folder of neutral surroundings (see `tiles.context`); a folder without files is none.

    Returns
    -------
    Built

    Raises
    ------
    NotFound, Invalid
        See `load_units`; `Invalid` also for a file of surroundings that cannot be read.
    """
    begin = time.monotonic()
    with transaction(engine) as connection:
        connection.execute(
            sa.text("select pg_advisory_xact_lock(:space, :id)"),
            {"space": LOCK_SPACE, "id": version_id},
        )
        wanted = connection.execute(
            sa.text("select levels from boundary_version where id = :id"), {"id": version_id}
        ).scalar()
        if wanted is None:
            raise NotFound(f"there is no boundary version {version_id}")
        files = context.files(surroundings) if surroundings else []
        built = Built(version_id, False, existing(connection, version_id, folder))
        if not set(wanted) <= set(built.archives):
            built.made = True
            units = load_units(connection, version_id)
            _write(
                connection,
                units,
                version_id=version_id,
                folder=folder,
                progress=progress,
                built=built,
            )
        own = _coarsest(connection, version_id) if files else []
        if files and _context_differs(files, own, folder, built):
            built.made = True
            progress("surroundings", 0, 1)
            _write_context(
                connection, files, own, version_id=version_id, folder=folder, built=built
            )
    built.seconds = time.monotonic() - begin
    return built


def _write(
    connection: sa.Connection,
    units: geometry.Units,
    *,
    version_id: int,
    folder: Path,
    progress: Progress,
    built: Built,
) -> None:
    ranges = levels.ranges(units.levels, geometry.sides(units), geometry.width(units))
    connection.execute(
        sa.text("delete from tile_geometry where boundary_version_id = :id"), {"id": version_id}
    )
    connection.execute(
        sa.text(
            "delete from tile_archive where boundary_version_id = :id and level = any(:levels)"
        ),
        {"id": version_id, "levels": list(units.levels)},
    )
    columns = {level: _columns(units, k) for k, level in enumerate(units.levels)}
    tiles: dict[str, list[tuple[int, int, int, bytes]]] = {level: [] for level in units.levels}
    report = geometry.Report()
    mercator = geometry.project(units.label)
    for shapes in geometry.by_zoom(units, ranges, report, progress):
        label = geometry.label_units(mercator[shapes.index], shapes.zoom, shapes.extent)
        tiles[shapes.level] += [
            (shapes.zoom, x, y, data)
            for (x, y), data in cut.units_and_labels(
                shapes.geoms, label, columns[shapes.level], zoom=shapes.zoom, extent=shapes.extent
            )
        ]
        _copy(connection, units, version_id, shapes)
    about = version_row(connection, version_id)
    total = len(units.levels)
    for k, level in enumerate(units.levels):
        progress("archive", k, total)
        bounds = geometry.bounds(units, k)
        written = archive.write(
            folder, tiles[level], bounds, tilejson.metadata(about, level, ranges[level])
        )
        _register(
            connection, version_id, level, written=written, zooms=ranges[level], bounds=bounds
        )
        built.archives[level] = written.digest
        built.bytes += written.bytes
        built.tiles += written.tiles
    progress("archive", total, total)
    built.report = report.as_dict()


def version_row(connection: sa.Connection, version_id: int) -> dict[str, Any]:
    """Return what a version says about itself, for attribution."""
    row = connection.execute(
        sa.text(
            "select pack, label, title_zh, title_en, source, licence, approximate"
            " from boundary_version where id = :id"
        ),
        {"id": version_id},
    ).mappings()
    return dict(row.one())


def _columns(units: geometry.Units, level: int) -> tuple[Columns, Columns]:
    """Properties of the layers `units` and `labels` of one level."""
    index = np.flatnonzero(units.level == level)
    code_of = dict(zip(units.ids.tolist(), units.codes, strict=True))
    rank = np.empty(len(index), np.int64)
    rank[np.argsort(-units.area_km2[index], kind="stable")] = np.arange(1, len(index) + 1)
    common: dict[str, Any] = {
        "code": [units.codes[k] for k in index],
        "name": [units.names[k] for k in index],
        "level": [units.levels[level]] * len(index),
        "parent": [code_of.get(p, "") for p in units.parents[index].tolist()],
    }
    ids = units.ids[index]
    english = [units.names_en[k] for k in index] if units.names_en else [""] * len(index)
    labels = {**common, "name_en": english, "rank": rank.tolist()}
    return Columns.of(ids, common), Columns.of(ids, labels)


def _copy(
    connection: sa.Connection, units: geometry.Units, version_id: int, shapes: geometry.Shapes
) -> None:
    mercator = geometry.to_mercator(shapes.geoms, shapes.zoom, shapes.extent)
    wkb = shapely.to_wkb(shapely.set_srid(mercator, 3857), hex=True, include_srid=True)
    head = f"{version_id}\t{shapes.level}\t{shapes.zoom}\t"
    lines = (
        f"{head}{i}\t{g}\n" for i, g in zip(units.ids[shapes.index].tolist(), wkb, strict=True)
    )
    with raw(connection).cursor() as cursor:
        cursor.copy_expert(
            "copy tile_geometry (boundary_version_id, level, zoom, unit_id, geom) from stdin",
            io.StringIO("".join(lines)),
        )


def _register(
    connection: sa.Connection,
    version_id: int,
    level: str,
    *,
    written: archive.Written,
    zooms: levels.ZoomRange,
    bounds: tuple[float, float, float, float],
) -> None:
    connection.execute(
        sa.text(
            "insert into tile_archive (boundary_version_id, level, digest, min_zoom, max_zoom,"
            " bounds, bytes, tiles) values (:id, :level, :digest, :low, :high, :bounds, :bytes,"
            " :tiles)"
        ),
        {
            "id": version_id, "level": level, "digest": written.digest, "low": zooms.low,
            "high": zooms.high, "bounds": list(bounds), "bytes": written.bytes,
            "tiles": written.tiles,
        },
    )  # fmt: skip


def _coarsest(connection: sa.Connection, version_id: int) -> list[str]:
    """Codes of the units without a parent: the surroundings carry no names inside them."""
    return list(
        connection.execute(
            sa.text(
                "select code from unit where boundary_version_id = :id and parent_id is null"
                " order by id"
            ),
            {"id": version_id},
        ).scalars()
    )


def _context_differs(files: list[Path], own: list[str], folder: Path, built: Built) -> bool:
    """Whether the surroundings were never made, or of other files or another map."""
    digest = built.archives.get(CONTEXT)
    if digest is None:
        return True
    with archive.Archive(archive.path_of(folder, digest)) as there:
        return bool(there.metadata.get("sources") != context.fingerprint(files, own))


def _write_context(
    connection: sa.Connection,
    files: list[Path],
    own: list[str],
    *,
    version_id: int,
    folder: Path,
    built: Built,
) -> None:
    try:
        written, bounds = context.build(files, folder, own)
    except context.ContextError as error:
        raise Invalid(str(error)) from error
    connection.execute(
        sa.text("delete from tile_archive where boundary_version_id = :id and level = :level"),
        {"id": version_id, "level": CONTEXT},
    )
    _register(connection, version_id, CONTEXT, written=written, zooms=context.ZOOMS, bounds=bounds)
    built.archives[CONTEXT] = written.digest
    built.bytes += written.bytes
    built.tiles += written.tiles
