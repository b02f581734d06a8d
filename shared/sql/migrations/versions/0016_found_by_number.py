"""Faxes are found by the digits of their numbers, and those that failed by time; failing deliveries in order.

Older code runs on this schema as before: it neither needs nor breaks an index.
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

STATEMENTS = (
    # The last digit first: a number and its last digits are both a range. Numbers do not change once they are known.
    """
    CREATE INDEX faxes_to_number ON faxes (reverse(regexp_replace(to_number, '[^0-9]', '', 'g')), first_received_at)
    WHERE to_number IS NOT NULL
    """,
    """
    CREATE INDEX faxes_from_number ON faxes (reverse(regexp_replace(from_number, '[^0-9]', '', 'g')), first_received_at)
    WHERE from_number IS NOT NULL
    """,
    # What failed is little, and what people ask for.
    """
    CREATE INDEX faxes_failed ON faxes (first_received_at)
    WHERE state IN ('fax.failed', 'fax.partially_delivered', 'fax.receive_failed')
    """,
    # Their ids are version 7: the time comes first. A delivery enters when its first attempt failed.
    "CREATE INDEX deliveries_failing ON deliveries (id) WHERE state IN ('retrying', 'dead')",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
