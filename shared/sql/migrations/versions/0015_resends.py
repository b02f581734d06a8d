"""What was told is sent again when a person asks; what people decided on a delivery stands beside it.

Older code runs on this schema as before: it names none of this. A resend that an older dispatcher takes over is given
up by it, and changes nothing; begin it again. An overtaken event that is resent on purpose is skipped by an older
dispatcher. An older dispatcher that prunes an event leaves its decisions behind.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

STATEMENTS = (
    # `tells_overtaken`: it is told although its fax is further by now. `resent_from`: attempts up to this number were
    # made before it was sent again after it had been told; a record of one of them that comes late changes nothing.
    """
    ALTER TABLE deliveries
    ADD COLUMN tells_overtaken boolean NOT NULL DEFAULT false,
    ADD COLUMN resent_from integer
    """,
    """
    CREATE TABLE decisions (
        delivery_id uuid NOT NULL,
        at          timestamptz NOT NULL DEFAULT now(),
        job_id      uuid NOT NULL,
        what        text NOT NULL CONSTRAINT decisions_what CHECK (what IN
                    ('dead.replay', 'dead.discard', 'endpoint.recover', 'delivery.resend')),
        who         text NOT NULL,
        reason      text,
        was         text NOT NULL,
        attempts    integer NOT NULL,
        CONSTRAINT decisions_key PRIMARY KEY (delivery_id, job_id)
    )
    """,
    # What an endpoint is to be told from before it existed: its delivery is not written before it is owed.
    'ALTER TABLE job_items ADD COLUMN event_id text COLLATE "C"',
    "CREATE INDEX job_items_of_event ON job_items (event_id) WHERE event_id IS NOT NULL",
    "ALTER TABLE jobs DROP CONSTRAINT jobs_what",
    """
    ALTER TABLE jobs ADD CONSTRAINT jobs_what
    CHECK (what IN ('dead.replay', 'dead.discard', 'endpoint.recover', 'delivery.resend'))
    """,
    "ALTER TABLE job_items DROP CONSTRAINT job_items_state",
    """
    ALTER TABLE job_items ADD CONSTRAINT job_items_state CHECK (state IN
    ('waiting', 'moved', 'done', 'told', 'gone', 'taken', 'endpoint', 'failed', 'owed', 'overtaken', 'unsaid'))
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
