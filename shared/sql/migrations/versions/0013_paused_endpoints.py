"""Endpoints can be paused, named, narrowed to types of events, and send headers of their own.

Older code runs on this schema: its endpoints get the defaults. It knows no pause and attempts what it takes in; pause
once every dispatcher is of this version. What newer code parked it leaves alone, being due in the year 9999.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STATEMENTS = (
    # `catching_up`: it was resumed, disabled or removed while deliveries were parked, and some still are. Until none
    # is, what comes newly is parked behind them. `sealed_headers`: JSON, sealed under SECRETS_KEY.
    """
    ALTER TABLE endpoints
        ADD COLUMN paused         boolean NOT NULL DEFAULT false,
        ADD COLUMN catching_up    boolean NOT NULL DEFAULT false,
        ADD COLUMN types          text[] NOT NULL DEFAULT '{}',
        ADD COLUMN description    text NOT NULL DEFAULT '',
        ADD COLUMN sealed_headers bytea
    """,
    "CREATE INDEX endpoints_paused ON endpoints (id) WHERE paused AND removed_at IS NULL",
    "CREATE INDEX endpoints_catching_up ON endpoints (id) WHERE catching_up",
    # `resumed_at`: how long it waited before says nothing about its endpoint.
    "ALTER TABLE deliveries ADD COLUMN resumed_at timestamptz",
    # What is parked, in order. No other row is in it, and state and due_at are in an index already: the hot path pays
    # for neither.
    """
    CREATE INDEX deliveries_parked ON deliveries (endpoint_id, id)
    WHERE state IN ('pending', 'retrying') AND due_at = timestamptz '9999-01-01 00:00:00+00'
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
