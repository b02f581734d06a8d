"""What providers' lists told: of each fax and event, and what became of each reading of a list.

Older code runs on this schema as before: it takes in an event of a list like any other, without noting where it came
from, and does not read the lists.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

STATEMENTS = (
    # The endings that a list told, as bits like `endings`; and the events that repeat one of them under another id.
    "ALTER TABLE faxes ADD COLUMN listed integer NOT NULL DEFAULT 0",
    "ALTER TABLE events ADD COLUMN repeated_by_list boolean NOT NULL DEFAULT false",
    # One row for each reading. `since`, `until`: when the faxes of it were created, by the provider's clock.
    """
    CREATE TABLE list_readings (
        id               uuid CONSTRAINT list_readings_key PRIMARY KEY,
        provider         text NOT NULL,
        is_standing      boolean NOT NULL,
        since            timestamptz NOT NULL,
        until            timestamptz NOT NULL,
        started_at       timestamptz NOT NULL DEFAULT now(),
        progressed_at    timestamptz NOT NULL DEFAULT now(),
        finished_at      timestamptz,
        page_since       timestamptz,
        page             integer NOT NULL DEFAULT 0,
        seen             integer NOT NULL DEFAULT 0,
        under_way        integer NOT NULL DEFAULT 0,
        early            integer NOT NULL DEFAULT 0,
        known            integer NOT NULL DEFAULT 0,
        missing          integer NOT NULL DEFAULT 0,
        postponed        integer NOT NULL DEFAULT 0,
        without_document integer NOT NULL DEFAULT 0,
        unreadable       integer NOT NULL DEFAULT 0,
        outcome          text NOT NULL DEFAULT 'running' CONSTRAINT list_readings_outcome
                         CHECK (outcome IN ('running', 'done', 'partly', 'failed', 'interrupted')),
        reason           text,
        not_before       timestamptz
    )
    """,
    "CREATE INDEX list_readings_newest ON list_readings (provider, started_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
