"""The daily account of each provider, and what it is drawn up from: the faxes that the lists named.

Older code runs on this schema as before: it names neither table. A list that an older dispatcher reads leaves its day
without an account until a newer one reads it, within RECONCILE_WINDOW.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

STATEMENTS = (
    # `day`: when the fax was created, by the provider's clock, in UTC. `type`: of its ending; NULL while it is under
    # way. `event_id`: the id under which the list tells it. `noted_at`: when its ending was on the list first.
    """
    CREATE TABLE listed_faxes (
        provider    text NOT NULL,
        fax_id      text COLLATE "C" NOT NULL,
        day         date NOT NULL,
        type        text,
        event_id    text COLLATE "C",
        is_readable boolean NOT NULL DEFAULT true,
        noted_at    timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT listed_faxes_key PRIMARY KEY (provider, fax_id)
    )
    """,
    "CREATE INDEX listed_faxes_of_day ON listed_faxes (provider, day, fax_id)",
    # `read_since`, `read_until`: the part of the day whose faxes the list gave. Counts that are not known are NULL.
    # `drawn_up_at` is NULL while the list was only read.
    """
    CREATE TABLE accounts (
        day         date NOT NULL,
        provider    text NOT NULL,
        read_since  timestamptz,
        read_until  timestamptz,
        verdict     text NOT NULL DEFAULT 'not_read',
        theirs      integer,
        ours        integer NOT NULL DEFAULT 0,
        repaired    integer,
        missing     integer,
        only_ours   integer,
        under_way   integer,
        told        integer NOT NULL DEFAULT 0,
        owed        integer NOT NULL DEFAULT 0,
        dead        integer NOT NULL DEFAULT 0,
        unowed      integer NOT NULL DEFAULT 0,
        reason      text,
        drawn_up_at timestamptz,
        mailed_at   timestamptz,
        CONSTRAINT accounts_key PRIMARY KEY (day, provider)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
