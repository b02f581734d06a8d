"""The dead letters of a removed endpoint can be sent to a successor.

Older code runs on this schema as before. A replay to a successor that an older dispatcher takes over moves nothing
more: the endpoints of its letters are removed, so it leaves the letters dead and counts them; begin it again.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE job_items DROP CONSTRAINT job_items_state",
    # `unremoved`: no dead delivery of a removed endpoint. `unfit`: not for the successor.
    """
    ALTER TABLE job_items ADD CONSTRAINT job_items_state CHECK (state IN
    ('waiting', 'moved', 'done', 'told', 'gone', 'taken', 'endpoint', 'failed', 'owed', 'overtaken', 'unsaid',
     'unremoved', 'unfit'))
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
