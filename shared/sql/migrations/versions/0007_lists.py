"""What lists of the newest faxes and events go by.

Neither column is changed once its row is written, but for the first time of a fax whose events came in another order;
so no update becomes dearer. An index of deliveries by endpoint was tried, too, and made the hot path a quarter dearer:
what asks for that walks over the newest deliveries instead.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INDEXES = (
    "CREATE INDEX faxes_newest ON faxes (first_received_at)",
    "CREATE INDEX events_newest ON events (recorded_at)",
)


def upgrade() -> None:
    for statement in INDEXES:
        op.execute(statement)


def downgrade() -> None:
    for name in ("faxes_newest", "events_newest"):
        op.execute(f"DROP INDEX {name}")
