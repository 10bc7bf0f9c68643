"""The schema can be made, and every table and column says what it holds."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from app.cluster import Cluster
from app.database import migrate, newest_revision, open_engine, schema_revision
from app.errors import Unavailable
from app.settings import DatabaseSettings, Settings


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


def test_a_command_refuses_a_foreign_schema_it_does_not_fit(cluster: Cluster) -> None:
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql("create database bare_schema")
    settings = Settings(database=DatabaseSettings(url=cluster.url("bare_schema")))
    try:
        with pytest.raises(Unavailable, match="wusetu db migrate"):
            open_engine(settings)
        migrate(cluster.url("bare_schema"))
        engine = open_engine(settings)
        assert schema_revision(engine) == newest_revision()
        engine.dispose()
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql("drop database bare_schema with (force)")
        admin.dispose()
