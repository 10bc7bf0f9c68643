"""The border: shared lines, zones, desks, checkpoints, two-sided checks, what happens now."""

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    sql = Path(__file__).parent.parent / "sql" / "0012_border.sql"
    op.get_bind().exec_driver_sql(sql.read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
