"""Finding units by name or code.

Names are matched anywhere, in Chinese and in English, through trigram indexes where the phrase has
at least three characters; codes in any zero-filled form, exactly or as a prefix.
"""

from __future__ import annotations

import re

import sqlalchemy as sa

from app.api.models import SearchAnswer, SearchHit
from app.services.caches import Caches
from app.services.units import box_of, places, unit_table, version_of_pack

QUERY = """
select id from (
  select id, level,
    case
      when code = :code then 0
      when lower(name) = lower(:phrase) or lower(name_en) = lower(:phrase) then 1
      when name ilike :start or name_en ilike :start then 2
      when code like :code_start then 3
      else 4
    end as place,
    least(length(name), coalesce(length(name_en), 1000)) as length
  from unit
  where boundary_version_id = :version
    and (name ilike :any or name_en ilike :any or code like :code_start)
) as found
order by place, array_position(cast(:levels as text[]), level), length, id
limit :limit
"""


def _like(phrase: str) -> str:
    """Escape what LIKE would read as a wildcard."""
    return re.sub(r"([\\%_])", r"\\\1", phrase)


def search(
    connection: sa.Connection, caches: Caches, pack: str, phrase: str, limit: int = 20
) -> SearchAnswer:
    """Units whose name contains the phrase or whose code begins with it, best first.

    Order: the very code, the very name, names that begin with the phrase, codes that begin with
    it, other names; coarse levels before fine ones, short names before long ones.

    Raises
    ------
    NotFound
        There is no such pack.
    """
    wanted = phrase.strip()
    table = unit_table(connection, caches, version_of_pack(connection, pack))
    if not wanted:
        return SearchAnswer(query=phrase, hits=[])
    code = table.canonical(wanted) or wanted
    # a full code without its zero fill is as much a prefix as what was typed
    digits = wanted if wanted.isdigit() and len(wanted) < len(code) else code
    rows = connection.execute(
        sa.text(QUERY),
        {
            "version": table.version_id,
            "phrase": wanted,
            "any": f"%{_like(wanted)}%",
            "start": f"{_like(wanted)}%",
            "code": code,
            "code_start": f"{_like(digits)}%",
            "levels": list(table.levels),
            "limit": limit,
        },
    )
    ids = [row.id for row in rows]
    place = places(connection, table.version_id, ids)
    return SearchAnswer(
        query=phrase,
        hits=[
            SearchHit(
                unit=table.brief(one),
                path=" · ".join(table.names[above - 1] for above in table.path(one)),
                bounds=box_of(connection, table.version_id, place[one]),
            )
            for one in ids
        ],
    )
