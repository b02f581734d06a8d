"""Attempts are listed by time; those that failed apart, because they are few and what people ask for.

Older code runs on this schema as before: it neither needs nor breaks an index.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

STATEMENTS = (
    # A row of attempts is never changed, so an index costs its insert only.
    "CREATE INDEX attempts_newest ON attempts (started_at)",
    "CREATE INDEX attempts_failed ON attempts (started_at) WHERE outcome = 'not_told'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
