"""Where retention looks for what is old, and documents that events named whose payloads are gone.

The index holds events with a payload only, so it does not grow with the years. Its new entries come in the order of
time, beside each other: a few microseconds for each event, however many there are.
"""

from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    "CREATE INDEX events_with_payload ON events (received_at) WHERE body IS NOT NULL",
    'CREATE TABLE documents_to_prune (key text COLLATE "C" CONSTRAINT documents_to_prune_key PRIMARY KEY)',
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE documents_to_prune")
    op.execute("DROP INDEX events_with_payload")
