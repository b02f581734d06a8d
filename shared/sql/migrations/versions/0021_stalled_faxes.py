"""Faxes without an ending are found by how long the ledger has known them; those that stalled are marked.

Older code runs on this schema as before: it names neither column. Of a fax that it takes in, `recorded_at` is set by
its default. An older dispatcher that takes in `fax.stalled` cannot read it and moves it to `dead.events`: replay those
once every dispatcher is of this version.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

STATEMENTS = (
    # `recorded_at`: when the ledger took in the fax's first event, by its own clock; of older faxes: this migration.
    "ALTER TABLE faxes ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT now(), ADD COLUMN stalled_at timestamptz",
    # What is looked for every minute: as small as what is under way.
    """
    CREATE INDEX faxes_unended ON faxes (provider, direction, recorded_at, fax_id)
    WHERE rank < 100 AND stalled_at IS NULL
    """,
    "CREATE INDEX faxes_stalled ON faxes (first_received_at) WHERE rank < 100 AND stalled_at IS NOT NULL",
    "CREATE INDEX faxes_stalled_lately ON faxes (stalled_at) WHERE rank < 100 AND stalled_at IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
