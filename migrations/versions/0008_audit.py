"""Audit: who asked what, only ever added to, chained by hash."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    sql = Path(__file__).parent.parent / "sql" / "0008_audit.sql"
    op.get_bind().exec_driver_sql(sql.read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
