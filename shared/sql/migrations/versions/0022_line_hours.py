"""How many five-minute slots of each hour had a fax, by provider and by our numbers: what silence is learnt from.

Older code runs on this schema as before: it neither reads nor writes the table.
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # `direction` is `any`, and `number` empty, for all of a provider.
    op.execute(
        """
        CREATE TABLE line_hours (
            provider  text NOT NULL,
            direction text NOT NULL,
            number    text COLLATE "C" NOT NULL,
            hour      timestamptz NOT NULL,
            slots     smallint NOT NULL,
            last_at   timestamptz NOT NULL,
            CONSTRAINT line_hours_key PRIMARY KEY (provider, direction, number, hour)
        )
        """
    )
    op.execute("CREATE INDEX line_hours_of_hour ON line_hours (hour)")


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
