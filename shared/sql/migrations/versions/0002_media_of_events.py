"""Where the document of an event is kept that its provider only named by URL.

Beside the event and not in its body: an event is immutable, and its body is what was received.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE events ADD COLUMN media jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE events DROP COLUMN media")
