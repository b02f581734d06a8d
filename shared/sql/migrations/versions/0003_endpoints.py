"""Endpoints of every scope with encrypted tokens; commands remembered for a minute; what people changed."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    # Tokens of before were stored in the open and cannot be encrypted here, where no key is known.
    "DELETE FROM endpoints",
    "ALTER TABLE endpoints DROP COLUMN tokens, DROP COLUMN match",
    """
    ALTER TABLE endpoints
        ADD COLUMN sealed_tokens  bytea[] NOT NULL DEFAULT '{}',
        ADD COLUMN match_number   text,
        ADD COLUMN match_provider text,
        ADD COLUMN match_fax_id   text COLLATE "C",
        ADD COLUMN match_job_id   text COLLATE "C",
        ADD COLUMN is_gone        boolean NOT NULL DEFAULT false,
        ADD COLUMN updated_at     timestamptz NOT NULL DEFAULT now(),
        ADD CONSTRAINT endpoints_match CHECK (CASE scope
            WHEN 'global' THEN num_nonnulls(match_number, match_provider, match_fax_id, match_job_id) = 0
            WHEN 'number' THEN match_number IS NOT NULL
                               AND num_nonnulls(match_provider, match_fax_id, match_job_id) = 0
            ELSE match_number IS NULL
                 AND (match_job_id IS NOT NULL) <> (match_provider IS NOT NULL AND match_fax_id IS NOT NULL)
        END)
    """,
    """
    CREATE INDEX endpoints_of_fax ON endpoints (match_provider, match_fax_id)
    WHERE match_fax_id IS NOT NULL AND removed_at IS NULL
    """,
    "CREATE INDEX endpoints_of_job ON endpoints (match_job_id) WHERE match_job_id IS NOT NULL AND removed_at IS NULL",
    "CREATE INDEX faxes_of_job ON faxes (job_id) WHERE job_id IS NOT NULL",
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
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("tokens cannot be brought back into the open")
