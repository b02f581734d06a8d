"""How often a delivery broke our own code, and where: kept durably, so that it is given up on after a few tries."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE deliveries ADD COLUMN crashes integer NOT NULL DEFAULT 0, ADD COLUMN crash_place text")


def downgrade() -> None:
    op.execute("ALTER TABLE deliveries DROP COLUMN crashes, DROP COLUMN crash_place")
