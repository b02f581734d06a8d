"""Named access tokens, where an audited change came from, and indexes for the audit's filters.

Older code runs on this schema as before: it writes no origin, and does not know the tokens, which it refuses.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = (
    # A token is random, so that its SHA-256 is enough: there is nothing to guess. Its row stays when it is revoked.
    """
    CREATE TABLE access_tokens (
        id         uuid CONSTRAINT access_tokens_key PRIMARY KEY,
        name       text NOT NULL,
        rights     text[] NOT NULL CONSTRAINT access_tokens_rights
                   CHECK (rights <@ ARRAY['read', 'documents', 'operate', 'admin'] AND cardinality(rights) > 0),
        digest     bytea NOT NULL CONSTRAINT access_tokens_digest UNIQUE,
        last_four  text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        created_by text NOT NULL,
        expires_at timestamptz,
        revoked_at timestamptz,
        used_at    timestamptz
    )
    """,
    "CREATE UNIQUE INDEX access_tokens_name ON access_tokens (name) WHERE revoked_at IS NULL",
    "ALTER TABLE audit ADD COLUMN origin text",
    # The audit is read by time, newest first, all of it or by one of its columns.
    "CREATE INDEX audit_newest ON audit (at, id)",
    "CREATE INDEX audit_of_who ON audit (who, at, id)",
    "CREATE INDEX audit_of_what ON audit (what, at, id)",
    "CREATE INDEX audit_of_subject ON audit (subject, at, id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: older code runs on this schema")
