"""Endpoints in the ledger: rows to structs and back, tokens sealed on the way in and opened on the way out.

Nothing of them is kept in memory: what a batch of events needs is looked up in the transaction that takes it in. So a
change is in force for whatever is taken in after its commit, in every process, and endpoints that no event is for cost
nothing, however many there are.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.channels.static_headers import Headers
from dispatcher.ledger.endpoint_rows import COLUMNS, endpoint_of, values_of
from dispatcher.ledger.pool import Pool
from dispatcher.policy.delivery import EndpointStatus
from dispatcher.policy.endpoint import DamagedField, Endpoint, FaxMatch, Scope
from shared.domain import Direction, Event, Provider
from shared.seal import Damaged, Seal

_SELECT: Final = f"SELECT {COLUMNS} FROM endpoints WHERE removed_at IS NULL"  # noqa: S608 - a constant

ALL: Final = f"{_SELECT} ORDER BY created_at, id"
ONE: Final = f"{_SELECT} AND id = $1"
OF_EVENTS: Final = f"""
{_SELECT} AND scope = 'global'
UNION ALL {_SELECT} AND match_number = ANY($1::text[])
UNION ALL {_SELECT} AND (match_provider, match_fax_id) IN (SELECT * FROM unnest($2::text[], $3::text[]))
UNION ALL {_SELECT} AND match_job_id = ANY($4::text[])
ORDER BY endpoint_id
"""  # noqa: S608 - a constant
"""One index scan each; a condition with OR would be one scan of the whole table."""

OLDEST_AND_NEWEST: Final = """
(SELECT id, sealed_tokens FROM endpoints WHERE removed_at IS NULL AND scope = 'global' ORDER BY id LIMIT $1) UNION ALL
(SELECT id, sealed_tokens FROM endpoints WHERE removed_at IS NULL AND scope = 'number' ORDER BY id LIMIT $1) UNION ALL
(SELECT id, sealed_tokens FROM endpoints WHERE removed_at IS NULL AND scope = 'number' ORDER BY id DESC LIMIT $1)
"""
CHECKED: Final = 500
"""At each end. Opening takes 40 µs: the tokens of 100,000 endpoints would take four seconds of every start."""

OF_IDS: Final = f"SELECT {COLUMNS} FROM endpoints WHERE id = ANY($1::uuid[])"  # noqa: S608 - a constant

_PEERS: Final[dict[Scope, str]] = {
    "global": f"{_SELECT} AND scope = 'global'",
    "number": f"{_SELECT} AND match_number = $1",
    "fax": f"{_SELECT} AND (match_provider, match_fax_id) IN (($1, $2)) UNION ALL {_SELECT} AND match_job_id = $3",
}

CHANGED: Final = f"""
SELECT {COLUMNS} FROM endpoints WHERE id = ANY($1::uuid[]) AND updated_at > now() - make_interval(secs => $2)
"""  # noqa: S608 - a constant

INSERT: Final = """
INSERT INTO endpoints (id, scope, direction, match_number, match_provider, match_fax_id, match_job_id, url,
                       failover_url, format, sealed_tokens, inflight, overtaken, enabled, timeout_seconds,
                       max_concurrent, paused, types, description, sealed_headers)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
"""
UPDATE: Final = """
UPDATE endpoints SET scope = $2, direction = $3, match_number = $4, match_provider = $5, match_fax_id = $6,
                     match_job_id = $7, url = $8, failover_url = $9, format = $10, sealed_tokens = $11, inflight = $12,
                     overtaken = $13, enabled = $14, timeout_seconds = $15, max_concurrent = $16, updated_at = now(),
                     is_gone = is_gone AND NOT $14, paused = $17, types = $18, description = $19,
                     sealed_headers = $20,
                     catching_up = NOT ($17 AND $14) AND (catching_up OR paused)
WHERE id = $1 AND removed_at IS NULL
"""
TOKENS: Final = "SELECT sealed_tokens FROM endpoints WHERE id = $1"
SEALED: Final = "SELECT sealed_tokens, sealed_headers FROM endpoints WHERE id = $1"
REMOVE: Final = """
UPDATE endpoints SET removed_at = now(), updated_at = now(), catching_up = catching_up OR paused
WHERE id = $1 AND removed_at IS NULL
"""
GONE: Final = """
UPDATE endpoints SET enabled = false, is_gone = true, updated_at = now(), catching_up = catching_up OR paused
WHERE id = $1 AND enabled
"""


class EndpointFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which endpoints; a field that is None does not narrow. Each has its index."""

    scope: Scope | None = None
    number: str | None = None
    job_id: str | None = None
    fax_id: str | None = None
    enabled: bool | None = None


