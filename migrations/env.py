"""Alembic environment: the URL comes from the caller, the SQL is written by hand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

from app.database import SCHEMA, make_engine

url = context.config.attributes["url"]
engine = make_engine(url)
with engine.begin() as connection:
    connection.execute(sa.text(f"create schema if not exists {SCHEMA}"))
    context.configure(connection=connection, version_table_schema=SCHEMA)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
