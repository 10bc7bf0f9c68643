"""What there is to look at: one map per pack, with its newest published run."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import Any

import sqlalchemy as sa

from app.api.models import (
    ColourRuleInfo,
    KindInfo,
    LevelInfo,
    Manifest,
    MapInfo,
    MeasureInfo,
    Words,
)
from app.services import cells_lookup
from app.services.caches import Caches
from app.services.framing import Box, framed
from app.services.runs import RunFacts, run_facts
from app.services.scene_parts import Title
from app.services.scenes import OVERALL
from app.services.tile_archives import CONTEXT
from app.services.units import UnitTable, unit_table

VERSION = version("wusetu")
LEVEL_TITLES = {
    "city": ("市", "City"),
    "county": ("区县", "County"),
    "town": ("乡镇街道", "Town"),
    "village": ("村社", "Village"),
    "grid": ("网格", "Grid"),
    "microgrid": ("微网格", "Microgrid"),
}
OVERALL_TITLE = Words(zh="综合", en="Overall")

NEWEST = """
select run.id, run.pack, run.boundary_version_id as version, label, title_zh, title_en, approximate,
  coalesce((select jsonb_object_agg(level, jsonb_build_array(digest, min_zoom, max_zoom))
            from tile_archive where boundary_version_id = run.boundary_version_id), '{}') as archives,
  (select array_agg(res order by res) from run_cell where run_id = run.id) as cells
from run join boundary_version on boundary_version.id = run.boundary_version_id
where run.status = 'published' and run.id = (
  select max(id) from run as other where other.pack = run.pack and other.status = 'published')
order by (select min(id) from boundary_version as first where first.pack = run.pack), run.pack
"""


def newest_runs(connection: sa.Connection) -> list[sa.Row[Any]]:
    """Newest published run of every pack with its version and archives, in order of the pack."""
    return list(connection.execute(sa.text(NEWEST)).all())


def manifest_digest(rows: list[sa.Row[Any]]) -> str:
    """Digest that changes when a run is published or pruned or an archive is rebuilt."""
    facts = repr([VERSION, *((row.id, row.cells, sorted(row.archives.items())) for row in rows)])
    return hashlib.sha256(facts.encode()).hexdigest()[:24]


def _words(title: Title) -> Words:
    return Words(zh=title.zh, en=title.en)


def _kinds(facts: RunFacts) -> list[KindInfo]:
    first = KindInfo(id=OVERALL, title=OVERALL_TITLE, harm=None, weights={})
    kinds = facts.scene.kinds
    return [first] + [
        KindInfo(
            id=kind, title=_words(kinds[kind]), harm=kinds[kind].harm, weights=kinds[kind].weights
        )
        for kind in facts.kinds
    ]


def _address(digest: str) -> str:
    return f"/tiles/{digest}/{{z}}/{{x}}/{{y}}.mvt"


def _levels(facts: RunFacts, table: UnitTable, archives: dict[str, Any]) -> list[LevelInfo]:
    found = []
    for level in facts.levels:
        first, count = table.range(level)
        zh, en = LEVEL_TITLES.get(level, (level, level.capitalize()))
        digest, low, high = archives.get(level, ("", 0, 0))
        found.append(
            LevelInfo(
                id=level,
                title=Words(zh=zh, en=en),
                count=count,
                first_id=first,
                tiles=_address(digest) if digest else "",
                tilejson=f"/tiles/{facts.pack}/{level}/tilejson.json",
                min_zoom=low,
                max_zoom=high,
                counties=table.counties(level),
            )
        )
    return found


def _bounds(connection: sa.Connection, version_id: int, level: str) -> Box:
    box = connection.execute(
        sa.text(
            "select st_xmin(box), st_ymin(box), st_xmax(box), st_ymax(box) from ("
            "select st_extent(geom) as box from unit "
            "where boundary_version_id = :version and level = :level) as extent"
        ),
        {"version": version_id, "level": level},
    ).one()
    return framed(connection, version_id, box, level=level)


def _map(connection: sa.Connection, caches: Caches, row: sa.Row[Any]) -> MapInfo:
    facts = run_facts(connection, caches, row.id)
    table = unit_table(connection, caches, row.version)
    # shapes of a version never change, and measuring them is the only dear part of a manifest
    bounds = caches.bounds.get(
        row.version, lambda: _bounds(connection, row.version, table.levels[0])
    )
    scene = facts.scene
    return MapInfo(
        pack=facts.pack,
        title=Words(zh=row.title_zh, en=row.title_en),
        run=facts.id,
        scene=scene.name,
        scene_title=_words(scene.title),
        boundary_version=row.label,
        approximate=row.approximate,
        simulated=facts.simulated,
        published_at=facts.published_at,
        data_cutoff=facts.data_cutoff,
        time_zone=facts.time_zone,
        bounds=bounds,
        levels=_levels(facts, table, row.archives),
        cells=cells_lookup.layers(connection, caches, facts.id),
        kinds=_kinds(facts),
        measures=[
            MeasureInfo(
                id=one,
                title=_words(scene.measures[one]),
                unit=_words(scene.measures[one].unit),
            )
            for one in facts.measures
        ],
        periods=facts.period_infos(),
        rule=ColourRuleInfo(version=scene.colour_rule.version, rows=scene.colour_rule.rows()),
        located=facts.located,
        grid_share=facts.grid_share,
        context_tiles=_address(row.archives[CONTEXT][0]) if CONTEXT in row.archives else None,
    )


def manifest(
    connection: sa.Connection, caches: Caches, rows: list[sa.Row[Any]] | None = None
) -> Manifest:
    """Build the manifest; `rows` as from `newest_runs`. An empty database has no maps."""
    found = newest_runs(connection) if rows is None else rows
    return Manifest(version=VERSION, maps=[_map(connection, caches, row) for row in found])
