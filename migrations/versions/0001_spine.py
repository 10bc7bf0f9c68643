"""Tables of the spine: boundaries, events, exposures, runs, tiles."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    sql = Path(__file__).parent.parent / "sql"
    for name in ("0001_spine.sql", "0001_tiles.sql"):
        op.get_bind().exec_driver_sql((sql / name).read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
