"""How endpoints are doing: attempts told and failed lately, deliveries owed, since when it fails.

*Lately* means the newest deliveries of each endpoint among the newest of all, and those owed to it or dead, however
old: so an endpoint that fails has a health though it is tried every six hours only, and every endpoint costs the same.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from dispatcher.ledger.pool import Pool
from dispatcher.ops.dead.causes import cause_in_words
from dispatcher.ops.words import counted, moment
from shared.domain import utc_now
from shared.sql import PARKED_DUE_AT

Verdict = Literal["healthy", "failing", "idle", "paused", "disabled", "gone", "removed"]
CircuitState = Literal["open", "closed"]

NEWEST: Final = 100
"""Deliveries of an endpoint that are read."""

NEWEST_OF_ALL: Final = 20_000
"""Deliveries that these are searched among. An index by endpoint would find them, and cost every delivery a write."""

MOST_AT_ONCE: Final = 200
"""Endpoints in one statement."""

HEALTH: Final = f"""
WITH wanted AS (
    SELECT id, enabled, is_gone, paused, catching_up, removed_at IS NOT NULL AS is_removed
    FROM endpoints WHERE id = ANY($1::uuid[])
), newest AS MATERIALIZED (
    SELECT id, endpoint_id FROM deliveries ORDER BY id DESC LIMIT $3
), looked_at AS (
    SELECT id, endpoint_id FROM newest WHERE endpoint_id = ANY($1::uuid[])
    UNION
    SELECT id, endpoint_id FROM deliveries
    WHERE state IN ('pending', 'retrying') AND attempts > 0 AND endpoint_id = ANY($1::uuid[])
    UNION
    SELECT id, endpoint_id FROM deliveries WHERE state = 'dead' AND endpoint_id = ANY($1::uuid[])
), numbered AS (
    SELECT id, endpoint_id, row_number() OVER (PARTITION BY endpoint_id ORDER BY id DESC) AS number FROM looked_at
), tried AS (
    SELECT endpoint_id, attempts.outcome, attempts.error, attempts.started_at,
           max(attempts.started_at) FILTER (WHERE attempts.outcome = 'told') OVER (PARTITION BY endpoint_id) AS told_at
    FROM numbered JOIN attempts ON attempts.delivery_id = numbered.id
    WHERE numbered.number <= $2
), lately AS (
    SELECT endpoint_id,
           count(*) FILTER (WHERE outcome = 'told') AS told,
           count(*) FILTER (WHERE outcome <> 'told') AS failed,
           max(told_at) AS last_told_at,
           max(started_at) FILTER (WHERE outcome <> 'told') AS last_failed_at,
           min(started_at) FILTER (WHERE outcome <> 'told' AND (told_at IS NULL OR started_at > told_at))
               AS failing_since,
           (array_agg(error ORDER BY started_at DESC) FILTER (WHERE outcome <> 'told'))[1] AS last_error
    FROM tried GROUP BY endpoint_id
), waiting AS (
    SELECT endpoint_id, count(*) AS owed,
           count(*) FILTER (WHERE due_at <= now() AND (lease_until IS NULL OR lease_until <= now())) AS due,
           min(due_at) FILTER (WHERE lease_until IS NULL AND due_at > now() AND due_at < {PARKED_DUE_AT}) AS next_due_at
    FROM deliveries WHERE state IN ('pending', 'retrying') AND endpoint_id = ANY($1::uuid[]) GROUP BY endpoint_id
), dead AS (
    SELECT endpoint_id, count(*) AS dead
    FROM deliveries WHERE state = 'dead' AND endpoint_id = ANY($1::uuid[]) GROUP BY endpoint_id
)
SELECT wanted.id AS endpoint_id, enabled, is_gone, paused, catching_up, is_removed,
       coalesce(told, 0) AS told, coalesce(failed, 0) AS failed, last_told_at, last_failed_at, failing_since,
       last_error, coalesce(owed, 0) AS owed, coalesce(due, 0) AS due, next_due_at, coalesce(dead, 0) AS dead
FROM wanted
LEFT JOIN lately ON lately.endpoint_id = wanted.id
LEFT JOIN waiting ON waiting.endpoint_id = wanted.id
LEFT JOIN dead ON dead.endpoint_id = wanted.id
"""  # noqa: S608 - the inserted text is a constant


def _ranked(more_tables: str = "", more_rows: str = "") -> str:
    return f"""
