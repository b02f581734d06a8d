"""What lists of the newest, of one endpoint and of what is dead go by.

None of these columns is changed once its row is written, but for the first time of a fax whose events came in another
order; so none of them makes an update dearer that was cheap before.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INDEXES = (
    "CREATE INDEX faxes_newest ON faxes (first_received_at)",
    "CREATE INDEX events_newest ON events (recorded_at)",
    "CREATE INDEX deliveries_of_endpoint ON deliveries (endpoint_id, id)",
    "CREATE INDEX deliveries_dead_of_endpoint ON deliveries (endpoint_id, id) WHERE state = 'dead'",
)


def upgrade() -> None:
    for statement in INDEXES:
        op.execute(statement)


def downgrade() -> None:
    for name in ("faxes_newest", "events_newest", "deliveries_of_endpoint", "deliveries_dead_of_endpoint"):
        op.execute(f"DROP INDEX {name}")
