"""What is needed to show the request of an attempt as it was sent.

Older code runs on this schema as before: it does not name the column. Of its attempts no request is shown.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE attempts ADD COLUMN sent text")


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
