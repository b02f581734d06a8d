"""Jobs whose code fails: counted, so that they are given up, and with the place, so that somebody can mend it."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN crashes integer NOT NULL DEFAULT 0, ADD COLUMN crash text")
    # What retention walks by.
    op.execute("CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX jobs_finished")
    op.execute("ALTER TABLE jobs DROP COLUMN crashes, DROP COLUMN crash")
