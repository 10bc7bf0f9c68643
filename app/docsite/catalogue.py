"""Tables, views and functions of a migrated database, with their comments.

Reads the catalogue of PostgreSQL; what belongs to an extension (PostGIS) or is a partition of
another table is left out.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from app.database import SCHEMA, migrate


@dataclass(frozen=True)
class Relation:
    """A table or view: name, kind (`r p v m`), comment, columns as name, type, comment."""

    name: str
    kind: str
    comment: str | None
    secured: bool
    columns: tuple[tuple[str, str, str | None], ...]


@dataclass(frozen=True)
class Catalogue:
    """Everything of our own; functions as name, arguments, what they give, comment."""

    relations: tuple[Relation, ...]
    functions: tuple[tuple[str, str, str, str | None], ...]


_OURS = "not exists (select from pg_depend d where d.objid = {0}.oid and d.deptype = 'e')"
_RELATIONS = f"""
select c.oid::int, c.relname, c.relkind::text, obj_description(c.oid, 'pg_class'), c.relrowsecurity
  from pg_class c
 where c.relnamespace = '{SCHEMA}'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
   and not c.relispartition and c.relname <> 'alembic_version' and {_OURS.format("c")}
 order by c.relname collate "C"
"""  # noqa: S608 - nothing in it comes from outside
_COLUMNS = """
select a.attname, format_type(a.atttypid, a.atttypmod), col_description(a.attrelid, a.attnum)
  from pg_attribute a
 where a.attrelid = :oid and a.attnum > 0 and not a.attisdropped order by a.attnum
"""
_FUNCTIONS = f"""
select p.proname, pg_get_function_identity_arguments(p.oid), pg_get_function_result(p.oid),
       obj_description(p.oid, 'pg_proc')
  from pg_proc p
 where p.pronamespace = '{SCHEMA}'::regnamespace and p.prokind in ('f', 'p') and {_OURS.format("p")}
 order by p.proname collate "C", 2
"""  # noqa: S608 - nothing in it comes from outside


def read(connection: sa.Connection) -> Catalogue:
    """Read what is there."""
    relations = []
    for oid, name, kind, comment, secured in connection.execute(sa.text(_RELATIONS)).all():
        columns = connection.execute(sa.text(_COLUMNS), {"oid": oid}).all()
        told = tuple((str(one), str(of), text) for one, of, text in columns)
        relations.append(Relation(name, kind, comment, secured, told))
    functions = connection.execute(sa.text(_FUNCTIONS)).all()
    return Catalogue(tuple(relations), tuple((a, b, c, d) for a, b, c, d in functions))


@contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """URL of a migrated database without rows on the server of another; dropped afterwards."""
    name = f"wusetu_docs_{uuid.uuid4().hex[:8]}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    made = sa.make_url(url).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name}")
        try:
            migrate(made)
            yield made
        finally:
            connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()
