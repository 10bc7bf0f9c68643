"""The schema can be made, and every table and column says what it holds."""

from __future__ import annotations

import sqlalchemy as sa


def test_every_table_is_commented(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        bare = connection.execute(
            sa.text(
                "select relname from pg_class c join pg_namespace n on n.oid = relnamespace "
                "where nspname = 'wusetu' and relkind = 'r' and relname <> 'alembic_version' "
                "and obj_description(c.oid) is null"
            )
        ).all()
    assert bare == []
