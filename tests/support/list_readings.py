"""What the ledger says of the readings of providers' lists, and of the events that they brought."""

import asyncpg
from waiting import until

from shared.domain import Event, decode_event


async def readings(pool: asyncpg.Pool, provider: str, outcome: str = "done") -> list[asyncpg.Record]:
    sql = "SELECT * FROM list_readings WHERE provider = $1 AND outcome = $2 ORDER BY started_at"
    return await pool.fetch(sql, provider, outcome)


async def read_again(pool: asyncpg.Pool, provider: str, outcome: str = "done") -> asyncpg.Record:
    """Wait for the end of a reading that begins from now on; return it."""
    now = await pool.fetchval("SELECT now()")

    async def found() -> asyncpg.Record | None:
        return next((row for row in await readings(pool, provider, outcome) if row["started_at"] > now), None)

    return await until(found, f"a reading of {provider} that is {outcome}", 20.0)


async def ledger_events(pool: asyncpg.Pool) -> list[tuple[Event, bool]]:
    rows = await pool.fetch("SELECT body, repeated_by_list FROM events ORDER BY recorded_at, id")
    return [(decode_event(row["body"]), row["repeated_by_list"]) for row in rows]
