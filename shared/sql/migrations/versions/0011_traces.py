"""An event keeps the trace context that its callback came with, so that a retry of any process goes on with its trace.

Older code runs on this schema as before: it leaves the column empty, and an attempt at such an event begins a trace. A
payload that an older dispatcher prunes leaves its trace context behind, some 70 bytes.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE events ADD COLUMN trace text")


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