_CONDITIONS: Final[dict[str, str]] = {
    "scope": "scope = {}",
    "number": "match_number = {}",
    "job_id": "match_job_id = {}",
    "fax_id": f"match_provider IN ({', '.join(repr(str(each)) for each in Provider)}) AND match_fax_id = {{}}",
    "enabled": "enabled = {}",
}


class EndpointStore:
    """Reads and writes endpoints. Writers pass the connection of their transaction.

    An endpoint whose row is damaged is marked so: it is listed, can be set anew or removed, and stops no other one.
    Every reader raises `Unsealable` if SECRETS_KEY does not fit.
    """

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    async def everything(self, pool: Pool) -> list[Endpoint]:
        """Return every endpoint, the oldest first."""
        return [self.marked_from_row(row) for row in await pool.fetch(ALL)]

    async def page(
        self,
        connection: Any,
        after: UUID | None,
        most: int,
        wanted: EndpointFilter | None = None,
        *,
        newest_first: bool = False,
    ) -> list[Endpoint]:
        """Return at most *most* of the *wanted* endpoints in the order of their ids, or against it, behind *after*."""
        given = msgspec.structs.asdict(wanted or EndpointFilter())
        conditions, values = [""], list[Any]()
        for condition, value in ((_CONDITIONS[name], value) for name, value in given.items()):
            if value is not None:
                values.append(value)
                conditions.append(condition.format(f"${len(values)}"))
        if after is not None:
            values.append(after)
            conditions.append(f"id {'<' if newest_first else '>'} ${len(values)}")
        order = "id DESC" if newest_first else "id"
        sql = f"{_SELECT}{' AND '.join(conditions)} ORDER BY {order} LIMIT {int(most)}"
        return [self.marked_from_row(row) for row in await connection.fetch(sql, *values)]

    async def of_ids(self, connection: Any, endpoint_ids: Sequence[UUID]) -> list[Endpoint]:
        """Return those of the endpoints that exist, removed ones included."""
        return [self.marked_from_row(row) for row in await connection.fetch(OF_IDS, list(endpoint_ids))]

    async def changed(self, connection: Any, endpoint_ids: Sequence[UUID], seconds: float) -> list[EndpointStatus]:
        """Return those of the endpoints that were changed or removed in the last *seconds*."""
        return [
            EndpointStatus(
                endpoint=self.marked_from_row(row),
                is_removed=row["removed_at"] is not None,
                is_gone=row["is_gone"],
            )
            for row in await connection.fetch(CHANGED, list(endpoint_ids), seconds)
        ]

    async def get(self, connection: Any, endpoint_id: UUID, *, lock: bool = False) -> Endpoint | None:
        """Return one endpoint; None if it does not exist or is removed."""
        row = await connection.fetchrow(f"{ONE} FOR UPDATE" if lock else ONE, endpoint_id)
        return None if row is None else self.marked_from_row(row)

    async def of_events(self, connection: Any, events: Iterable[Event]) -> list[Endpoint]:
        """Return the endpoints that could apply to *events*, as they are committed now, by their ids."""
        return [self.marked_from_row(row) for row in await _rows_of_events(connection, events)]

    async def check_tokens(self, connection: Any) -> int:
        """Open the tokens of the oldest and the newest standing endpoints; return of how many.

        Those of single faxes are left out: one that cannot be read stops no other fax. Nor does one that is damaged,
        whatever it applies to: what it is owed becomes dead letters.

        A key that does not fit is found at the start, not by the first event for an endpoint.

        Raises:
            Unsealable: SECRETS_KEY does not fit them.
        """
        sealed = {row["id"]: row["sealed_tokens"] for row in await connection.fetch(OLDEST_AND_NEWEST, CHECKED)}
        for tokens in sealed.values():
            for token in tokens:
                with suppress(Damaged):
                    self._seal.open(token)
        return len(sealed)

    async def peers(self, connection: Any, endpoint: Endpoint) -> list[Endpoint]:
        """Return the endpoints of the scope and match of *endpoint*, itself too; their tokens stay sealed."""
        if isinstance(endpoint.match, FaxMatch):
            values: list[Any] = [endpoint.match.provider, endpoint.match.fax_id, endpoint.match.job_id]
        else:
            values = [] if endpoint.match is None else [endpoint.match]
        rows = await connection.fetch(f"{_PEERS[endpoint.scope]} ORDER BY endpoint_id", *values)
        return [endpoint_of(row) for row in rows]

    async def insert(self, connection: Any, endpoint: Endpoint) -> None:
        """Write a new endpoint."""
        tokens = self._sealed(endpoint.tokens, ())
        await connection.execute(INSERT, *values_of(endpoint, tokens, self._sealed_headers(endpoint)))

    async def update(self, connection: Any, endpoint: Endpoint) -> None:
        """Replace an endpoint's fields; what is `damaged` of it stays as it is."""
        before = await connection.fetchrow(SEALED, endpoint.id)
        if before is None:
            return
        tokens, headers = before["sealed_tokens"], before["sealed_headers"]
        if "tokens" not in endpoint.damaged:
            tokens = self._sealed(endpoint.tokens, [each for each in tokens if self._is_sealed(each)])
        if "headers" not in endpoint.damaged:
            headers = self._sealed_headers(endpoint)
        await connection.execute(UPDATE, *values_of(endpoint, tokens, headers))

    async def token_dates(self, connection: Any, endpoint_id: UUID) -> list[datetime]:
        """Return since when the endpoint has each of its tokens, in their order; no two are equal.

        None if one of them is damaged: then it has no tokens that can be read.
        """
        try:
            return [self._seal.sealed_at(token) for token in await connection.fetchval(TOKENS, endpoint_id) or ()]
        except Damaged:
            return []

    async def remove(self, connection: Any, endpoint_id: UUID) -> bool:
        """Remove an endpoint; its history stays. False if it does not exist."""
        return str(await connection.execute(REMOVE, endpoint_id)).endswith(" 1")

    async def gone(self, connection: Any, endpoint_id: UUID) -> bool:
        """Switch an endpoint off that answered 410; False if it was off already. Enabling it forgets the 410."""
        return str(await connection.execute(GONE, endpoint_id)).endswith(" 1")

    def from_row(self, row: Any) -> Endpoint:
        """Return the endpoint of a row with `COLUMNS`.

        Raises:
            Damaged: Its row is.
        """
        return endpoint_of(row, self._tokens_of(row), self._headers_of(row))

    def marked_from_row(self, row: Any) -> Endpoint:
        """Return the endpoint of a row with `COLUMNS`, marked if its row is damaged."""
        try:
            return self.from_row(row)
        except Damaged:
            sealed: dict[DamagedField, list[bytes]] = {
                "tokens": row["sealed_tokens"],
                "headers": [] if row["sealed_headers"] is None else [row["sealed_headers"]],
            }
            damaged = tuple(name for name, each in sealed.items() if not all(map(self._is_sealed, each)))
            tokens = () if "tokens" in damaged else self._tokens_of(row)
            headers = () if "headers" in damaged else self._headers_of(row)
            return endpoint_of(row, tokens, headers, damaged)

    def _tokens_of(self, row: Any) -> tuple[str, ...]:
        return tuple(self._seal.open(token) for token in row["sealed_tokens"])

    def _headers_of(self, row: Any) -> Headers:
        sealed = row["sealed_headers"]
        return () if sealed is None else msgspec.json.decode(self._seal.open(sealed), type=Headers)

    def _is_sealed(self, sealed: bytes) -> bool:
        try:
            self._seal.open(sealed)
        except Damaged:
            return False
        return True

    def _sealed_headers(self, endpoint: Endpoint) -> bytes | None:
        return self._seal.seal(msgspec.json.encode(endpoint.headers).decode()) if endpoint.headers else None

    def _sealed(self, tokens: Sequence[str], before: Sequence[bytes]) -> list[bytes]:
        """Return *tokens* sealed, each later than the one before it; those of *before* keep their times."""
        known = {self._seal.open(sealed): sealed for sealed in before}
        latest = max((self._seal.sealed_at(sealed) for sealed in before), default=None)
        sealed_tokens: list[bytes] = []
        for token in tokens:
            if token in known:
                sealed_tokens.append(self._seal.seal_again(known[token]))
            else:
                sealed_tokens.append(self._seal.seal(token, after=latest))
                latest = self._seal.sealed_at(sealed_tokens[-1])
        return sealed_tokens


async def sealed_of_events(connection: Any, events: Iterable[Event]) -> list[Endpoint]:
    """Return the endpoints that could apply to *events*, their tokens left sealed."""
    return [endpoint_of(row) for row in await _rows_of_events(connection, events)]


async def _rows_of_events(connection: Any, events: Iterable[Event]) -> Sequence[Any]:
    numbers: set[str] = set()
    faxes: set[tuple[str, str]] = set()
    job_ids: set[str] = set()
    for event in events:
        if event.direction is Direction.SENT:
            faxes.add((event.provider, event.fax_id))
            job_ids.update([] if event.job_id is None else [event.job_id])
        elif event.to_number is not None:
            numbers.add(event.to_number)
    fax_columns = [fax[0] for fax in faxes], [fax[1] for fax in faxes]
    rows: Sequence[Any] = await connection.fetch(OF_EVENTS, list(numbers), *fax_columns, list(job_ids))
    return rows
