"""Why a mail with the daily account could not be sent, for the console.

Older code runs on this schema as before: it neither reads nor writes the column.
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE account_mails ADD COLUMN error text")


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