WITH failing AS (
    SELECT endpoint_id FROM deliveries WHERE state IN ('pending', 'retrying') AND attempts > 0
    GROUP BY 1 ORDER BY count(*) DESC LIMIT $1
), gone AS (
    SELECT id AS endpoint_id FROM endpoints WHERE NOT enabled AND is_gone AND removed_at IS NULL
    ORDER BY id DESC LIMIT $1
), dead AS (
    SELECT endpoint_id FROM (
        SELECT endpoint_id FROM deliveries WHERE state = 'dead' ORDER BY settled_at DESC, id DESC LIMIT $2
    ) latest GROUP BY 1 ORDER BY count(*) DESC LIMIT $1
){more_tables}, ranked AS (
    SELECT endpoint_id, min(rank) AS rank FROM (
        SELECT endpoint_id, 1 AS rank FROM failing UNION ALL SELECT endpoint_id, 2 FROM gone
        UNION ALL SELECT endpoint_id, 3 FROM dead{more_rows}
    ) found GROUP BY 1
)
SELECT endpoint_id FROM ranked JOIN endpoints ON endpoints.id = endpoint_id AND endpoints.removed_at IS NULL
ORDER BY rank, endpoint_id LIMIT $1
"""  # noqa: S608 - what is inserted are the constants below


IN_TROUBLE: Final = _ranked()
"""Which endpoints are owed what failed, hold dead letters, or are gone: in most minutes none, at next to no cost."""

IN_USE: Final = _ranked(
    """, paused AS (
    SELECT id AS endpoint_id FROM endpoints WHERE paused AND removed_at IS NULL ORDER BY id DESC LIMIT $1
), busy AS (
    SELECT endpoint_id FROM (SELECT endpoint_id FROM deliveries ORDER BY id DESC LIMIT $2) newest
    GROUP BY 1 ORDER BY count(*) DESC LIMIT $1
)""",
    " UNION ALL SELECT endpoint_id, 2 FROM paused UNION ALL SELECT endpoint_id, 4 FROM busy",
)
"""Which endpoints an overview is about, those in trouble first. The others did nothing lately."""


_OF_ENDPOINT: Final = frozenset({"enabled", "is_gone", "paused", "catching_up", "is_removed"})


class EndpointHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How one endpoint is doing.

    Attributes:
        verdict: `failing`: its latest attempt failed, or its circuit is open. `idle`: nothing was tried lately.
            `gone`: it answered 410 and is switched off. `paused`: what it is owed waits until it is resumed.
        sentence: The same for people.
        told: Attempts lately that were told: of its newest 100 deliveries.
        failed: Attempts lately that were not.
        last_error: Of the latest attempt that failed.
        failing_since: The first failure after the latest attempt that was told, among the attempts that were read.
        owed: Deliveries that are pending or retrying.
        due: Those of them that are due and that no process holds.
        next_due_at: When the next one is due.
        dead: Its dead letters.
        circuit: In this process; null where no attempts are made (the command line).
    """

    endpoint_id: UUID
    verdict: Verdict
    sentence: str
    told: int
    failed: int
    last_told_at: datetime | None
    last_failed_at: datetime | None
    last_error: str | None
    failing_since: datetime | None
    owed: int
    due: int
    next_due_at: datetime | None
    dead: int
    circuit: CircuitState | None


class EndpointHealthReader:
    """Reads health. *circuit_is_open* is this process's; None where no attempts are made."""

    def __init__(self, pool: Pool, circuit_is_open: Callable[[UUID], bool] | None = None) -> None:
        self._pool = pool
        self._circuit_is_open = circuit_is_open

    async def of_those_in_use(self) -> dict[UUID, EndpointHealth]:
        """Return the health of at most `MOST_AT_ONCE` endpoints that are in trouble, or had something to do lately."""
        rows = await self._pool.fetch(IN_USE, MOST_AT_ONCE, NEWEST_OF_ALL)
        return await self.of([row["endpoint_id"] for row in rows])

    async def of_those_in_trouble(self) -> dict[UUID, EndpointHealth]:
        """Return the health of at most `MOST_AT_ONCE` endpoints that `IN_TROUBLE` names."""
        rows = await self._pool.fetch(IN_TROUBLE, MOST_AT_ONCE, NEWEST_OF_ALL)
        return await self.of([row["endpoint_id"] for row in rows])

    async def of(self, endpoint_ids: Sequence[UUID]) -> dict[UUID, EndpointHealth]:
        """Return the health of these endpoints."""
        found: dict[UUID, EndpointHealth] = {}
        for start in range(0, len(endpoint_ids), MOST_AT_ONCE):
            rows = await self._pool.fetch(HEALTH, endpoint_ids[start : start + MOST_AT_ONCE], NEWEST, NEWEST_OF_ALL)
            found.update({row["endpoint_id"]: self._health(dict(row), utc_now()) for row in rows})
        return found

    def _health(self, row: dict[str, Any], now: datetime) -> EndpointHealth:
        circuit: CircuitState | None = None
        if self._circuit_is_open is not None:
            circuit = "open" if self._circuit_is_open(row["endpoint_id"]) else "closed"
        verdict = verdict_of(row, circuit)
        shown = {name: value for name, value in row.items() if name not in _OF_ENDPOINT}
        return EndpointHealth(
            **shown, verdict=verdict, sentence=sentence_of(verdict, row, circuit, now), circuit=circuit
        )


def verdict_of(row: Mapping[str, Any], circuit: CircuitState | None) -> Verdict:
    """Return the verdict on what a row of `HEALTH` says."""
    if row["is_removed"]:
        return "removed"
    if row["is_gone"]:
        return "gone"
    if not row["enabled"]:
        return "disabled"
    if row["paused"]:
        return "paused"
    if row["failing_since"] is not None or circuit == "open":
        return "failing"
    return "healthy" if row["last_told_at"] is not None else "idle"


def sentence_of(verdict: Verdict, row: Mapping[str, Any], circuit: CircuitState | None, now: datetime) -> str:
    """Return how it is doing, for people."""
    since = row["failing_since"]
    facts = {
        "healthy": [],
        "idle": ["nothing was tried lately"],
        "disabled": ["disabled"],
        "paused": ["paused: what it is owed waits until it is resumed"],
        "removed": ["removed; its history stays"],
        "gone": ["disabled, because it answered 410"],
        "failing": ["failing" if since is None else f"failing since {moment(since, now)}"],
    }[verdict]
    facts += [cause_in_words(row["last_error"])] if verdict == "failing" and row["last_error"] else []
    facts += [f"last delivered {moment(row['last_told_at'], now)}"] if verdict != "idle" and row["last_told_at"] else []
    facts += ["circuit open: only probes are sent"] if circuit == "open" else []
    facts += ["catching up with what waited while it was paused"] if row["catching_up"] else []
    facts += [counted(row["owed"], "delivery") + " owed"] if row["owed"] else []
    facts += [f"the next due {moment(row['next_due_at'], now)}"] if row["next_due_at"] else []
    facts += [counted(row["dead"], "dead letter")] if row["dead"] else []
    return ", ".join(facts)
