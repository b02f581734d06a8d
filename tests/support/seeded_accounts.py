"""Daily accounts as dispatchers leave them in the ledger, for what shows them."""

from datetime import UTC, date, datetime, timedelta

import asyncpg

from shared.domain import utc_now

INSERT = """
INSERT INTO accounts (day, provider, read_since, read_until, verdict, theirs, ours, repaired, missing, only_ours,
                      under_way, told, owed, dead, unowed, reason, drawn_up_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $7, 0, 0, 0, $11, now())
"""


async def seed_accounts(pool: asyncpg.Pool, days_ago: int = 1) -> date:
    """Write three days: on the last one a fax of Telnyx is missing and Sinch was not read; return that day."""
    latest = (utc_now() - timedelta(days=days_ago)).date()
    for days in range(3):
        day = latest - timedelta(days=days)
        start = datetime.combine(day, datetime.min.time(), UTC)
        read = (start, start + timedelta(days=1))
        for provider in ("phaxio", "sinch", "telnyx"):
            values = (*read, "complete", 1_200, 1_200, 3, 0, 0, None)
            if (days, provider) == (0, "telnyx"):
                values = (*read, "missing", 1_201, 1_200, 3, 1, 0, None)
            if (days, provider) == (0, "sinch"):
                values = (None, None, "not_read", None, 7, None, None, None, "sinch refuses the key (401)")
            await pool.execute(INSERT, day, provider, *values)
    await pool.execute(
        "INSERT INTO listed_faxes (provider, fax_id, day, type) VALUES ('telnyx', 'lost-\x07-<b>', $1, 'fax.received')",
        latest,
    )
    return latest


MAIL = """
INSERT INTO account_mails (id, day, channel_key, state, attempts, due_at, settled_at, error)
VALUES (gen_random_uuid(), $1, left(encode(sha256(convert_to('mailto:' || $2, 'UTF8')), 'hex'), 32), $3, $4,
        now() + interval '10 minutes', CASE WHEN $3 = 'sent' THEN now() - interval '3 hours' END, $5)
"""


async def seed_mail(
    pool: asyncpg.Pool, day: date, address: str, state: str = "sent", attempts: int = 1, error: str | None = None
) -> None:
    """Write what became of the mail with the account of *day* to an address; what was sent was so three hours ago."""
    await pool.execute(MAIL, day, address, state, attempts, error)
