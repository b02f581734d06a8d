"""The ledger. Constraints are named, because a violation is recognised by its name.

Before the first release there were eight steps; a ledger that has taken all of them is at this revision.
"""

from alembic import op

revision = "0008"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    # ---- Where applications want to be told. Tokens lie sealed under SECRETS_KEY; a removed endpoint keeps its row.
    """
    CREATE TABLE endpoints (
        id              uuid PRIMARY KEY,
        scope           text NOT NULL CONSTRAINT endpoints_scope CHECK (scope IN ('global', 'number', 'fax')),
        direction       text NOT NULL CONSTRAINT endpoints_direction CHECK (direction IN ('sent', 'received', 'any')),
        url             text NOT NULL,
        failover_url    text,
        format          text NOT NULL,
        inflight        boolean NOT NULL DEFAULT false,
        overtaken       text NOT NULL DEFAULT 'skip'
                        CONSTRAINT endpoints_overtaken CHECK (overtaken IN ('skip', 'deliver')),
        enabled         boolean NOT NULL DEFAULT true,
        timeout_seconds double precision NOT NULL DEFAULT 15
                        CONSTRAINT endpoints_timeout CHECK (timeout_seconds > 0 AND timeout_seconds <= 60),
        max_concurrent  integer NOT NULL DEFAULT 8
                        CONSTRAINT endpoints_max_concurrent CHECK (max_concurrent BETWEEN 1 AND 1000),
        created_at      timestamptz NOT NULL DEFAULT now(),
        removed_at      timestamptz,
        sealed_tokens   bytea[] NOT NULL DEFAULT '{}',
        match_number    text,
        match_provider  text,
        match_fax_id    text COLLATE "C",
        match_job_id    text COLLATE "C",
        is_gone         boolean NOT NULL DEFAULT false,
        updated_at      timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT endpoints_match CHECK (CASE scope
            WHEN 'global' THEN num_nonnulls(match_number, match_provider, match_fax_id, match_job_id) = 0
            WHEN 'number' THEN match_number IS NOT NULL
                               AND num_nonnulls(match_provider, match_fax_id, match_job_id) = 0
            ELSE match_number IS NULL
                 AND (match_job_id IS NOT NULL) <> (match_provider IS NOT NULL AND match_fax_id IS NOT NULL)
        END)
    )
    """,
    """
    CREATE INDEX endpoints_of_fax ON endpoints (match_provider, match_fax_id)
    WHERE match_fax_id IS NOT NULL AND removed_at IS NULL
    """,
    "CREATE INDEX endpoints_of_job ON endpoints (match_job_id) WHERE match_job_id IS NOT NULL AND removed_at IS NULL",
    # ---- What happened: one state for each fax, one row for each event. A pruned event has no body.
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
    "CREATE INDEX faxes_of_job ON faxes (job_id) WHERE job_id IS NOT NULL",
    """
    CREATE TABLE events (
        id          text COLLATE "C" CONSTRAINT events_key PRIMARY KEY,
        provider    text NOT NULL,
        fax_id      text COLLATE "C" NOT NULL,
        type        text NOT NULL,
        occurred_at timestamptz,
        received_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT now(),
        body        bytea,
        media       jsonb
    )
    """,
    "CREATE INDEX events_of_fax ON events (provider, fax_id)",
    # ---- What is owed, and what was tried.
    # `budget_from`: the attempts made before the last replay spend none of the budget.
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
        crashes     integer NOT NULL DEFAULT 0,
        crash_place text,
        budget_from integer NOT NULL DEFAULT 0,
        replayed_at timestamptz,
        CONSTRAINT deliveries_once_per_endpoint UNIQUE (event_id, endpoint_id)
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE INDEX deliveries_to_look_at ON deliveries (greatest(due_at, lease_until))
    WHERE state IN ('pending', 'retrying')
    """,
    "CREATE INDEX deliveries_dead ON deliveries (settled_at DESC, id DESC) WHERE state = 'dead'",
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
    # ---- Replays and discards: jobs that survive the process that works on them.
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
        lease_until timestamptz NOT NULL,
        crashes     integer NOT NULL DEFAULT 0,
        crash       text
    )
    """,
    "CREATE INDEX jobs_unfinished ON jobs (lease_until) WHERE finished_at IS NULL",
    "CREATE INDEX jobs_latest ON jobs (created_at DESC)",
    "CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL",
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
    # ---- Changes by people: answers to repeated commands, and who changed what.
    """
    CREATE TABLE commands (
        id            text CONSTRAINT commands_key PRIMARY KEY,
        digest        bytea NOT NULL,
        seen_at       timestamptz NOT NULL DEFAULT now(),
        status        integer,
        sealed_answer bytea
    )
    """,
    """
    CREATE TABLE audit (
        id      bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT audit_key PRIMARY KEY,
        at      timestamptz NOT NULL DEFAULT now(),
        who     text NOT NULL,
        what    text NOT NULL,
        subject text NOT NULL,
        details jsonb NOT NULL DEFAULT '{}'
    )
    """,
    # ---- Retention: what it walks by, and documents that only pruned payloads named.
    "CREATE INDEX events_with_payload ON events (received_at) WHERE body IS NOT NULL",
    'CREATE TABLE documents_to_prune (key text COLLATE "C" CONSTRAINT documents_to_prune_key PRIMARY KEY)',
    # ---- Lists of the newest. Neither column changes once its row is written, so no update becomes dearer.
    # An index of deliveries by endpoint made the hot path a quarter dearer: such lists walk the newest deliveries.
    "CREATE INDEX faxes_newest ON faxes (first_received_at)",
    "CREATE INDEX events_newest ON events (recorded_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("there is nothing before the ledger")
