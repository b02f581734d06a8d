"""The ledger: endpoints, faxes, events, deliveries, attempts.

No foreign keys on the hot path: rows that belong together are written by one transaction, and a check for each row is
paid on every event. Ids that decide ties are compared as bytes (`COLLATE "C"`), as Python compares them.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE endpoints (
        id              uuid PRIMARY KEY,
        scope           text NOT NULL CONSTRAINT endpoints_scope CHECK (scope IN ('global', 'number', 'fax')),
        direction       text NOT NULL CONSTRAINT endpoints_direction CHECK (direction IN ('sent', 'received', 'any')),
        match           jsonb,
        url             text NOT NULL,
        failover_url    text,
        format          text NOT NULL,
        tokens          text[] NOT NULL DEFAULT '{}',
        inflight        boolean NOT NULL DEFAULT false,
        overtaken       text NOT NULL DEFAULT 'skip'
                        CONSTRAINT endpoints_overtaken CHECK (overtaken IN ('skip', 'deliver')),
        enabled         boolean NOT NULL DEFAULT true,
        timeout_seconds double precision NOT NULL DEFAULT 15
                        CONSTRAINT endpoints_timeout CHECK (timeout_seconds > 0 AND timeout_seconds <= 60),
        max_concurrent  integer NOT NULL DEFAULT 8
                        CONSTRAINT endpoints_max_concurrent CHECK (max_concurrent BETWEEN 1 AND 1000),
        created_at      timestamptz NOT NULL DEFAULT now(),
        removed_at      timestamptz
    )
    """,
    """
    CREATE TABLE faxes (
        provider          text NOT NULL,
        fax_id            text COLLATE "C" NOT NULL,
        direction         text COLLATE "C" NOT NULL,
        state             text NOT NULL,
        rank              smallint NOT NULL,
        occurred_at       timestamptz,
        type_order        smallint NOT NULL,
        event_id          text COLLATE "C" NOT NULL,
        endings           integer NOT NULL,
        conflicting       boolean NOT NULL GENERATED ALWAYS AS ((endings & (endings - 1)) <> 0) STORED,
        from_number       text COLLATE "C",
        to_number         text COLLATE "C",
        job_id            text COLLATE "C",
        pages             integer,
        first_received_at timestamptz NOT NULL,
        last_received_at  timestamptz NOT NULL,
        CONSTRAINT faxes_key PRIMARY KEY (provider, fax_id)
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE TABLE events (
        id          text COLLATE "C" CONSTRAINT events_key PRIMARY KEY,
        provider    text NOT NULL,
        fax_id      text COLLATE "C" NOT NULL,
        type        text NOT NULL,
        occurred_at timestamptz,
        received_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT now(),
        body        bytea
    )
    """,
    "CREATE INDEX events_of_fax ON events (provider, fax_id)",
    """
    CREATE TABLE deliveries (
        id          uuid CONSTRAINT deliveries_key PRIMARY KEY,
        event_id    text COLLATE "C" NOT NULL,
        endpoint_id uuid NOT NULL,
        state       text NOT NULL
                    CONSTRAINT deliveries_state CHECK (state IN ('pending', 'retrying', 'told', 'dead', 'skipped')),
        reason      text,
        attempts    integer NOT NULL DEFAULT 0,
        due_at      timestamptz NOT NULL DEFAULT now(),
        lease_until timestamptz,
        sweeps      integer NOT NULL DEFAULT 0,
        created_at  timestamptz NOT NULL DEFAULT now(),
        settled_at  timestamptz,
        CONSTRAINT deliveries_once_per_endpoint UNIQUE (event_id, endpoint_id)
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE INDEX deliveries_to_look_at ON deliveries (greatest(due_at, lease_until))
    WHERE state IN ('pending', 'retrying')
    """,
    """
    CREATE TABLE attempts (
        delivery_id uuid NOT NULL,
        number      integer NOT NULL,
        started_at  timestamptz NOT NULL,
        seconds     double precision NOT NULL,
        outcome     text NOT NULL,
        url         text,
        http_status integer,
        error       text,
        answer      bytea,
        CONSTRAINT attempts_key PRIMARY KEY (delivery_id, number)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("attempts", "deliveries", "events", "faxes", "endpoints"):
        op.execute(f"DROP TABLE {table}")
