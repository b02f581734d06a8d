"""Endpoints in the ledger: rows to structs and back, tokens sealed on the way in and opened on the way out."""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from dispatcher.ledger.pool import Pool
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from shared.domain import Direction, Event, Provider
from shared.seal import Seal

COLUMNS: Final = """
endpoints.id AS endpoint_id, endpoints.scope, endpoints.direction, endpoints.match_number, endpoints.match_provider,
endpoints.match_fax_id, endpoints.match_job_id, endpoints.url, endpoints.failover_url, endpoints.format,
endpoints.sealed_tokens, endpoints.inflight, endpoints.overtaken, endpoints.enabled, endpoints.timeout_seconds,
endpoints.max_concurrent, endpoints.removed_at, endpoints.is_gone
"""
"""What `from_row` reads; for other statements that join endpoints, too."""

_SELECT: Final = f"SELECT {COLUMNS} FROM endpoints WHERE removed_at IS NULL"  # noqa: S608 - a constant

CACHED: Final = f"{_SELECT} AND scope <> 'fax' ORDER BY created_at, id"
ALL: Final = f"{_SELECT} ORDER BY created_at, id"
ONE: Final = f"{_SELECT} AND id = $1"
OF_FAXES: Final = f"""
{_SELECT} AND scope = 'fax'
AND ((match_provider, match_fax_id) IN (SELECT * FROM unnest($1::text[], $2::text[])) OR match_job_id = ANY($3::text[]))
ORDER BY created_at, id
"""  # noqa: S608 - a constant
LATEST_OF_FAXES: Final = f"{_SELECT} AND scope = 'fax' ORDER BY id DESC LIMIT $1"
PAGE: Final = f"{_SELECT} AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2"

INSERT: Final = """
INSERT INTO endpoints (id, scope, direction, match_number, match_provider, match_fax_id, match_job_id, url,
                       failover_url, format, sealed_tokens, inflight, overtaken, enabled, timeout_seconds,
                       max_concurrent)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""
UPDATE: Final = """
UPDATE endpoints SET scope = $2, direction = $3, match_number = $4, match_provider = $5, match_fax_id = $6,
                     match_job_id = $7, url = $8, failover_url = $9, format = $10, sealed_tokens = $11, inflight = $12,
                     overtaken = $13, enabled = $14, timeout_seconds = $15, max_concurrent = $16, updated_at = now(),
                     is_gone = is_gone AND NOT $14
WHERE id = $1 AND removed_at IS NULL
"""
REMOVE: Final = "UPDATE endpoints SET removed_at = now(), updated_at = now() WHERE id = $1 AND removed_at IS NULL"
GONE: Final = "UPDATE endpoints SET enabled = false, is_gone = true, updated_at = now() WHERE id = $1 AND enabled"


class EndpointStore:
    """Reads and writes endpoints. Writers pass the connection of their transaction."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    async def cached(self, pool: Pool) -> list[Endpoint]:
        """Return the endpoints of scopes global and number, the oldest first: what every process caches."""
        return [self.from_row(row) for row in await pool.fetch(CACHED)]

    async def everything(self, pool: Pool) -> list[Endpoint]:
        """Return every endpoint, the oldest first."""
        return [self.from_row(row) for row in await pool.fetch(ALL)]

    async def latest_of_faxes(self, connection: Any, most: int) -> list[Endpoint]:
        """Return at most *most* endpoints of single faxes, the newest first."""
        return [self.from_row(row) for row in await connection.fetch(LATEST_OF_FAXES, most)]

    async def page(self, connection: Any, after: UUID | None, most: int) -> list[Endpoint]:
        """Return at most *most* endpoints in the order of their ids, those after *after*."""
        return [self.from_row(row) for row in await connection.fetch(PAGE, after, most)]

    async def get(self, connection: Any, endpoint_id: UUID, *, lock: bool = False) -> Endpoint | None:
        """Return one endpoint; None if it does not exist or is removed."""
        row = await connection.fetchrow(f"{ONE} FOR UPDATE" if lock else ONE, endpoint_id)
        return None if row is None else self.from_row(row)

    async def of_faxes(self, connection: Any, events: Iterable[Event]) -> list[Endpoint]:
        """Return the endpoints of scope `fax` that could apply to *events*."""
        sent = [event for event in events if event.direction is Direction.SENT]
        if not sent:
            return []
        job_ids = list({event.job_id for event in sent if event.job_id is not None})
        faxes = {(event.provider, event.fax_id) for event in sent}
        rows = await connection.fetch(OF_FAXES, [each[0] for each in faxes], [each[1] for each in faxes], job_ids)
        return [self.from_row(row) for row in rows]

    async def insert(self, connection: Any, endpoint: Endpoint) -> None:
        """Write a new endpoint."""
        await connection.execute(INSERT, *self._values(endpoint))

    async def update(self, connection: Any, endpoint: Endpoint) -> None:
        """Replace an endpoint's fields."""
        await connection.execute(UPDATE, *self._values(endpoint))

    async def remove(self, connection: Any, endpoint_id: UUID) -> bool:
        """Remove an endpoint; its history stays. False if it does not exist."""
        return str(await connection.execute(REMOVE, endpoint_id)).endswith(" 1")

    async def gone(self, connection: Any, endpoint_id: UUID) -> bool:
        """Switch an endpoint off that answered 410; False if it was off already. Enabling it forgets the 410."""
        return str(await connection.execute(GONE, endpoint_id)).endswith(" 1")

    def from_row(self, row: Any) -> Endpoint:
        """Return the endpoint of a row with `COLUMNS`."""
        return endpoint_of(row, tuple(self._seal.open(sealed) for sealed in row["sealed_tokens"]))

    def _values(self, endpoint: Endpoint) -> Sequence[Any]:
        fax = endpoint.match if isinstance(endpoint.match, FaxMatch) else FaxMatch()
        return (
            endpoint.id,
            endpoint.scope,
            endpoint.direction,
            endpoint.match if isinstance(endpoint.match, str) else None,
            fax.provider,
            fax.fax_id,
            fax.job_id,
            endpoint.url,
            endpoint.failover_url,
            endpoint.format,
            [self._seal.seal(token) for token in endpoint.tokens],
            endpoint.inflight,
            endpoint.overtaken,
            endpoint.enabled,
            endpoint.timeout_seconds,
            endpoint.max_concurrent,
        )


def endpoint_of(row: Any, tokens: tuple[str, ...] = ()) -> Endpoint:
    """Return the endpoint of a row with `COLUMNS`, its tokens left sealed unless they are given."""
    return Endpoint(
        id=row["endpoint_id"],
        scope=row["scope"],
        direction=row["direction"],
        match=_match(row),
        url=row["url"],
        failover_url=row["failover_url"],
        format=row["format"],
        tokens=tokens,
        inflight=row["inflight"],
        overtaken=row["overtaken"],
        enabled=row["enabled"],
        timeout_seconds=row["timeout_seconds"],
        max_concurrent=row["max_concurrent"],
    )


def _match(row: Any) -> str | FaxMatch | None:
    if row["match_number"] is not None:
        return str(row["match_number"])
    if row["match_job_id"] is not None:
        return FaxMatch(job_id=row["match_job_id"])
    if row["match_fax_id"] is not None:
        return FaxMatch(provider=Provider(row["match_provider"]), fax_id=row["match_fax_id"])
    return None
