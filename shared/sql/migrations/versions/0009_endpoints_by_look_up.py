"""Endpoints are looked up for each batch of events, and listed by filter: an index for each of both.

Older code runs on this schema as before: it neither needs nor breaks an index. Jobs of the new kind are begun by newer
code only; an older dispatcher that takes one over changes no delivery and counts the rest as gone: begin it again.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS = (
    # What routing asks for, beside the endpoints of a fax or a job, which have their indexes. By id, as pages go.
    """
    CREATE INDEX endpoints_of_number ON endpoints (match_number, id)
    WHERE match_number IS NOT NULL AND removed_at IS NULL
    """,
    "CREATE INDEX endpoints_of_scope ON endpoints (scope, id) WHERE removed_at IS NULL",
    # What lists ask for. Removed endpoints stay in the table and would be walked over.
    "CREATE INDEX endpoints_by_id ON endpoints (id) WHERE removed_at IS NULL",
    "CREATE INDEX endpoints_enabled ON endpoints (enabled, id) WHERE removed_at IS NULL",
    # What was not owed while an endpoint was off. Only such rows are in it: the hot path writes none.
    """
    CREATE INDEX deliveries_not_owed ON deliveries (endpoint_id, created_at)
    WHERE state = 'skipped' AND reason = 'endpoint_disabled'
    """,
    "ALTER TABLE jobs DROP CONSTRAINT jobs_what",
    """
    ALTER TABLE jobs ADD CONSTRAINT jobs_what
    CHECK (what IN ('dead.replay', 'dead.discard', 'endpoint.recover'))
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
