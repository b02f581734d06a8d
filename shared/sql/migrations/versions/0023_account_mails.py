"""Mails with the daily account: which were asked for, and what became of each.

Older code runs on this schema as before: it neither reads nor writes the table.
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # `channel_key` is a digest of the URL, as in `alert_messages`.
    op.execute(
        """
        CREATE TABLE account_mails (
            id          uuid CONSTRAINT account_mails_key PRIMARY KEY,
            day         date NOT NULL,
            channel_key text NOT NULL,
            state       text NOT NULL DEFAULT 'pending'
                        CONSTRAINT account_mails_state CHECK (state IN ('pending', 'sent', 'failed')),
            attempts    integer NOT NULL DEFAULT 0,
            created_at  timestamptz NOT NULL DEFAULT now(),
            due_at      timestamptz NOT NULL DEFAULT now(),
            settled_at  timestamptz,
            CONSTRAINT account_mails_once UNIQUE (day, channel_key)
        )
        """
    )


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
