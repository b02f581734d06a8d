"""Alerts for the operator: one row for each matter, its history, and the messages that are to be sent of it.

Older code runs on this schema as before: it knows none of these tables, and raises and sends nothing.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

STATEMENTS = (
    # One row for each matter, which may open and resolve many times; `opening` says which time this is. `told_*`: the
    # last message of it, whatever became of that.
    """
    CREATE TABLE alerts (
        id           uuid CONSTRAINT alerts_key PRIMARY KEY,
        kind         text NOT NULL,
        subject      text NOT NULL,
        what         text NOT NULL,
        count        bigint NOT NULL,
        details      jsonb NOT NULL DEFAULT '{}',
        opening      uuid NOT NULL,
        opened_at    timestamptz NOT NULL DEFAULT now(),
        last_at      timestamptz NOT NULL DEFAULT now(),
        resolved_at  timestamptz,
        told_at      timestamptz,
        told_as      text CONSTRAINT alerts_told_as CHECK (told_as IN ('raised', 'again', 'reminder', 'resolved')),
        told_opening uuid,
        told_count   bigint NOT NULL DEFAULT 0,
        CONSTRAINT alerts_once_per_matter UNIQUE (kind, subject)
    )
    """,
    "CREATE INDEX alerts_newest ON alerts (opened_at, id)",
    """
    CREATE TABLE alert_history (
        id       bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT alert_history_key PRIMARY KEY,
        alert_id uuid NOT NULL CONSTRAINT alert_history_alert REFERENCES alerts ON DELETE CASCADE,
        at       timestamptz NOT NULL DEFAULT now(),
        what     text NOT NULL CONSTRAINT alert_history_what CHECK (what IN ('raised', 'sent', 'failed', 'resolved')),
        channel  text,
        note     text
    )
    """,
    "CREATE INDEX alert_history_of_alert ON alert_history (alert_id, id)",
    # One row for each message and channel. `channel` is shown; `channel_key` is a digest of the URL, which may hold a
    # secret and is in no table. `body`: what the message says, as it was when it became due.
    """
    CREATE TABLE alert_messages (
        id          uuid CONSTRAINT alert_messages_key PRIMARY KEY,
        alert_id    uuid NOT NULL CONSTRAINT alert_messages_alert REFERENCES alerts ON DELETE CASCADE,
        channel     text NOT NULL,
        channel_key text NOT NULL,
        body        jsonb NOT NULL,
        state       text NOT NULL DEFAULT 'pending'
                    CONSTRAINT alert_messages_state CHECK (state IN ('pending', 'sent', 'failed')),
        attempts    integer NOT NULL DEFAULT 0,
        created_at  timestamptz NOT NULL DEFAULT now(),
        due_at      timestamptz NOT NULL DEFAULT now(),
        settled_at  timestamptz
    )
    """,
    "CREATE INDEX alert_messages_of_alert ON alert_messages (alert_id)",
    "CREATE INDEX alert_messages_pending ON alert_messages (due_at) WHERE state = 'pending'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
