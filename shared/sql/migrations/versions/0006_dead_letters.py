"""Replays: a new budget for what was dead, and jobs that survive whoever works on them."""

from alembic import op

revision = "0006"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    # The attempts made before the last replay spend none of the budget, and the time before it none of the table's.
    "ALTER TABLE deliveries ADD COLUMN budget_from integer NOT NULL DEFAULT 0, ADD COLUMN replayed_at timestamptz",
    "CREATE INDEX deliveries_dead ON deliveries (settled_at DESC, id DESC) WHERE state = 'dead'",
    """
    CREATE TABLE jobs (
        id          uuid CONSTRAINT jobs_key PRIMARY KEY,
        what        text NOT NULL CONSTRAINT jobs_what CHECK (what IN ('dead.replay', 'dead.discard')),
        who         text NOT NULL,
        reason      text,
        selection   jsonb NOT NULL,
        created_at  timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz,
        holder      uuid,
        lease_until timestamptz NOT NULL
    )
    """,
    "CREATE INDEX jobs_unfinished ON jobs (lease_until) WHERE finished_at IS NULL",
    "CREATE INDEX jobs_latest ON jobs (created_at DESC)",
    """
    CREATE TABLE job_items (
        job_id      uuid NOT NULL,
        letter_id   text COLLATE "C" NOT NULL,
        kind        text NOT NULL,
        delivery_id uuid,
        state       text NOT NULL CONSTRAINT job_items_state CHECK (state IN
                    ('waiting', 'moved', 'done', 'told', 'gone', 'taken', 'endpoint', 'failed')),
        reason      text,
        CONSTRAINT job_items_key PRIMARY KEY (job_id, letter_id)
    )
    """,
    "CREATE INDEX job_items_of_letter ON job_items (letter_id)",
    "CREATE INDEX job_items_left ON job_items (job_id, letter_id) WHERE state IN ('waiting', 'moved')",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE job_items, jobs")
    op.execute("DROP INDEX deliveries_dead")
    op.execute("ALTER TABLE deliveries DROP COLUMN budget_from, DROP COLUMN replayed_at")
